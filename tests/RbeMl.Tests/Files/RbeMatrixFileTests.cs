using System.Text.Json.Nodes;
using RbeMl.Codec;
using RbeMl.Files;
using RbeMl.Storage;
using RbeMl.Tests.Support;

namespace RbeMl.Tests.Files;

public sealed class RbeMatrixFileTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    public static TheoryData<string> Formats => ["runs", "topk", "all", "quantized", "delta", "outliers", "trellis", "trellis delta", "trellis 8", "seed"];

    private static RbeMatrix Make(string kind)
    {
        RbeOptions options = kind switch
        {
            "runs" => new() { Tile = 32, Format = RbeFormat.Sparse(64, SupportRule.Runs(8, 5)), Transform = TileTransform.Cdf97 },
            "topk" => new() { Tile = 64, Format = RbeFormat.Sparse(100, SupportRule.TopK), Alphas = false },
            "all" => new() { Tile = 32, Format = RbeFormat.Sparse(1024) },
            "quantized" => new() { Tile = 32, Format = RbeFormat.Quantized(5), Transform = TileTransform.None },
            "delta" => new() { Tile = 64, Format = RbeFormat.Quantized(3) with { Delta = RbeFormat.Sparse(32, SupportRule.Random(9)) } },
            "outliers" => new() { Tile = 32, Format = RbeFormat.Quantized(4) with { Outliers = 5 } },
            "trellis" => new() { Tile = 32, Format = RbeFormat.Trellis(5) },
            "trellis delta" =>
                new() { Tile = 32, Format = RbeFormat.Trellis(3) with { Outliers = 0, Delta = RbeFormat.Sparse(32, SupportRule.TopK) }, Alphas = false },
            "trellis 8" => new() { Tile = 32, Format = RbeFormat.Trellis(8) },
            _ => new() { Tile = 32, Format = RbeFormat.Seed(20) },
        };
        return RbeCompressor.Compress(Numbers.Normal(70 * 40, 3), 70, 40, options);
    }

    private string Write(RbeMatrix matrix, Func<JsonObject, JsonObject>? change = null, Func<RbeTensor, RbeTensor>? replace = null)
    {
        string path = _folder.File("matrix.rbe");
        JsonObject entry = RbeMatrixFile.Describe("w", matrix);
        RbeContainerWriter.Write(path, new JsonObject { ["w"] = change is null ? entry : change(entry) },
            [.. RbeMatrixFile.Tensors("w", matrix).Select(t => replace is null ? t : replace(t))]);
        return path;
    }

    private static RbeMatrix Read(string path, ISet<string> names)
    {
        using RbeContainer file = RbeContainer.Open(path);
        return RbeMatrixFile.Read(file, new JsonFields(path, "metadata", file.Metadata).Object("w"), names, new RbeLoadOptions()).Matrix;
    }

    [Theory]
    [MemberData(nameof(Formats))]
    public void A_matrix_comes_back_bit_for_bit(string kind)
    {
        RbeMatrix matrix = Make(kind);
        string path = Write(matrix);
        HashSet<string> names = [];
        RbeMatrix read = Read(path, names);
        Assert.Equal((matrix.Rows, matrix.Columns, matrix.Tile, matrix.Transform, matrix.Format),
            (read.Rows, read.Columns, read.Tile, read.Transform, read.Format));
        Assert.Equal(matrix.ToDense(), read.ToDense());
        Assert.Equal(matrix.Alphas, read.Alphas);
        Assert.Equal(matrix.Coefficients, read.Coefficients);
        using RbeContainer file = RbeContainer.Open(path);
        Assert.True(names.SetEquals(file.Tensors.Select(t => t.Name)));
    }

    [Theory]
    [InlineData("rows", 0, "matrix \"w\".rows")]
    [InlineData("rows", 2000000000, "matrix \"w\".rows")]
    [InlineData("columns", 16777216, "w.alphas")]
    [InlineData("tile", 48, "tiles of 48")]
    [InlineData("tile", 64, "expected f32 [2, 8], the file has f32 [6, 8]")]
    [InlineData("runs", 5, "w.places")]
    [InlineData("runLength", 3, "run length = 3")]
    [InlineData("bits", 4, "has codes of 4 bits, and its format, sparse, has none")]
    [InlineData("transform", "Fourier", "matrix \"w\".transform is \"Fourier\"; this version knows Dct")]
    [InlineData("transform", "Fourier", "Update RbeMl")]
    [InlineData("alphas", 1, "matrix \"w\".alphas")]
    [InlineData("format", "sparse", "matrix \"w\".format")]
    [InlineData("format.kind", "lattice", "matrix \"w\".format.kind is \"lattice\"; this version knows")]
    [InlineData("format.support", "Spiral", "matrix \"w\".format.support is \"Spiral\"; this version knows")]
    public void Wrong_metadata_is_a_file_error_that_names_it(string key, object value, string message)
    {
        string path = Write(Make("runs"), entry =>
        {
            JsonObject target = key.StartsWith("format.", StringComparison.Ordinal) ? entry["format"]!.AsObject() : entry;
            target[key.Split('.')[^1]] = value is int number ? number : (string)value;
            return entry;
        });
        Assert.Contains(message, Assert.Throws<RbeFileException>(() => Read(path, new HashSet<string>())).Message);
    }

    [Fact]
    public void A_matrix_of_no_parts_is_refused()
    {
        string path = Write(Make("topk"), entry =>
        {
            entry["runs"] = 0;
            return entry;
        });
        Assert.Contains("matrix \"w\" has neither alphas nor coefficients nor codes",
            Assert.Throws<RbeFileException>(() => Read(path, new HashSet<string>())).Message);
    }

    [Fact]
    public void Keys_of_later_versions_are_ignored()
    {
        RbeMatrix matrix = Make("delta");
        string path = Write(matrix, entry =>
        {
            entry["later"] = new JsonArray(1);
            entry["format"]!["later"] = "x";
            return entry;
        });
        Assert.Equal(matrix.ToDense(), Read(path, new HashSet<string>()).ToDense());
    }

    [Fact]
    public void Places_out_of_order_are_a_file_error()
    {
        RbeMatrix matrix = Make("topk");
        string path = Write(matrix, replace: t => t.Name == "w.places"
            ? RbeTensor.From("w.places", new ushort[matrix.Support!.Starts.Length], matrix.TileCount, matrix.Support.RunsPerTile) : t);
        Assert.Contains("matrix \"w\" is wrong: place 0 of tile 0", Assert.Throws<RbeFileException>(() => Read(path, new HashSet<string>())).Message);
    }

    [Theory]
    [InlineData("w.alphas")]
    [InlineData("w.coefficients")]
    public void Values_that_are_not_finite_are_named(string name)
    {
        RbeMatrix matrix = Make("runs");
        string path = Write(matrix, replace: t =>
        {
            if (t.Name != name) return t;
            float[] values = new float[t.Count];
            values[3] = float.NaN;
            return RbeTensor.From(name, values, [.. t.Shape]);
        });
        NonFiniteException error = Assert.Throws<NonFiniteException>(() => Read(path, new HashSet<string>()));
        Assert.Equal(name, error.Where);
        Assert.Contains("element 3", error.Message);
    }

    [Fact]
    public void A_column_major_trellis_comes_back()
    {
        RbeMatrix made = Make("trellis");
        TrellisTiles rows = (TrellisTiles)made.Base!;
        TrellisTiles columns = new(rows.Tile, rows.TileCount, rows.Bits, TrellisScan.ColumnMajor, rows.Scales.AsSpan(), rows.Codes, rows.Outliers);
        RbeMatrix matrix = new(made.Rows, made.Columns, made.Tile, made.Transform, made.Alphas, null, [], columns, made.Format),
            read = Read(Write(matrix), new HashSet<string>());
        Assert.Equal(TrellisScan.ColumnMajor, ((TrellisTiles)read.Base!).Scan);
        Assert.Equal(matrix.ToDense(), read.ToDense());
        Assert.NotEqual(made.ToDense(), read.ToDense());
    }

    // Keys that came later are written only where they say something, so files without outliers and trellis are as they always were.
    [Fact]
    public void A_quantised_matrix_without_outliers_has_none_of_the_newer_metadata()
    {
        RbeMatrix matrix = Make("quantized");
        string path = Write(matrix, entry =>
        {
            Assert.DoesNotContain("outliers", entry);
            Assert.DoesNotContain("scan", entry);
            Assert.DoesNotContain("outliers", entry["format"]!.AsObject());
            return entry;
        });
        RbeMatrix read = Read(path, new HashSet<string>());
        Assert.Equal(matrix.Format, read.Format);
        Assert.Equal(matrix.ToDense(), read.ToDense());
    }

    [Theory]
    [InlineData("bits", 4, "w.codes")]
    [InlineData("bits", 7, "w.codes")]
    [InlineData("outliers", 9, "w.outlierPlaces")]
    [InlineData("outliers", 65, "outliers")]
    [InlineData("outliers", -1, "outliers")]
    [InlineData("scan", "Diagonal", "scan")]
    public void Wrong_metadata_of_a_trellis_is_a_file_error(string key, object value, string message)
    {
        string path = Write(Make("trellis"), entry =>
        {
            entry[key] = value is int number ? number : (string)value;
            return entry;
        });
        Assert.Contains(message, Assert.Throws<RbeFileException>(() => Read(path, new HashSet<string>())).Message);
    }

    [Theory]
    [InlineData("w.scales", "scale 0 is negative")]
    [InlineData("w.outlierPlaces", "outlier place")]
    public void Wrong_parts_of_a_trellis_are_a_file_error(string name, string message)
    {
        string path = Write(Make("trellis"), replace: t => t.Name != name ? t
            : name == "w.scales" ? RbeTensor.From(name, Enumerable.Repeat((Half)(-1), (int)t.Count).ToArray(), [.. t.Shape])
            : RbeTensor.From(name, Enumerable.Repeat((ushort)1024, (int)t.Count).ToArray(), [.. t.Shape]));
        Assert.Contains(message, Assert.Throws<RbeFileException>(() => Read(path, new HashSet<string>())).Message);
    }

    [Theory]
    [InlineData("w.scales")]
    [InlineData("w.outlierValues")]
    public void Values_of_a_trellis_that_are_not_finite_are_named(string name)
    {
        string path = Write(Make("trellis"), replace: t => t.Name == name
            ? RbeTensor.From(name, Enumerable.Repeat(Half.NaN, (int)t.Count).ToArray(), [.. t.Shape]) : t);
        Assert.Equal(name, Assert.Throws<NonFiniteException>(() => Read(path, new HashSet<string>())).Where);
    }

    [Fact]
    public void A_scale_that_is_not_finite_is_named()
    {
        string path = Write(Make("quantized"), replace: t => t.Name == "w.scales"
            ? RbeTensor.From("w.scales", Enumerable.Repeat(Half.PositiveInfinity, (int)t.Count).ToArray(), [.. t.Shape]) : t);
        Assert.Equal("w.scales", Assert.Throws<NonFiniteException>(() => Read(path, new HashSet<string>())).Where);
    }

    [Fact]
    public void A_negative_scale_is_a_file_error()
    {
        string path = Write(Make("quantized"), replace: t => t.Name == "w.scales"
            ? RbeTensor.From("w.scales", [.. Enumerable.Range(0, (int)t.Count).Select(i => (Half)(5 - i))], [.. t.Shape]) : t);
        Assert.Contains("matrix \"w\" is wrong: scale 6 is negative", Assert.Throws<RbeFileException>(() => Read(path, new HashSet<string>())).Message);
    }
}
