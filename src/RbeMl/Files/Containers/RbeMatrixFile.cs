using System.Collections.Immutable;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using RbeMl.Codec;
using RbeMl.Layers;
using RbeMl.Numerics;
using RbeMl.Storage;

namespace RbeMl.Files;

/// <summary>
/// A matrix in a container: its shape and format in the metadata, its parts as tensors <c>name.alphas</c> f32 [tiles, 8],
/// <c>name.coefficients</c> f32 [tiles, K], <c>name.places</c> u16 [tiles, runs], <c>name.scales</c> f16 [tiles, B²/64],
/// <c>name.codes</c> u8 [tiles, B² bits / 8], <c>name.outlierPlaces</c> u16 and <c>name.outlierValues</c> f16 [tiles, outliers], each where the format has
/// it. A trellis has scales [tiles, 1] and codes [tiles * B² bits / 8 + padding].
/// </summary>
internal static class RbeMatrixFile
{
    private const int LargestSide = 1 << 24;

    /// <summary>Adds the metadata and tensors of a matrix and its report.</summary>
    /// <exception cref="ShapeMismatchException">The report is of another matrix.</exception>
    public static void Add(string name, RbeMatrix matrix, CompressionReport? report, JsonArray entries, List<RbeTensor> tensors)
    {
        JsonObject entry = Describe(name, matrix);
        tensors.AddRange(Tensors(name, matrix));
        if (report is not null)
        {
            entry[RbeReportFile.Key] = RbeReportFile.Describe(report);
            tensors.Add(RbeReportFile.Tensor(name, matrix, report));
        }

        entries.Add((JsonNode)entry);
    }

    /// <summary>The metadata of a matrix. Keys that came later are there only where they say something.</summary>
    public static JsonObject Describe(string name, RbeMatrix matrix)
    {
        JsonObject entry = new()
        {
            ["name"] = name,
            ["rows"] = matrix.Rows,
            ["columns"] = matrix.Columns,
            ["tile"] = matrix.Tile,
            ["transform"] = matrix.Transform.ToString(),
            ["format"] = Describe(matrix.Format),
            ["alphas"] = matrix.HasAlphas,
            ["runs"] = matrix.Support?.RunsPerTile ?? 0,
            ["runLength"] = matrix.Support?.RunLength ?? 1,
            ["bits"] = matrix.Base?.Bits ?? 0,
        };
        if (matrix.Base?.Outliers is { } outliers) entry["outliers"] = outliers.PerTile;
        if (matrix.Base is TrellisTiles trellis) entry["scan"] = trellis.Scan.ToString();
        return entry;
    }

    /// <summary>The tensors of a matrix.</summary>
    public static IEnumerable<RbeTensor> Tensors(string name, RbeMatrix matrix)
    {
        int tiles = matrix.TileCount;
        if (matrix.HasAlphas) yield return RbeTensor.From($"{name}.alphas", matrix.Alphas, tiles, BasisFunctions.Count);
        if (matrix.Support is { } support)
        {
            yield return RbeTensor.From($"{name}.places", ArrayOf(support.Starts), tiles, support.RunsPerTile);
            yield return RbeTensor.From($"{name}.coefficients", matrix.Coefficients, tiles, support.CoefficientsPerTile);
        }

        if (matrix.Base is QuantizedTiles quantized)
        {
            yield return RbeTensor.From($"{name}.scales", ArrayOf(quantized.Scales), tiles, quantized.Scales.Length / tiles);
            yield return RbeTensor.From($"{name}.codes", quantized.Codes, tiles, quantized.Codes.Length / tiles);
        }
        else if (matrix.Base is TrellisTiles trellis)
        {
            yield return RbeTensor.From($"{name}.scales", ArrayOf(trellis.Scales), tiles, 1);
            yield return RbeTensor.From($"{name}.codes", trellis.Codes, trellis.Codes.Length);
        }

        if (matrix.Base?.Outliers is not { } outliers) yield break;
        yield return RbeTensor.From($"{name}.outlierPlaces", ArrayOf(outliers.Places), tiles, outliers.PerTile);
        yield return RbeTensor.From($"{name}.outlierValues", ArrayOf(outliers.Values), tiles, outliers.PerTile);
    }

