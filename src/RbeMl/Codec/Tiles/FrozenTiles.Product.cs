using RbeMl.Numerics;

namespace RbeMl.Codec;

/// <content>Products with a single vector, straight from the codes.</content>
public abstract unsafe partial class FrozenTiles
{
    private float[]? _outlierExcess;

    /// <summary>Scratch elements that <see cref="MultiplyVector"/> takes.</summary>
    internal int VectorScratch => Tile * Tile;

    /// <summary>
    /// Bytes in memory: codes (as if read, where they lie in a mapped file), scales, outliers, and once prepared what these add to the
    /// codes.
    /// </summary>
    internal long ResidentBytes => ((StoredBits + 7) / 8) + ((Volatile.Read(ref _outlierExcess)?.Length ?? 0) * (long)sizeof(float));

    /// <summary>What <see cref="MultiplyVector"/> looks up; call it before the first product. Later calls cost nothing.</summary>
    internal void PrepareVectors()
    {
        if (Outliers is null || Volatile.Read(ref _outlierExcess) is not null) return;
        float[] excess = new float[Outliers.Places.Length], coefficients = new float[Tile * Tile];
        for (int t = 0; t < TileCount; t++)
        {
            Decode(t, coefficients);
            for (int e = t * Outliers.PerTile; e < (t + 1) * Outliers.PerTile; e++) excess[e] = (float)Outliers.Values[e] - coefficients[Outliers.Places[e]];
        }

        Volatile.Write(ref _outlierExcess, excess);
        GC.KeepAlive(this);
    }

    /// <summary>
    /// y <c>[B]</c> += the sum over <paramref name="count"/> tiles from <paramref name="firstTile"/> on of Q x; x is <c>[count][B]</c>,
    /// 64-byte aligned like y and scratch.
    /// </summary>
    internal void MultiplyVector(int firstTile, int count, float* x, float* y, float* scratch)
    {
        if (!Product(firstTile, count, x, y, scratch))
        {
            MultiplyDecoded(firstTile, count, x, y, scratch);
            return;
        }

        if (Outliers is { } outliers)
        {
            float[] excess = _outlierExcess ?? throw new InvalidOperationException("Call PrepareVectors first.");
            int n = outliers.PerTile, shift = Tile == 32 ? 5 : Tile == 64 ? 6 : 7;
            for (int j = 0; j < count; j++, x += Tile)
            {
                for (int e = (firstTile + j) * n; e < (firstTile + j + 1) * n; e++)
                {
                    int place = outliers.Places[e];
                    y[place >> shift] += excess[e] * x[place & (Tile - 1)];
                }
            }
        }

        GC.KeepAlive(this); // and with it the mapping that codes may lie in
    }

    /// <summary>The same by way of decoded tiles: what the fused products are checked against, and the path of quantised tiles without AVX2.</summary>
    internal void MultiplyDecoded(int firstTile, int count, float* x, float* y, float* scratch)
    {
        for (int j = 0; j < count; j++)
        {
            Dequantize(firstTile + j, new Span<float>(scratch, Tile * Tile));
            VectorKernel.Dot(scratch, Tile, Tile, Tile, x + ((long)j * Tile), y);
        }
    }

    /// <summary>y += Q x without outliers, or false where there is no fused product.</summary>
    private protected abstract bool Product(int firstTile, int count, float* x, float* y, float* scratch);
}
