using System.Numerics;
using RbeMl.Codec;
using RbeMl.Kernels;
using RbeMl.Memory;

namespace RbeMl.Layers;

/// <summary>
/// y = Contract(gelu(Expand(x))) for one chunk of tokens, D -> F -> D. The hidden layer is computed in groups of tiles, so that a chunk stays in
/// cache and, at inference, the F-wide layer never exists as a whole. A group lies in a thread's scratch, at most 768 features of 64 tokens (192 KiB), whatever
/// the batch: a smaller one would save next to nothing.
/// </summary>
/// <typeparam name="T">Element type.</typeparam>
public sealed unsafe class FeedForward<T>
    where T : unmanaged, IFloatingPointIeee754<T>
{
    private const int GroupFeatures = 768;
    private const int Moments = BasisFunctions.FactorCount;
    private readonly GeluKind _gelu;

    /// <summary>Pairs the two matrices.</summary>
    /// <exception cref="ShapeMismatchException">Contract does not take what Expand gives.</exception>
    public FeedForward(RbeLinear<T> expand, RbeLinear<T> contract, GeluKind gelu)
    {
        ArgumentNullException.ThrowIfNull(expand);
        ArgumentNullException.ThrowIfNull(contract);
        if (contract.Inputs != expand.Outputs || contract.Outputs != expand.Inputs)
        {
            throw new ShapeMismatchException(contract.Name, $"[{expand.Inputs}, {expand.Outputs}]", $"[{contract.Outputs}, {contract.Inputs}]", "The second matrix must lead back to the width of the first one's input.");
        }

        Expand = expand;
        Contract = contract;
        _gelu = gelu;
    }

    /// <summary>D -> F.</summary>
    public RbeLinear<T> Expand { get; }

    /// <summary>F -> D.</summary>
    public RbeLinear<T> Contract { get; }

    /// <summary>F in whole tiles.</summary>
    public int PaddedHidden => Expand.TileRows * Expand.Tile;

    /// <summary>D in whole tiles.</summary>
    public int PaddedWidth => Expand.TileColumns * Expand.Tile;

    private int GroupTiles => Math.Max(1, Math.Min(Expand.TileRows, GroupFeatures / Expand.Tile));

    /// <summary>Scratch elements a chunk takes at most: a group of hidden tiles and one more, and moments.</summary>
    public long ScratchElements => ScratchArea<T>.Size(Panel<T>.WideWidth * (((GroupTiles + 1L) * Expand.Tile) + (Moments * (GroupTiles + Contract.TileRows))))
        + Math.Max(Expand.ScratchElements, Contract.ScratchElements) + 256;

    /// <summary>One chunk forward.</summary>
    /// <param name="xHat">Input in the coefficient domain, [Dp][width].</param>
    /// <param name="xMoments">Its moments.</param>
    /// <param name="hidden">Where to keep the input of GELU, [Fp][width]; null keeps nothing.</param>
    /// <param name="hiddenHat">Where to keep GELU's output in the coefficient domain, [Fp][width]; null keeps nothing.</param>
    /// <param name="y">Output, [Dp][width].</param>
    /// <param name="width">Lanes.</param>
    /// <param name="scratch">Scratch of the thread.</param>
    public void ForwardChunk(T* xHat, T* xMoments, T* hidden, T* hiddenHat, T* y, int width, ScratchArea<T> scratch)
    {
        int group = GroupTiles;
        long block = (long)Expand.Tile * width;
        T* s = scratch.Take((long)Contract.TileRows * Moments * width);
        T* groupHidden = scratch.Take(block);
        T* groupHat = scratch.Take(group * block);
        T* groupMoments = scratch.Take((long)group * Moments * width);
        new Span<T>(s, Contract.TileRows * Moments * width).Clear();
        new Span<T>(y, PaddedWidth * width).Clear();
        for (int first = 0; first < Expand.TileRows; first += group)
        {
            int last = Math.Min(first + group, Expand.TileRows);
            T* hat = hiddenHat == null ? groupHat : hiddenHat + first * block;
            for (int i = first; i < last; i++)
            {
                T* f = hidden == null ? groupHidden : hidden + i * block;
                HiddenRow(i, xHat, xMoments, f, hat + (i - first) * block, groupMoments + (long)(i - first) * Moments * width, width, scratch);
            }

            for (int o = 0; o < Contract.TileRows; o++) Contract.AccumulateRow(o, first, last, hat, groupMoments, y + o * block, s + (long)o * Moments * width, width, scratch);
        }

        for (int o = 0; o < Contract.TileRows; o++) Contract.FinishRow(o, y + o * block, s + (long)o * Moments * width, y + o * block, width);
    }

    /// <summary>One tile row of the hidden layer of a chunk: input of GELU, its output in the coefficient domain, that one's moments.</summary>
    internal void HiddenRow(int row, T* xHat, T* xMoments, T* hidden, T* hiddenHat, T* hiddenMoments, int width, ScratchArea<T> scratch)
    {
        Expand.ForwardRow(row, xHat, xMoments, hidden, width, scratch);
        GeluKernel.Forward(_gelu, hidden, hiddenHat, (long)Expand.Tile * width);
        Contract.TransformInput(1, hiddenHat, hiddenHat, hiddenMoments, width);
    }

    /// <summary>One tile row of the output of a chunk, y <c>[tile][width]</c>, from the whole hidden layer: the same bits as <see cref="ForwardChunk"/>'s.</summary>
    internal void OutputRow(int row, T* hiddenHat, T* hiddenMoments, T* y, int width, ScratchArea<T> scratch)
    {
        long block = (long)Expand.Tile * width;
        int group = GroupTiles;
        T* s = scratch.Take((long)Moments * width);
        new Span<T>(s, Moments * width).Clear();
        new Span<T>(y, (int)block).Clear();
        for (int first = 0; first < Expand.TileRows; first += group)
        {
            int last = Math.Min(first + group, Expand.TileRows);
            Contract.AccumulateRow(row, first, last, hiddenHat + (first * block), hiddenMoments + ((long)first * Moments * width), y, s, width, scratch);
        }

        Contract.FinishRow(row, y, s, y, width);
    }

    /// <summary>Input of GELU of one chunk, again: [Fp][width].</summary>
    public void RecomputeHidden(T* xHat, T* xMoments, T* hidden, int width, ScratchArea<T> scratch)
    {
        for (int i = 0; i < Expand.TileRows; i++) Expand.ForwardRow(i, xHat, xMoments, hidden + (long)i * Expand.Tile * width, width, scratch);
    }

    /// <summary>GELU and its output's transform of one chunk, again: hidden -> hiddenHat.</summary>
    public void RecomputeHat(T* hidden, T* hiddenHat, int width)
    {
        long block = (long)Expand.Tile * width;
        for (int i = 0; i < Expand.TileRows; i++, hidden += block, hiddenHat += block)
        {
            GeluKernel.Forward(_gelu, hidden, hiddenHat, block);
            Contract.TransformBlocks(1, hiddenHat, hiddenHat, width);
        }
    }

    /// <summary>One chunk backward to the input, leaving what the weight gradients need.</summary>
    /// <param name="gyHat">Output gradient in the coefficient domain, [Dp][width].</param>
    /// <param name="gyMoments">Its moments.</param>
    /// <param name="hidden">Input of GELU of the forward.</param>
    /// <param name="ghHat">Receives the gradient of GELU's input in the coefficient domain, [Fp][width].</param>
    /// <param name="ghMoments">Receives its moments.</param>
    /// <param name="expandBiasSums">Receives the chunk's part of Expand's bias gradient, [F].</param>
    /// <param name="dx">Receives the input gradient, [Dp][width].</param>
    /// <param name="width">Lanes.</param>
    /// <param name="scratch">Scratch of the thread.</param>
    public void BackwardChunk(T* gyHat, T* gyMoments, T* hidden, T* ghHat, T* ghMoments, T* expandBiasSums, T* dx, int width, ScratchArea<T> scratch)
    {
        long block = (long)Expand.Tile * width;
        T* g = scratch.Take(block);
        for (int j = 0; j < Contract.TileColumns; j++)
        {
            new Span<T>(g, (int)block).Clear();
            Contract.AccumulateColumn(j, gyHat, gyMoments, g, width, scratch);
            Contract.FinishColumn(j, g, g, width);
            GeluKernel.Backward(_gelu, hidden + j * block, g, g, block);
            Expand.TransformGradient(j, 1, g, ghHat + j * block, ghMoments + (long)j * Moments * width, expandBiasSums + (long)j * Expand.Tile, width);
        }

        for (int j = 0; j < Expand.TileColumns; j++)
        {
            T* dxBlock = dx + j * block;
            new Span<T>(dxBlock, (int)block).Clear();
            Expand.AccumulateColumn(j, ghHat, ghMoments, dxBlock, width, scratch);
            Expand.FinishColumn(j, dxBlock, dxBlock, width);
        }
    }
}
