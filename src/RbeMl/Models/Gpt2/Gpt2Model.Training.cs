using System.Numerics;
using RbeMl.Kernels;
using RbeMl.Layers;
using RbeMl.Memory;
using RbeMl.Numerics;

namespace RbeMl.Models;

/// <content>Embedding, head, loss and backward.</content>
public sealed unsafe partial class Gpt2Model<T>
    where T : unmanaged, IFloatingPointIeee754<T>
{
    // Logits of at most this many elements exist at a time; the number of chunks in a group depends on shapes only, never on threads.
    private const long GroupElements = 4 << 20;

    private enum HeadStage
    {
        Loss,
        Gradients,
    }

    /// <summary>
    /// Mean loss in nats of a batch, and, when <paramref name="gradients"/> are given, their addition: gradients of the mean, times <paramref name="scale"/>.
    /// </summary>
    /// <param name="tokens">[B, T] ids.</param>
    /// <param name="targets">[B, T] ids to predict; negative where nothing is to be predicted.</param>
    /// <param name="batch">B.</param>
    /// <param name="length">T.</param>
    /// <param name="context">Activations and workspace.</param>
    /// <param name="dropout">Random stream of the dropout; null for evaluation.</param>
    /// <param name="gradients">Vector of the parameters' layout, added to; null for the loss only.</param>
    /// <param name="scale">Factor of the gradient; when accumulating, the targets of this micro-batch over those of all of the step, so that their sum is that of the mean.</param>
    /// <exception cref="TokenException">An id is outside the vocabulary, the sequence is too long, or nothing is to be predicted.</exception>
    /// <exception cref="ShapeMismatchException">Shapes do not fit together, or context or gradients are of another model.</exception>
    /// <exception cref="NonFiniteException">A layer made a NaN or infinity; it is named.</exception>
    /// <exception cref="ConcurrentUseException">The context or its workspace is in use by another call.</exception>
    public double Loss(
        ReadOnlySpan<int> tokens, ReadOnlySpan<int> targets, int batch, int length, Gpt2Context<T> context, DropoutStep? dropout = null, ParameterVector<T>? gradients = null, double scale = 1)
    {
        int predicted = TokenTargets.Count(targets);
        if (predicted == 0 && targets.Length == tokens.Length) throw TokenTargets.None("the batch");
        return LossSum(tokens, targets, batch, length, context, dropout, gradients, scale / predicted) / predicted;
    }

    /// <summary>The same, but the sum of the losses and not their mean, and gradients of that sum: what adds up over the batches of a step or validation.</summary>
    /// <inheritdoc cref="Loss"/>
    /// <remarks>They are added token by token to those of earlier batches, if any, so that the sum is the same however the tokens are divided.</remarks>
    internal double LossSum(
        ReadOnlySpan<int> tokens, ReadOnlySpan<int> targets, int batch, int length, Gpt2Context<T> context, DropoutStep? dropout, ParameterVector<T>? gradients, double scale, double sum = 0)
    {
        ArgumentNullException.ThrowIfNull(context);
        context.Require(this);
        using Hold weights = Parameters.Lease.Share(), kept = context.Lease.Claim(), scratch = context.Workspace.Lease.Claim(), sums = Share(gradients);
        context.Own(ref tokens, ref targets);
        CheckTokens(tokens, batch, length, 0);
        CheckTargets(targets, tokens.Length);
        NextToken objective = new(this, targets, length, gradients, scale);
        return Step(tokens, batch, length, context, dropout, gradients, ref objective, sum);
    }

    /// <summary>
    /// A training step from the tokens to the last block's output, where an objective takes over, and with gradients from there back: the seam between the
    /// model and what is read from it.
    /// </summary>
    /// <typeparam name="TObjective">What is read from the hidden states.</typeparam>
    /// <param name="tokens">[B, T] ids, checked.</param>
    /// <param name="batch">B.</param>
    /// <param name="length">T.</param>
    /// <param name="context">Activations and workspace.</param>
    /// <param name="dropout">Random stream of the dropout; null for evaluation.</param>
    /// <param name="gradients">Vector of the parameters' layout, added to; null for no backward.</param>
    /// <param name="objective">The objective.</param>
    /// <param name="sum">Losses of earlier batches, to which these are added.</param>
    /// <returns>The sum of the losses.</returns>
    /// <exception cref="NonFiniteException">A layer made a NaN or infinity; it is named.</exception>
    internal double Step<TObjective>(
        ReadOnlySpan<int> tokens, int batch, int length, Gpt2Context<T> context, DropoutStep? dropout, ParameterVector<T>? gradients, ref TObjective objective, double sum = 0)
        where TObjective : IHiddenObjective<T>, allows ref struct
    {
        context.Require(this);
        if (gradients is not null) Parameters.RequireLayout("loss", gradients);
        int part = context.Settings.PartOf(batch, length);
        if (gradients is not null)
        {
            context.PrepareOffload(part, length);
            if (part < batch) context.EmbeddingGradient.Reshape(tokens.Length, Width, PaddedWidth);
        }

        context.Options.Dropout = dropout;
        for (int first = 0; first < batch; first += part)
        {
            int count = Math.Min(part, batch - first);
            context.Options.FirstSequence = first;
            Panel<T> hidden = PartForward(tokens.Slice(first * length, count * length), count, length, context, gradients is not null);
            long started = StepProfile.Now(context.Workspace.Profile);
            sum = objective.Add(hidden, first, count, context, sum);
            context.Workspace.Profile?.Lap(ProfileStage.HeadAndLoss, started);
            if (!double.IsFinite(sum))
            {
                throw new NonFiniteException("head", FormattableString.Invariant($"the loss is {sum} while every block's output is finite. Lower the learning rate, or look for a bad weight in the final LayerNorm or head."));
            }

            if (gradients is null) continue;
            Panel<T> dx = Backward(count * length, context, gradients);
            if (part < batch) Buffer.MemoryCopy(dx.Pointer, context.EmbeddingGradient.Chunk(first * length / dx.Width), dx.Length * sizeof(T), dx.Length * sizeof(T));
            else EmbedGradients(tokens, dx, length, context, gradients);
        }

        if (gradients is not null && part < batch) EmbedGradients(tokens, context.EmbeddingGradient, length, context, gradients);
        context.Options.FirstSequence = 0;
        return sum;
    }

    private static Hold Share(ParameterVector<T>? gradients) => gradients is null ? default : gradients.Lease.Share();

    // A part of the batch through the embedding and all blocks.
    private Panel<T> PartForward(ReadOnlySpan<int> tokens, int batch, int length, Gpt2Context<T> context, bool keep)
    {
        Workspace<T> workspace = context.Workspace;
        Panel<T>[] x = context.Residual;
        long started = StepProfile.Now(workspace.Profile);
        Embed(tokens, length, 0, x[0], workspace, context.Options);
        RequireFiniteEmbedding(x[0]);
        workspace.Profile?.Lap(ProfileStage.Embedding, started);
        BlockCall<T> call = workspace.Call();
        call.Lent = keep ? null : context.Blocks[0];
        try
        {
            for (int l = 0; l < Blocks.Count; l++)
            {
                context.Cancel.ThrowIfCancellationRequested();
                x[l + 1].Reshape(tokens.Length, Width, PaddedWidth);
                Blocks[l].Forward(x[l], x[l + 1], batch, length, context.Options, keep ? context.Blocks[l] : null, workspace);
            }
        }
        finally
        {
            call.Lent = null;
        }

        return x[^1];
    }

    // From GradientA through all blocks; the result is the gradient of the embedding's output.
    private Panel<T> Backward(int tokens, Gpt2Context<T> context, ParameterVector<T> gradients)
    {
        Panel<T> dy = context.GradientA, dx = context.GradientB;
        for (int l = Blocks.Count - 1; l >= 0; l--, (dy, dx) = (dx, dy))
        {
            context.Cancel.ThrowIfCancellationRequested();
            dx.Reshape(tokens, Width, PaddedWidth);
            Blocks[l].Backward(dy, dx, context.Blocks[l], gradients, context.Workspace);
        }

        if (context.Options.Dropout is { } dropout && EmbeddingDropout > 0)
        {
            DropEmbeddingWork work = new(this, dropout, dy, (long)context.Options.FirstSequence * context.Blocks[0].Length);
            context.Workspace.Team.For(dy.Chunks, ref work);
        }

        return dy;
    }

    private void EmbedGradients(ReadOnlySpan<int> tokens, Panel<T> dx, int length, Gpt2Context<T> context, ParameterVector<T> gradients)
    {
        long started = StepProfile.Now(context.Workspace.Profile);
        context.Workspace.EnsureScratch(_tokens.ScratchElements);
        fixed (int* ids = tokens)
        {
            EmbedGradientWork work = new(this, ids, tokens.Length, dx, length, gradients, context.Workspace);
            context.Workspace.Team.For(_tokens.GradientItems, ref work);
        }

        context.Workspace.Profile?.Lap(ProfileStage.EmbeddingGradients, started);
    }

    // x = token + position, with dropout; [N] tokens into a panel [Dp].
    private void Embed(ReadOnlySpan<int> tokens, int length, int past, Panel<T> x, Workspace<T> workspace, ForwardOptions<T>? options)
    {
        x.Reshape(tokens.Length, Width, PaddedWidth);
        workspace.EnsureScratch(_tokens.ScratchElements);
        fixed (int* ids = tokens)
        {
            EmbedWork work = new(this, ids, x, length, past, options, workspace);
            workspace.Team.For(x.Chunks, ref work);
        }
    }

    private void EmbedChunk(int* ids, Panel<T> x, int chunk, int length, int past, ForwardOptions<T>? options, ScratchArea<T> scratch)
    {
        int first = chunk * x.Width, lanes = x.TokensIn(chunk);
        T* block = x.Chunk(chunk);
        _tokens.LookupChunk(new ReadOnlySpan<int>(ids + first, lanes), lanes, block, PaddedWidth, x.Width, scratch);
        T* positions = Parameters.At(_positions);
        for (int lane = 0; lane < lanes; lane++)
        {
            T* row = positions + (long)(past + ((first + lane) % length)) * Width;
            for (int f = 0; f < Width; f++) block[((long)f * x.Width) + lane] += row[f];
        }

        if (options?.Dropout is { } dropout && EmbeddingDropout > 0) DropEmbedding(dropout, x, chunk, (long)options.FirstSequence * length);
    }

    private void DropEmbedding(DropoutStep stream, Panel<T> x, int chunk, long firstToken) =>
        DropoutKernel.Apply(stream.Key(0, DropoutSite.Embedding), EmbeddingDropout, x.Chunk(chunk), 0, Width, firstToken + ((long)chunk * x.Width), x.Width);

    // Logits of all tokens of a panel, row-major [N, V].
    private void HeadLogits(Panel<T> x, Workspace<T> workspace, Span<T> logits)
    {
        T* vectors = PrepareHead(workspace);
        fixed (T* output = logits)
        {
            HeadLogitsWork work = new(this, x, vectors, output, workspace);
            workspace.Team.For(x.Chunks, ref work);
        }
    }

    // Mean and 1 / deviation, normalised input, logits, and what the table itself takes.
    private long HeadScratch => ScratchArea<T>.Size(Panel<T>.WideWidth * (2L + PaddedWidth + _head.PaddedVocabulary)) + 64 + _head.ScratchElements;

    private T* DecodeFinalNorm(T* vectors)
    {
        _finalNorm.Gamma.Decode(vectors);
        _finalNorm.Beta.Decode(vectors + PaddedWidth);
        return vectors;
    }

    private void HeadLogitsChunk(Panel<T> x, int chunk, T* vectors, T* output, ScratchArea<T> scratch)
    {
        int width = x.Width, vocabulary = Config.Vocabulary;
        T* logits = ChunkLogits(x, chunk, vectors, scratch);
        Elementwise.Transpose(logits, vocabulary, x.TokensIn(chunk), width, output + ((long)chunk * width * vocabulary), vocabulary);
    }

    // Chunks whose logits exist at a time.
    private int HeadGroup(int chunks, int width, ActivationSettings settings)
    {
        int most = Math.Max(2, chunks);
        return settings.HeadChunks > 0 ? Math.Min(settings.HeadChunks, most) : (int)Math.Clamp(GroupElements / ((long)_head.PaddedVocabulary * width), 2, most);
    }

    // Normalised input, mean and 1 / deviation, and what the table itself takes; logits are in a panel of the context.
    private long LossScratch => ScratchArea<T>.Size(Panel<T>.WideWidth * (2L + PaddedWidth)) + 64 + _head.ScratchElements;

    // The sum of the losses so far and of these; with gradients, dx of the final LayerNorm goes to GradientA.
    private double HeadLoss(Panel<T> x, ReadOnlySpan<int> targets, Gpt2Context<T> context, ParameterVector<T>? gradients, double gradientScale, double sum)
    {
        int lanes = x.Chunks * x.Width;
        int* target = context.Targets.Ensure(lanes);
        for (int i = 0; i < lanes; i++) target[i] = i < targets.Length ? targets[i] : -1;
        T* losses = context.Losses.Ensure(lanes);
        DecodeFinalNorm(context.HeadVectors.Ensure(2L * PaddedWidth));
        context.HeadSums.Ensure(2L * Width * x.Chunks);
        if (gradients is not null) context.GradientA.Reshape(x.Tokens, Width, PaddedWidth);
        context.Workspace.EnsureScratch(LossScratch);
        int group = HeadGroup(x.Chunks, x.Width, context.Settings);
        for (int first = 0; first < x.Chunks; first += group)
        {
            int count = Math.Min(group, x.Chunks - first);
            int tokens = Math.Min(x.Tokens - (first * x.Width), count * x.Width);

            // A last group of few tokens must keep the panel's width.
            int whole = x.Width == Panel<T>.NarrowWidth ? tokens : Math.Max(tokens, Panel<T>.NarrowWidth + 1);
            context.HeadInputHat.Reshape(whole, PaddedWidth, PaddedWidth);
            context.Logits.Reshape(whole, _head.PaddedVocabulary, _head.PaddedVocabulary);

            HeadLossWork work = new(this, x, context, first, gradients, T.CreateTruncating(gradientScale), HeadStage.Loss);
            context.Workspace.Team.For(count, ref work);
            if (gradients is null) continue;
            HeadLossWork weights = work with { Stage = HeadStage.Gradients };
            context.Workspace.Team.For(_head.GradientItems, ref weights);
        }

        if (gradients is not null) AddFinalNormGradients(x.Chunks, context, gradients);
        for (int i = 0; i < targets.Length; i++) sum += double.CreateTruncating(losses[i]);
        return sum;
    }

    // Gamma and beta of the final LayerNorm: the chunks' sums, added up group by group in the order of the chunks.
    private void AddFinalNormGradients(int allChunks, Gpt2Context<T> context, ParameterVector<T> gradients)
    {
        int group = ChunkGroup.Of(context.Blocks[0].Length);
        for (int first = 0; first < allChunks; first += group)
        {
            T* sums = context.HeadSums.Pointer + (2L * Width * first);
            int chunks = Math.Min(group, allChunks - first);
            for (int chunk = 1; chunk < chunks; chunk++) Elementwise.Add(sums, sums + (2L * Width * chunk), sums, 2L * Width);
            _finalNorm.Gamma.PullBack(sums, gradients);
            _finalNorm.Beta.PullBack(sums + Width, gradients);
        }
    }

    private void HeadLossChunk(Panel<T> x, Gpt2Context<T> context, int first, int item, bool gradient, T scale, ScratchArea<T> scratch)
    {
        int chunk = first + item, width = x.Width, vocabulary = Config.Vocabulary;
        T* mean = scratch.Take(width);
        T* rstd = scratch.Take(width);
        T* vectors = context.HeadVectors.Pointer;
        T* normalized = scratch.Take((long)PaddedWidth * width);
        T* logits = context.Logits.Chunk(item);
        _finalNorm.Statistics(x.Chunk(chunk), mean, rstd, width);
        _finalNorm.ApplyBlock(x.Chunk(chunk), mean, rstd, vectors, vectors + PaddedWidth, 0, PaddedWidth, normalized, width);
        _head.LogitsChunk(normalized, gradient ? context.HeadInputHat.Chunk(item) : null, logits, width, scratch);
        CrossEntropyKernel.Loss(logits, vocabulary, width, context.Targets.Pointer + ((long)chunk * width), context.Losses.Pointer + ((long)chunk * width), gradient, scale);
        if (!gradient) return;
        new Span<T>(logits + ((long)vocabulary * width), (_head.PaddedVocabulary - vocabulary) * width).Clear();
        _head.LogitsBackwardChunk(logits, normalized, PaddedWidth, width, scratch);
        T* dx = context.GradientA.Chunk(chunk);
        new Span<T>(dx, PaddedWidth * width).Clear();
        T* sums = context.HeadSums.Pointer + (2L * Width * chunk);
        _finalNorm.Backward(x.Chunk(chunk), mean, rstd, vectors, normalized, dx, sums, sums + Width, width);
    }

    private void CheckTargets(ReadOnlySpan<int> targets, int count)
    {
        if (targets.Length != count) throw new ShapeMismatchException("targets", $"{count} ids like the tokens", $"{targets.Length}", "Give one target a token, -1 for none.");
        foreach (int target in targets)
        {
            if (target >= Config.Vocabulary) throw new TokenException($"target id {target} is outside the vocabulary 0 .. {Config.Vocabulary - 1}. Use the model's own tokenizer.");
        }
    }

    // Embeddings add up to what is not finite only where they are damaged.
    private static void RequireFiniteEmbedding(Panel<T> x)
    {
        NonFiniteException? error = NonFinite.Find("embedding", x, "its output is", NonFinite.Mend);
        if (error is not null) throw error;
    }

    // Cross-entropy of the next token at every place with a target.
    private readonly ref struct NextToken(Gpt2Model<T> model, ReadOnlySpan<int> targets, int length, ParameterVector<T>? gradients, double scale) : IHiddenObjective<T>
    {
        private readonly ReadOnlySpan<int> _targets = targets;

        public double Add(Panel<T> hidden, int first, int count, Gpt2Context<T> context, double sum) =>
            model.HeadLoss(hidden, _targets.Slice(first * length, count * length), context, gradients, scale, sum);
    }

    private readonly struct EmbedWork(Gpt2Model<T> model, int* ids, Panel<T> x, int length, int past, ForwardOptions<T>? options, Workspace<T> workspace) : IParallelWork
    {
        public void Execute(int item, int worker) => model.EmbedChunk(ids, x, item, length, past, options, workspace.Scratch(worker));
    }

    private readonly struct DropEmbeddingWork(Gpt2Model<T> model, DropoutStep stream, Panel<T> x, long firstToken) : IParallelWork
    {
        public void Execute(int item, int worker) => model.DropEmbedding(stream, x, item, firstToken);
    }

    private readonly struct HeadLogitsWork(Gpt2Model<T> model, Panel<T> x, T* vectors, T* output, Workspace<T> workspace) : IParallelWork
    {
        public void Execute(int item, int worker) => model.HeadLogitsChunk(x, item, vectors, output, workspace.Scratch(worker));
    }

    private readonly record struct HeadLossWork(Gpt2Model<T> Model, Panel<T> X, Gpt2Context<T> Context, int First, ParameterVector<T>? Gradients, T Scale, HeadStage Stage) : IParallelWork
    {
        public void Execute(int item, int worker)
        {
            ScratchArea<T> scratch = Context.Workspace.Scratch(worker);
            if (Stage == HeadStage.Gradients) Model._head.HeadGradientItem(item, Context.HeadInputHat, Context.Logits, Gradients!, scratch);
            else Model.HeadLossChunk(X, Context, First, item, Gradients is not null, Scale, scratch);
        }
    }

    // Items are the token table's; each also takes its share of the features of the position embedding.
    private readonly struct EmbedGradientWork(Gpt2Model<T> model, int* ids, int count, Panel<T> dx, int length, ParameterVector<T> gradients, Workspace<T> workspace) : IParallelWork
    {
        public void Execute(int item, int worker)
        {
            model._tokens.LookupGradientItem(item, new ReadOnlySpan<int>(ids, count), dx, gradients, workspace.Scratch(worker));
            T* g = gradients.At(model._positions);
            int items = model._tokens.GradientItems, d = model.Width;
            int first = (int)((long)d * item / items), last = (int)((long)d * (item + 1) / items);
            for (int t = 0; t < count && first < last; t++)
            {
                T* lane = dx.Chunk(t / dx.Width) + (t % dx.Width);
                T* row = g + ((long)(t % length) * d);
                for (int f = first; f < last; f++) row[f] += lane[(long)f * dx.Width];
            }
        }
    }
}