    // Only read, so no copy is needed.
    private static T[] ArrayOf<T>(ImmutableArray<T> values) => ImmutableCollectionsMarshal.AsArray(values)!;

    /// <summary>Reads a matrix.</summary>
    /// <param name="file">The container.</param>
    /// <param name="fields">Its metadata.</param>
    /// <param name="read">Takes the names of the tensors read.</param>
    /// <param name="options">How codes are loaded.</param>
    /// <exception cref="RbeFileException">A part is missing, does not fit or is damaged.</exception>
    /// <exception cref="NonFiniteException">A value is NaN or infinite.</exception>
    public static (string Name, RbeMatrix Matrix) Read(RbeContainer file, JsonFields fields, ISet<string> read, RbeLoadOptions options)
    {
        string name = fields.Text("name");
        fields = fields with { Where = $"matrix \"{name}\"" };
        int rows = fields.Whole("rows", 1, LargestSide), columns = fields.Whole("columns", 1, LargestSide), tile = fields.Whole("tile", 32, 128);
        if (tile is not (32 or 64 or 128))
        {
            throw new RbeFileException(file.Path, $"matrix \"{name}\" has tiles of {tile}; 32, 64 and 128 exist. Write it again.");
        }

        long tiles = ((long)rows + tile - 1) / tile * (((long)columns + tile - 1) / tile);
        int runLength = fields.Whole("runLength", 1, 16), runs = fields.Whole("runs", 0, tile * tile), bits = fields.Whole("bits", 0, 8);
        if (tiles * tile * tile > int.MaxValue)
        {
            throw new RbeFileException(file.Path, $"matrix \"{name}\" of {rows} x {columns} is too large for this version. Split it.");
        }

        TileTransform transform = fields.Name<TileTransform>("transform");
        if (RbeReportFile.Exists(fields)) read.Add(RbeReportFile.TensorName(name));
        RbeFormat format = ReadFormat(fields.Object("format"));
        float[] alphas = fields.Flag("alphas") ? Take<float>("alphas", BasisFunctions.Count) : [];
        CheckFinite($"{name}.alphas", alphas);
        try
        {
            CoefficientSupport? support = runs == 0 ? null : new CoefficientSupport(tile, (int)tiles, runLength, Take<ushort>("places", runs));
            float[] coefficients = support is null ? [] : Take<float>("coefficients", support.CoefficientsPerTile);
            CheckFinite($"{name}.coefficients", coefficients);
            FrozenTiles? frozen = bits == 0 ? null : format is TrellisFormat { Bits: not 8 } ? ReadTrellis() : ReadQuantized();
            if (alphas.Length == 0 && support is null && frozen is null)
            {
                throw new RbeFileException(file.Path, $"matrix \"{name}\" has neither alphas nor coefficients nor codes. Write it again.");
            }

            return (name, new RbeMatrix(rows, columns, tile, transform, alphas, support, coefficients, frozen, format));
        }
        catch (Exception error) when (error is InvalidSettingException or ShapeMismatchException)
        {
            throw new RbeFileException(file.Path, $"matrix \"{name}\" is wrong: {error.Message} Write it again.", error);
        }

        QuantizedTiles ReadQuantized()
        {
            Half[] scales = Take<Half>("scales", tile * tile / QuantizedFormat.GroupSize);
            CheckScales(file.Path, name, scales);
            return new QuantizedTiles(tile, (int)tiles, bits, scales, TakeCodes(tiles, tile * tile * bits / 8), ReadOutliers());
        }

        TrellisTiles ReadTrellis()
        {
            TrellisScan scan = fields.Name<TrellisScan>("scan");
            Half[] scales = Take<Half>("scales", 1);
            CheckScales(file.Path, name, scales);
            return new TrellisTiles(tile, (int)tiles, bits, scan, scales, TakeCodes(TrellisTiles.CodeBytes(tile, (int)tiles, bits)), ReadOutliers());
        }

        TileOutliers? ReadOutliers()
        {
            int perTile = fields.OptionalWhole("outliers", 0, TrellisFormat.MostOutliers) ?? 0; // older files have none
            if (perTile == 0) return null;
            ushort[] places = Take<ushort>("outlierPlaces", perTile);
            Half[] values = Take<Half>("outlierValues", perTile);
            int bad = Array.FindIndex(values, value => !Half.IsFinite(value));
            if (bad >= 0) throw NotFinite($"{name}.outlierValues", (float)values[bad], bad);
            return new TileOutliers(tile, (int)tiles, perTile, places, values);
        }

        T[] Take<T>(string part, long perTile)
            where T : unmanaged
        {
            read.Add($"{name}.{part}");
            return file.Read<T>($"{name}.{part}", tiles, perTile);
        }

        ReadOnlyMemory<byte> TakeCodes(params long[] shape)
        {
            string codes = $"{name}.codes";
            read.Add(codes);
            if (!options.Map) return file.Read<byte>(codes, shape);
            ReadOnlyMemory<byte> mapped = file.Map(codes, shape);
            if (options.Verify) file.Verify(codes);
            return mapped;
        }
    }

