using RbeMl.Codec;
using RbeMl.Files;
using RbeMl.Layers;
using RbeMl.Models;
using RbeMl.Text;

namespace RbeMl.Tests.Files;

/// <summary>
/// The model of Fixtures/v1.rbe: one layer of width 32 whose six matrices use every way to store one, and a byte-pair tokenizer. All values are exact in few
/// bits and made by integer arithmetic alone, so that the model is the same, bit for bit, on every machine; no fit is involved.
/// </summary>
internal static class FixtureModel
{
    private const int Width = 32, Tile = 32;

    public static readonly TransformerConfig Config = new()
    {
        Width = Width,
        FeedForwardWidth = 64,
        Heads = 2,
        Layers = 1,
        Vocabulary = 260,
        MaxSequenceLength = 6,
        Dropout = 0.125f,
        LayerNormEpsilon = 1e-5,
        TiedHead = true,
    };

    public static BytePairTokenizer Tokenizer { get; } =
        new([new TokenPair('t', 'h'), new TokenPair(256, 'e'), new TokenPair(' ', 257), new TokenPair('i', 'n')]);

    public static void Save(string path)
    {
        using TransformerModel<float> model = Create();
        ModelFile.Save(path, model, Tokenizer);
    }

    public static TransformerModel<float> Create()
    {
        Values values = new();
        BlockWeights block = Block(values);
        return Model(values, block);
    }

    private static BlockWeights Block(Values values) => new()
    {
        Query = Sparse(values, Width, Width, alphas: true, TileTransform.Dct, SupportRule.Runs(8, 3), runs: 4),
        Key = Sparse(values, Width, Width, alphas: true, TileTransform.Dct, SupportRule.TopK, runs: 20),
        Value = Quantized(values, Width, Width, bits: 5, delta: 0),
        Output = Quantized(values, Width, Width, bits: 4, delta: 12),
        UpProjection = Literal(values, 64, Width, coefficients: 10),
        DownProjection = Quantized(values, Width, 64, bits: 6, delta: 0),
        Vectors = new BlockVectors
        {
            QueryBias = values.Floats(Width, 8),
            KeyBias = values.Floats(Width, 8),
            ValueBias = values.Floats(Width, 8),
            OutputBias = values.Floats(Width, 8),
            UpProjectionBias = values.Floats(64, 8),
            DownProjectionBias = values.Floats(Width, 8),
            Gamma1 = values.Floats(Width, 4, 1),
            Beta1 = values.Floats(Width, 8),
            Gamma2 = values.Floats(Width, 4, 1),
            Beta2 = values.Floats(Width, 8),
        },
    };

    /// <summary>The model of Fixtures/v1-trellis.rbe: trellis codes in both scans, exact outliers on trellis and on quantised codes, the 9/7 wavelet.</summary>
    public static TransformerModel<float> CreateTrellis()
    {
        Values values = new();
        return Model(values, Block(values) with
        {
            Query = Trellis(values, Width, Width, bits: 2, TrellisScan.RowMajor, outliers: 8),
            Key = Trellis(values, Width, Width, bits: 3, TrellisScan.ColumnMajor, outliers: 0),
            Value = Trellis(values, Width, Width, bits: 4, TrellisScan.RowMajor, outliers: 3),
            Output = Trellis(values, Width, Width, bits: 5, TrellisScan.ColumnMajor, outliers: 8),
            UpProjection = Trellis(values, 64, Width, bits: 6, TrellisScan.RowMajor, outliers: 1),
            DownProjection = Quantized(values, Width, 64, bits: 8, delta: 0, outliers: 2, TileTransform.Cdf97),
        });
    }

    private static TransformerModel<float> Model(Values values, BlockWeights block) =>
        new(new TransformerWeights
        {
            Config = Config,
            TokenEmbedding = Sparse(values, Config.Vocabulary, Width, alphas: false, TileTransform.WalshHadamard, SupportRule.Random(9), runs: 64),
            PositionEmbedding = values.Floats(Config.MaxSequenceLength * Width, 4),
            Blocks = [block],
            FinalGamma = values.Floats(Width, 4, 1),
            FinalBeta = values.Floats(Width, 8),
        });

