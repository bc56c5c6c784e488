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
            throw new ShapeMismatchException(contract.Name, $"[{expand.Inputs}, {expand.Outputs}]", $"[{contract.Outputs}, {contract.Inputs}]",
                "The second matrix must lead back to the width of the first one's input.");
        }

        UpProjection = expand;
        DownProjection = contract;
        _gelu = gelu;
    }

    /// <summary>D -> F.</summary>
    public RbeLinear<T> UpProjection { get; }

    /// <summary>F -> D.</summary>
    public RbeLinear<T> DownProjection { get; }

    /// <summary>F in whole tiles.</summary>
    public int PaddedHidden => UpProjection.TileRows * UpProjection.Tile;

    /// <summary>D in whole tiles.</summary>
    public int PaddedWidth => UpProjection.TileColumns * UpProjection.Tile;

    private int GroupTiles => Math.Max(1, Math.Min(UpProjection.TileRows, GroupFeatures / UpProjection.Tile));

    /// <summary>Scratch elements that many chunks take at most.</summary>
    internal long ScratchElements(int chunks) =>
        ScratchArea<T>.Size(Panel<T>.WideLanes * (long)chunks * (((GroupTiles + 1L) * UpProjection.Tile) + (Moments * (GroupTiles + DownProjection.TileRows))))
        + (chunks * (UpProjection.CodeElements(UpProjection.TileColumns, Panel<T>.WideLanes) + DownProjection.CodeElements(GroupTiles, Panel<T>.WideLanes)))
        + Math.Max(UpProjection.ScratchElementsOf(chunks), DownProjection.ScratchElementsOf(chunks)) + 256;

    /// <summary>A few chunks forward.</summary>
    /// <param name="x">Input in the coefficient domain, [Dp][width], with its moments.</param>
    /// <param name="hidden">Where to keep the input of GELU, [Fp][width]; none keeps nothing.</param>
    /// <param name="hiddenCoefficients">Where to keep GELU's output in the coefficient domain, [Fp][width]; none keeps nothing.</param>
    /// <param name="y">Output, [Dp][width].</param>
    /// <param name="scratch">Scratch of the thread.</param>
    internal void ForwardChunks(CoefficientBlocks<T> x, ChunkPointers<T> hidden, ChunkPointers<T> hiddenCoefficients, ChunkPointers<T> y,
        ScratchArea<T> scratch)
    {
        int group = GroupTiles, lanes = x.Lanes, count = x.Count;
        long block = (long)UpProjection.Tile * lanes, rowMoments = (long)Moments * lanes;
        ChunkPointers<T> s = new(scratch.Take(DownProjection.TileRows * rowMoments * count), DownProjection.TileRows * rowMoments);
        ChunkPointers<T> groupHidden = new(scratch.Take(block * count), block);
        ChunkPointers<T> groupCoefficients = hiddenCoefficients.IsNull ? new(scratch.Take(group * block * count), group * block) : hiddenCoefficients;
        ChunkPointers<T> groupMoments = new(scratch.Take(group * rowMoments * count), group * rowMoments);
        T* groupCodes = scratch.Take(DownProjection.CodeElements(group, lanes) * count);
        x = UpProjection.Quantize(x, UpProjection.TileColumns, scratch.Take(UpProjection.CodeElements(UpProjection.TileColumns, lanes) * count));
        for (int c = 0; c < count; c++) new Span<T>(s[c], (int)(DownProjection.TileRows * rowMoments)).Clear();

        for (int first = 0; first < UpProjection.TileRows; first += group)
        {
            int last = Math.Min(first + group, UpProjection.TileRows);
            ChunkPointers<T> coefficients = hiddenCoefficients.IsNull ? groupCoefficients : hiddenCoefficients.Offset(first * block);
            for (int i = first; i < last; i++)
            {
                ChunkPointers<T> f = hidden.IsNull ? groupHidden : hidden.Offset(i * block);
                UpProjection.ForwardRow(i, x, f, scratch);
                for (int c = 0; c < count; c++)
                {
                    T* h = coefficients[c] + ((i - first) * block);
                    Activate(f[c], h, block);
                    DownProjection.TransformInput(1, h, h, groupMoments[c] + ((i - first) * rowMoments), lanes);
                }
            }

            CoefficientBlocks<T> blocks = DownProjection.Quantize(new(x.Group, coefficients, groupMoments, default), last - first, groupCodes);
            for (int o = 0; o < DownProjection.TileRows; o++)
            {
                DownProjection.AccumulateRow(o, first, last, blocks, y.Offset(o * block), s.Offset(o * rowMoments), scratch,
                    accumulate: first > 0);
            }
        }

        for (int c = 0; c < count; c++)
        {
            for (int o = 0; o < DownProjection.TileRows; o++)
            {
                DownProjection.FinishRow(o, y[c] + (o * block), s[c] + (o * rowMoments), y[c] + (o * block), lanes);
            }
        }
    }

    /// <summary>
    /// One tile row of the hidden layer of a chunk: input of GELU, its output in the coefficient domain, that one's moments, and its codes
    /// among those of the chunk where there are any.
    /// </summary>
    internal void HiddenRow(
        int row, CoefficientBlocks<T> x, T* hidden, T* hiddenCoefficients, T* hiddenMoments, ChunkPointers<byte> codes, ScratchArea<T> scratch)
    {
        UpProjection.ForwardRow(row, x, new ChunkPointers<T>(hidden, 0), scratch);
        Activate(hidden, hiddenCoefficients, (long)UpProjection.Tile * x.Lanes);
        DownProjection.TransformInput(1, hiddenCoefficients, hiddenCoefficients, hiddenMoments, x.Lanes);
        if (!codes.IsNull) DownProjection.QuantizeBlocks(hiddenCoefficients, row, 1, codes[0], x.Lanes);
    }

    /// <summary>
    /// One tile row of the output of a chunk, y <c>[tile][width]</c>, from the whole hidden layer: the same bits as <see
    /// cref="ForwardChunks"/>'s.
    /// </summary>
    internal void OutputRow(int row, CoefficientBlocks<T> hidden, T* y, ScratchArea<T> scratch)
    {
        int group = GroupTiles, lanes = hidden.Lanes;
        long block = (long)UpProjection.Tile * lanes, rowMoments = (long)Moments * lanes;
        T* s = scratch.Take(rowMoments);
        new Span<T>(s, (int)rowMoments).Clear();
        for (int first = 0; first < UpProjection.TileRows; first += group)
        {
            CoefficientBlocks<T> blocks = hidden with
            {
                Coefficients = hidden.Coefficients.Offset(first * block),
                Moments = hidden.Moments.Offset(first * rowMoments),
                Codes = hidden.Codes.Offset(DownProjection.CodeBytes(first, lanes)),
            };
            DownProjection.AccumulateRow(row, first, Math.Min(first + group, UpProjection.TileRows), blocks, new ChunkPointers<T>(y, 0),
                new ChunkPointers<T>(s, 0), scratch, accumulate: first > 0);
        }

        DownProjection.FinishRow(row, y, s, y, lanes);
    }

    /// <summary>y = gelu(x), as exactly as the product that reads it; y may be x.</summary>
    internal void Activate(T* x, T* y, long count)
    {
        if (DownProjection.UsesCodes) GeluKernel.ForwardCoarse(_gelu, (float*)x, (float*)y, count);
        else GeluKernel.Forward(_gelu, x, y, count);
    }

    /// <summary>GELU and its output's transform of one chunk, again: hidden -> hiddenCoefficients.</summary>
    internal void RecomputeCoefficients(T* hidden, T* hiddenCoefficients, int width)
    {
        long block = (long)UpProjection.Tile * width;
        for (int i = 0; i < UpProjection.TileRows; i++, hidden += block, hiddenCoefficients += block)
        {
            Activate(hidden, hiddenCoefficients, block);
            DownProjection.TransformBlocks(1, hiddenCoefficients, hiddenCoefficients, width);
        }
    }

    /// <summary>One chunk backward to the input, leaving what the weight gradients need.</summary>
    /// <param name="gyCoefficients">Output gradient in the coefficient domain, [Dp][width].</param>
    /// <param name="gyMoments">Its moments.</param>
    /// <param name="hidden">Input of GELU of the forward.</param>
    /// <param name="ghCoefficients">Receives the gradient of GELU's input in the coefficient domain, [Fp][width].</param>
    /// <param name="ghMoments">Receives its moments.</param>
    /// <param name="expandBiasSums">Receives the chunk's part of Expand's bias gradient, [F].</param>
    /// <param name="dx">Receives the input gradient, [Dp][width].</param>
    /// <param name="width">Lanes.</param>
    /// <param name="scratch">Scratch of the thread.</param>
    internal void BackwardChunk(T* gyCoefficients, T* gyMoments, T* hidden, T* ghCoefficients, T* ghMoments, T* expandBiasSums, T* dx, int width,
        ScratchArea<T> scratch)
    {
        long block = (long)UpProjection.Tile * width;
        T* g = scratch.Take(block);
        for (int j = 0; j < DownProjection.TileColumns; j++)
        {
            new Span<T>(g, (int)block).Clear();
            DownProjection.AccumulateColumn(j, gyCoefficients, gyMoments, g, width, scratch);
            DownProjection.FinishColumn(j, g, g, width);
            GeluKernel.Backward(_gelu, hidden + j * block, g, g, block);
            UpProjection.TransformGradient(j, 1, g, ghCoefficients + j * block, ghMoments + (long)j * Moments * width,
                expandBiasSums + (long)j * UpProjection.Tile, width);
        }

        for (int j = 0; j < UpProjection.TileColumns; j++)
        {
            T* dxBlock = dx + j * block;
            new Span<T>(dxBlock, (int)block).Clear();
            UpProjection.AccumulateColumn(j, ghCoefficients, ghMoments, dxBlock, width, scratch);
            UpProjection.FinishColumn(j, dxBlock, dxBlock, width);
        }
    }
}
