using System.Numerics;
using RbeMl.Codec;
using RbeMl.Kernels;
using RbeMl.Memory;
using RbeMl.Numerics;

namespace RbeMl.Layers;

/// <content>
/// The products: with a few chunks at once and with single vectors. Of chunks each tile of the base is decoded once for all of them. A
/// chunk's results do not depend on the others. In copies for inference products with the base may be those of integers.
/// </content>
public sealed unsafe partial class RbeLinear<T>
    where T : unmanaged, IFloatingPointIeee754<T>
{
    /// <summary>Whether products read the codes of <see cref="Quantize"/>.</summary>
    internal bool UsesCodes { get; private set; }

    /// <summary>Whether several chunks together cost less than one after the other.</summary>
    internal bool HasBase => _base is not null;

    /// <summary>Scratch elements that the methods take at most for that many chunks.</summary>
    internal long ScratchElementsOf(int chunks) => ScratchArea<T>.Size((long)Tile * Panel<T>.WideWidth) + ScratchArea<T>.Size((long)Tile * Tile)
        + ScratchArea<T>.Size((long)BasisFunctions.FactorCount * Panel<T>.WideWidth) + ScratchArea<T>.Size((long)BasisFunctions.FactorCount * Panel<T>.WideWidth * chunks);

    /// <summary>Elements of a chunk's codes of that many blocks; 0 where no product reads them.</summary>
    internal long CodeElements(int blocks, int width) =>
        UsesCodes ? ScratchArea<T>.Size(Int8Activations.Bytes(blocks * Tile, Int8Activations.SegmentOf(Tile), width) / sizeof(T)) : 0;

    /// <summary>Switches the products with the base to integers, where there is one.</summary>
    internal void UseCodes() => UsesCodes = _base is not null && typeof(T) == typeof(float);

    /// <summary>
    /// x with the codes of its blocks, or as it is where no product reads them. Codes hold <see cref="CodeElements"/> a chunk.
    /// </summary>
    internal HatBlocks<T> Quantize(HatBlocks<T> x, int blocks, T* codes)
    {
        if (!UsesCodes) return x;
        ChunkPointers<byte> target = new((byte*)codes, CodeElements(blocks, x.Width) * sizeof(T));
        for (int c = 0; c < x.Count; c++) new Int8Activations(target[c], Int8Activations.SegmentOf(Tile), x.Width).Quantize((float*)x.Hat[c], blocks * Tile);
        return x with { Codes = target };
    }

    /// <summary>As the other one, for all chunks; x points at block <paramref name="first"/>.</summary>
    internal void AccumulateRow(int tileRow, int first, int last, HatBlocks<T> x, ChunkPointers<T> yHat, ChunkPointers<T> s, ScratchArea<T> scratch)
    {
        int width = x.Width;
        for (int c = 0; c < x.Count && _pattern is not null; c++) SparseKernel.Multiply(_pattern, _parameters.At(Coefficients!), tileRow, first, last, x.Hat[c], yHat[c], width);
        if (_base is not null)
        {
            T* tile = scratch.Take((long)Tile * Tile);
            if (UsesCodes) Int8Kernel.Multiply(_base, TileColumns, tileRow, first, last, x.Hat.As<float>(), x.Codes, yHat.As<float>(), x.Group, (byte*)tile);
            else QuantizedKernel.Multiply(_base, TileColumns, tileRow, first, last, x.Hat, yHat, x.Group, tile);
        }

        if (_factors is null) return;
        T* alphas = _parameters.At(Alphas!) + ((long)tileRow * TileColumns + first) * BasisFunctions.Count;
        for (int c = 0; c < x.Count; c++) AlphaKernel.MixTiles(_factors, alphas, BasisFunctions.Count, x.Moments[c], last - first, transposed: false, s[c], width);
    }

    /// <summary>As the other one, for all chunks.</summary>
    internal void ForwardRow(int tileRow, HatBlocks<T> x, ChunkPointers<T> y, ScratchArea<T> scratch)
    {
        long moments = (long)BasisFunctions.FactorCount * x.Width;
        ChunkPointers<T> s = new(scratch.Take(moments * x.Count), moments);
        for (int c = 0; c < x.Count; c++)
        {
            new Span<T>(s[c], (int)moments).Clear();
            new Span<T>(y[c], Tile * x.Width).Clear();
        }

        AccumulateRow(tileRow, 0, TileColumns, x, y, s, scratch);
        for (int c = 0; c < x.Count; c++) FinishRow(tileRow, y[c], s[c], y[c], x.Width);
    }

    private static HatBlocks<T> One(T* xHat, T* moments, int width) => new(new ChunkBatch(1, width, width), new ChunkPointers<T>(xHat, 0), new ChunkPointers<T>(moments, 0), default);

    // Single vectors, as in generation: no lanes of other tokens, no decoded tiles. For float only. A vector is [features in whole tiles],
    // its moments [tiles][16]; results differ from the panels' by rounding.
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