    /// <summary>All matrices of a file's metadata, by their names.</summary>
    /// <inheritdoc cref="Read"/>
    public static Dictionary<string, RbeMatrix> ReadAll(RbeContainer file, JsonFields metadata, ISet<string> read, RbeLoadOptions options)
    {
        Dictionary<string, RbeMatrix> matrices = [];
        foreach (JsonFields entry in metadata.Objects("matrices"))
        {
            (string name, RbeMatrix matrix) = Read(file, entry, read, options);
            if (!matrices.TryAdd(name, matrix)) throw new RbeFileException(file.Path, $"matrix \"{name}\" is listed twice. Write the file again.");
        }

        return matrices;
    }

    /// <summary>Takes a matrix of that shape out of those of a file.</summary>
    /// <exception cref="RbeFileException">It is missing or of another shape.</exception>
    public static RbeMatrix Take(RbeContainer file, Dictionary<string, RbeMatrix> matrices, string name, int rows, int columns)
    {
        if (!matrices.Remove(name, out RbeMatrix? matrix))
        {
            throw new RbeFileException(file.Path, $"matrix \"{name}\" is missing. The file is not complete; write it again.");
        }

        if (matrix.Rows == rows && matrix.Columns == columns) return matrix;
        throw new RbeFileException(file.Path,
            $"matrix \"{name}\": expected {rows} x {columns}, the file has {matrix.Rows} x {matrix.Columns}. It belongs to another model; write it again.");
    }

    /// <summary>Takes the six matrices of a block whose names begin so; its vectors are to be read.</summary>
    /// <inheritdoc cref="Take"/>
    public static BlockWeights TakeBlock(RbeContainer file, Dictionary<string, RbeMatrix> matrices, string prefix, TransformerConfig config)
    {
        return BlockWeights.From(m => Shaped(m, BlockLayout.ShapeOf(config, m)), null!);

        RbeMatrix Shaped(BlockMatrix m, (int Rows, int Columns) shape) => Take(file, matrices, prefix + BlockLayout.NameOf(m), shape.Rows, shape.Columns);
    }

    /// <summary>Reads a vector of finite values.</summary>
    /// <inheritdoc cref="Read"/>
    public static float[] ReadVector(RbeContainer file, string name, long length, ISet<string> read)
    {
        read.Add(name);
        float[] values = file.Read<float>(name, length);
        CheckFinite(name, values);
        return values;
    }

    /// <summary>Checks the values of a matrix before they are stored.</summary>
    /// <exception cref="NonFiniteException">A value is NaN or infinite.</exception>
    public static void CheckFinite(string name, RbeMatrix matrix)
    {
        CheckFinite($"{name}.alphas", matrix.Alphas);
        CheckFinite($"{name}.coefficients", matrix.Coefficients);
    }

