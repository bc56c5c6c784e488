using System.Text.Json.Nodes;
using RbeMl.Codec;
using RbeMl.Files;
using RbeMl.Kernels;
using RbeMl.Layers;
using RbeMl.Models;
using RbeMl.Storage;
using RbeMl.Tests.Files;
using RbeMl.Tests.Support;

namespace RbeMl.Tests.Codec;

/// <summary>A format that the library has never heard of goes all the way: compressed, calibrated, stored, read, run.</summary>
public sealed class FormatSeamTests : IDisposable
{
    // Of a normal distribution, signs and the best scale leave sqrt(1 - 2 / pi) of it.
    private const double Expected = 0.6028;
    private readonly TemporaryFolder _folder = new();

    static FormatSeamTests() => RbeFormat.Register(new SignFormat());

    public static TheoryData<int, int, bool> Cases => new() { { 0, 0, false }, { 0, 0, true }, { 4, 0, true }, { 2, 32, false } };

    public void Dispose() => _folder.Dispose();

    [Theory]
    [MemberData(nameof(Cases))]
    public void A_new_format_is_compressed_stored_and_read(int outliers, int delta, bool calibrated)
    {
        const int Rows = 70, Columns = 96;
        float[] weights = Numbers.Normal(Rows * Columns, 3);
        SignFormat format = new() { Outliers = outliers, Delta = delta == 0 ? null : RbeFormat.Sparse(delta, SupportRule.TopK) };
        RbeOptions options = new() { Tile = 32, Format = format, Alphas = false };
        CompressionReport report;
        RbeMatrix matrix = calibrated ? RbeCompressor.Compress(weights, Rows, Columns, options, Tokens(Columns), out report)
            : RbeCompressor.Compress(weights, Rows, Columns, options, out report);
        Assert.InRange(report.RelativeError, delta > 0 ? 0.4 : outliers > 0 ? 0.5 : 0.98 * Expected, (calibrated ? 1.2 : 1.02) * Expected);
        int tiles = matrix.TileCount;
        Assert.Equal(tiles * (1024L + 16 + (32 * outliers) + (delta * (32 + 10))), report.Bits);

        string path = _folder.File("matrix.rbe");
        RbeContainerWriter.Write(path, new JsonObject { ["w"] = RbeMatrixFile.Describe("w", matrix) }, [.. RbeMatrixFile.Tensors("w", matrix)]);
        using RbeContainer file = RbeContainer.Open(path);
        HashSet<string> names = [];
        RbeMatrix read = RbeMatrixFile.Read(file, new JsonFields(path, "metadata", file.Metadata).Object("w"), names, new RbeLoadOptions()).Matrix;
        Assert.Equal(matrix.Format, read.Format);
        Assert.Equal(matrix.ToDense(), read.ToDense());
        Assert.True(names.SetEquals(file.Tensors.Select(t => t.Name)));
    }

    [Fact]
    public void A_model_of_a_new_format_is_stored_run_and_decoded()
    {
        TransformerConfig config = new() { Width = 64, Heads = 2, Layers = 2, Vocabulary = 32, MaxSequenceLength = 32 };
        TransformerWeights weights = TransformerWeights.CreateUntrained(config, new RbeOptions { Format = new SignFormat { Outliers = 1 } }, seed: 5);
        string path = _folder.File("model.rbe");
        int[] ids = [.. Enumerable.Range(0, 32).Select(i => i * 7 % 32)];
        float[] expected;
        using (TransformerModel<float> model = new(weights), dense = new(weights.Recompress(RbeOptions.Dense)))
        using (Workspace<float> workspace = new(1))
        {
            expected = model.Logits(ids, 1, ids.Length, workspace);
            float[] plain = dense.Logits(ids, 1, ids.Length, workspace);
            Assert.InRange(RbeCompressor.RelativeError(plain, expected), 0, 1e-4);
            using TransformerModel<float> coded = model.ToInference(activations: ActivationPrecision.Int8);
            Assert.InRange(RbeCompressor.RelativeError(expected, coded.Logits(ids, 1, ids.Length, workspace)), 0, 0.05);
            ModelFile.Save(path, model);
        }

        using ModelBundle bundle = ModelFile.Load(path);
        using Workspace<float> again = new(1);
        Assert.Equal(expected, bundle.Model.Logits(ids, 1, ids.Length, again));
        Assert.All(bundle.Model.Matrices.Where(m => m.Matrix.Base is not null), m => Assert.IsType<SignFormat>(m.Matrix.Format));
    }

    [Fact]
    public void A_name_stands_for_one_format()
    {
        RbeFormat.Register(new SignFormat());
        Assert.Single(RbeFormat.All, format => format.Name == "signs");
        Assert.Equal(RbeFormat.All.Length, RbeFormat.All.Select(format => format.Name).Distinct().Count());
        Assert.Equal("signs codes of 1 bits keep", new SignFormat().DescribeRange()[..26]);
    }

    [Theory]
    [InlineData(new[] { 3 }, "3")]
    [InlineData(new[] { 3, 4, 5 }, "3 to 5")]
    [InlineData(new[] { 2, 3, 8 }, "2 to 3, or 8")]
    public void Bits_are_said_in_ranges(int[] bits, string expected) => Assert.Equal(expected, FrozenFormat.InWords(bits, " to ", ", or "));

    private static Calibration Tokens(int features)
    {
        SecondMoment moment = new(features);
        moment.Add(Numbers.Normal(512 * features, 4), 512);
        return new Calibration(moment, centered: false);
    }
}
