using System.Collections.Immutable;
using RbeMl.Codec;

namespace RbeMl.Tests.Codec;

/// <summary>
/// The smallest format there can be: of every coefficient its sign, and one scale a tile. It lives in this file alone and is registered by one
/// line, which is what a format costs.
/// </summary>
internal sealed record SignFormat() : FrozenFormat(1, outliers: 0)
{
    internal override string Name => "signs";

    internal override IReadOnlyList<int> BitChoices => [1];

    internal override int ScalesOf(int tile) => 1;

    internal override TileCoder CreateCoder(int tile) => new Coder();

    internal override FeedbackCoder CreateFeedbackCoder(int outliers, FeedbackFactor factor, int tile) => new Feedback(outliers, factor, tile);

    internal override void Pack(ReadOnlySpan<byte> codes, Span<byte> packed) => BitPacking.Pack(codes, 1, packed);

    internal override FrozenTiles CreateTiles(CodedTiles coded) => new SignTiles(coded);

    private static Half ScaleOf(ReadOnlySpan<float> values)
    {
        double sum = 0;
        foreach (float value in values) sum += Math.Abs(value);
        return (Half)(sum / values.Length);
    }

    private sealed class Coder : TileCoder
    {
        public override void Encode(Span<float> values, Span<Half> scales, Span<byte> codes)
        {
            scales[0] = ScaleOf(values);
            for (int e = 0; e < codes.Length; e++) codes[e] = values[e] < 0 ? (byte)1 : (byte)0;
        }

        public override void Decode(ReadOnlySpan<Half> scales, ReadOnlySpan<byte> codes, Span<double> image)
        {
            for (int e = 0; e < codes.Length; e++) image[e] = codes[e] != 0 ? -(float)scales[0] : (float)scales[0];
        }
    }

    private sealed class Feedback(int outliers, FeedbackFactor factor, int tile) : FeedbackCoder(outliers, factor, tile)
    {
        private readonly byte[] _codes = new byte[tile * tile];

        private protected override void EncodeTile(Span<Half> scales, Span<byte> packed)
        {
            scales[0] = ScaleOf(Rows.Targets);
            for (int c = 0; c < Tile; c++)
            {
                Rows.AddFeedback(c, 0, c);
                TakeOutliers(c);
                for (int r = 0; r < Tile; r++)
                {
                    bool negative = Rows.Target(r, c) < 0;
                    _codes[(r * Tile) + c] = negative ? (byte)1 : (byte)0;
                    Rows.Store(r, c, negative ? -(float)scales[0] : (float)scales[0]);
                }

                StoreOutliers(c);
            }

            BitPacking.Pack(_codes, 1, packed);
        }
    }
}

/// <summary>Decodes signs, plainly; there is no product of its own, so products go by way of decoded tiles.</summary>
internal sealed unsafe class SignTiles(CodedTiles coded) : FrozenTiles(coded.Tile, coded.TileCount, 1, coded.Codes, coded.Outliers)
{
    internal override ImmutableArray<Half> Scales { get; } = [.. coded.Scales];

    public override long StoredBits => (8L * Codes.Length) + (16L * Scales.Length) + (Outliers?.StoredBits ?? 0);

    internal override void WriteParts(IPartWriter parts)
    {
        parts.Write("scales", Scales, TileCount, 1);
        parts.Write("codes", Codes, TileCount, Codes.Length / TileCount);
        base.WriteParts(parts);
    }

    internal override FrozenTiles WithScales(ReadOnlySpan<Half> scales) => new SignTiles(coded with { Scales = scales.ToArray() });

    internal override void Decode(int tileIndex, Span<float> coefficients)
    {
        for (int e = 0; e < coefficients.Length; e++) coefficients[e] = Negative(tileIndex, e) ? -(float)Scales[tileIndex] : (float)Scales[tileIndex];
    }

    private protected override void Levels(int tileIndex, byte* levels) => LevelsScalar(tileIndex, levels);

    private protected override void LevelsScalar(int tileIndex, byte* levels)
    {
        for (int e = 0; e < Tile * Tile; e++) levels[e] = (byte)(Negative(tileIndex, e) ? WideOffset - 1 : WideOffset + 1);
    }

    private protected override void LevelScales(int tileIndex, float* scales) =>
        new Span<float>(scales, Tile * Math.Max(1, Tile / QuantizedFormat.GroupSize)).Fill((float)Scales[tileIndex]);

    private protected override bool Product(int firstTile, int count, float* x, float* y, float* scratch) => false;

    private bool Negative(int tileIndex, int e)
    {
        int bit = (tileIndex * Tile * Tile) + e;
        return ((Codes.Span[bit / 8] >> (bit % 8)) & 1) != 0;
    }
}
