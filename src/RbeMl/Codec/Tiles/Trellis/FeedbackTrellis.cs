namespace RbeMl.Codec;

/// <summary>
/// Trellis-coded tiles with feedback: the trellis runs through a tile column by column, in segments of four columns, each of which takes up the errors of
/// those before it; the state goes on from segment to segment. A tile's scale is chosen when it begins.
/// </summary>
internal sealed class FeedbackTrellis : FeedbackCoder
{
    /// <summary>Columns that are encoded together.</summary>
    public const int SegmentColumns = 4;

    private readonly int _bits;
    private readonly TrellisEncoder _encoder;
    private readonly float[] _segment;
    private readonly float[] _values;
    private readonly byte[] _symbols;

    public FeedbackTrellis(int bits, int outliers, FeedbackFactor factor, int tile)
        : base(outliers, factor, tile)
    {
        _bits = bits;
        _encoder = new TrellisEncoder(bits);
        _segment = new float[SegmentColumns * tile];
        _values = new float[tile * tile];
        _symbols = new byte[tile * tile];
    }

    private protected override void EncodeTile(Span<Half> scales, Span<byte> packed)
    {
        Rows.Targets.CopyTo(_values, 0);
        foreach (ushort place in Places) _values[place % Tile * Tile + (place / Tile)] = 0;
        Half scale = TrellisScaler.Start(_values, _bits);
        scales[0] = scale;
        int state = 0, length = _segment.Length;
        for (int c = 0; c < Tile; c += SegmentColumns)
        {
            for (int o = c; o < c + SegmentColumns; o++)
            {
                Rows.AddFeedback(o, 0, c);
                TakeOutliers(o);
            }

            Span<byte> symbols = _symbols.AsSpan(c * Tile, length);
            Rows.Targets.AsSpan(c * Tile, length).CopyTo(_segment);
            if (scale == Half.Zero)
            {
                symbols.Clear();
            }
            else
            {
                TrellisScaler.Normalize(_segment, scale);
                int end = _encoder.EncodeSegment(_segment, state, symbols);
                TrellisEncoder.Reconstruct(_bits, state, symbols, _segment);
                state = end;
            }

            for (int e = 0; e < length; e++) Rows.Store(e % Tile, c + (e / Tile), scale == Half.Zero ? 0 : (float)scale * _segment[e]);
            for (int o = c; o < c + SegmentColumns; o++) StoreOutliers(o);
        }

        TrellisTiles.Pack(_symbols, _bits, packed);
    }
}
