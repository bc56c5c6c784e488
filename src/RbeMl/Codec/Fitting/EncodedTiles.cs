namespace RbeMl.Codec;

/// <summary>The arrays of a matrix while its tiles are being fitted; tiles are stored from any thread.</summary>
internal sealed class EncodedTiles(FormatPlan plan, int tile, int tileCount)
{
    private readonly float[] _alphas = plan.Alphas ? new float[checked(tileCount * BasisFunctions.Count)] : [];
    private readonly ushort[] _starts = new ushort[checked(tileCount * plan.Runs)];
    private readonly float[] _coefficients = new float[checked(tileCount * plan.Runs * plan.RunLength)];
    private readonly Half[] _scales = plan.Bits > 0 ? new Half[checked(tileCount * plan.ScalesOf(tile))] : [];
    private readonly byte[] _codes = plan.Bits > 0
        ? new byte[checked(tileCount * (tile * tile * plan.Bits / 8) + (plan.Trellis ? TrellisTiles.PadBytes : 0))] : [];
    private readonly ushort[] _outlierPlaces = new ushort[checked(tileCount * plan.Outliers)];
    private readonly Half[] _outlierValues = new Half[checked(tileCount * plan.Outliers)];

    /// <summary>Tiles of the matrix.</summary>
    public int TileCount => tileCount;

    /// <summary>Stores what <paramref name="fitter"/> has found for tile <paramref name="t"/>.</summary>
    public void Store(int t, TileFitter fitter)
    {
        for (int k = 0; k < fitter.Alphas.Length; k++) _alphas[t * BasisFunctions.Count + k] = (float)fitter.Alphas[k];
        fitter.Starts.CopyTo(_starts.AsSpan(t * plan.Runs));
        int count = plan.Runs * plan.RunLength;
        for (int e = 0; e < count; e++) _coefficients[t * count + e] = (float)fitter.Coefficients[e];
        if (plan.Bits == 0) return;
        fitter.Scales.CopyTo(_scales.AsSpan(t * fitter.Scales.Length));
        int bytes = tile * tile * plan.Bits / 8;
        if (plan.Trellis) TrellisTiles.Pack(fitter.Codes, plan.Bits, _codes.AsSpan(t * bytes, bytes));
        else BitPacking.Pack(fitter.Codes, plan.Bits, _codes.AsSpan(t * bytes, bytes));
        fitter.OutlierPlaces.CopyTo(_outlierPlaces.AsSpan(t * plan.Outliers));
        fitter.OutlierValues.CopyTo(_outlierValues.AsSpan(t * plan.Outliers));
    }

    /// <summary>The finished matrix.</summary>
    public RbeMatrix ToMatrix(int rows, int columns, RbeOptions options) => new(
        rows,
        columns,
        tile,
        options.Transform,
        _alphas,
        plan.Runs > 0 ? new CoefficientSupport(tile, tileCount, plan.RunLength, _starts) : null,
        _coefficients,
        ToBase(),
        options.Format);

    private FrozenTiles? ToBase()
    {
        if (plan.Bits == 0) return null;
        TileOutliers? outliers = plan.Outliers == 0 ? null : new TileOutliers(tile, tileCount, plan.Outliers, _outlierPlaces, _outlierValues);
        return plan.Trellis
            ? new TrellisTiles(tile, tileCount, plan.Bits, TrellisScan.RowMajor, _scales, _codes, outliers)
            : new QuantizedTiles(tile, tileCount, plan.Bits, _scales, _codes, outliers);
    }
}
