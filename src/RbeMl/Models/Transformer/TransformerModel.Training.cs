using System.Globalization;
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using RbeMl.Layers;
using RbeMl.Memory;

namespace RbeMl.Models;

/// <content>Training steps, and how much memory one takes, known before it.</content>
public sealed unsafe partial class TransformerModel<T>
    where T : unmanaged, IFloatingPointIeee754<T>
{
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
    /// <param name="scale">Factor of the gradient; when accumulating, the targets of this micro-batch over those of all of the step, so
    /// that their sum is that of the mean.</param>
    /// <param name="positions">
    /// [B, T] place of each token in its document, 0, 1, 2 ..., for rows that hold several: 0 begins one, and attention sees nothing of those before, so
    /// that its tokens are predicted as if it stood alone. Empty where each row is one.
    /// </param>
    /// <exception cref="TokenException">
    /// An id is outside the vocabulary, the sequence is too long, positions do not count from 0 in each row, or nothing is to be predicted.
    /// </exception>
    /// <exception cref="ShapeMismatchException">Shapes do not fit together, or context or gradients are of another model.</exception>
    /// <exception cref="NonFiniteException">A layer made a NaN or infinity; it is named.</exception>
    /// <exception cref="ConcurrentUseException">The context or its workspace is in use by another call.</exception>
    public double Loss(
        ReadOnlySpan<int> tokens, ReadOnlySpan<int> targets, int batch, int length, TransformerContext<T> context, DropoutStep? dropout = null,
        ParameterVector<T>? gradients = null, double scale = 1, ReadOnlySpan<int> positions = default)
    {
        int predicted = TokenTargets.Count(targets);
        if (predicted == 0 && targets.Length == tokens.Length) throw TokenTargets.None("the batch");
        return LossSum(tokens, targets, positions, batch, length, context, dropout, gradients, scale / predicted) / predicted;
    }

    /// <summary>
    /// The same, but the sum of the losses and not their mean, and gradients of that sum: what adds up over the batches of a step or
    /// validation.
    /// </summary>
    /// <inheritdoc cref="Loss"/>
    /// <remarks><c>losses</c>, [B, T] unless it is empty, is written with the loss of each token, which whoever adds those of several batches adds one by
    /// one, so that the sum is the same however the tokens are divided.</remarks>
    internal double LossSum(
        ReadOnlySpan<int> tokens, ReadOnlySpan<int> targets, ReadOnlySpan<int> positions, int batch, int length, TransformerContext<T> context,
        DropoutStep? dropout, ParameterVector<T>? gradients, double scale, Span<T> losses = default)
    {
        ArgumentNullException.ThrowIfNull(context);
        context.Require(this);
        using Hold weights = Parameters.Lease.Share(), kept = context.Lease.Claim(), scratch = context.Workspace.Lease.Claim(), sums = Share(gradients);
        context.Own(ref tokens, ref targets, ref positions);
        CheckTokens(tokens, batch, length, 0);
        CheckTargets(targets, tokens.Length);
        if (!positions.IsEmpty) CheckPositions(positions, tokens.Length, length);
        NextToken<T> objective = new(Head, targets, length, gradients, scale, losses);
        return Step(tokens, batch, length, context, dropout, gradients, ref objective, positions: positions);
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
    /// <param name="lengths">[B] tokens of each sequence without padding; empty where there is none.</param>
    /// <param name="positions">[B, T] place of each token in its document, checked and in native memory; empty where each row is one.</param>
    /// <returns>The sum of the losses.</returns>
    /// <exception cref="NonFiniteException">A layer made a NaN or infinity; it is named.</exception>
    internal double Step<TObjective>(
        ReadOnlySpan<int> tokens, int batch, int length, TransformerContext<T> context, DropoutStep? dropout, ParameterVector<T>? gradients,
        ref TObjective objective, ReadOnlySpan<int> lengths = default, ReadOnlySpan<int> positions = default)
        where TObjective : IHiddenObjective<T>, allows ref struct
    {
        context.Require(this);
        if (gradients is not null) Parameters.RequireLayout("loss", gradients);
        int part = context.Settings.PartOf(batch, length);
        double sum = 0;
        if (gradients is not null)
        {
            context.PrepareOffload(part, length);
            if (part < batch) context.EmbeddingGradient.Reshape(tokens.Length, Width, PaddedWidth);
        }

        byte* padding = Config.Causal || lengths.IsEmpty ? null : context.Padding.Fill(lengths, length);
        context.Options.Dropout = dropout;
        int* places = positions.IsEmpty ? null : (int*)Unsafe.AsPointer(ref MemoryMarshal.GetReference(positions));
        context.Options.Documents = places == null ? null : context.Documents;
        for (int first = 0; first < batch; first += part)
        {
            int count = Math.Min(part, batch - first);
            context.Options.FirstSequence = first;
            context.Options.Padding = padding == null ? null : padding + ((long)first * length);
            context.Options.Positions = places == null ? null : places + ((long)first * length);
            if (places != null) context.Documents.Fill(positions.Slice(first * length, count * length));
            Panel<T> hidden = PartForward(tokens.Slice(first * length, count * length), count, length, context, gradients is not null);
            long started = StepProfile.Now(context.Workspace.Profile);
            sum = objective.LossAndGradient(hidden, first, count, context, sum);
            context.Workspace.Profile?.Lap(ProfileStage.HeadAndLoss, started);
            if (!double.IsFinite(sum))
            {
                throw new NonFiniteException("head",
                    string.Create(CultureInfo.InvariantCulture,
                    $"the loss is {sum} while every block's output is finite. Lower the learning rate, or look for a bad weight in the final LayerNorm "
                        + $"or head."));
            }

            if (gradients is null) continue;
            Panel<T> dx = Backward(count * length, context, gradients);
            if (part < batch) Buffer.MemoryCopy(dx.Pointer, context.EmbeddingGradient.Chunk(first * length / dx.Lanes), dx.Length * sizeof(T),
                dx.Length * sizeof(T));
            else _embedding.AddGradients(tokens, places, dx, length, context.Workspace, gradients);
        }

        if (gradients is not null && part < batch) _embedding.AddGradients(tokens, places, context.EmbeddingGradient, length, context.Workspace, gradients);
        context.Options.FirstSequence = 0;
        context.Options.Padding = null;
        context.Options.Positions = null;
        context.Options.Documents = null;
        return sum;
    }

    private static Hold Share(ParameterVector<T>? gradients) => gradients is null ? default : gradients.Lease.Share();

    // A part of the batch through the embedding and all blocks.
    private Panel<T> PartForward(ReadOnlySpan<int> tokens, int batch, int length, TransformerContext<T> context, bool keep)
    {
        Workspace<T> workspace = context.Workspace;
        Panel<T>[] x = context.Residual;
        long started = StepProfile.Now(workspace.Profile);
        _embedding.Forward(tokens, length, 0, x[0], workspace, context.Options);
        workspace.Profile?.Lap(ProfileStage.Embedding, started);
        BlockState<T> call = workspace.State<BlockState<T>>();
        call.Borrowed = keep ? null : context.Blocks[0];
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
            call.Borrowed = null;
        }

        return x[^1];
    }

    // From GradientA through all blocks; the result is the gradient of the embedding's output.
    private Panel<T> Backward(int tokens, TransformerContext<T> context, ParameterVector<T> gradients)
    {
        Panel<T> dy = context.GradientA, dx = context.GradientB;
        for (int l = Blocks.Count - 1; l >= 0; l--, (dy, dx) = (dx, dy))
        {
            context.Cancel.ThrowIfCancellationRequested();
            dx.Reshape(tokens, Width, PaddedWidth);
            Blocks[l].Backward(dy, dx, context.Blocks[l], gradients, context.Workspace);
        }

        _embedding.DropGradient(dy, context.Options, context.Blocks[0].Length, context.Workspace);
        return dy;
    }

    private void CheckTargets(ReadOnlySpan<int> targets, int count)
    {
        if (targets.Length != count)
        {
            throw new ShapeMismatchException("targets", $"{count} ids like the tokens", $"{targets.Length}", "Give one target a token, -1 for none.");
        }

        foreach (int target in targets)
        {
            if (target >= Config.Vocabulary)
            {
                throw new TokenException($"target id {target} is outside the vocabulary 0 .. {Config.Vocabulary - 1}. Use the model's own tokenizer.");
            }
        }
    }

    // In each row from 0 on, one by one, or from 0 again.
    private static void CheckPositions(ReadOnlySpan<int> positions, int count, int length)
    {
        if (positions.Length != count)
        {
            throw new ShapeMismatchException("positions", $"{count} places like the tokens", $"{positions.Length}", "Give one for each token, or none.");
        }

        for (int i = 0; i < count; i++)
        {
            int expected = i % length == 0 ? 0 : positions[i - 1] + 1;
            if (positions[i] == 0 || positions[i] == expected) continue;
            throw new TokenException(
                $"position {positions[i]} at sequence {i / length}, token {i % length} is neither {expected} nor the 0 that begins a document. Count "
                    + $"the tokens of each document from 0, also where a row begins within one.");
        }
    }

    /// <summary>Bytes that <see cref="Loss"/> with gradients will have allocated in a context of these settings and its workspace.</summary>
    /// <param name="settings">What is kept, where, and how much of a batch is done at a time.</param>
    /// <param name="batch">B.</param>
    /// <param name="length">T.</param>
    /// <param name="threads">Threads of the workspace.</param>
    /// <param name="documents">Whether it is given positions, for documents that share rows.</param>
    /// <exception cref="InvalidSettingException">Batch x length is more than an array holds.</exception>
    public StepMemory PredictStep(ActivationSettings settings, int batch, int length, int threads, bool documents = false)
    {
        ArgumentNullException.ThrowIfNull(settings);
        ArgumentOutOfRangeException.ThrowIfLessThan(batch, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(length, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(threads, 1);
        if ((long)batch * length > Array.MaxLength)
        {
            throw new InvalidSettingException("batch x length", (long)batch * length,
                $"a step has at most {Array.MaxLength} tokens: use fewer or shorter sequences.");
        }

        (CheckpointPolicy policy, ActivationOffload offload) = (settings.Checkpointing, settings.Offload);
        int part = settings.PartOf(batch, length), tokens = checked(part * length);
        long panel = Panel<T>.Elements(tokens, PaddedWidth), saved = 0, stored = 0, store = 0, shared = 0,
            scratch = Math.Max(Head.LossScratch, _embedding.Tokens.ScratchElements);
        foreach (RbeTransformerBlock<T> block in Blocks)
        {
            saved += offload is ActivationOffload.None ? block.Layout.SavedElements(policy, part, length) : 0;
            long bytes = block.Layout.StoreBytes<T>(policy, offload, part, length);
            (stored, store) = (stored + bytes, Math.Max(store, bytes));
            shared = Math.Max(shared, block.Layout.SharedElements(policy, offload, part, length));
            scratch = Math.Max(scratch, block.ThreadScratchElements(part, length, threads, documents));
        }

        long residual = panel * (offload is ActivationOffload.None ? Blocks.Count + 1 : 2);
        long whole = part < batch ? Panel<T>.Elements(checked(batch * length), PaddedWidth) : 0;
        return new StepMemory(
            ((saved + residual + whole) * sizeof(T)) + (offload is ActivationOffload.BFloat16 ? stored : 0),
            (shared + (2 * panel)) * sizeof(T), scratch * threads * sizeof(T), Head.Bytes(settings, tokens) + IdBytes(batch, length, documents)
                + MaskBytes(batch, length) + (documents ? Whole(RowDocuments.Elements(tokens)) : 0),
            offload is ActivationOffload.Spill ? store * Blocks.Count : 0);
    }

    /// <summary>Bytes that a context and its workspace hold now, in the same parts.</summary>
    public static StepMemory MeasureStep(TransformerContext<T> context)
    {
        ArgumentNullException.ThrowIfNull(context);
        Workspace<T> workspace = context.Workspace;
        return new StepMemory(
            context.ActivationBytes, workspace.AllocatedBytes - workspace.ScratchBytes + context.GradientBytes, workspace.ScratchBytes,
            context.HeadBytes, context.SpilledBytes);
    }

    // Which tokens are padding, for those that would see it; sequences of one length need none.
    private long MaskBytes(int batch, int length) => Config.Causal ? 0 : (((long)batch * length) + 63) / 64 * 64;

    // The context's copies of tokens and targets, and of positions where there are.
    private static long IdBytes(int batch, int length, bool documents) => Whole((documents ? 3L : 2L) * batch * length);

    // Bytes of so many ids.
    private static long Whole(long ids) => ((ids * sizeof(int)) + 63) / 64 * 64;
}
