using System.Numerics;
using RbeMl.Codec;
using RbeMl.Kernels;
using RbeMl.Memory;

namespace RbeMl.Layers;

/// <summary>
/// y = Contract(gelu(Expand(x))) for one chunk of tokens, D -> F -> D. The hidden layer is computed in groups of tiles, so that a chunk
/// stays in cache and, at inference, the F-wide layer never exists as a whole. A group lies in a thread's scratch, at most 768 features of
/// 64 tokens (192 KiB), whatever the batch: a smaller one would save next to nothing.
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

    /// <summary>Scratch elements that many chunks take at most.</summary>
    internal long ScratchElements(int chunks) =>
        ScratchArea<T>.Size(Panel<T>.WideWidth * (long)chunks * (((GroupTiles + 1L) * Expand.Tile) + (Moments * (GroupTiles + Contract.TileRows))))
        + (chunks * (Expand.CodeElements(Expand.TileColumns, Panel<T>.WideWidth) + Contract.CodeElements(GroupTiles, Panel<T>.WideWidth)))
        + Math.Max(Expand.ScratchElementsOf(chunks), Contract.ScratchElementsOf(chunks)) + 256;

    /// <summary>A few chunks forward.</summary>
    /// <param name="x">Input in the coefficient domain, [Dp][width], with its moments.</param>
    /// <param name="hidden">Where to keep the input of GELU, [Fp][width]; none keeps nothing.</param>
    /// <param name="hiddenHat">Where to keep GELU's output in the coefficient domain, [Fp][width]; none keeps nothing.</param>
    /// <param name="y">Output, [Dp][width].</param>
    /// <param name="scratch">Scratch of the thread.</param>
    internal void ForwardChunks(HatBlocks<T> x, ChunkPointers<T> hidden, ChunkPointers<T> hiddenHat, ChunkPointers<T> y, ScratchArea<T> scratch)
    {
        int group = GroupTiles, width = x.Width, count = x.Count;
        long block = (long)Expand.Tile * width, rowMoments = (long)Moments * width;
        ChunkPointers<T> s = new(scratch.Take(Contract.TileRows * rowMoments * count), Contract.TileRows * rowMoments);
        ChunkPointers<T> groupHidden = new(scratch.Take(block * count), block);
        ChunkPointers<T> groupHat = hiddenHat.IsNull ? new(scratch.Take(group * block * count), group * block) : hiddenHat;
        ChunkPointers<T> groupMoments = new(scratch.Take(group * rowMoments * count), group * rowMoments);
        T* groupCodes = scratch.Take(Contract.CodeElements(group, width) * count);
        x = Expand.Quantize(x, Expand.TileColumns, scratch.Take(Expand.CodeElements(Expand.TileColumns, width) * count));
        for (int c = 0; c < count; c++)
        {
            new Span<T>(s[c], (int)(Contract.TileRows * rowMoments)).Clear();
            new Span<T>(y[c], PaddedWidth * width).Clear();
        }

        for (int first = 0; first < Expand.TileRows; first += group)
        {
            int last = Math.Min(first + group, Expand.TileRows);
            ChunkPointers<T> hat = hiddenHat.IsNull ? groupHat : hiddenHat.Offset(first * block);
            for (int i = first; i < last; i++)
            {
                ChunkPointers<T> f = hidden.IsNull ? groupHidden : hidden.Offset(i * block);
                Expand.ForwardRow(i, x, f, scratch);
                for (int c = 0; c < count; c++)
                {
                    T* h = hat[c] + ((i - first) * block);
                    Activate(f[c], h, block);
                    Contract.TransformInput(1, h, h, groupMoments[c] + ((i - first) * rowMoments), width);
                }
            }

            HatBlocks<T> blocks = Contract.Quantize(new(x.Group, hat, groupMoments, default), last - first, groupCodes);
            for (int o = 0; o < Contract.TileRows; o++) Contract.AccumulateRow(o, first, last, blocks, y.Offset(o * block), s.Offset(o * rowMoments), scratch);
        }

        for (int c = 0; c < count; c++)
        {
            for (int o = 0; o < Contract.TileRows; o++) Contract.FinishRow(o, y[c] + (o * block), s[c] + (o * rowMoments), y[c] + (o * block), width);
        }
    }

    /// <summary>
    /// One tile row of the hidden layer of a chunk: input of GELU, its output in the coefficient domain, that one's moments.
    /// </summary>
    internal void HiddenRow(int row, HatBlocks<T> x, T* hidden, T* hiddenHat, T* hiddenMoments, ScratchArea<T> scratch)
    {
        Expand.ForwardRow(row, x, new ChunkPointers<T>(hidden, 0), scratch);
        Activate(hidden, hiddenHat, (long)Expand.Tile * x.Width);
        Contract.TransformInput(1, hiddenHat, hiddenHat, hiddenMoments, x.Width);
    }

    /// <summary>
    /// One tile row of the output of a chunk, y <c>[tile][width]</c>, from the whole hidden layer: the same bits as <see
    /// cref="ForwardChunks"/>'s.
    /// </summary>
    internal void OutputRow(int row, HatBlocks<T> hidden, T* y, ScratchArea<T> scratch)
    {
        int group = GroupTiles, width = hidden.Width;
        long block = (long)Expand.Tile * width, rowMoments = (long)Moments * width;
        T* s = scratch.Take(rowMoments);
        new Span<T>(s, (int)rowMoments).Clear();
        new Span<T>(y, (int)block).Clear();
        for (int first = 0; first < Expand.TileRows; first += group)
        {
            HatBlocks<T> blocks = hidden with { Hat = hidden.Hat.Offset(first * block), Moments = hidden.Moments.Offset(first * rowMoments) };
            Contract.AccumulateRow(row, first, Math.Min(first + group, Expand.TileRows), blocks, new ChunkPointers<T>(y, 0), new ChunkPointers<T>(s, 0), scratch);
        }

        Contract.FinishRow(row, y, s, y, width);
    }

    /// <summary>y = gelu(x); y may be x.</summary>
    internal void Activate(T* x, T* y, long count) => GeluKernel.Forward(_gelu, x, y, count);

    /// <summary>GELU and its output's transform of one chunk, again: hidden -> hiddenHat.</summary>
    internal void RecomputeHat(T* hidden, T* hiddenHat, int width)
    {
        long block = (long)Expand.Tile * width;
        for (int i = 0; i < Expand.TileRows; i++, hidden += block, hiddenHat += block)
        {
            Activate(hidden, hiddenHat, block);
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
    internal void BackwardChunk(T* gyHat, T* gyMoments, T* hidden, T* ghHat, T* ghMoments, T* expandBiasSums, T* dx, int width, ScratchArea<T> scratch)
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
