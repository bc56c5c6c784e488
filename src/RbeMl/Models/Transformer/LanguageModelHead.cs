using System.Globalization;
using System.Numerics;
using RbeMl.Kernels;
using RbeMl.Layers;
using RbeMl.Memory;
using RbeMl.Numerics;

namespace RbeMl.Models;

/// <summary>
/// What reads the next token from the last block's output: final LayerNorm, product with a table, and the loss with its gradients. Letters: N tokens,
/// w lanes of a chunk, Dp width and Vp vocabulary in whole tiles.
/// </summary>
/// <param name="table">The head's weights, its own or the token embedding's.</param>
/// <param name="norm">The final LayerNorm.</param>
/// <typeparam name="T">Element type.</typeparam>
internal sealed unsafe class LanguageModelHead<T>(TokenTable<T> table, FinalNorm<T> norm)
    where T : unmanaged, IFloatingPointIeee754<T>
{
    // Logits of at most this many elements exist at a time; the number of chunks in a group depends on shapes only, never on threads.
    private const long GroupElements = 4 << 20;

    private enum Stage
    {
        Loss,
        Gradients,
    }

    /// <summary>The weights.</summary>
    public TokenTable<T> Table => table;

    /// <summary>The final LayerNorm.</summary>
    public FinalNorm<T> Norm => norm;

    /// <summary>
    /// Scratch elements of a step: mean and 1 / deviation, normalised input, and what the table itself takes; logits are in a panel of the
    /// context.
    /// </summary>
    public long LossScratch => ScratchArea<T>.Size(Panel<T>.WideLanes * (2L + norm.PaddedWidth)) + 64 + table.ScratchElements;

    // The same with the logits.
    private long LogitsScratch => ScratchArea<T>.Size(Panel<T>.WideLanes * (2L + norm.PaddedWidth + table.PaddedVocabulary)) + 64 + table.ScratchElements;

    /// <summary>Makes room in every thread's scratch and decodes the LayerNorm. Call it before a parallel loop over <see cref="ChunkLogits"/>.</summary>
    /// <returns>What <see cref="ChunkLogits"/> takes as vectors; lives in the workspace.</returns>
    public T* Prepare(Workspace<T> workspace)
    {
        workspace.EnsureScratch(LogitsScratch);
        return norm.Decode(workspace);
    }

    /// <summary>Logits of one chunk of hidden states.</summary>
    /// <param name="x">The panel.</param>
    /// <param name="chunk">Which chunk.</param>
    /// <param name="vectors">Of <see cref="Prepare"/>.</param>
    /// <param name="scratch">The thread's; the result lies in it.</param>
    /// <returns><c>[V][w]</c>, a lane a token; lanes beyond the tokens hold anything.</returns>
    public T* ChunkLogits(Panel<T> x, int chunk, T* vectors, ScratchArea<T> scratch)
    {
        T* statistics = scratch.Take(2L * x.Lanes);
        T* normalized = scratch.Take((long)norm.PaddedWidth * x.Lanes);
        T* logits = scratch.Take((long)table.PaddedVocabulary * x.Lanes);
        norm.Forward(x, chunk, vectors, normalized, statistics);
        table.LogitsChunk(normalized, null, logits, x.Lanes, scratch);
        return logits;
    }

    /// <summary>Logits of all tokens of a panel, row-major [N, V].</summary>
    /// <exception cref="NonFiniteException">A logit is NaN or infinite.</exception>
    public void Logits(Panel<T> x, Workspace<T> workspace, Span<T> logits)
    {
        T* vectors = Prepare(workspace);
        fixed (T* output = logits)
        {
            PanelWork work = new(this, x, vectors, output, workspace);
            workspace.Workers.For(x.Chunks, ref work);
        }

        RequireFinite(logits);
    }

    /// <summary>Logits of single vectors, for float.</summary>
    /// <param name="x">[batch][Dp]; they are normalised in place.</param>
    /// <param name="batch">Vectors.</param>
    /// <param name="vectors">Room for gamma and beta, [2][Dp].</param>
    /// <param name="workspace">Threads and scratch.</param>
    /// <param name="logits">[batch, V], written.</param>
    /// <exception cref="NonFiniteException">A logit is NaN or infinite.</exception>
    public void VectorLogits(T* x, int batch, T* vectors, Workspace<T> workspace, Span<T> logits)
    {
        int stride = norm.PaddedWidth;
        norm.Decode(vectors);
        for (int b = 0; b < batch; b++) norm.Layer.ApplyVector(x + ((long)b * stride), vectors, vectors + stride, x + ((long)b * stride));
        workspace.EnsureScratch(table.LogitsItemScratch);
        LogitVectors<T> input = table.PrepareLogits(x, stride, batch, workspace);
        fixed (T* output = logits)
        {
            VectorWork work = new(table, input, output, workspace);
            workspace.Workers.For(table.LogitsItems, ref work);
        }

        RequireFinite(logits);
    }

    /// <summary>The sum of the losses so far and of a panel's cross-entropies; with gradients, that of the panel goes to the context's GradientA.</summary>
    /// <param name="x">The last block's output.</param>
    /// <param name="targets">[N] ids; negative where nothing is to be predicted.</param>
    /// <param name="context">The step's.</param>
    /// <param name="gradients">Added to; null for the loss only.</param>
    /// <param name="scale">Factor of the gradients.</param>
    /// <param name="sum">Losses so far.</param>
    public double Loss(Panel<T> x, ReadOnlySpan<int> targets, TransformerContext<T> context, ParameterVector<T>? gradients, double scale, double sum) =>
        LossFrom(x, targets, default, context, gradients, scale, sum);

    /// <summary>The same of the divergence of the predictions from those that this head makes of another panel.</summary>
    /// <param name="x">The last block's output.</param>
    /// <param name="targets">[N]; negative where nothing counts, else any id.</param>
    /// <param name="expected">What the predictions should be.</param>
    /// <param name="context">The step's.</param>
    /// <param name="gradients">Added to; null for the loss only.</param>
    /// <param name="scale">Factor of the gradients.</param>
    /// <param name="sum">Losses so far.</param>
    public double LossFrom(Panel<T> x, ReadOnlySpan<int> targets, ExpectedPredictions<T> expected, TransformerContext<T> context,
        ParameterVector<T>? gradients, double scale, double sum)
    {
        int lanes = x.Chunks * x.Lanes;
        int* target = context.Targets.Ensure(lanes);
        for (int i = 0; i < lanes; i++) target[i] = i < targets.Length ? targets[i] : -1;
        T* losses = context.Losses.Ensure(lanes);
        norm.Prepare(x, context, gradients is not null);
        context.Workspace.EnsureScratch(expected.Hidden is null ? LossScratch : LossScratch + LogitsScratch);
        int group = Group(x.Chunks, x.Lanes, context.Settings);
        for (int first = 0; first < x.Chunks; first += group)
        {
            int count = Math.Min(group, x.Chunks - first);
            int tokens = Math.Min(x.Tokens - (first * x.Lanes), count * x.Lanes);

            // A last group of few tokens must keep the panel's width.
            int whole = x.Lanes < Panel<T>.WideLanes ? tokens : Math.Max(tokens, Panel<T>.FewestWide);
            context.HeadInputCoefficients.Reshape(whole, norm.PaddedWidth, norm.PaddedWidth);
            context.Logits.Reshape(whole, table.PaddedVocabulary, table.PaddedVocabulary);

            LossWork work = new(this, x, expected, context, first, gradients, T.CreateTruncating(scale), Stage.Loss);
            context.Workspace.Workers.For(count, ref work);
            if (gradients is null) continue;
            LossWork weights = work with { Stage = Stage.Gradients };
            context.Workspace.Workers.For(table.GradientItems, ref weights);
        }

        if (gradients is not null) norm.AddGradients(x.Chunks, context, gradients);
        for (int i = 0; i < targets.Length; i++) sum += double.CreateTruncating(losses[i]);
        return sum;
    }

    /// <summary>Bytes that <see cref="Loss"/> with gradients will have taken of a context.</summary>
    public long Bytes(ActivationSettings settings, int tokens)
    {
        int width = Panel<T>.LanesFor(tokens), lanes = Panel<T>.RoundUp(tokens, width), chunks = lanes / width;
        int group = (int)Math.Min(tokens, (long)Group(chunks, width, settings) * width);
        long elements = Panel<T>.Elements(group, norm.PaddedWidth) + Panel<T>.Elements(group, table.PaddedVocabulary) + (2L * norm.PaddedWidth)
            + (2L * norm.Width * chunks) + lanes;
        return (elements * sizeof(T)) + ((long)lanes * sizeof(int));
    }

    // Chunks whose logits exist at a time.
    private int Group(int chunks, int width, ActivationSettings settings)
    {
        int most = Math.Max(2, chunks);
        return settings.HeadChunks > 0 ? Math.Min(settings.HeadChunks, most) : (int)Math.Clamp(GroupElements / ((long)table.PaddedVocabulary * width), 2, most);
    }

    private void LossChunk(Panel<T> x, ExpectedPredictions<T> expected, TransformerContext<T> context, int first, int item, bool gradient, T scale,
        ScratchArea<T> scratch)
    {
        int chunk = first + item, lanes = x.Lanes, vocabulary = table.Vocabulary;
        T* statistics = scratch.Take(2L * lanes);
        T* normalized = scratch.Take((long)norm.PaddedWidth * lanes);
        T* logits = context.Logits.Chunk(item);
        norm.Forward(x, chunk, context.HeadVectors.Pointer, normalized, statistics);
        table.LogitsChunk(normalized, gradient ? context.HeadInputCoefficients.Chunk(item) : null, logits, lanes, scratch);
        int* targets = context.Targets.Pointer + ((long)chunk * lanes);
        T* losses = context.Losses.Pointer + ((long)chunk * lanes);
        if (expected.Hidden is null) CrossEntropyKernel.Loss(logits, vocabulary, lanes, targets, losses, gradient, scale);
        else DivergenceKernel.Loss(logits, ChunkLogits(expected.Hidden, chunk, expected.Vectors, scratch), vocabulary, lanes, targets, losses, gradient, scale);
        if (!gradient) return;
        new Span<T>(logits + ((long)vocabulary * lanes), (table.PaddedVocabulary - vocabulary) * lanes).Clear();
        table.LogitsBackwardChunk(logits, normalized, norm.PaddedWidth, lanes, scratch);
        norm.Backward(x, chunk, statistics, normalized, context);
    }

    private void RequireFinite(ReadOnlySpan<T> logits)
    {
        fixed (T* values = logits)
        {
            if (FiniteSearch.AllFinite(values, logits.Length)) return;
        }

        for (int i = 0; i < logits.Length; i++)
        {
            if (!T.IsFinite(logits[i]))
            {
                throw new NonFiniteException("head",
                    string.Create(CultureInfo.InvariantCulture,
                    $"logit {logits[i]} of token {i / table.Vocabulary}, id {i % table.Vocabulary}. The model's weights are damaged or its training "
                        + $"diverged. Go back to an earlier file of it."));
            }
        }
    }

    private readonly struct PanelWork(LanguageModelHead<T> head, Panel<T> x, T* vectors, T* output, Workspace<T> workspace) : IParallelWork
    {
        public void Execute(int item, int worker)
        {
            int vocabulary = head.Table.Vocabulary;
            T* logits = head.ChunkLogits(x, item, vectors, workspace.Scratch(worker));
            Elementwise.Transpose(logits, vocabulary, x.TokensIn(item), x.Lanes, output + ((long)item * x.Lanes * vocabulary), vocabulary);
        }
    }

    private readonly struct VectorWork(TokenTable<T> table, LogitVectors<T> x, T* logits, Workspace<T> workspace) : IParallelWork
    {
        public void Execute(int item, int worker) => table.LogitsItem(item, x, logits, workspace.Scratch(worker));
    }

    private readonly record struct LossWork(LanguageModelHead<T> Head, Panel<T> X, ExpectedPredictions<T> Expected, TransformerContext<T> Context, int First,
        ParameterVector<T>? Gradients, T Scale, Stage Stage) : IParallelWork
    {
        public void Execute(int item, int worker)
        {
            ScratchArea<T> scratch = Context.Workspace.Scratch(worker);
            if (Stage == Stage.Gradients) Head.Table.HeadGradientItem(item, Context.HeadInputCoefficients, Context.Logits, Gradients!, scratch);
            else Head.LossChunk(X, Expected, Context, First, item, Gradients is not null, Scale, scratch);
        }
    }
}

