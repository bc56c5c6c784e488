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
    internal long ScratchElementsOf(int chunks) => ScratchArea<T>.Size((long)Tile * Panel<T>.WideLanes) + ScratchArea<T>.Size(TileScratch)
        + ScratchArea<T>.Size((long)BasisFunctions.FactorCount * Panel<T>.WideLanes)
        + ScratchArea<T>.Size((long)BasisFunctions.FactorCount * Panel<T>.WideLanes * chunks);

    // Decoded tiles of the base.
    private long TileScratch => UsesCodes ? Int8Kernel.ScratchBytes(Tile) / sizeof(T) : (long)Tile * Tile;

    /// <summary>Elements of a chunk's codes of that many blocks; 0 where no product reads them.</summary>
    internal long CodeElements(int blocks, int width) => UsesCodes ? ElementsOfCodes(blocks * Tile, Tile, width) : 0;

    /// <summary>Elements of a chunk's codes of that many features in whole tiles.</summary>
    internal static long ElementsOfCodes(int features, int tile, int width) =>
        ScratchArea<T>.Size(Int8Activations.Bytes(features, Int8Activations.SegmentOf(tile), width) / sizeof(T));

    /// <summary>Switches the products with the base to integers, where there is one.</summary>
    internal void UseInt8() => UsesCodes = _base is not null && typeof(T) == typeof(float);

    /// <summary>
    /// x with the codes of its blocks, or as it is where no product reads them. Codes hold <see cref="CodeElements"/> a chunk.
    /// </summary>
    internal CoefficientBlocks<T> Quantize(CoefficientBlocks<T> x, int blocks, T* codes)
    {
        if (!UsesCodes) return x;
        ChunkPointers<byte> target = new((byte*)codes, CodeElements(blocks, x.Lanes) * sizeof(T));
        for (int c = 0; c < x.Count; c++) QuantizeBlocks(x.Coefficients[c], 0, blocks, target[c], x.Lanes);
        return x with { Codes = target };
    }

    /// <summary>Some blocks of a chunk's codes, from block <paramref name="first"/> on, of the coefficients x of these.</summary>
    internal void QuantizeBlocks(T* x, int first, int blocks, byte* codes, int width)
    {
        int segment = Int8Activations.SegmentOf(Tile);
        codes += Int8Activations.Bytes(first * Tile, segment, width);
        new Int8Activations(codes, segment, width).Quantize((float*)x, blocks * Tile);
    }

    /// <summary>Bytes of codes of that many blocks.</summary>
    internal long CodeBytes(int blocks, int width) => Int8Activations.Bytes(blocks * Tile, Int8Activations.SegmentOf(Tile), width);

    /// <summary>
    /// The same for all chunks; without <paramref name="accumulate"/> y is set instead of added to. x points at block <paramref name="first"/>.
    /// </summary>
    internal void AccumulateRow(int tileRow, int first, int last, CoefficientBlocks<T> x, ChunkPointers<T> yCoefficients, ChunkPointers<T> s,
        ScratchArea<T> scratch, bool accumulate = true)
    {
        int lanes = x.Lanes;
        bool clear = !accumulate && (_pattern is not null || _base is null);
        for (int c = 0; c < x.Count && clear; c++) new Span<T>(yCoefficients[c], Tile * lanes).Clear();
        for (int c = 0; c < x.Count && _pattern is not null; c++)
        {
            SparseKernel.Multiply(_pattern, _parameters.At(Coefficients!), tileRow, first, last, x.Coefficients[c], yCoefficients[c], lanes);
        }

        if (_base is not null)
        {
            T* tiles = scratch.Take(TileScratch);
            bool adds = accumulate || clear;
            if (UsesCodes) Int8Kernel.Multiply(_base, TileColumns, tileRow, first, last, x.Coefficients.As<float>(), x.Codes,
                yCoefficients.As<float>(), x.Group, (byte*)tiles, adds);
            else QuantizedKernel.Multiply(_base, TileColumns, tileRow, first, last, x.Coefficients, yCoefficients, x.Group, tiles, adds);
        }

        if (_factors is null) return;
        T* alphas = _parameters.At(Alphas!) + ((long)tileRow * TileColumns + first) * BasisFunctions.Count;
        for (int c = 0; c < x.Count; c++)
        {
            AlphaKernel.MixTiles(_factors, alphas, BasisFunctions.Count, x.Moments[c], last - first, transposed: false, s[c], lanes);
        }
    }

    /// <summary>As the other one, for all chunks.</summary>
    internal void ForwardRow(int tileRow, CoefficientBlocks<T> x, ChunkPointers<T> y, ScratchArea<T> scratch)
    {
        long moments = (long)BasisFunctions.FactorCount * x.Lanes;
        ChunkPointers<T> s = new(scratch.Take(moments * x.Count), moments);
        for (int c = 0; c < x.Count; c++) new Span<T>(s[c], (int)moments).Clear();
        AccumulateRow(tileRow, 0, TileColumns, x, y, s, scratch, accumulate: false);
        for (int c = 0; c < x.Count; c++) FinishRow(tileRow, y[c], s[c], y[c], x.Lanes);
    }

    private static CoefficientBlocks<T> One(T* xCoefficients, T* moments, int width) =>
        new(new ChunkBatch(1, width, width), new ChunkPointers<T>(xCoefficients, 0), new ChunkPointers<T>(moments, 0), default);

    // Single vectors, as in generation: no lanes of other tokens, no decoded tiles. For float only. A vector is [features in whole tiles],
    // its moments [tiles][16]; results differ from the panels' by rounding.
    private VectorTransform? _transform;
    private IPackedSparse? _packed; // a copy, which training does not reach

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
    internal void PackForInference(WeightPrecision precision)
    {
        if (_pattern is null || typeof(T) != typeof(float)) return;
        _packed?.Dispose();
        _packed = IPackedSparse.Create(_pattern, _parameters.ToFloats(Coefficients!), precision);
        if (_packed is not null) _parameters.Own(_packed);
    }

    /// <summary>Blocks of x -> blocks of x^, which are others.</summary>
    internal void TransformVector(T* x, T* xCoefficients, int blocks) => _transform!.Forward((float*)x, (float*)xCoefficients, blocks);

    /// <summary>Moments of blocks in the coefficient domain; nothing without alphas.</summary>
    internal void VectorAlphaMoments(T* xCoefficients, T* moments, int blocks)
    {
        if (_factors is AlphaFactors<float> factors) VectorAlpha.Moments(factors, (float*)xCoefficients, blocks, (float*)moments);
    }

    /// <summary>y <c>[Tile]</c> of one tile row; rows beyond the outputs become zero.</summary>
    internal void VectorRow(int tileRow, T* xCoefficients, T* moments, T* y, ScratchArea<T> scratch)
    {
        float* coefficients = (float*)scratch.Take(Tile), x = (float*)xCoefficients, to = (float*)y;
        new Span<float>(coefficients, Tile).Clear();
        if (_packed is not null) _packed.Multiply(tileRow, x, coefficients);
        else if (_pattern is not null) VectorSparse.Multiply(_pattern, (float*)_parameters.At(Coefficients!), tileRow, x, coefficients);
        _base?.MultiplyVector(tileRow * TileColumns, TileColumns, x, coefficients, (float*)scratch.Take(_base.VectorScratch));
        if (_factors is AlphaFactors<float> factors)
        {
            float* alphas = (float*)_parameters.At(Alphas!) + ((long)tileRow * TileColumns * BasisFunctions.Count);
            VectorAlpha.Add(factors, alphas, (float*)moments, TileColumns, coefficients);
        }

        _transform!.Inverse(coefficients, to, 1);
        int rows = Math.Min(Tile, Outputs - (tileRow * Tile));
        if (Bias is not null) Elementwise.Add(to, (float*)_parameters.At(Bias) + ((long)tileRow * Tile), to, rows);
        new Span<float>(to + rows, Tile - rows).Clear();
    }
}
