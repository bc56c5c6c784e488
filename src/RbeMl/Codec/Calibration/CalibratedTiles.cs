namespace RbeMl.Codec;

/// <summary>The arrays of a matrix while rows of its tiles are being rounded; tiles are stored from any thread.</summary>
internal sealed class CalibratedTiles(FormatPlan plan, int tile, int tileCount)
{
    private readonly float[] _alphas = plan.Alphas ? new float[checked(tileCount * BasisFunctions.Count)] : [];
    private readonly Half[] _scales = new Half[checked(tileCount * plan.ScalesOf(tile))];
    private readonly byte[] _codes = new byte[checked(tileCount * (tile * tile * plan.Bits / 8) + (plan.Trellis ? TrellisTiles.PadBytes : 0))];
    private readonly ushort[] _places = new ushort[checked(tileCount * plan.Outliers)];
    private readonly Half[] _values = new Half[checked(tileCount * plan.Outliers)];

    /// <summary>Alphas of a tile, <c>[8]</c>, or empty.</summary>
    public Span<float> AlphasOf(int t) => plan.Alphas ? _alphas.AsSpan(t * BasisFunctions.Count, BasisFunctions.Count) : [];

    /// <summary>Scales of a tile.</summary>
    public Span<Half> ScalesOf(int t) => _scales.AsSpan(t * plan.ScalesOf(tile), plan.ScalesOf(tile));

    /// <summary>Packed codes of a tile.</summary>
    public Span<byte> CodesOf(int t)
    {
        int bytes = tile * tile * plan.Bits / 8;
        return _codes.AsSpan(t * bytes, bytes);
    }

    /// <summary>Outlier places of a tile.</summary>
    public Span<ushort> PlacesOf(int t) => _places.AsSpan(t * plan.Outliers, plan.Outliers);

    /// <summary>Outlier values of a tile.</summary>
    public Span<Half> ValuesOf(int t) => _values.AsSpan(t * plan.Outliers, plan.Outliers);

    /// <summary>The finished matrix.</summary>
    public RbeMatrix ToMatrix(int rows, int columns, RbeOptions options)
    {
        TileOutliers? outliers = plan.Outliers == 0 ? null : new TileOutliers(tile, tileCount, plan.Outliers, _places, _values);
        FrozenTiles frozen = plan.Trellis
            ? new TrellisTiles(tile, tileCount, plan.Bits, TrellisScan.ColumnMajor, _scales, _codes, outliers)
            : new QuantizedTiles(tile, tileCount, plan.Bits, _scales, _codes, outliers);
        return new RbeMatrix(rows, columns, tile, options.Transform, _alphas, null, [], frozen, options.Format);
    }
}
