using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using RbeMl.Files;
using RbeMl.Layers;
using RbeMl.Models;

namespace RbeMl.Tests.Files;

/// <summary>
/// Files written by earlier versions, which every later version reads. <c>name.rbe</c> is a model, <c>name.logits</c> its logits for <see cref="Tokens"/>,
/// computed in double and rounded to fp32. A new pair: add the model to <see cref="Models"/> and run these tests once with the environment variable
/// RBEML_WRITE_FIXTURES=1, which writes pairs that are missing; then build again. Pairs that exist are never written anew: when the format moves on,
/// drop the name from <see cref="WrittenToday"/> and keep the files.
/// </summary>
public sealed class FixtureTests : IDisposable
{
    private static readonly int[] Tokens = [258, 0, 101, 257, 32, 259];

    private static readonly Dictionary<string, Func<TransformerModel<float>>> Models =
        new() { ["v1"] = FixtureModel.Create, ["v1-trellis"] = FixtureModel.CreateTrellis };

    private readonly TemporaryFolder _folder = new();

    public FixtureTests()
    {
        if (Environment.GetEnvironmentVariable("RBEML_WRITE_FIXTURES") != "1") return;
        foreach ((string name, Func<TransformerModel<float>> create) in Models.Where(m => !File.Exists(SourceOf($"{m.Key}.rbe"))))
        {
            using TransformerModel<float> model = create();
            ModelFile.Save(SourceOf($"{name}.rbe"), model, FixtureModel.Tokenizer);
            File.WriteAllBytes(SourceOf($"{name}.logits"), MemoryMarshal.AsBytes(LogitsInDouble(model).Select(l => (float)l).ToArray().AsSpan()).ToArray());
        }
    }

    public static TheoryData<string> All => [.. Models.Keys];

    /// <summary>Fixtures that the library still writes byte for byte.</summary>
    public static TheoryData<string> WrittenToday => ["v1", "v1-trellis"];

    public void Dispose() => _folder.Dispose();

    [Theory]
    [MemberData(nameof(All))]
    public void A_file_of_an_earlier_version_gives_the_logits_it_gave_then(string name)
    {
        using ModelBundle bundle = ModelFile.Load(Unpack(name));
        Assert.Equal(FixtureModel.Config, bundle.Model.Config);
        float[] expected = MemoryMarshal.Cast<byte, float>(Read($"{name}.logits")).ToArray();
        float largest = expected.Max(MathF.Abs);
        Assert.True(largest > 0.1f);

        // The file holds the logits rounded to fp32: half a unit in the last place, and room for the order of sums in double.
        double[] exact = LogitsInDouble(bundle.Model);
        Assert.Equal(expected.Length, exact.Length);
        Assert.All(exact.Zip(expected), pair => Assert.InRange(Math.Abs(pair.First - pair.Second), 0, largest * Math.Pow(2, -23)));

        // From a token to a logit a value passes a dozen sums of at most 64 terms in fp32; every term rounds by 2^-24 of what it is added to.
        using Workspace<float> workspace = new(1);
        float[] logits = bundle.Model.Logits(Tokens, 1, Tokens.Length, workspace);
        Assert.All(logits.Zip(expected), pair => Assert.InRange(Math.Abs(pair.First - pair.Second), 0, 12 * 64 * MathF.Pow(2, -24) * largest));
    }

    [Theory]
    [MemberData(nameof(All))]
    public void Its_tokenizer_cuts_text_as_it_did_then(string name)
    {
        using ModelBundle bundle = ModelFile.Load(Unpack(name));
        Assert.Equal(['I', 'n', 258, ' ', 259], bundle.Tokenizer!.Encode("In the in"));
        Assert.Equal("In the in", bundle.Tokenizer.Decode([73, 110, 258, 32, 259]));
    }

    [Theory]
    [MemberData(nameof(WrittenToday))]
    public void Saving_gives_the_same_bytes(string name)
    {
        byte[] expected = Read($"{name}.rbe");
        Assert.InRange(expected.Length, 1, 60_000);
        string path = _folder.File("again.rbe");
        using (ModelBundle bundle = ModelFile.Load(Unpack(name))) ModelFile.Save(path, bundle.Model, bundle.Tokenizer);
        Assert.Equal(expected, File.ReadAllBytes(path));
        using (TransformerModel<float> made = Models[name]()) ModelFile.Save(path, made, FixtureModel.Tokenizer);
        Assert.Equal(expected, File.ReadAllBytes(path));
    }

    [Fact]
    public void The_first_fixture_holds_every_kind_of_part()
    {
        RbeInspection inspection = RbeInspection.Read(Unpack("v1"), verify: true);
        Assert.Equal("rbeml-gpt2", inspection.Kind);
        string[] formats = [.. inspection.Matrices.Select(m => m.Matrix.Format.GetType().Name).Distinct().Order()];
        Assert.Equal(["QuantizedFormat", "SeedFormat", "SparseFormat"], formats);
        Assert.Contains(inspection.Matrices, m => m.Matrix.Support?.RunLength == 8);
        Assert.Contains(inspection.Matrices, m => m.Matrix is { Base: not null, Support: not null });
    }

    private string Unpack(string name)
    {
        string path = _folder.File($"{name}.rbe");
        File.WriteAllBytes(path, Read($"{name}.rbe"));
        return path;
    }

    private static double[] LogitsInDouble(TransformerModel<float> model)
    {
        using TransformerModel<double> wide = new(model.GetWeights());
        using Workspace<double> workspace = new(1);
        return wide.Logits(Tokens, 1, Tokens.Length, workspace);
    }

    internal static byte[] Read(string resource)
    {
        using Stream stream = typeof(FixtureTests).Assembly.GetManifestResourceStream(resource)
            ?? throw new FileNotFoundException($"{resource} is not among the test's resources.");
        using MemoryStream bytes = new();
        stream.CopyTo(bytes);
        return bytes.ToArray();
    }

    private static string SourceOf(string file, [CallerFilePath] string here = "") => Path.Combine(Path.GetDirectoryName(here)!, "Fixtures", file);
}
