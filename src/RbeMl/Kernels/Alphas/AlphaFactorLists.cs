using RbeMl.Codec;
using RbeMl.Memory;

namespace RbeMl.Kernels;

/// <summary>
/// The twelve factors as runs down a column: the first four (constant, x², cosines) and the eight of d, each without the columns where all of them are
/// zero. In the cosine domain that is every odd frequency, as the functions are even.
/// </summary>
internal sealed unsafe class AlphaFactorLists : IDisposable
{
    private readonly NativeBuffer<float> _signs = new(BasisFunctions.DistanceRank);

    internal AlphaFactorLists(BasisFunctions basis)
    {
        Functions = new AlphaFactorList(basis.TransformedFactors.AsSpan(0, 4), basis.Tile);
        Distance = new AlphaFactorList(basis.TransformedFactors.AsSpan(4), basis.Tile);
        for (int r = 0; r < BasisFunctions.DistanceRank; r++) _signs.Pointer[r] = (float)basis.DistanceSigns[r];
    }

    /// <summary>Factors 0 .. 3.</summary>
    internal AlphaFactorList Functions { get; }

    /// <summary>Factors 4 .. 11.</summary>
    internal AlphaFactorList Distance { get; }

    /// <summary><c>[8]</c>.</summary>
    internal float* Signs => _signs.Pointer;

    internal long AllocatedBytes => Functions.AllocatedBytes + Distance.AllocatedBytes + _signs.AllocatedBytes;

    public void Dispose()
    {
        Functions.Dispose();
        Distance.Dispose();
        _signs.Dispose();
    }
}

/// <summary>The columns of L factors that are not all zero: <c>[column][L]</c> values and the places of the columns.</summary>
internal sealed unsafe class AlphaFactorList : IDisposable
{
    // Where a factor is zero, rounding in its eigenvector and transform leaves up to 1e-11 of its largest coefficient; its other coefficients are
    // above 1e-6 of it, and float resolves 6e-8.
    private const double Negligible = 1e-9;

    private readonly NativeBuffer<float> _values;
    private readonly NativeBuffer<RunStep> _steps;

    internal AlphaFactorList(ReadOnlySpan<double[]> factors, int tile)
    {
        Length = factors.Length;
        double[] largest = [.. factors.ToArray().Select(f => f.Max(Math.Abs))];
        List<int> columns = [];
        for (int u = 0; u < tile; u++)
        {
            bool any = false;
            for (int f = 0; f < Length; f++) any |= Math.Abs(factors[f][u]) > Negligible * largest[f];
            if (any) columns.Add(u);
        }

        Count = columns.Count;
        _values = new NativeBuffer<float>(Count * Length);
        _steps = new NativeBuffer<RunStep>(Count);
        for (int e = 0; e < Count; e++)
        {
            int u = columns[e];
            _steps.Pointer[e] = new RunStep((ushort)u, (ushort)e);
            for (int f = 0; f < Length; f++)
            {
                double value = factors[f][u];
                _values.Pointer[e * Length + f] = Math.Abs(value) > Negligible * largest[f] ? (float)value : 0;
            }
        }
    }

    /// <summary>Factors L: 4 or 8.</summary>
    internal int Length { get; }

    /// <summary>Columns kept.</summary>
    internal int Count { get; }

    /// <summary><c>[Count][Length]</c>.</summary>
    internal float* Values => _values.Pointer;

    /// <summary>The column of each entry.</summary>
    internal RunStep* Steps => _steps.Pointer;

    internal long AllocatedBytes => _values.AllocatedBytes + _steps.AllocatedBytes;

    public void Dispose()
    {
        _values.Dispose();
        _steps.Dispose();
    }
}
