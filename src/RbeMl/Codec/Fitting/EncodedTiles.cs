namespace RbeMl.Codec;

/// <summary>The arrays of a matrix while its tiles are being coded; tiles are stored from any thread.</summary>
/// <param name="plan">What a tile has.</param>
/// <param name="tile">B.</param>
/// <param name="tileCount">Tiles, row-major.</param>
/// <param name="calibrated">Whether a <see cref="FeedbackCoder"/> makes the codes.</param>
internal sealed class EncodedTiles(FormatPlan plan, int tile, int tileCount, bool calibrated = false)
{
    private readonly float[] _alphas = plan.Alphas ? new float[checked(tileCount * BasisFunctions.Count)] : [];
    private readonly ushort[] _starts = new ushort[checked(tileCount * plan.Runs)];
    private readonly float[] _coefficients = new float[checked(tileCount * plan.Runs * plan.RunLength)];
    private readonly Half[] _scales = new Half[checked(tileCount * plan.ScalesOf(tile))];
    private readonly byte[] _codes = plan.Base is { } format ? new byte[checked((int)format.CodeBytes(tile, tileCount))] : [];
    private readonly ushort[] _outlierPlaces = new ushort[checked(tileCount * plan.Outliers)];
    private readonly Half[] _outlierValues = new Half[checked(tileCount * plan.Outliers)];

    /// <summary>Tiles of the matrix.</summary>
    public int TileCount => tileCount;

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
    public Span<ushort> PlacesOf(int t) => _outlierPlaces.AsSpan(t * plan.Outliers, plan.Outliers);

    /// <summary>Outlier values of a tile.</summary>
    public Span<Half> ValuesOf(int t) => _outlierValues.AsSpan(t * plan.Outliers, plan.Outliers);

    /// <summary>Stores tile <paramref name="t"/>.</summary>
    public void Store(int t, TileFit fit)
    {
        Span<float> alphas = AlphasOf(t);
        for (int k = 0; k < alphas.Length; k++) alphas[k] = (float)fit.Alphas[k];
        fit.Starts.CopyTo(_starts.AsSpan(t * plan.Runs));
        int count = plan.Runs * plan.RunLength;
        for (int e = 0; e < count; e++) _coefficients[t * count + e] = (float)fit.Coefficients[e];
        if (plan.Base is not { } format) return;
        fit.Scales.CopyTo(ScalesOf(t));
        format.Pack(fit.Codes, CodesOf(t));
        fit.OutlierPlaces.CopyTo(PlacesOf(t));
        fit.OutlierValues.CopyTo(ValuesOf(t));
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
        if (plan.Base is not { } format) return null;
        TileOutliers? outliers = plan.Outliers == 0 ? null : new TileOutliers(tile, tileCount, plan.Outliers, _outlierPlaces, _outlierValues);
        return format.CreateTiles(new CodedTiles(tile, tileCount, _scales, _codes, outliers, calibrated));
    }
}
