using RbeMl.Layers;
using RbeMl.Models;

namespace RbeMl.Training;

/// <summary>
/// Trains a classifier of a pretrained model on few labelled texts, by <see cref="FewLabelMethod"/>. The same seed gives the same bits, for any number
/// of threads.
/// </summary>
public sealed class FewLabelTrainer
{
    // Texts whose embeddings are computed between two looks at the cancellation.
    private const int PassTexts = 256;

    // A head that is already sure of every text leaves nothing to learn: the gradients of the blocks would be noise, and the optimiser steps by
    // their signs. So fine-tuning begins at a head that is held back.
    private const double LeastTunedPenalty = PenaltyChoice.Default;

    // Texts that the model was trained on stand apart as no others do: on them a head that is not held back becomes surer than it is right.
    private const double LeastContrastedPenalty = 0.3;

    private readonly SequenceClassifier<float> _classifier;
    private readonly IReadOnlyList<ClassifierExample> _examples;
    private readonly IReadOnlyList<ClassifierExample>? _validation;
    private readonly int[] _labels;
    private readonly int _threads;

    /// <summary>Prepares a run.</summary>
    /// <param name="classifier">The classifier; its parameters change.</param>
    /// <param name="examples">The texts; two classes at least.</param>
    /// <param name="options">Settings.</param>
    /// <param name="threads">0 for one a processor.</param>
    /// <param name="validation">Of the fine-tuning: texts to validate on after every epoch; null for none, or those its options hold out.</param>
    /// <exception cref="InvalidSettingException">A setting is out of range, or there are not two classes among the examples.</exception>
    /// <exception cref="TokenException">An example is empty or too long, or an id or label is out of range; the example is named.</exception>
    public FewLabelTrainer(
        SequenceClassifier<float> classifier, IReadOnlyList<ClassifierExample> examples, FewLabelOptions? options = null, int threads = 0,
        IReadOnlyList<ClassifierExample>? validation = null)
    {
        ArgumentNullException.ThrowIfNull(classifier);
        ArgumentNullException.ThrowIfNull(examples);
        options ??= new FewLabelOptions();
        Options = options.Validate();
        ClassifierTrainer.Check(classifier, "example", examples);
        if (examples.Count == 0 || examples.All(e => e.Label == examples[0].Label))
        {
            throw new InvalidSettingException("examples", examples.Count, "they have one class or none; give texts of two classes at least.");
        }

        if (validation is not null) ClassifierTrainer.Check(classifier, "validation example", validation);
        (_classifier, _examples, _validation, _threads, _labels) = (classifier, examples, validation, threads, [.. examples.Select(e => e.Label)]);
    }

    /// <summary>Settings.</summary>
    public FewLabelOptions Options { get; }

    private FewLabelMethod Method => Options.Method;

    /// <summary>Runs the stages.</summary>
    /// <param name="progress">Told after each step, on the calling thread if it reports there.</param>
    /// <param name="cancellation">Stops after the step under way.</param>
    /// <exception cref="OperationCanceledException">Cancelled, and the options of the stage say so, or the head was not fitted yet.</exception>
    /// <exception cref="NonFiniteException">A layer or gradient became NaN or infinite.</exception>
    /// <exception cref="MemoryLimitException">A stage does not fit into its limit or the machine.</exception>
    public FewLabelResult Run(IProgress<FewLabelProgress>? progress = null, CancellationToken cancellation = default)
    {
        int classes = _classifier.Config.Classes, features = _classifier.Model.Config.Width;
        float[] rows = Rows(cancellation);
        PenaltyChoice choice = PenaltyChoice.Of(rows, features, _labels, classes, Options.Seed, cancellation);
        double penalty = Math.Max(choice.Penalty, Method switch
        {
            FewLabelMethod.FineTuned => LeastTunedPenalty,
            FewLabelMethod.Contrastive => LeastContrastedPenalty,
            _ => 0,
        });
        FewLabelResult result = new(penalty, choice.Loss, choice.Accuracy, 0, double.NaN, false) { TrainingExamples = _examples.Count };
        if (Method == FewLabelMethod.Contrastive)
        {
            result = Contrast(result, progress, cancellation);
            if (result.Cancelled) cancellation = default; // the head is still to be fitted, and takes no time
            rows = Rows(cancellation);
        }

        SetHead(new LogisticFit(rows, features, _labels, classes).Fit(penalty, cancellation));
        progress?.Report(new FewLabelProgress(FewLabelStage.Head, 1,
            new ClassifierProgress(1, 1, 1, 1, choice.Loss ?? double.NaN, 0, 0, 0, Environment.WorkingSet, _examples.Count, null, choice.Accuracy)));
        return Method == FewLabelMethod.FineTuned ? FineTune(result, progress, cancellation) : result;
    }

