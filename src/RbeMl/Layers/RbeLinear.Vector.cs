using System.Numerics;
using RbeMl.Codec;
using RbeMl.Kernels;
using RbeMl.Numerics;

namespace RbeMl.Layers;

/// <content>
/// The product with single vectors, as in generation: no lanes of other tokens, no decoded tiles. For float only. A vector is <c>[features in whole tiles]</c>,
/// its moments <c>[tiles][16]</c>; results differ from the panels' by rounding.
/// </content>
public sealed unsafe partial class RbeLinear<T>
    where T : unmanaged, IFloatingPointIeee754<T>
{
    private VectorTransform? _transform;
    private ISparseSlab? _slab; // a copy, which training does not reach

    /// <summary>Elements of a vector's moments.</summary>
    internal int VectorMoments => _factors is null ? 0 : TileColumns * VectorAlpha.Entries;

    /// <summary>Scratch elements that <see cref="VectorRow"/> takes.</summary>
    internal long VectorScratch => ScratchArea<T>.Size(Tile) + ScratchArea<T>.Size(_base?.VectorScratch ?? 0);

    /// <summary>What the vectors' methods look up; call it before them.</summary>
    internal void PrepareVectors()
    {
        _transform ??= VectorTransform.Get(_matrix.Transform, Tile);
        _base?.PrepareVectors();
    }

    /// <summary>Copies the coefficients into the order and precision that vectors read fastest, where there is one.</summary>
    internal void Compact(WeightPrecision precision)
    {
        if (_pattern is null || typeof(T) != typeof(float)) return;
        _slab?.Dispose();
        _slab = ISparseSlab.Create(_pattern, _parameters.ToFloats(Coefficients!), precision);
        if (_slab is not null) _parameters.Own(_slab);
    }

    /// <summary>Blocks of x -> blocks of x^, which are others.</summary>
    internal void TransformVector(T* x, T* xHat, int blocks) => _transform!.Forward((float*)x, (float*)xHat, blocks);

    /// <summary>Moments of blocks in the coefficient domain; nothing without alphas.</summary>
    internal void VectorMomentsOf(T* xHat, T* moments, int blocks)
    {
        if (_factors is AlphaFactors<float> factors) VectorAlpha.Moments(factors, (float*)xHat, blocks, (float*)moments);
    }

    /// <summary>y <c>[Tile]</c> of one tile row; rows beyond the outputs become zero.</summary>
    internal void VectorRow(int tileRow, T* xHat, T* moments, T* y, ScratchArea<T> scratch)
    {
        float* hat = (float*)scratch.Take(Tile), x = (float*)xHat, to = (float*)y;
        new Span<float>(hat, Tile).Clear();
        if (_slab is not null) _slab.Multiply(tileRow, x, hat);
        else if (_pattern is not null) VectorSparse.Multiply(_pattern, (float*)_parameters.At(Coefficients!), tileRow, x, hat);
        _base?.MultiplyVector(tileRow * TileColumns, TileColumns, x, hat, (float*)scratch.Take(_base.VectorScratch));
        if (_factors is AlphaFactors<float> factors)
        {
            float* alphas = (float*)_parameters.At(Alphas!) + ((long)tileRow * TileColumns * BasisFunctions.Count);
            VectorAlpha.Add(factors, alphas, (float*)moments, TileColumns, hat);
        }

        _transform!.Inverse(hat, to, 1);
        int rows = Math.Min(Tile, Outputs - (tileRow * Tile));
        if (Bias is not null) Elementwise.Add(to, (float*)_parameters.At(Bias) + ((long)tileRow * Tile), to, rows);
        new Span<float>(to + rows, Tile - rows).Clear();
    }
}
