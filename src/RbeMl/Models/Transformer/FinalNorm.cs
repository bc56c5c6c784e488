using System.Numerics;
using RbeMl.Layers;
using RbeMl.Memory;
using RbeMl.Numerics;

namespace RbeMl.Models;

/// <summary>The LayerNorm after the last block, chunk by chunk. Letters: w lanes of a chunk, D width, Dp the same in whole tiles.</summary>
/// <param name="layer">Its parameters.</param>
/// <param name="paddedWidth">Dp.</param>
/// <typeparam name="T">Element type.</typeparam>
internal sealed unsafe class FinalNorm<T>(LayerNorm<T> layer, int paddedWidth)
    where T : unmanaged, IFloatingPointIeee754<T>
{
    /// <summary>Gamma and beta.</summary>
    public LayerNorm<T> Layer => layer;

    /// <summary>D.</summary>
    public int Width => layer.Features;

    /// <summary>Dp.</summary>
    public int PaddedWidth => paddedWidth;

    /// <summary>Decodes gamma and beta into [2][Dp].</summary>
    public T* Decode(T* vectors)
    {
        layer.Gamma.Decode(vectors);
        layer.Beta.Decode(vectors + paddedWidth);
        return vectors;
    }

    /// <summary>The same into a panel of the workspace.</summary>
    public T* Decode(Workspace<T> workspace) => Decode(workspace.Panel("model.final").Reshape(1, 2 * paddedWidth, 2 * paddedWidth).Pointer);

    /// <summary>Mean and 1 / deviation of a chunk's lanes, [2][w].</summary>
    public void Statistics(Panel<T> x, int chunk, T* statistics) => layer.Statistics(x.Chunk(chunk), statistics, statistics + x.Lanes, x.Lanes);

    /// <summary>Normalises a chunk into <paramref name="y"/> [Dp][w], which may be the chunk, and writes its <see cref="Statistics"/>.</summary>
    public void Forward(Panel<T> x, int chunk, T* vectors, T* y, T* statistics)
    {
        Statistics(x, chunk, statistics);
        layer.ApplyBlock(x.Chunk(chunk), statistics, statistics + x.Lanes, vectors, vectors + paddedWidth, 0, paddedWidth, y, x.Lanes);
    }

    /// <summary>Makes room in a context for a step over a panel, and decodes gamma and beta there.</summary>
    public void Prepare(Panel<T> x, TransformerContext<T> context, bool gradients)
    {
        Decode(context.HeadVectors.Ensure(2L * paddedWidth));
        if (!gradients) return;
        context.HeadSums.Ensure(2L * Width * x.Chunks);
        context.GradientA.Reshape(x.Tokens, Width, paddedWidth);
    }

    /// <summary>The gradient of a chunk of x, into the context's GradientA, from that of its output; sums for gamma and beta are kept there.</summary>
    public void Backward(Panel<T> x, int chunk, T* statistics, T* dy, TransformerContext<T> context)
    {
        T* dx = context.GradientA.Chunk(chunk);
        new Span<T>(dx, paddedWidth * x.Lanes).Clear();
        T* sums = context.HeadSums.Pointer + (2L * Width * chunk);
        layer.Backward(x.Chunk(chunk), statistics, statistics + x.Lanes, context.HeadVectors.Pointer, dy, dx, sums, sums + Width, x.Lanes);
    }

    /// <summary>Adds the gradients of gamma and beta: the chunks' sums, added up group by group in the order of the chunks.</summary>
    public void AddGradients(int allChunks, TransformerContext<T> context, ParameterVector<T> gradients)
    {
        int group = ChunkGroup.Of(context.Blocks[0].Length);
        for (int first = 0; first < allChunks; first += group)
        {
            T* sums = context.HeadSums.Pointer + (2L * Width * first);
            int chunks = Math.Min(group, allChunks - first);
            for (int chunk = 1; chunk < chunks; chunk++) Elementwise.Add(sums, sums + (2L * Width * chunk), sums, 2L * Width);
            layer.Gamma.PullBack(sums, gradients);
            layer.Beta.PullBack(sums + Width, gradients);
        }
    }
}
