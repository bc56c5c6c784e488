namespace RbeMl.Kernels;

/// <summary>A copy of a matrix's sparse coefficients for single tokens: read front to back, in the order and precision that they meet them.</summary>
internal interface IPackedSparse : IDisposable
{
    /// <summary>Bytes held.</summary>
    long Bytes { get; }

    /// <summary>y <c>[tile]</c> += row <paramref name="tileRow"/> of the tiles of C times x <c>[columns][tile]</c>; both are 64-byte aligned.</summary>
    unsafe void Multiply(int tileRow, float* x, float* y);

    /// <summary>The copy of a matrix in its form, or null where there is none: for runs of 4 and 8.</summary>
    static IPackedSparse? Create(SparsityPattern pattern, ReadOnlySpan<float> values, WeightPrecision precision)
    {
        if (PackedRuns.Fits(pattern)) return new PackedRuns(pattern, values, precision);
        return pattern.Support.RunLength == 1 ? new PackedPositions(pattern, values, precision) : null;
    }
}
