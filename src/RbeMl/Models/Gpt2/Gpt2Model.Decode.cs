using System.Numerics;
using RbeMl.Layers;
using RbeMl.Memory;

namespace RbeMl.Models;

/// <content>Generation: one new token each of a few sequences as vectors, from the embedding to the logits.</content>
public sealed unsafe partial class Gpt2Model<T>
    where T : unmanaged, IFloatingPointIeee754<T>
{
    private readonly struct LogitsWork(TokenTable<T> head, LogitVectors<T> x, T* logits, Workspace<T> workspace) : IParallelWork
    {
        public void Execute(int item, int worker) => head.LogitsItem(item, x, logits, workspace.Scratch(worker));
    }

    private void DecodeLogits(ReadOnlySpan<int> tokens, int batch, Workspace<T> workspace, KvCache<T> cache, Span<T> logits)
    {
        int past = cache.Length;
        tokens = workspace.Own(tokens);
        CheckTokens(tokens, batch, 1, past);
        cache.Check(this, batch, 1);
        Panel<T> embedded = workspace.Panel("model.a");
        Embed(tokens, 1, past, embedded, workspace, null);
        RequireFiniteEmbedding(embedded);

        // A narrow panel of one token is 16 Dp elements: two vectors for each of at most four sequences, then gamma and beta.
        long size = (long)batch * PaddedWidth;
        T* x = workspace.Panel("model.vectors").Reshape(1, PaddedWidth, PaddedWidth).Pointer, y = x + size, vectors = y + size;
        for (int b = 0; b < batch; b++)
        {
            for (int f = 0; f < PaddedWidth; f++) x[((long)b * PaddedWidth) + f] = embedded.Pointer[((long)f * embedded.Width) + b];
        }

        try
        {
            for (int l = 0; l < Blocks.Count; l++)
            {
                Blocks[l].Decode(x, y, batch, cache[l], workspace);
                T* next = y;
                y = x;
                x = next;
            }
        }
        catch
        {
            cache.Truncate(past); // the layers before have taken the token already
            throw;
        }

        DecodeFinalNorm(vectors);
        for (int b = 0; b < batch; b++) _finalNorm.ApplyVector(x + ((long)b * PaddedWidth), vectors, vectors + PaddedWidth, x + ((long)b * PaddedWidth));
        workspace.EnsureScratch(_head.LogitsItemScratch);
        LogitVectors<T> input = _head.PrepareLogits(x, PaddedWidth, batch, workspace);
        fixed (T* output = logits)
        {
            LogitsWork work = new(_head, input, output, workspace);
            workspace.Team.For(_head.LogitsItems, ref work);
        }

        RequireFiniteLogits(logits, Config.Vocabulary);
    }
}
