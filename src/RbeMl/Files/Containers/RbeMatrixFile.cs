using System.Collections.Immutable;
using System.Runtime.ExceptionServices;
using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using RbeMl.Codec;
using RbeMl.Layers;
using RbeMl.Storage;

namespace RbeMl.Files;

/// <summary>
/// A matrix in a container: its shape and format in the metadata, its parts as tensors <c>name.alphas</c> f32 [tiles, 8],
/// <c>name.coefficients</c> f32 [tiles, K], <c>name.places</c> u16 [tiles, runs], <c>name.scales</c> f16 [tiles, B²/64],
/// <c>name.codes</c> u8 [tiles, B² bits / 8], <c>name.outlierPlaces</c> u16 and <c>name.outlierValues</c> f16 [tiles, outliers], each where the format has
/// it. What a format of frozen codes stores is its own: <see cref="FrozenTiles.WriteParts"/> and <see cref="FrozenFormat.ReadTiles"/>.
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
            ["format"] = matrix.Format.Describe(),
            ["alphas"] = matrix.HasAlphas,
            ["runs"] = matrix.Support?.RunsPerTile ?? 0,
            ["runLength"] = matrix.Support?.RunLength ?? 1,
            ["bits"] = matrix.Base?.Bits ?? 0,
        };
        matrix.Base?.Describe(entry);
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

        if (matrix.Base is not { } frozen) yield break;
        PartWriter parts = new(name);
        frozen.WriteParts(parts);
        foreach (RbeTensor tensor in parts.Tensors) yield return tensor;
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
        RbeFormat format = RbeFormat.Read(fields.Object("format"));
        float[] alphas = fields.Flag("alphas") ? Take<float>("alphas", BasisFunctions.Count) : [];
        FiniteWeights.Check($"{name}.alphas", alphas);
        try
        {
            CoefficientSupport? support = runs == 0 ? null : new CoefficientSupport(tile, (int)tiles, runLength, Take<ushort>("places", runs));
            float[] coefficients = support is null ? [] : Take<float>("coefficients", support.CoefficientsPerTile);
            FiniteWeights.Check($"{name}.coefficients", coefficients);
            FrozenTiles? frozen = bits == 0 ? null : ReadFrozen();
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

        FrozenTiles ReadFrozen() => format is FrozenFormat codes
            ? (codes with { Bits = bits }).Coded.ReadTiles(new PartReader(file, fields, name, tile, (int)tiles, read, options))
            : throw new RbeFileException(file.Path, $"matrix \"{name}\" has codes of {bits} bits, and its format, {format.Name}, has none. Write it again.");

        T[] Take<T>(string part, long perTile)
            where T : unmanaged
        {
            read.Add($"{name}.{part}");
            return file.Read<T>($"{name}.{part}", tiles, perTile);
        }
    }

    /// <summary>All matrices of a file's metadata, by their names.</summary>
    /// <inheritdoc cref="Read"/>
    public static Dictionary<string, RbeMatrix> ReadAll(RbeContainer file, JsonFields metadata, ISet<string> read, RbeLoadOptions options)
    {
        JsonFields[] entries = [.. metadata.Objects("matrices")];
        HashSet<string> names = [];
        foreach (JsonFields entry in entries)
        {
            string name = entry.Text("name");
            if (!names.Add(name)) throw new RbeFileException(file.Path, $"matrix \"{name}\" is listed twice. Write the file again.");
        }

        // The first error in the order of the file is told, whichever thread meets one first.
        RbeMatrix[] matrices = new RbeMatrix[entries.Length];
        HashSet<string>[] tensors = [.. entries.Select(_ => new HashSet<string>())];
        ExceptionDispatchInfo?[] errors = new ExceptionDispatchInfo?[entries.Length];
        ParallelOptions threads = new() { MaxDegreeOfParallelism = file.ReadsAnywhere ? Environment.ProcessorCount : 1 };
        Parallel.For(0, entries.Length, threads, (i, loop) =>
        {
            try
            {
                if (!loop.ShouldExitCurrentIteration) (_, matrices[i]) = Read(file, entries[i], tensors[i], options);
            }
            catch (Exception error)
            {
                errors[i] = ExceptionDispatchInfo.Capture(error);
                loop.Break(); // those before it are still read
            }
        });
        Array.Find(errors, error => error is not null)?.Throw();
        foreach (HashSet<string> each in tensors) read.UnionWith(each);
        return entries.Zip(matrices).ToDictionary(pair => pair.First.Text("name"), pair => pair.Second);
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
        FiniteWeights.Check(name, values);
        return values;
    }

    // The tensors of frozen tiles under the names that the file gives them.
    private sealed class PartWriter(string matrix) : IPartWriter
    {
        public List<RbeTensor> Tensors { get; } = [];

        public void Write<T>(string part, ImmutableArray<T> values, params long[] shape)
            where T : unmanaged => Tensors.Add(RbeTensor.From($"{matrix}.{part}", ArrayOf(values), shape));

        public void Write(string part, ReadOnlyMemory<byte> bytes, params long[] shape) => Tensors.Add(RbeTensor.From($"{matrix}.{part}", bytes, shape));
    }

    private sealed class PartReader(RbeContainer file, JsonFields fields, string matrix, int tile, int tileCount, ISet<string> read, RbeLoadOptions options)
        : IPartReader
    {
        public int Tile => tile;

        public int TileCount => tileCount;

        public JsonFields Fields => fields;

        public T[] Read<T>(string part, params long[] shape)
            where T : unmanaged
        {
            read.Add($"{matrix}.{part}");
            return file.Read<T>($"{matrix}.{part}", shape);
        }

        public ReadOnlyMemory<byte> ReadBytes(string part, params long[] shape)
        {
            string codes = $"{matrix}.{part}";
            read.Add(codes);
            if (!options.Map) return file.Read<byte>(codes, shape);
            ReadOnlyMemory<byte> mapped = file.Map(codes, shape);
            if (options.Verify) file.Verify(codes);
            return mapped;
        }

        // Finite numbers that are not negative are the patterns 0 .. 0x7BFF.
        public Half[] Scales(int perTile)
        {
            Half[] scales = Read<Half>("scales", tileCount, perTile);
            int bad = MemoryMarshal.Cast<Half, ushort>(scales).IndexOfAnyExceptInRange((ushort)0, (ushort)0x7BFF);
            if (bad < 0) return scales;
            throw Half.IsFinite(scales[bad]) ? new RbeFileException(file.Path, $"matrix \"{matrix}\" is wrong: scale {bad} is negative. Write it again.")
                : FiniteWeights.NotFinite($"{matrix}.scales", (float)scales[bad], bad);
        }

        public TileOutliers? Outliers()
        {
            int perTile = fields.OptionalWhole("outliers", 0, FrozenFormat.MostOutliers) ?? 0; // older files have none
            if (perTile == 0) return null;
            ushort[] places = Read<ushort>("outlierPlaces", tileCount, perTile);
            Half[] values = Read<Half>("outlierValues", tileCount, perTile);
            int bad = Array.FindIndex(values, value => !Half.IsFinite(value));
            if (bad >= 0) throw FiniteWeights.NotFinite($"{matrix}.outlierValues", (float)values[bad], bad);
            return new TileOutliers(tile, tileCount, perTile, places, values);
        }
    }
}
