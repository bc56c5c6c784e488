using System.Numerics;
using RbeMl.Layers;
using RbeMl.Memory;
using RbeMl.Models;
using RbeMl.Numerics;

namespace RbeMl.Training;

/// <summary>
/// A GPT-2 or an encoder with a linear head on pooled hidden states: logits = W pool(final LayerNorm(hidden)) + b, trained by
/// cross-entropy; the pooled row may get the length 1 before. The model keeps its parameters, the head has a flat vector of its
/// own. Letters: B sequences, T tokens, D width, C classes.
/// </summary>
/// <typeparam name="T">float at run time, double in gradient checks.</typeparam>
public sealed unsafe class SequenceClassifier<T> : IDisposable
    where T : unmanaged, IFloatingPointIeee754<T>
{
    // As GPT-2's embeddings and matrices start.
    private const double InitialDeviation = 0.02;

    // Streams of the seed that its other users leave free.
    private const ulong InitialStream = 0xC1A55;

    private readonly ParameterSlice _weight, _bias;
    private readonly FeatureOptions _features;

    /// <summary>Puts a new head on a model.</summary>
    /// <param name="model">The model, which the classifier owns from now on: training changes it, <see cref="Dispose"/> frees it.</param>
    /// <param name="config">Classes, pooling, dropout.</param>
    /// <param name="seed">Seed of the head's weights.</param>
    /// <exception cref="InvalidSettingException">A setting is out of range.</exception>
    public SequenceClassifier(TransformerModel<T> model, ClassifierConfig config, ulong seed)
        : this(model, config, InitialWeight(model, config, seed), new float[config.Classes])
    {
    }

    /// <summary>Puts a head on a model.</summary>
    /// <param name="model">The model, which the classifier owns from now on.</param>
    /// <param name="config">Classes, pooling, dropout.</param>
    /// <param name="weight">[C, D] row-major.</param>
    /// <param name="bias">[C].</param>
    /// <exception cref="ShapeMismatchException">Weight or bias do not fit.</exception>
    /// <exception cref="NonFiniteException">A weight is NaN or infinite.</exception>
    public SequenceClassifier(TransformerModel<T> model, ClassifierConfig config, float[] weight, float[] bias)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(config);
        ArgumentNullException.ThrowIfNull(weight);
        ArgumentNullException.ThrowIfNull(bias);
        Config = config.Validate();
        Model = model;
        int c = config.Classes, d = model.Config.Width;
        if (!Shape.Holds(weight.Length, c, d)) throw Shape.Mismatch("classifier weight", weight.Length, "Give one row of Width a class.", c, d);
        if (bias.Length != c) throw new ShapeMismatchException("classifier bias", $"{c} values", $"{bias.Length}", "Give one a class.");
        Head = new ParameterVector<T>();
        _weight = Head.Add("classifier.weight", ParameterKind.Embedding, weight);
        _bias = Head.Add("classifier.bias", ParameterKind.Bias, bias);
        Head.Freeze();
        _features = new FeatureOptions { Pooling = config.Pooling };
    }

    /// <summary>The model.</summary>
    public TransformerModel<T> Model { get; }

    /// <summary>Classes, pooling, dropout.</summary>
    public ClassifierConfig Config { get; }

    /// <summary>The head's parameters: <c>classifier.weight</c> [C, D] and <c>classifier.bias</c> [C].</summary>
    public ParameterVector<T> Head { get; }

    private int Width => Model.Config.Width;

    /// <summary>Mean cross-entropy in nats of a batch, and, where vectors are given, the addition of its gradients.</summary>
    /// <param name="tokens">Ids of all sequences, one after the other.</param>
    /// <param name="lengths">[B] tokens of each, at least 1.</param>
    /// <param name="labels">[B] classes.</param>
    /// <param name="context">Activations and workspace.</param>
    /// <param name="dropout">Random stream of the dropout; null for evaluation.</param>
    /// <param name="modelGradients">Vector of the model's layout, added to; null leaves out the backward through the model.</param>
    /// <param name="headGradients">Vector of the head's layout, added to; null for none.</param>
    /// <exception cref="TokenException">A sequence is empty or too long, or an id or label is out of range.</exception>
    /// <exception cref="ShapeMismatchException">Lengths, tokens and labels do not fit together, or a vector has another layout.</exception>
    /// <exception cref="NonFiniteException">A layer made a NaN or infinity; it is named.</exception>
    internal double Loss(
        ReadOnlySpan<int> tokens, ReadOnlySpan<int> lengths, ReadOnlySpan<int> labels, ClassifierContext<T> context, DropoutStep? dropout = null,
        ParameterVector<T>? modelGradients = null, ParameterVector<T>? headGradients = null) =>
        Loss(tokens, lengths, labels, context, 0, dropout, modelGradients, headGradients);

    /// <summary>The same with sequences padded to at least so many tokens: padding changes rounding only.</summary>
    internal double Loss(
        ReadOnlySpan<int> tokens, ReadOnlySpan<int> lengths, ReadOnlySpan<int> labels, ClassifierContext<T> context, int least, DropoutStep? dropout,
        ParameterVector<T>? modelGradients, ParameterVector<T>? headGradients, int examples = 0)
    {
        ArgumentNullException.ThrowIfNull(context);
        context.Require(this);
        using Hold weights = Model.Parameters.Lease.Share(), head = Head.Lease.Share(), kept = context.Lease.Claim(), activations = context.Model.Lease.Claim();
        using Hold scratch = context.Workspace.Lease.Claim(), modelSums = Share(modelGradients), headSums = Share(headGradients);
        Span<int> own = new(context.Rows.Ensure((long)lengths.Length + labels.Length), checked(lengths.Length + labels.Length));
        lengths.CopyTo(own);
        labels.CopyTo(own[lengths.Length..]);
        labels = own[lengths.Length..];
        lengths = own[..lengths.Length];
        RaggedBatches.Check(tokens, lengths, Model.Config);
        CheckLabels(labels, lengths.Length);
        if (headGradients is not null) Head.RequireLayout("classifier", headGradients);
        int batch = lengths.Length, all = Math.Max(batch, examples), length = RaggedBatches.PaddedLength(least, Model.Config.MaxSequenceLength);
        foreach (int l in lengths) length = Math.Max(length, RaggedBatches.PaddedLength(l, Model.Config.MaxSequenceLength));
        Span<int> padded = new(context.Tokens.Ensure((long)batch * length), checked(batch * length));
        for (int b = 0, start = 0; b < batch; start += lengths[b++]) RaggedBatches.Pad(tokens.Slice(start, lengths[b]), padded.Slice(b * length, length));
        context.Logits.Ensure((long)batch * Config.Classes);
        DropoutStep? headDropout = Config.Dropout > 0 ? dropout : null;
        fixed (int* sizes = lengths)
        fixed (int* classes = labels)
        {
            HeadRows rows = new(this, context.Logits.Pointer, classes, headDropout, 1.0 / all, modelGradients is not null || headGradients is not null);
            PooledRows<T> room = new(context.Pooled, context.PooledGradient, context.Places, context.Losses);
            Model.CheckTokens(padded, batch, length, 0);
            room.Ensure(batch, Model.Config.Width);
            PooledObjective<T, HeadRows> objective = new(Model.Head, sizes, length, Config.Pooling, room, modelGradients, rows);
            double loss = Model.Step(padded, batch, length, context.Model, dropout, modelGradients, ref objective, lengths: lengths) / all;
            if (headGradients is null) return loss;
            HeadGradientWork work = new(this, context.Logits.Pointer, context.Pooled.Pointer, headGradients, batch);
            context.Workspace.Workers.For(Config.Classes, ref work);
            return loss;
        }
    }

    private static Hold Share(ParameterVector<T>? gradients) => gradients is null ? default : gradients.Lease.Share();

    /// <summary>
    /// How many of the last batch that went through the context's Loss without gradients have their label as the likeliest class.
    /// </summary>
    internal int CountRight(ReadOnlySpan<int> labels, ClassifierContext<T> context)
    {
        using Hold kept = context.Lease.Claim();
        int right = 0, classes = Config.Classes;
        for (int b = 0; b < labels.Length; b++)
        {
            T* row = context.Logits.Pointer + ((long)b * classes);
            int best = 0;
            for (int c = 1; c < classes; c++) best = row[c] > row[best] ? c : best;
            if (best == labels[b]) right++;
        }

        return right;
    }

    /// <summary>Logits of sequences; a row is the same, bit for bit, whatever else is in the call (<see cref="TransformerModel{T}.Features"/>).</summary>
    /// <param name="tokens">Ids of all sequences, one after the other.</param>
    /// <param name="lengths">[B] tokens of each, at least 1.</param>
    /// <param name="workspace">Threads and scratch.</param>
    /// <param name="scores">[B, C] row-major, written.</param>
    /// <exception cref="TokenException">A sequence is empty or too long, or an id is outside the vocabulary.</exception>
    /// <exception cref="ShapeMismatchException">Shapes do not fit together.</exception>
    /// <exception cref="NonFiniteException">A feature or logit is NaN or infinite.</exception>
    public void Scores(ReadOnlySpan<int> tokens, ReadOnlySpan<int> lengths, Workspace<T> workspace, Span<T> scores)
    {
        ArgumentNullException.ThrowIfNull(workspace);
        if (scores.Length != (long)lengths.Length * Config.Classes)
        {
            throw Shape.Mismatch("scores", scores.Length, "Pass room for one row a sequence.", lengths.Length, Config.Classes);
        }

        if (lengths.IsEmpty) return;
        using Hold weights = Model.Parameters.Lease.Share(), head = Head.Lease.Share(), scratch = workspace.Lease.Claim();
        Panel<T> room = workspace.Panel("classifier.features").Reshape(lengths.Length, Width, Width);
        Span<T> features = new(room.Pointer, checked(lengths.Length * Width));
        Model.PooledRows(tokens, lengths, _features, workspace, features);
        fixed (T* x = features, output = scores)
        {
            ScoreWork work = new(this, x, output);
            workspace.Workers.For(lengths.Length, ref work);
        }

        for (int i = 0; i < scores.Length; i++)
        {
            if (!T.IsFinite(scores[i]))
            {
                throw new NonFiniteException("classifier",
                    $"logit {scores[i]} of sequence {i / Config.Classes}, class {i % Config.Classes}. The head's weights are damaged or "
                    + $"its training diverged. Go back to an earlier file of it.");
            }
        }
    }

    /// <summary>Probabilities of the classes: the softmax of <see cref="Scores"/>.</summary>
    /// <inheritdoc cref="Scores"/>
    /// <param name="tokens">Ids of all sequences, one after the other.</param>
    /// <param name="lengths">[B] tokens of each, at least 1.</param>
    /// <param name="workspace">Threads and scratch.</param>
    /// <param name="probabilities">[B, C] row-major, written.</param>
    public void Probabilities(ReadOnlySpan<int> tokens, ReadOnlySpan<int> lengths, Workspace<T> workspace, Span<T> probabilities)
    {
        Scores(tokens, lengths, workspace, probabilities);
        for (int b = 0; b < lengths.Length; b++) ClassifierHead.Probabilities(probabilities.Slice(b * Config.Classes, Config.Classes));
    }

    /// <summary>Frees the head and the model, after the calls that are using them.</summary>
    public void Dispose()
    {
        Head.Dispose();
        Model.Dispose();
    }

    private static float[] InitialWeight(TransformerModel<T> model, ClassifierConfig config, ulong seed)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(config);
        float[] weight = new float[checked(config.Validate().Classes * model.Config.Width)];
        DeterministicRandom random = new(seed, InitialStream);
        for (int i = 0; i < weight.Length; i++) weight[i] = (float)(InitialDeviation * random.NextNormal());
        return weight;
    }

    private void CheckLabels(ReadOnlySpan<int> labels, int batch)
    {
        if (labels.Length != batch) throw new ShapeMismatchException("labels", $"{batch} like the lengths", $"{labels.Length}", "Give one label a sequence.");
        for (int b = 0; b < batch; b++)
        {
            if ((uint)labels[b] >= (uint)Config.Classes)
            {
                throw new TokenException(
                    $"label {labels[b]} of sequence {b} is outside 0 .. {Config.Classes - 1}. Number the classes from 0, or build a "
                    + $"classifier with more of them.");
            }
        }
    }

    /// <summary>A row of a training step: dropout, logits, loss, and back.</summary>
    private readonly struct HeadRows(SequenceClassifier<T> classifier, T* logits, int* labels, DropoutStep? dropout, double scale, bool gradient)
        : IPooledObjective<T>
    {
        public double Row(int row, T* pooled, T* pooledGradient)
        {
            int classes = classifier.Config.Classes, features = classifier.Width;
            ParameterVector<T> head = classifier.Head;
            T* own = logits + ((long)row * classes);
            if (dropout is { } stream) ClassifierHead.Drop(stream, classifier.Config.Dropout, row, pooled, features);
            T norm = classifier.Config.Normalize ? UnitRow.Forward(pooled, pooled, features) : T.One;
            ClassifierHead.Logits(pooled, head.At(classifier._weight), head.At(classifier._bias), own, features, classes);
            double loss = ClassifierHead.Loss(own, classes, labels[row]);
            if (!gradient) return loss;
            ClassifierHead.LossGradient(own, classes, labels[row], scale);
            if (pooledGradient is null) return loss;
            ClassifierHead.Backward(own, head.At(classifier._weight), pooledGradient, features, classes);
            if (classifier.Config.Normalize) UnitRow.Backward(pooled, norm, pooledGradient, features);
            if (dropout is { } same) ClassifierHead.Drop(same, classifier.Config.Dropout, row, pooledGradient, features);
            return loss;
        }

        public void Close(int first, int count, WorkerPool workers)
        {
            // A row's loss is its own.
        }
    }

    private readonly struct HeadGradientWork(SequenceClassifier<T> classifier, T* logitGradients, T* pooled, ParameterVector<T> gradients,
        int batch) : IParallelWork
    {
        public void Execute(int item, int worker)
        {
            int features = classifier.Width;
            ClassifierHead.WeightGradient(
                logitGradients + item, pooled, gradients.At(classifier._weight) + ((long)item * features), gradients.At(classifier._bias) + item,
                batch, features, classifier.Config.Classes);
        }
    }

    private readonly struct ScoreWork(SequenceClassifier<T> classifier, T* features, T* scores) : IParallelWork
    {
        public void Execute(int item, int worker)
        {
            int d = classifier.Width, c = classifier.Config.Classes;
            T* row = features + ((long)item * d);
            if (classifier.Config.Normalize) UnitRow.Forward(row, row, d);
            ClassifierHead.Logits(row, classifier.Head.At(classifier._weight), classifier.Head.At(classifier._bias), scores + ((long)item * c), d, c);
        }
    }
}
