namespace RbeMl.Codec;

/// <summary>One possible encoding of a tile.</summary>
internal sealed class TileFit(FormatPlan plan, int tile)
{
    /// <summary><c>[8]</c>, or empty.</summary>
    public double[] Alphas { get; } = plan.Alphas ? new double[BasisFunctions.Count] : [];

    /// <summary><c>[runs]</c>, ascending.</summary>
    public ushort[] Starts { get; } = new ushort[plan.Runs];

    /// <summary><c>[K]</c> in the order of the places.</summary>
    public double[] Coefficients { get; } = new double[plan.Runs * plan.RunLength];

    /// <summary>Scales of the tile, or empty.</summary>
    public Half[] Scales { get; } = new Half[plan.ScalesOf(tile)];

    /// <summary><c>[B²]</c>, or empty.</summary>
    public byte[] Codes { get; } = plan.Bits > 0 ? new byte[tile * tile] : [];

    /// <summary><c>[outliers]</c>, ascending.</summary>
    public ushort[] OutlierPlaces { get; } = new ushort[plan.Outliers];

    /// <summary><c>[outliers]</c> in the order of the places.</summary>
    public Half[] OutlierValues { get; } = new Half[plan.Outliers];

    /// <summary>Copies all of it.</summary>
    public void CopyTo(TileFit other)
    {
        Alphas.CopyTo(other.Alphas, 0);
        Starts.CopyTo(other.Starts, 0);
        Coefficients.CopyTo(other.Coefficients, 0);
        Scales.CopyTo(other.Scales, 0);
        Codes.CopyTo(other.Codes, 0);
        OutlierPlaces.CopyTo(other.OutlierPlaces, 0);
        OutlierValues.CopyTo(other.OutlierValues, 0);
    }
}
