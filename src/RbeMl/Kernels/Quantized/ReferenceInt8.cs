using RbeMl.Codec;

namespace RbeMl.Kernels;

/// <summary>Products of rounded activations with rounded levels by their definition, number by number; the fast kernels give the same bits.</summary>
internal static unsafe class ReferenceInt8
{
    /// <summary>Scale and codes of one token's values of a segment.</summary>
    internal static (float Scale, int[] Codes) Quantize(ReadOnlySpan<float> x)
    {
        float largest = 0;
        foreach (float value in x) largest = MathF.Max(largest, MathF.Abs(value)); // NaN wins
        if (largest < 1e-30f) return (0, new int[x.Length]);
        for (int k = 0; k < x.Length; k += 16)
        {
            // Of features that are multiplied together in 16 bits.
            for (int pair = 0; pair < 4; pair += 2)
            {
                float sum = 0;
                for (int i = k + pair; i < k + 16; i += 4) sum += MathF.Abs(x[i]) + MathF.Abs(x[i + 1]);
                largest = MathF.Max(largest, sum * (127f / 507));
            }
        }

        float inverse = 127f / largest;
        int[] codes = new int[x.Length];
        for (int i = 0; i < x.Length; i++) codes[i] = (int)MathF.Round(x[i] * inverse);
        return (largest / 127f, codes);
    }

    /// <summary>
    /// y += sum over tile columns j in [first, last) of Q(tileRow, j) x(j); x points at block <paramref name="first"/>, blocks are
    /// <c>[tile][width]</c>.
    /// </summary>
    internal static void Multiply(FrozenTiles q, int tileColumns, int tileRow, int first, int last, float* x, float* y, int width)
    {
        int tile = q.Tile, segment = Math.Min(tile, 64), segments = tile / segment;
        byte[] levels = new byte[tile * tile];
        float[] scales = new float[tile * segments], column = new float[segment];
        for (int j = first; j < last; j++, x += tile * width)
        {
            int index = (tileRow * tileColumns) + j;
            fixed (byte* l = levels)
            fixed (float* s = scales) q.DecodeLevelsScalar(index, l, s);
            for (int s = 0; s < segments; s++)
            {
                for (int lane = 0; lane < width; lane++)
                {
                    for (int k = 0; k < segment; k++) column[k] = x[(((s * segment) + k) * width) + lane];
                    (float scale, int[] codes) = Quantize(column);
                    for (int row = 0; row < tile; row++)
                    {
                        int sum = 0;
                        for (int k = 0; k < segment; k++) sum += (levels[(row * tile) + (s * segment) + k] - q.LevelOffset) * codes[k];
                        float* to = y + (row * width) + lane;
                        *to = MathF.FusedMultiplyAdd(scales[(row * segments) + s], sum * scale, *to);
                    }
                }
            }

            for (int e = 0; e < (q.Outliers?.PerTile ?? 0); e++)
            {
                int place = q.Outliers!.Places[(index * q.Outliers.PerTile) + e];
                float value = (float)q.Outliers.Values[(index * q.Outliers.PerTile) + e];
                for (int lane = 0; lane < width; lane++)
                {
                    float* to = y + (place / tile * width) + lane;
                    *to = MathF.FusedMultiplyAdd(value, x[(place % tile * width) + lane], *to);
                }
            }
        }
    }
}
