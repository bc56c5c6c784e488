using System.Globalization;
using System.Text;
using RbeMl.Files;
using RbeMl.Layers;
using RbeMl.Models;
using RbeMl.Training;

namespace RbeMl.Tests.Files;

/// <summary>
/// One file of each kind and format that an earlier version wrote (<c>old-name.rbe</c>; see also <see cref="FixtureTests"/>), and what it computed from
/// them: <c>old.outputs</c>, a line each of name, what it is, and numbers.
/// </summary>
public sealed class EarlierFileTests : IDisposable
{
    private static readonly string[][] s_outputs = [.. Encoding.UTF8.GetString(FixtureTests.Read("old.outputs"))
        .Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries).Select(line => line.Split(' '))];

    private readonly TemporaryFolder _folder = new();

    public static TheoryData<string> Models => ["sparse", "topk", "quantized", "bytelevel", "seed"];

    public void Dispose() => _folder.Dispose();

    [Theory]
    [MemberData(nameof(Models))]
    public void A_model_computes_and_draws_what_it_did(string name)
    {
        using ModelBundle bundle = ModelFile.Load(Unpack(name));
        using Workspace<float> workspace = new(1);
        int[] tokens = [3, 1, 4, 1, 5, 9, 2, 6];
        AssertSame(name, "logits",
            bundle.Model.Logits(tokens, 1, tokens.Length, workspace).AsSpan(5 * bundle.Model.Config.Vocabulary, bundle.Model.Config.Vocabulary));
        int[]? ids = bundle.Tokenizer?.Encode("the cat sat on another dog");
        Assert.Equal(Text(name, "tokens"), ids?.Select(Number) ?? ["none"]);

        // No end token is known of these models, and nothing else is asked for.
        Assert.Null(bundle.Model.Tokens.EndTokens);
        using Generator generator = new(bundle.Model, 1);
        Assert.Equal(Text(name, "greedy"), Draw(new GenerationOptions { MaxTokens = 40, Temperature = 0 }));
        Assert.Equal(Text(name, "sampled"), Draw(new GenerationOptions { MaxTokens = 40, Seed = 7 }));
        GenerationOptions narrowed = new() { MaxTokens = 40, Seed = 9, Temperature = 0.7, TopK = 8, TopP = 0.9 };
        Assert.Equal(Text(name, "narrowed"), Draw(narrowed));

        string[] Draw(GenerationOptions options) => [.. generator.Generate([3, 1, 4], options).Select(Number)];
    }

    [Theory]
    [MemberData(nameof(Models))]
    public void A_model_saved_again_is_the_same_file(string name)
    {
        string path = Unpack(name), again = _folder.File("again.rbe");
        using (ModelBundle bundle = ModelFile.Load(path)) ModelFile.Save(again, bundle.Model, bundle.Tokenizer);
        Assert.Equal(File.ReadAllBytes(path), File.ReadAllBytes(again));
    }

    [Fact]
    public void A_block_computes_what_it_did()
    {
        using MemoryStream file = new(FixtureTests.Read("old-block.rbe"));
        (TransformerConfig config, BlockWeights weights) = BlockFile.Load(file);
        using RbeTransformerBlock<float> block = new(config, weights);
        using Workspace<float> workspace = new(1);
        float[] x = [.. Enumerable.Range(0, 3 * 32).Select(i => ((i * 37 % 64) - 31.5f) / 16)];
        AssertSame("block", "output", block.Forward(x, 1, 3, new ForwardOptions<float>(), null, workspace).Output);
    }

    [Fact]
    public void A_set_of_matrices_holds_what_it_did()
    {
        using RbeMatrixSet set = RbeMatrixSet.Open(Unpack("set"));
        set.Verify();
        AssertSame("set", "matrix", set.ReadMatrix("a.weight").ToDense());
        using MemoryStream bias = new();
        set.CopyDense("bias", bias);
        Assert.Equal(Text("set", "bias"), bias.ToArray().Select(b => Number(b)));
        Assert.Equal("x", set.Metadata.GetProperty("origin").GetString());
        Assert.InRange(RbeInspection.Read(Unpack("set"), verify: true).Matrices.Single().RelativeError!.Value, 1e-3, 0.2);
    }

    [Fact]
    public void A_classifier_computes_what_it_did()
    {
        using ClassifierBundle bundle = ClassifierFile.Load(Unpack("classifier"));
        using Workspace<float> workspace = new(1);
        float[] scores = new float[6];
        bundle.Classifier.Scores([3, 1, 4, 1, 5, 9, 2, 6], [5, 3], workspace, scores);
        AssertSame("classifier", "scores", scores);
        Assert.Equal(Text("classifier", "tokens"), bundle.Tokenizer!.Encode("the cat").Select(Number));
    }

    private static string Number(int id) => id.ToString(CultureInfo.InvariantCulture);

    private static string[] Text(string name, string what) => s_outputs.Single(line => line[0] == name && line[1] == what)[2..];

    // Equal to the bit on a processor with the same vectors; with others sums go in another order.
    private static void AssertSame(string name, string what, ReadOnlySpan<float> actual)
    {
        float[] expected = [.. Text(name, what).Select(number => float.Parse(number, CultureInfo.InvariantCulture))];
        Assert.Equal(expected.Length, actual.Length);
        float largest = expected.Max(MathF.Abs);
        for (int i = 0; i < expected.Length; i++) Assert.InRange(Math.Abs(expected[i] - actual[i]), 0, 1e-5f * largest);
    }

    private string Unpack(string name)
    {
        string path = _folder.File($"old-{name}.rbe");
        File.WriteAllBytes(path, FixtureTests.Read($"old-{name}.rbe"));
        return path;
    }
}
