namespace RbeMl.Codec;

/// <summary>
/// Trellis-coded tiles with feedback: the trellis runs through a tile column by column, in segments of four columns, each of which takes up the errors of
/// those before it; the state goes on from segment to segment. A tile's scale is chosen when it begins.
/// </summary>
internal sealed class FeedbackTrellis : FeedbackCoder
{
    /// <summary>Columns that are encoded together.</summary>
    public const int SegmentColumns = 4;

    /// <summary>Rows that are encoded together where errors are passed down.</summary>
    public const int SegmentRows = 16;

    private const int Memory = 64; // bits: what a symbol is worth hardly depends on those that come so much later

    private readonly int _bits;
    private readonly TrellisEncoder _encoder;
    private readonly float[] _segment;
    private readonly float[] _values;
    private readonly byte[] _symbols;
    private readonly byte[] _trial = new byte[SegmentRows + Memory];

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
        if (PassesDown)
        {
            EncodeRows(scale);
            TrellisTiles.Pack(_symbols, _bits, packed);
            return;
        }

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

    // Segments are short, so each is encoded with what will probably follow on it, of which the beginning is kept.
    private void EncodeRows(Half scale)
    {
        int state = 0;
        for (int c = 0; c < Tile; c++)
        {
            if (c > 0) Rows.AddFeedback(c, c - 1, c);
            if (c + 1 < Tile) Rows.AddFeedback(c + 1, 0, c);
            for (int r = 0; r < Tile; r += SegmentRows)
            {
                TakeOutliers(c, r, SegmentRows);
                int first = (c * Tile) + r, length = Math.Min(SegmentRows + (Memory / _bits), Math.Min((c + 2) * Tile, Tile * Tile) - first);
                Span<byte> kept = _symbols.AsSpan(first, SegmentRows);
                Span<float> values = _values.AsSpan(0, length);
                if (scale == Half.Zero)
                {
                    kept.Clear();
                    values[..SegmentRows].Clear();
                }
                else
                {
                    Rows.Targets.AsSpan(first, length).CopyTo(values);
                    foreach (ushort place in Places)
                    {
                        int at = (place % Tile * Tile) + (place / Tile) - first;
                        if (at >= 0 && at < length) values[at] = 0;
                    }

                    TrellisScaler.Normalize(values, scale);
                    _encoder.EncodeSegment(values, state, _trial.AsSpan(0, length));
                    _trial.AsSpan(0, SegmentRows).CopyTo(kept);
                    state = TrellisEncoder.Reconstruct(_bits, state, kept, values[..SegmentRows]);
                }

                for (int e = 0; e < SegmentRows; e++) Rows.Store(r + e, c, scale == Half.Zero ? 0 : (float)scale * values[e]);
                StoreOutliers(c, r, SegmentRows);
            }
        }
    }
}
