using System.Numerics;
using RbeMl.Layers;
using RbeMl.Memory;

namespace RbeMl.Models;

/// <content>Logits chunk by chunk, for readers that never need all of them at once.</content>
public sealed unsafe partial class Gpt2Model<T>
    where T : unmanaged, IFloatingPointIeee754<T>
{
    /// <summary>Makes room in every thread's scratch and decodes the final LayerNorm. Call it before a parallel loop over <see cref="ChunkLogits"/>.</summary>
    /// <returns>What <see cref="ChunkLogits"/> takes as vectors; lives in the workspace.</returns>
    internal T* PrepareHead(Workspace<T> workspace)
    {
        workspace.EnsureScratch(HeadScratch);
        return DecodeFinalNorm(workspace.Panel("model.final").Reshape(1, 2 * PaddedWidth, 2 * PaddedWidth).Pointer);
    }

    /// <summary>Logits of one chunk of <see cref="Hidden"/>'s panel.</summary>
    /// <param name="x">The panel.</param>
    /// <param name="chunk">Which chunk.</param>
    /// <param name="vectors">Of <see cref="PrepareHead"/>.</param>
    /// <param name="scratch">The thread's; the result lies in it.</param>
    /// <returns><c>[V][w]</c>, a lane a token; lanes beyond the tokens hold anything.</returns>
    internal T* ChunkLogits(Panel<T> x, int chunk, T* vectors, ScratchArea<T> scratch)
    {
        int width = x.Width;
        T* mean = scratch.Take(width);
        T* rstd = scratch.Take(width);
        T* normalized = scratch.Take((long)PaddedWidth * width);
        T* logits = scratch.Take((long)_head.PaddedVocabulary * width);
        _finalNorm.Statistics(x.Chunk(chunk), mean, rstd, width);
        _finalNorm.ApplyBlock(x.Chunk(chunk), mean, rstd, vectors, vectors + PaddedWidth, 0, PaddedWidth, normalized, width);
        _head.LogitsChunk(normalized, null, logits, width, scratch);
        return logits;
    }
}