    private FewLabelResult Contrast(FewLabelResult result, IProgress<FewLabelProgress>? progress, CancellationToken cancellation)
    {
        SimilarityTrainerOptions options = Options.Contrastive ?? FewLabelOptions.DefaultContrastive(_examples.Count);
        using SimilarityTrainer trainer = new(
            _classifier.Model, _examples, options with { Seed = Options.Seed, Pooling = _classifier.Config.Pooling }, _threads);
        Sink<SimilarityProgress>? sink = progress is null ? null
            : new(r => progress.Report(new FewLabelProgress(FewLabelStage.Contrast, trainer.StepsPerEpoch,
                new ClassifierProgress(r.Epoch, r.Epochs, r.Step, r.Steps, r.Loss, r.LearningRate, r.GradientNorm, r.PairsPerSecond, r.ResidentBytes,
                    r.Pairs))));
        SimilarityResult run = trainer.Run(sink, cancellation);
        return result with { Steps = run.Steps, Loss = run.Loss, Cancelled = run.Cancelled };
    }

    private FewLabelResult FineTune(FewLabelResult result, IProgress<FewLabelProgress>? progress, CancellationToken cancellation)
    {
        ClassifierTrainerOptions options = Options.FineTuning ?? FewLabelOptions.DefaultFineTuning(_examples.Count);
        using ClassifierTrainer trainer = new(_classifier, _examples, _validation, options with { Seed = Options.Seed }, _threads);
        double sum = 0, last = double.NaN;
        Sink<ClassifierProgress> sink = new(r =>
        {
            sum += r.Loss * r.Examples;
            if (r.Step % trainer.StepsPerEpoch == 0) (last, sum) = (sum / trainer.TrainingExamples, 0);
            progress?.Report(new FewLabelProgress(FewLabelStage.FineTuning, trainer.StepsPerEpoch, r));
        });
        ClassifierResult run = trainer.Run(sink, cancellation);
        return result with
        {
            Steps = result.Steps + run.Steps,
            Loss = last,
            Cancelled = run.Cancelled,
            FineTuning = run,
            TrainingExamples = trainer.TrainingExamples,
            ValidationExamples = trainer.ValidationExamples,
        };
    }

    // [N, D]: the head's inputs.
    private float[] Rows(CancellationToken cancel)
    {
        int features = _classifier.Model.Config.Width;
        float[] rows = new float[checked(_examples.Count * features)];
        FeatureOptions options = new() { Pooling = _classifier.Config.Pooling };
        using Workspace<float> workspace = new(_threads);
        for (int first = 0; first < _examples.Count; first += PassTexts)
        {
            cancel.ThrowIfCancellationRequested();
            int count = Math.Min(PassTexts, _examples.Count - first);
            ClassifierExample[] part = [.. _examples.Skip(first).Take(count)];
            Span<float> own = rows.AsSpan(first * features, count * features);
            _classifier.Model.Features([.. part.SelectMany(e => e.Tokens)], [.. part.Select(e => e.Tokens.Length)], options, workspace, own);
            for (int i = 0; i < count && _classifier.Config.Normalize; i++) SentenceEncoder.Normalize(own.Slice(i * features, features));
        }

        return rows;
    }

    private void SetHead(LinearClassifier head)
    {
        _classifier.Head.Write(_classifier.Head.Slices[0], head.Weight);
        _classifier.Head.Write(_classifier.Head.Slices[1], head.Bias);
    }

    private sealed class Sink<T>(Action<T> report) : IProgress<T>
    {
        public void Report(T value) => report(value);
    }
}
