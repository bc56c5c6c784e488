namespace RbeMl.Codec;

/// <summary>All coefficients at a few bits, in groups with a least-squares fp16 scale; optionally with a trainable sparse delta on top.
/// Levels are those of <see cref="QuantizedTiles.LevelsFor"/>; a group's scale is about its standard deviation and must lie in fp16's range: coefficients
/// below 1e-7 become zero, those above 2e5 saturate, and a matrix that loses by it is refused (<see cref="WeightRangeException"/>).</summary>
/// <param name="Bits">2 .. 8.</param>
public sealed record QuantizedFormat(int Bits) : FrozenFormat(Bits, outliers: 0)
{
    /// <summary>Consecutive coefficients (along a coefficient row) that share a scale.</summary>
    public const int GroupSize = QuantizedTiles.GroupSize;

    private static readonly int[] s_bits = [2, 3, 4, 5, 6, 7, 8];

    /// <inheritdoc/>
    internal override string Name => "quantized";

    /// <inheritdoc/>
    internal override string Use => "quick to make";

    /// <inheritdoc/>
    internal override IReadOnlyList<int> BitChoices => s_bits;

    /// <inheritdoc/>
    internal override int ScalesOf(int tile) => tile * tile / GroupSize;

    /// <inheritdoc/>
    internal override TileCoder CreateCoder(int tile) => new Coder(Bits);

    /// <inheritdoc/>
    internal override FeedbackCoder CreateFeedbackCoder(int outliers, FeedbackFactor factor, int tile) =>
        new FeedbackQuantizer(Bits, outliers, factor, tile);

    /// <inheritdoc/>
    internal override void Pack(ReadOnlySpan<byte> codes, Span<byte> packed) => BitPacking.Pack(codes, Bits, packed);

    /// <inheritdoc/>
    internal override FrozenTiles CreateTiles(CodedTiles coded) =>
        new QuantizedTiles(coded.Tile, coded.TileCount, Bits, coded.Scales, coded.Codes, coded.Outliers);

    /// <summary>Every number of bits, without alphas.</summary>
    internal override IEnumerable<RbeOptions> Candidates(int tile) =>
        BitChoices.Select(bits => new RbeOptions { Format = Quantized(bits), Alphas = false });

    private sealed class Coder(int bits) : TileCoder
    {
        public override void Encode(Span<float> values, Span<Half> scales, Span<byte> codes)
        {
            for (int g = 0; g < scales.Length; g++)
            {
                scales[g] = GroupQuantizer.Quantize(values.Slice(g * GroupSize, GroupSize), bits, codes.Slice(g * GroupSize, GroupSize));
            }
        }

        public override void Decode(ReadOnlySpan<Half> scales, ReadOnlySpan<byte> codes, Span<double> image)
        {
            float[] levels = QuantizerLevels.For(bits);
            for (int e = 0; e < codes.Length; e++) image[e] = (float)scales[e / GroupSize] * levels[codes[e]];
        }
    }
}
