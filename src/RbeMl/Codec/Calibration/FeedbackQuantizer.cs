namespace RbeMl.Codec;

/// <summary>
/// Quantises one row of tiles after another with error feedback along the input: columns of coefficients are rounded one by one, each after it has taken up what the errors
/// of those before it leave to it. A group's scale is chosen when the block of columns it lies in begins, from the values as they are then. With a factor of
/// zero the result is that of plain rounding, bit for bit. Holds scratch, so every thread needs its own.
/// </summary>
internal sealed class FeedbackQuantizer
{
    private const int Group = QuantizedFormat.GroupSize;
    private readonly FeedbackRows _rows;
    private readonly int _tile;
    private readonly int _bits;
    private readonly int _block; // columns that share a scale
    private readonly Half[] _scales; // [B² / 64] of a tile
    private readonly float[] _steps; // [B]: scale of each coefficient row in the block
    private readonly byte[] _codes; // [B²] of a tile
    private readonly float[] _values = new float[Group];
    private readonly byte[] _trial = new byte[Group];

    public FeedbackQuantizer(FeedbackFactor factor, int tile, int bits)
    {
        _rows = new FeedbackRows(factor, tile);
        _tile = tile;
        _bits = bits;
        _block = Math.Min(Group, tile);
        _scales = new Half[tile * tile / Group];
        _steps = new float[tile];
        _codes = new byte[tile * tile];
    }

    /// <summary>The coefficients to be quantised: <c>[columns][B]</c>, filled by the caller.</summary>
    public float[] Original => _rows.Original;

    /// <summary>Quantises the tile at tile column <paramref name="j"/>; those left of it have been quantised.</summary>
    /// <param name="j">Tile column.</param>
    /// <param name="scales"><c>[B² / 64]</c>, written.</param>
    /// <param name="packed"><c>[B² bits / 8]</c>, written.</param>
    public void QuantizeTile(int j, Span<Half> scales, Span<byte> packed)
    {
        for (int c = 0; c < _tile; c += _block) QuantizeBlock(j * _tile + c, c);
        _scales.CopyTo(scales);
        BitPacking.Pack(_codes, _bits, packed);
    }

    // Columns first .. first + block, which are columns left .. of their tile.
    private void QuantizeBlock(int first, int left)
    {
        _rows.Begin(first, _block);
        ChooseScales(left);
        float[] levels = QuantizerLevels.For(_bits);
        for (int c = 0; c < _block; c++)
        {
            if (c > 0) _rows.AddWithinBlock(first, c);
            ReadOnlySpan<float> targets = _rows.Targets.AsSpan(c * _tile, _tile), original = _rows.Original.AsSpan((first + c) * _tile, _tile);
            Span<float> errors = _rows.Errors.AsSpan((first + c) * _tile, _tile);
            for (int r = 0; r < _tile; r++)
            {
                float scale = _steps[r];
                byte code = GroupQuantizer.CodeOf(targets[r], scale > 0 ? 1 / scale : 0, _bits);
                _codes[r * _tile + left + c] = code;
                errors[r] = original[r] - (scale * levels[code]);
            }
        }
    }

    // A group is 64 consecutive coefficients along a row; of a tile of 32 that is two rows.
    private void ChooseScales(int left)
    {
        int rowsPerGroup = Group / _block;
        for (int r = 0; r < _tile; r += rowsPerGroup)
        {
            for (int e = 0; e < Group; e++) _values[e] = _rows.Targets[e % _block * _tile + r + e / _block];
            Half scale = GroupQuantizer.Quantize(_values, _bits, _trial);
            _scales[(r * _tile + left) / Group] = scale;
            _steps.AsSpan(r, rowsPerGroup).Fill((float)scale);
        }
    }
}
