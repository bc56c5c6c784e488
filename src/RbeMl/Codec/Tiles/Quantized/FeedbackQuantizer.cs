namespace RbeMl.Codec;

/// <summary>
/// Groups of codes with feedback, column by column. A group's scale is chosen when the block of columns it lies in begins, from the targets as they are then.
/// With a factor of zero the result is that of plain rounding, bit for bit.
/// </summary>
internal sealed class FeedbackQuantizer : FeedbackCoder
{
    private const int Group = QuantizedTiles.GroupSize;
    private readonly int _bits;
    private readonly int _block; // columns that share a scale
    private readonly float[] _scaleOfRow; // [B], in the block
    private readonly byte[] _codes; // [B²]
    private readonly float[] _values = new float[Group];
    private readonly byte[] _trial = new byte[Group];

    public FeedbackQuantizer(int bits, int outliers, FeedbackFactor factor, int tile)
        : base(outliers, factor, tile)
    {
        _bits = bits;
        _block = Math.Min(Group, tile);
        _scaleOfRow = new float[tile];
        _codes = new byte[tile * tile];
    }

    private protected override void EncodeTile(Span<Half> scales, Span<byte> packed)
    {
        float[] levels = QuantizerLevels.For(_bits);
        for (int left = 0; left < Tile; left += _block)
        {
            for (int c = left; c < left + _block; c++) Rows.AddFeedback(c, 0, left);
            ChooseScales(left, scales);
            for (int c = left; c < left + _block; c++)
            {
                Rows.AddFeedback(c, left, c);
                int together = PassesDown ? 1 : Tile;
                for (int top = 0; top < Tile; top += together)
                {
                    TakeOutliers(c, top, together);
                    for (int r = top; r < top + together; r++)
                    {
                        float scale = _scaleOfRow[r];
                        byte code = GroupQuantizer.CodeOf(Rows.Target(r, c), scale > 0 ? 1 / scale : 0, _bits);
                        _codes[r * Tile + c] = code;
                        Rows.Store(r, c, scale * levels[code]);
                    }

                    StoreOutliers(c, top, together);
                }
            }
        }

        BitPacking.Pack(_codes, _bits, packed);
    }

    // A group is 64 consecutive coefficients along a row; of a tile of 32 that is two rows.
    private void ChooseScales(int left, Span<Half> scales)
    {
        int rowsOfGroup = Group / _block;
        for (int r = 0; r < Tile; r += rowsOfGroup)
        {
            for (int e = 0; e < Group; e++)
            {
                (int row, int column) = (r + (e / _block), left + (e % _block));
                _values[e] = IsOutlier(row, column) ? 0 : Rows.Target(row, column);
            }

            Half scale = GroupQuantizer.Quantize(_values, _bits, _trial);
            scales[(r * Tile + left) / Group] = scale;
            _scaleOfRow.AsSpan(r, rowsOfGroup).Fill((float)scale);
        }
    }
}
