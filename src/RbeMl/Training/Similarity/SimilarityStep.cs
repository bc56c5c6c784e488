using System.Numerics;
using RbeMl.Layers;
using RbeMl.Memory;
using RbeMl.Models;

namespace RbeMl.Training;

/// <summary>
/// Loss and gradients of a batch of texts by the similarity of their embeddings, pooled and of length 1, and what such a step works in. Made once and
/// used again every step, by one call at a time. Letters: R texts, T tokens, D width.
/// </summary>
/// <typeparam name="T">float at run time, double in gradient checks.</typeparam>
internal sealed unsafe class SimilarityStep<T> : IDisposable, ILeased
    where T : unmanaged, IFloatingPointIeee754<T>
{
    private readonly TransformerModel<T> _model;
    private readonly Pooling _pooling;
    private readonly SimilarityLoss _loss;
    private readonly double _temperature;

    /// <summary>Prepares steps.</summary>
    /// <param name="model">The model; it stays its owner's.</param>
    /// <param name="pooling">How tokens become one row.</param>
    /// <param name="loss">The loss.</param>
    /// <param name="temperature">Of the contrastive loss.</param>
    /// <param name="workspace">Threads and scratch.</param>
    /// <param name="settings">What is kept for the backward, where, and how much of a batch is done at a time; null keeps everything.</param>
    public SimilarityStep(
        TransformerModel<T> model, Pooling pooling, SimilarityLoss loss, double temperature, Workspace<T> workspace, ActivationSettings? settings = null)
    {
        (_model, _pooling, _loss, _temperature) = (model, pooling, loss, temperature);
        Lease = new Lease(this);
        Model = new TransformerContext<T>(model, workspace, settings ?? new ActivationSettings());
    }

    /// <summary>The model's activations.</summary>
    public TransformerContext<T> Model { get; }

    internal Lease Lease { get; }

    private int Width => _model.Config.Width;

    /// <summary>[R] lengths, then [R] groups.</summary>
    private GrowableBuffer<int> Rows { get; } = new();

    /// <summary>[R, T] padded ids.</summary>
    private GrowableBuffer<int> Tokens { get; } = new();

    /// <summary>[R / 2] targets of the pairs.</summary>
    private GrowableBuffer<float> Targets { get; } = new();

    /// <summary>[R, D] token of each largest value.</summary>
    private GrowableBuffer<int> Places { get; } = new();

    /// <summary>[R, D] unit rows, in the place of the pooled ones.</summary>
    private GrowableBuffer<T> Units { get; } = new();

    /// <summary>[R] lengths of the pooled rows.</summary>
    private GrowableBuffer<T> Norms { get; } = new();

    /// <summary>[R, D] gradients of the pooled rows.</summary>
    private GrowableBuffer<T> Gradients { get; } = new();

    /// <summary>[R] losses.</summary>
    private GrowableBuffer<double> Losses { get; } = new();

    /// <summary>[R, R], or [R] of the cosine loss.</summary>
    private GrowableBuffer<double> Slopes { get; } = new();

    /// <summary>Bytes of a step's rows, known before it.</summary>
    /// <param name="texts">R.</param>
    /// <param name="length">T.</param>
    /// <param name="width">D.</param>
    public static long RowBytes(long texts, int length, int width) =>
        (texts * ((2L * width * sizeof(T)) + (sizeof(int) * (long)width) + (length * sizeof(int)) + 64)) + (texts * texts * sizeof(double));

    /// <summary>Mean loss of a batch, and, where a vector is given, the addition of its gradients.</summary>
    /// <param name="tokens">Ids of all texts, one after the other; pairs are neighbours.</param>
    /// <param name="lengths">[R] tokens of each, at least 1; R is even.</param>
    /// <param name="groups">[R]; of the contrastive loss: texts of one group are partners. Not read by the cosine loss.</param>
    /// <param name="targets">[R / 2] cosines; not read by the contrastive loss.</param>
    /// <param name="least">Texts are padded to at least so many tokens: that changes rounding only.</param>
    /// <param name="dropout">Random stream of the dropout; null for none.</param>
    /// <param name="gradients">Vector of the model's layout, added to; null leaves out the backward.</param>
    public double Loss(
        ReadOnlySpan<int> tokens, ReadOnlySpan<int> lengths, ReadOnlySpan<int> groups, ReadOnlySpan<float> targets, int least = 0,
        DropoutStep? dropout = null, ParameterVector<T>? gradients = null)
    {
        using Hold weights = _model.Parameters.Lease.Share(), kept = Lease.Claim(), activations = Model.Lease.Claim();
        using Hold scratch = Model.Workspace.Lease.Claim(), sums = gradients is null ? default : gradients.Lease.Share();
        RaggedBatches.Check(tokens, lengths, _model.Config);
        int rows = lengths.Length, positions = _model.Config.MaxSequenceLength, length = RaggedBatches.PaddedLength(least, positions);
        if (rows % 2 != 0 || groups.Length != rows || targets.Length != rows / 2)
        {
            throw new ShapeMismatchException("pairs", $"{rows} groups and {rows / 2} targets for an even number of texts",
                $"{groups.Length} and {targets.Length}", "Give both texts of every pair.");
        }

        Span<int> own = new(Rows.Ensure(2L * rows), checked(2 * rows));
        lengths.CopyTo(own);
        groups.CopyTo(own[rows..]);
        targets.CopyTo(new Span<float>(Targets.Ensure(rows / 2), rows / 2));
        foreach (int l in lengths) length = Math.Max(length, RaggedBatches.PaddedLength(l, positions));
        Span<int> padded = new(Tokens.Ensure((long)rows * length), checked(rows * length));
        for (int b = 0, start = 0; b < rows; start += lengths[b++]) RaggedBatches.Pad(tokens.Slice(start, lengths[b]), padded.Slice(b * length, length));
        PooledRows<T> room = new(Units, Gradients, Places, Losses);
        _model.CheckTokens(padded, rows, length, 0);
        room.Ensure(rows, Width);
        Norms.Ensure(rows);
        Slopes.Ensure(_loss is SimilarityLoss.Contrastive ? (long)rows * rows : rows);

        // Rows depend on each other. Where a batch is done in parts all its rows must be there before the first part goes back: it runs twice, with the
        // same dropout, and so gives the same bits.
        bool parts = gradients is not null && Model.Settings.PartOf(rows, length) < rows;
        Pass(parts ? Phase.Rows : Phase.All, parts ? null : gradients);
        if (parts) Pass(Phase.Back, gradients);
        double loss = 0;
        for (int row = 0; row < rows; row++) loss += Losses.Pointer[row];
        return loss;

        void Pass(Phase phase, ParameterVector<T>? sums)
        {
            PooledObjective<T, Objective> objective =
                new(_model.Head, Rows.Pointer, length, _pooling, room, sums, new Objective(this, rows, phase, gradients is not null));
            ReadOnlySpan<int> padded = new(Tokens.Pointer, rows * length), lengths = new(Rows.Pointer, rows);
            _model.Step(padded, rows, length, Model, dropout, sums, ref objective, lengths: lengths);
        }
    }

    /// <summary>Frees the memory, after the call that is using it.</summary>
    public void Dispose() => Lease.Dispose();

    void ILeased.Free()
    {
        Model.Dispose();
        foreach (GrowableBuffer<int> buffer in (GrowableBuffer<int>[])[Rows, Tokens, Places]) buffer.Dispose();
        foreach (GrowableBuffer<T> buffer in (GrowableBuffer<T>[])[Units, Norms, Gradients]) buffer.Dispose();
        foreach (GrowableBuffer<double> buffer in (GrowableBuffer<double>[])[Losses, Slopes]) buffer.Dispose();
        Targets.Dispose();
    }

    // All rows are there: their losses, and where they are wanted their gradients, back to before they had the length 1.
    private void Close(int rows, bool gradient, WorkerPool workers)
    {
        SimilarityRows<T> units = new(Units.Pointer, rows, Width, _temperature);
        int* groups = Rows.Pointer + rows;
        int counted = _loss is SimilarityLoss.Cosine ? units.Cosine(Targets.Pointer, Losses.Pointer, Slopes.Pointer) : units.WithPartner(groups);
        if (_loss is SimilarityLoss.Contrastive)
        {
            LossWork work = new(units, groups, rows, counted, Slopes.Pointer, Losses.Pointer);
            workers.For(rows, ref work);
        }

        for (int row = 0; row < rows; row++) Losses.Pointer[row] /= Math.Max(1, counted);
        if (!gradient) return;
        GradientWork back = new(this, units);
        workers.For(rows, ref back);
    }

    /// <summary>What a pass through the model is for.</summary>
    private enum Phase
    {
        /// <summary>Rows, losses, and back.</summary>
        All,

        /// <summary>Rows, and after the last part losses and gradients of the rows.</summary>
        Rows,

        /// <summary>Those gradients go back.</summary>
        Back,
    }

    private readonly struct Objective(SimilarityStep<T> step, int rows, Phase phase, bool gradient) : IPooledObjective<T>
    {
        public double Row(int row, T* pooled, T* pooledGradient)
        {
            if (phase is Phase.Back) return step.Losses.Pointer[row];
            step.Norms.Pointer[row] = UnitRow.Forward(pooled, pooled, step.Width);
            return 0;
        }

        public void Close(int first, int count, WorkerPool workers)
        {
            if (phase is not Phase.Back && first + count == rows) step.Close(rows, gradient, workers);
        }
    }

    private readonly struct LossWork(SimilarityRows<T> units, int* groups, int rows, int counted, double* slopes, double* losses) : IParallelWork
    {
        public void Execute(int item, int worker) => losses[item] = units.Contrastive(item, groups, counted, slopes + ((long)item * rows));
    }

    private readonly struct GradientWork(SimilarityStep<T> step, SimilarityRows<T> units) : IParallelWork
    {
        public void Execute(int item, int worker)
        {
            long at = (long)item * step.Width;
            T* gradient = step.Gradients.Pointer + at;
            if (step._loss is SimilarityLoss.Cosine) units.CosineGradient(item, step.Slopes.Pointer, gradient);
            else units.ContrastiveGradient(item, step.Slopes.Pointer, gradient);
            UnitRow.Backward(step.Units.Pointer + at, step.Norms.Pointer[item], gradient, step.Width);
        }
    }
}
