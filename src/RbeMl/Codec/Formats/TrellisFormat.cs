namespace RbeMl.Codec;

/// <summary>All coefficients trellis-coded with one least-squares fp16 scale a tile, after the largest ones are taken out; optionally with a trainable sparse
/// delta on top. Half a bit better than <see cref="QuantizedFormat"/> at the same error, and slower to make. The scale is about the tile's
/// standard deviation and must lie in fp16's range: coefficients below 1e-7 become zero, those above 2e5 saturate, and a matrix that loses by it is refused
/// (<see cref="WeightRangeException"/>). The trellis reaches 3.7 standard deviations, tiles of trained weights have coefficients at 9: eight
/// outliers a tile are taken out unless told otherwise.</summary>
/// <param name="Bits">2 .. 6, or 8 for codes of 8 bits in groups of 64 instead of a trellis.</param>
public sealed record TrellisFormat(int Bits) : FrozenFormat(Bits, outliers: 8)
{
    private const int EightBits = 8;
    private static readonly int[] s_bits = [2, 3, 4, 5, 6, EightBits];

    /// <inheritdoc/>
    internal override string Name => "trellis";

    /// <inheritdoc/>
    internal override string Use => "less error at the same bits, takes longer";

    /// <inheritdoc/>
    internal override IReadOnlyList<int> BitChoices => s_bits;

    /// <inheritdoc/>
    internal override FrozenFormat Coded => Bits == EightBits ? Quantized(EightBits) with { Outliers = Outliers, Delta = Delta } : this;

    /// <summary>Codes of 8 bits: levels take few instructions of a vector, where a trellis' values take seventeen, or looks into a table of 4096.</summary>
    internal override FrozenFormat? Fast => Bits == EightBits ? null : this with { Bits = EightBits };

    /// <inheritdoc/>
    internal override int FeedbackColumns => FeedbackTrellis.SegmentColumns;

    /// <inheritdoc/>
    internal override int FeedbackRowsDown => FeedbackTrellis.SegmentRows;

    /// <summary>Each takes milliseconds.</summary>
    internal override int MostFills => 3;

    /// <inheritdoc/>
    internal override int ScalesOf(int tile) => 1;

    /// <inheritdoc/>
    internal override long CodeBytes(int tile, int tileCount) => TrellisTiles.CodeBytes(tile, tileCount, Bits);

    /// <inheritdoc/>
    internal override TileCoder CreateCoder(int tile) => new Coder(Bits, tile);

    /// <inheritdoc/>
    internal override FeedbackCoder CreateFeedbackCoder(int outliers, FeedbackFactor factor, int tile) =>
        new FeedbackTrellis(Bits, outliers, factor, tile);

    /// <inheritdoc/>
    internal override void Pack(ReadOnlySpan<byte> codes, Span<byte> packed) => TrellisTiles.Pack(codes, Bits, packed);

    /// <summary>Feedback goes through a tile column by column.</summary>
    internal override FrozenTiles CreateTiles(CodedTiles coded) =>
        CreateTiles(coded, coded.Calibrated ? TrellisScan.ColumnMajor : TrellisScan.RowMajor);

    /// <inheritdoc/>
    internal override FrozenTiles ReadTiles(IPartReader parts)
    {
        TrellisScan scan = parts.Fields.Name<TrellisScan>("scan");
        Half[] scales = parts.Scales(1);
        ReadOnlyMemory<byte> codes = parts.ReadBytes("codes", CodeBytes(parts.Tile, parts.TileCount));
        return CreateTiles(new CodedTiles(parts.Tile, parts.TileCount, scales, codes, parts.Outliers()), scan);
    }

    /// <summary>2 .. 6 bits with and without outliers, without alphas.</summary>
    internal override IEnumerable<RbeOptions> Candidates(int tile)
    {
        foreach (int bits in BitChoices.Where(bits => bits != EightBits))
        {
            yield return new RbeOptions { Format = Trellis(bits) with { Outliers = 0 }, Alphas = false };
            yield return new RbeOptions { Format = Trellis(bits), Alphas = false };
        }
    }

    private TrellisTiles CreateTiles(CodedTiles coded, TrellisScan scan) =>
        new(coded.Tile, coded.TileCount, Bits, scan, coded.Scales, coded.Codes, coded.Outliers);

    private sealed class Coder(int bits, int tile) : TileCoder
    {
        private readonly TrellisEncoder _encoder = new(bits);
        private readonly float[] _values = new float[tile * tile];

        public override void Encode(Span<float> values, Span<Half> scales, Span<byte> codes) =>
            scales[0] = TrellisScaler.Encode(_encoder, values, codes);

        public override void Decode(ReadOnlySpan<Half> scales, ReadOnlySpan<byte> codes, Span<double> image)
        {
            float scale = (float)scales[0];
            TrellisEncoder.Reconstruct(bits, 0, codes, _values);
            for (int e = 0; e < _values.Length; e++) image[e] = scale * _values[e];
        }
    }
}