    private static RbeMatrix Sparse(Values values, int rows, int columns, bool alphas, TileTransform transform, SupportRule rule, int runs)
    {
        int tiles = Tiles(rows, columns);
        return new RbeMatrix(
            rows, columns, Tile, transform, alphas ? values.Floats(tiles * BasisFunctions.Count, 16) : [], values.Support(tiles, runs, rule.RunLength),
            values.Floats(tiles * runs * rule.RunLength, 1), null, RbeFormat.Sparse(runs * rule.RunLength, rule));
    }

    private static RbeMatrix Literal(Values values, int rows, int columns, int coefficients)
    {
        int tiles = Tiles(rows, columns);
        return new RbeMatrix(
            rows, columns, Tile, TileTransform.Dct, values.Floats(tiles * BasisFunctions.Count, 16), values.Support(tiles, coefficients, 1),
            values.Floats(tiles * coefficients, 1), null,
            RbeFormat.Seed(coefficients));
    }

    private static RbeMatrix Quantized(Values values, int rows, int columns, int bits, int delta, int outliers = 0, TileTransform transform = TileTransform.Dct)
    {
        int tiles = Tiles(rows, columns), groups = tiles * Tile * Tile / QuantizedFormat.GroupSize;
        Half[] scales = [.. values.Floats(groups, 16, 0.25f).Select(s => (Half)s)];
        byte[] codes = values.Bytes(tiles * Tile * Tile * bits / 8);
        QuantizedFormat format = RbeFormat.Quantized(bits) with { Outliers = outliers, Delta = delta == 0 ? null : RbeFormat.Sparse(delta, SupportRule.TopK) };
        return new RbeMatrix(
            rows, columns, Tile, transform, [], delta == 0 ? null
            : values.Support(tiles, delta, 1), values.Floats(tiles * delta, 4),
                new QuantizedTiles(Tile, tiles, bits, scales, codes, values.Outliers(tiles, outliers)), format);
    }

    private static RbeMatrix Trellis(Values values, int rows, int columns, int bits, TrellisScan scan, int outliers)
    {
        int tiles = Tiles(rows, columns);
        Half[] scales = [.. values.Floats(tiles, 16, 0.25f).Select(s => (Half)s)];
        byte[] codes = [.. values.Bytes(tiles * Tile * Tile * bits / 8), .. new byte[TrellisTiles.PadBytes]];
        return new RbeMatrix(
            rows, columns, Tile, TileTransform.Cdf97, [], null, [],
            new TrellisTiles(Tile, tiles, bits, scan, scales, codes, values.Outliers(tiles, outliers)), RbeFormat.Trellis(bits) with { Outliers = outliers });
    }

    private static int Tiles(int rows, int columns) => (rows + Tile - 1) / Tile * ((columns + Tile - 1) / Tile);

    // A linear congruential generator modulo 2^64 (multiplier of Knuth's MMIX); its high bits are used.
    private sealed class Values
    {
        private ulong _state = 20;

        // Multiples of 1 / 128, divided by a power of two: within 1 / divisor of a middle.
        public float[] Floats(int count, int divisor, float middle = 0) =>
            [.. Enumerable.Range(0, count).Select(_ => middle + (Next(255) - 127) / (128f * divisor))];

        public byte[] Bytes(int count) => [.. Enumerable.Range(0, count).Select(_ => (byte)Next(256))];

        // Ascending starts of distinct runs.
        public CoefficientSupport Support(int tiles, int runs, int runLength)
        {
            ushort[] starts = new ushort[tiles * runs];
            for (int t = 0; t < tiles; t++)
            {
                SortedSet<ushort> places = [];
                while (places.Count < runs) places.Add((ushort)(Next(Tile / runLength) * runLength * Tile + Next(Tile)));
                places.CopyTo(starts, t * runs);
            }

            return new CoefficientSupport(Tile, tiles, runLength, starts);
        }

        public TileOutliers? Outliers(int tiles, int perTile) => perTile == 0 ? null
            : new TileOutliers(Tile, tiles, perTile, Support(tiles, perTile, 1).Starts.AsSpan(), [.. Floats(tiles * perTile, 1, 2).Select(v => (Half)v)]);

        private int Next(int bound)
        {
            _state = unchecked(_state * 6364136223846793005 + 1442695040888963407);
            return (int)((_state >> 33) % (ulong)bound);
        }
    }
}
