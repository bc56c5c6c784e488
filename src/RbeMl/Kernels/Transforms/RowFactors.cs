using System.Numerics;
using RbeMl.Codec;
using RbeMl.Memory;
using RbeMl.Numerics;

namespace RbeMl.Kernels;

/// <summary>
/// What a row of a tile is made of. Row r of <c>W = S C S' + sum_k alpha_k phi_k</c> is S times a vector of coefficients, <c>c = C' s + F' A' F s</c>,
/// with s the row r of S, F the factors of the basis functions and A a tile's alphas. So a row is one product of <c>[C; F]</c> with <c>[s; A' F s]</c>.
/// </summary>
/// <typeparam name="T">Element type.</typeparam>
internal sealed unsafe class RowFactors<T> : IDisposable
    where T : unmanaged, IFloatingPointIeee754<T>
{
    private const int Moments = BasisFunctions.FactorCount;
    private readonly AlphaFactors<T>? _factors;
    private readonly NativeBuffer<T> _rows;
    private readonly int _tile;

    /// <summary>Those of a transform and tile.</summary>
    /// <param name="transform">The transform.</param>
    /// <param name="tile">B.</param>
    /// <param name="factors">Of the basis functions, or null where tiles have no alphas.</param>
    public RowFactors(TileTransform transform, int tile, AlphaFactors<T>? factors)
    {
        (_tile, _factors) = (tile, factors);
        double[] synthesis = TransformMatrix.Synthesis(transform, tile);
        double[][] functions = BasisFunctions.Get(transform, tile).TransformedFactors;
        _rows = new NativeBuffer<T>((long)tile * (tile + Moments));
        for (int r = 0; r < tile; r++)
        {
            T* row = Of(r);
            for (int u = 0; u < tile; u++) row[u] = T.CreateTruncating(synthesis[(r * tile) + u]);
            for (int f = 0; f < Moments; f++)
            {
                double moment = 0;
                for (int u = 0; u < tile; u++) moment += functions[f][u] * synthesis[(r * tile) + u];
                row[tile + f] = T.CreateTruncating(moment);
            }
        }
    }

    /// <summary>Bytes of native memory held.</summary>
    public long AllocatedBytes => _rows.AllocatedBytes;

    /// <summary>Rows of a tile's matrix [C; F]: B, and 12 more with alphas.</summary>
    public int Terms => _tile + (_factors is null ? 0 : Moments);

    /// <summary>Writes F below C; it stays there for all tiles.</summary>
    /// <param name="matrix"><c>[Terms][B]</c>.</param>
    public void Complete(T* matrix)
    {
        if (_factors is not null) new Span<T>(_factors.Pointer, Moments * _tile).CopyTo(new Span<T>(matrix + ((long)_tile * _tile), Moments * _tile));
    }

    /// <summary>The coefficients of one row of a tile.</summary>
    /// <param name="row">Which row, 0 .. B - 1.</param>
    /// <param name="matrix"><c>[Terms][B]</c>, 64-byte aligned like the others.</param>
    /// <param name="alphas">The tile's eight; not read without them.</param>
    /// <param name="vector">Scratch of <see cref="Terms"/>.</param>
    /// <param name="coefficients"><c>[B]</c>, written.</param>
    public void Multiply(int row, T* matrix, T* alphas, T* vector, T* coefficients)
    {
        T* s = Of(row);
        if (_factors is not null)
        {
            new Span<T>(s, _tile).CopyTo(new Span<T>(vector, _tile));
            new Span<T>(vector + _tile, Moments).Clear();
            ReferenceAlpha.MixTransposed(_factors, alphas, s + _tile, vector + _tile, 1);
            s = vector;
        }

        if (typeof(T) == typeof(float)) VectorKernel.Transform((float*)matrix, (float*)s, (float*)coefficients, _tile, Terms);
        else ReferenceVector.Transform(matrix, s, coefficients, _tile, Terms);
    }

    /// <inheritdoc/>
    public void Dispose() => _rows.Dispose();

    // [B] s, then its twelve moments F s.
    private T* Of(int row) => _rows.Pointer + ((long)row * (_tile + Moments));
}