    /// <summary>The error for a value that is not finite.</summary>
    public static NonFiniteException NotFinite(string tensor, float value, int index) =>
        new(tensor, $"value {value.ToString(CultureInfo.InvariantCulture)} at element {index}. Write the file again from sound weights.");

    public static void CheckFinite(string tensor, float[] values)
    {
        int bad = FiniteSearch.IndexOfNonFinite(values);
        if (bad >= 0) throw NotFinite(tensor, values[bad], bad);
    }

    // Finite numbers that are not negative are the patterns 0 .. 0x7BFF.
    private static void CheckScales(string path, string name, Half[] scales)
    {
        int bad = MemoryMarshal.Cast<Half, ushort>(scales).IndexOfAnyExceptInRange((ushort)0, (ushort)0x7BFF);
        if (bad < 0) return;
        throw Half.IsFinite(scales[bad]) ? new RbeFileException(path, $"matrix \"{name}\" is wrong: scale {bad} is negative. Write it again.")
            : NotFinite($"{name}.scales", (float)scales[bad], bad);
    }

    private static JsonObject Describe(RbeFormat format) => format switch
    {
        SparseFormat sparse => new JsonObject
        {
            ["kind"] = "sparse",
            ["coefficients"] = sparse.Coefficients,
            ["support"] = sparse.Support.Kind.ToString(),
            ["runLength"] = sparse.Support.RunLength,
            ["seed"] = sparse.Support.Seed,
        },
        QuantizedFormat quantized => DescribeFrozen("quantized", quantized.Bits, quantized.Outliers, 0, quantized.Delta),
        TrellisFormat trellis => DescribeFrozen("trellis", trellis.Bits, trellis.Outliers, RbeFormat.Trellis(trellis.Bits).Outliers, trellis.Delta),
        SeedFormat seed => new JsonObject { ["kind"] = "seed", ["coefficients"] = seed.Coefficients },
        _ => throw new InvalidSettingException("format", format.GetType().Name, "sparse, quantized, trellis and seed can be stored."),
    };

    private static JsonObject DescribeFrozen(string kind, int bits, int outliers, int standardOutliers, SparseFormat? delta)
    {
        JsonObject entry = new() { ["kind"] = kind, ["bits"] = bits, ["delta"] = delta is null ? null : Describe(delta) };
        if (outliers != standardOutliers) entry["outliers"] = outliers;
        return entry;
    }

    private static RbeFormat ReadFormat(JsonFields fields)
    {
        switch (fields.Text("kind"))
        {
            case "sparse":
                return ReadSparse(fields);
            case "quantized":
                return RbeFormat.Quantized(fields.Whole("bits", 3, 8)) with { Outliers = Outliers(0), Delta = Delta() };
            case "trellis":
                int trellisBits = fields.Whole("bits", TrellisCodebook.LeastBits, 8);
                if (trellisBits == 7) throw new RbeFileException(fields.Path, $"{fields.Where}.bits is 7; trellis has 2 to 6, or 8. Write it again.");
                return RbeFormat.Trellis(trellisBits) with { Outliers = Outliers(RbeFormat.Trellis(4).Outliers), Delta = Delta() };
            case "seed":
                return RbeFormat.Seed(fields.Whole("coefficients", 1, 1 << 14));
            case var kind:
                throw fields.Unknown("kind", kind, "sparse, quantized, trellis, seed");
        }

        int Outliers(int standard) => fields.OptionalWhole("outliers", 0, TrellisFormat.MostOutliers) ?? standard;

        SparseFormat? Delta() => fields.OptionalObject("delta") is { } delta ? ReadSparse(delta) : null;
    }

    private static SparseFormat ReadSparse(JsonFields fields) => RbeFormat.Sparse(
        fields.Whole("coefficients", 1, 1 << 14),
        new SupportRule(fields.Name<SupportKind>("support"), fields.Whole("runLength", 1, 16), fields.Whole("seed", int.MinValue, int.MaxValue)));
}
