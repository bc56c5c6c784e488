using System.Text.Json.Nodes;
using RbeMl.Codec;
using RbeMl.Files;
using RbeMl.Layers;
using RbeMl.Models;
using RbeMl.Tests.Support;

namespace RbeMl.Tests.Files;

public sealed class RbeMatrixSetTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private static RbeNamedMatrix Compress(string name, int rows, int columns, RbeFormat format)
    {
        RbeMatrix matrix =
            RbeCompressor.Compress(Numbers.Normal(rows * columns, name.Length), rows, columns, new RbeOptions { Tile = 32, Format = format },
                out CompressionReport report);
        return new RbeNamedMatrix(name, matrix, report);
    }

    private static RbeNamedMatrix[] Matrices() =>
        [Compress("h.0.attn", 70, 40, RbeFormat.Quantized(4)), Compress("dense", 40, 33, RbeFormat.Sparse(32)),
            Compress("dense.1", 40, 33, RbeFormat.Seed(9)) with { Report = null }];

    private static RbeDenseTensor[] Dense() =>
    [
        RbeDenseTensor.From("ln.weight", "BF16", [3, 1], new byte[] { 1, 2, 3, 4, 5, 6 }),
        RbeDenseTensor.From("h.0.attn", "I64", [], 8, () => new MemoryStream([8, 7, 6, 5, 4, 3, 2, 1, 99])), // a scalar; the stream goes on
        RbeDenseTensor.From("none", "F6_E3M2", [0, 4], 0, () => Stream.Null),
    ];

    private string Save()
    {
        string path = _folder.File("set.rbe");
        RbeMatrixSet.Save(path, Matrices(), Dense(), new JsonObject { ["source"] = "somewhere" });
        return path;
    }

    [Fact]
    public void Matrices_and_dense_tensors_come_back_as_they_were()
    {
        using RbeMatrixSet set = RbeMatrixSet.Open(Save());
        set.Verify();
        Assert.Equal(["h.0.attn", "dense", "dense.1"], set.Names);
        Assert.Equal("somewhere", set.Metadata.GetProperty("source").GetString());
        foreach (RbeNamedMatrix expected in Matrices())
        {
            RbeMatrix read = set.ReadMatrix(expected.Name);
            Assert.Equal(expected.Matrix.Format, read.Format);
            Assert.Equal(expected.Matrix.ToDense(), read.ToDense());
        }

        Assert.Equal(["ln.weight BF16 3,1 6", "h.0.attn I64  8", "none F6_E3M2 0,4 0"],
            set.DenseTensors.Select(t => $"{t.Name} {t.Type} {string.Join(",", t.Shape)} {t.ByteLength}"));
        Assert.Equal([1, 2, 3, 4, 5, 6], Copy(set, "ln.weight"));
        Assert.Equal([8, 7, 6, 5, 4, 3, 2, 1], Copy(set, "h.0.attn"));
        Assert.Empty(Copy(set, "none"));
    }

    [Fact]
    public void A_set_with_nothing_in_it_is_a_file()
    {
        string path = _folder.File("empty.rbe");
        RbeMatrixSet.Save(path, []);
        using RbeMatrixSet set = RbeMatrixSet.Open(path);
        Assert.Empty(set.Names);
        Assert.Empty(set.DenseTensors);
    }

    [Fact]
    public void Inspection_shows_what_compression_measured()
    {
        RbeInspection inspection = RbeInspection.Read(Save(), verify: true);
        Assert.Equal("rbeml-matrices", inspection.Kind);
        Assert.Null(inspection.Config);
        Assert.Equal(3, inspection.DenseTensors.Count);
        foreach ((RbeNamedMatrix expected, RbeMatrixInspection found) in Matrices().Zip(inspection.Matrices))
        {
            Assert.Equal(expected.Name, found.Name);
            Assert.Equal(expected.Matrix.Format, found.Matrix.Format);
            Assert.Equal(expected.Report?.RelativeError, found.RelativeError);
            Assert.Equal(expected.Report?.TileErrors.Select(e => (float)e), found.TileErrors);
            CompressionReport measured = RbeCompressor.Measure(expected.Matrix, new float[found.Weights]);
            Assert.Equal((measured.Bits, measured.BitsPerWeight, measured.ShannonFloor), (found.Bits, found.BitsPerWeight, found.ShannonFloor));
        }
    }

    [Fact]
    public void A_model_carries_reports_along_too()
    {
        TransformerConfig config = new() { Width = 32, Heads = 2, Layers = 1, Vocabulary = 20, MaxSequenceLength = 4 };
        using TransformerModel<float> model = TransformerModel<float>.Create(config, new RbeOptions { Tile = 32, Format = RbeFormat.Sparse(64) }, 1);
        RbeMatrix matrix = model.Matrices.First().Matrix;
        CompressionReport report = RbeCompressor.Measure(matrix, Numbers.Normal(32 * 32, 1));
        string path = _folder.File("model.rbe");
        ModelFile.Save(path, model, null, new Dictionary<string, CompressionReport> { ["blocks.0.attention.query"] = report });
        RbeInspection inspection = RbeInspection.Read(path);
        Assert.Equal(config, inspection.Config);
        Assert.Equal(6, inspection.Matrices.Count);
        RbeMatrixInspection query = inspection.Matrices.Single(m => m.RelativeError is not null);
        Assert.Equal("blocks.0.attention.query", query.Name);
        Assert.Equal(report.RelativeError, query.RelativeError);
        Assert.Equal(report.TileErrors.Select(e => (float)e), query.TileErrors);
        using ModelBundle bundle = ModelFile.Load(path);
        Assert.Equal(model.Parameters.Length, bundle.Model.Parameters.Length);

        InvalidSettingException stray =
            Assert.Throws<InvalidSettingException>(() => ModelFile.Save(path, model, null, new Dictionary<string, CompressionReport> { ["nothing"] = report }));
        Assert.Contains("nothing", stray.Message);
        Assert.Throws<ShapeMismatchException>(() =>
            ModelFile.Save(path, model, null, new Dictionary<string, CompressionReport> { ["blocks.0.feedforward.expand"] = report }));
    }

    [Fact]
    public void A_file_that_is_no_set_and_names_that_are_not_there_are_typed_errors()
    {
        using RbeMatrixSet set = RbeMatrixSet.Open(Save());
        Assert.Contains("no matrix \"x\"", Assert.Throws<RbeFileException>(() => set.ReadMatrix("x")).Message);
        Assert.Contains("no dense tensor \"x\"", Assert.Throws<RbeFileException>(() => set.CopyDense("x", Stream.Null)).Message);
        string other = _folder.File("other.rbe");
        RbeContainerWriter.Write(other, new JsonObject { ["kind"] = "other" }, []);
        Assert.Contains("holds \"other\"", Assert.Throws<RbeFileException>(() => RbeMatrixSet.Open(other)).Message);
        Assert.Contains("holds a set of matrices, a model is needed.", Assert.Throws<RbeFileException>(() => ModelFile.Load(_folder.File("set.rbe"))).Message);
        Assert.Empty(RbeInspection.Read(other).Matrices);
    }

    [Fact]
    public void What_cannot_be_stored_is_refused_and_nothing_is_written()
    {
        string path = _folder.Write("set.rbe", "old");
        RbeNamedMatrix matrix = Matrices()[1];
        Assert.Contains("given twice", Assert.Throws<RbeFileException>(() => RbeMatrixSet.Save(path, [matrix, matrix])).Message);
        Assert.Contains("given twice", Assert.Throws<RbeFileException>(() => RbeMatrixSet.Save(path, [], [Dense()[0], Dense()[0]])).Message);
        RbeDenseTensor cut = RbeDenseTensor.From("cut", "F32", [2], 8, () => new MemoryStream(new byte[5]));
        Assert.Contains("cut", Assert.Throws<ShapeMismatchException>(() => RbeMatrixSet.Save(path, [], [cut])).Message, StringComparison.Ordinal);
        Assert.Throws<ShapeMismatchException>(() => RbeDenseTensor.From("a", "F32", [-1], new byte[4]));
        matrix.Matrix.Coefficients[3] = float.NaN;
        Assert.Equal("dense.coefficients", Assert.Throws<NonFiniteException>(() => RbeMatrixSet.Save(path, [matrix])).Where);
        Assert.Equal("old", File.ReadAllText(path));
    }

    private static byte[] Copy(RbeMatrixSet set, string name)
    {
        using MemoryStream stream = new();
        set.CopyDense(name, stream);
        return stream.ToArray();
    }
}