/// <summary>Predictions to come near: what a head makes of a panel.</summary>
/// <param name="hidden">Output of a last block, of the shape of the one that is compared; null for none.</param>
/// <param name="vectors">Decoded gamma and beta of the final LayerNorm for it, [2][Dp].</param>
/// <typeparam name="T">Element type.</typeparam>
internal readonly unsafe struct ExpectedPredictions<T>(Panel<T>? hidden, T* vectors)
    where T : unmanaged, IFloatingPointIeee754<T>
{
    /// <summary>The output.</summary>
    public Panel<T>? Hidden { get; } = hidden;

    /// <summary>The vectors.</summary>
    public T* Vectors => vectors;
}

/// <summary>Cross-entropy of the next token at every place with a target.</summary>
/// <param name="head">The model's.</param>
/// <param name="targets">[B, T] ids; negative where nothing is to be predicted.</param>
/// <param name="length">T.</param>
/// <param name="gradients">Added to; null for the loss only.</param>
/// <param name="scale">Factor of the gradients.</param>
/// <param name="losses">[B, T] written with the losses; empty where they are not wanted one by one.</param>
/// <typeparam name="T">Element type.</typeparam>
internal readonly unsafe ref struct NextToken<T>(LanguageModelHead<T> head, ReadOnlySpan<int> targets, int length, ParameterVector<T>? gradients,
    double scale, Span<T> losses) : IHiddenObjective<T>
    where T : unmanaged, IFloatingPointIeee754<T>
{
    private readonly ReadOnlySpan<int> _targets = targets;
    private readonly Span<T> _losses = losses;

    public double LossAndGradient(Panel<T> hidden, int first, int count, TransformerContext<T> context, double sum)
    {
        double added = head.Loss(hidden, _targets.Slice(first * length, count * length), context, gradients, scale, sum);
        if (!_losses.IsEmpty) new ReadOnlySpan<T>(context.Losses.Pointer, count * length).CopyTo(_losses[(first * length)..]);
        return added;
    }
}
