using System.Globalization;
using System.IO.Hashing;
using System.Runtime.InteropServices;
using RbeMl.Layers;
using RbeMl.Memory;
using RbeMl.Models;

namespace RbeMl.Training;

/// <content>The state of a run in a file, and what its ranks share.</content>
public sealed partial class ClassifierTrainer
{
    private const string SumKey = "sum", ExamplesKey = "examples", EpochKey = "bestEpoch", LossKey = "bestLoss", AccuracyKey = "bestAccuracy",
        LastLossKey = "lastLoss", LastAccuracyKey = "lastAccuracy";

    private readonly string _start; // hash of model and head before the first step
    private readonly (string Train, string Validation) _data;
    private (double Loss, int Examples) _sum; // of the epoch
    private (double Loss, double Accuracy)? _last; // validation after the last step
    private RunIdentity? _identity;

    /// <inheritdoc cref="Trainer.SaveState(string)"/>
    public void SaveState(string path)
    {
        using Hold held = _lease.Claim();
        TrainingStateFile.Save(path, Identity(), StepsDone, Steps, Predict, Parts);
    }

    /// <inheritdoc cref="Trainer.Resume(string)"/>
    public void Resume(string path)
    {
        using Hold held = _lease.Claim();
        using TrainingStateFile state = TrainingStateFile.Open(path);
        state.Load(Identity(), anyStart: false, Parts);
    }

    /// <inheritdoc/>
    void ITrainingPart.Save(StateWriter state)
    {
        state.Add(SumKey, _sum.Loss);
        state.Add(ExamplesKey, _sum.Examples);
        state.Add(EpochKey, _best.Epoch);
        if (_best.Epoch > 0)
        {
            state.Add(LossKey, _best.Loss);
            state.Add(AccuracyKey, _best.Accuracy);
        }

        if (_last is not { } last) return;
        state.Add(LastLossKey, last.Loss);
        state.Add(LastAccuracyKey, last.Accuracy);
    }

    /// <inheritdoc/>
    void ITrainingPart.Load(StateReader state)
    {
        var fields = state.Fields;
        (double, int) sum = (fields.Real(SumKey), fields.Whole(ExamplesKey, 0, int.MaxValue));
        int epoch = fields.Whole(EpochKey, 0, int.MaxValue);
        var best = epoch > 0 ? (epoch, fields.Real(LossKey), fields.Real(AccuracyKey)) : (0, double.PositiveInfinity, double.NaN);
        (double, double)? last = fields.OptionalReal(LastLossKey) is { } loss ? (loss, fields.Real(LastAccuracyKey)) : null;
        state.Then(() => (_sum, _best, _last) = (sum, best, last));
    }

    // The first example of the next step's batch.
    private void Predict()
    {
        (int epoch, int place) = Math.DivRem(StepsDone, StepsPerEpoch);
        _train.Fill(epoch, place * Options.Accumulate);
        Classifier.Loss(_train.Tokens[.._train.Lengths[0]], _train.Lengths[..1], _train.Labels[..1], _context, _least, null, null, null);
    }

    private (string Name, ITrainingPart Part)[] Parts
    {
        get
        {
            ParameterVector<float> head = Classifier.Head;
            List<(string, ITrainingPart)> parts = [("trainer", this), ("head", new WeightsPart(head)), ("headOptimizer", _headOptimizer)];
            if (_headAverage is not null) parts.Add(("headAverage", _headAverage));
            if (_bestHead is not null) parts.Add(("bestHead", new WeightsPart(_bestHead)));
            if (_modelOptimizer is null) return [.. parts];
            parts.Add(("weights", new WeightsPart(Classifier.Model.Parameters, Trains)));
            parts.Add(("optimizer", _modelOptimizer));
            if (_modelAverage is not null) parts.Add(("average", _modelAverage));
            if (_bestModel is not null) parts.Add(("best", new WeightsPart(_bestModel)));
            return [.. parts];
        }
    }

    private long StateBytes => sizeof(float) * (1 + _headOptimizer.StateVectors.Count + (_headAverage is null ? 0 : 1) + (_bestHead is null ? 0 : 1))
        * (Classifier.Head.TrainableCount + (_modelGradients?.Root.TrainableCount ?? 0))
        + Options.Optimizer.CodedStateBytes(Classifier.Head.Slices) + (_modelOptimizer is null ? 0 : Options.CodedStateBytes(Classifier.Model));

    private bool Trains(ParameterSlice slice) => Options.Trains(slice, Classifier.Model.Config);

    private RunIdentity Identity() => _identity ??= new RunIdentity()
        .Add("trainer", nameof(ClassifierTrainer))
        .Add(nameof(Options.HeadLearningRate), Options.HeadLearningRate)
        .Add(nameof(Options.Patience), Options.Patience)
        .Add(nameof(Options.LossFloor), Options.LossFloor)
        .Add(nameof(Options.Accumulate), Options.Accumulate == 1 ? null : Options.Accumulate)
        .Add(Options.Deciding(_schedule, _least))
        .Add("the best is kept", _bestHead is not null)
        .Add("classifier", FormattableString.Invariant(
            $"{Amount.Of(Classifier.Config.Classes, "class", "classes")}, {Classifier.Config.Pooling}{Unit}, dropout {Classifier.Config.Dropout}"))
        .Add("model", RunIdentity.Describe(Classifier.Model))
        .Add("training data", _data.Train)
        .Add("validation data", _data.Validation)
        .Add(RunIdentity.Start, _start);

    private string Unit => Classifier.Config.Normalize ? " of length 1" : "";

    private AveragedWeights Averaged() => new(_modelAverage, _headAverage);

    private static string Checksum(IReadOnlyList<ClassifierExample> examples) =>
        DataChecksum.Of("example", [.. examples.Select(example => (example.Tokens, example.Label))]);

    private static string StartOf(SequenceClassifier<float> classifier)
    {
        using Hold held = classifier.Head.Lease.Share();
        XxHash128 hash = new();
        foreach (ParameterSlice slice in classifier.Head.Slices) hash.Append(MemoryMarshal.AsBytes<float>(classifier.Head.Of(slice)));
        return RunMark.HashOf(classifier.Model) + Convert.ToHexStringLower(hash.GetCurrentHash());
    }

    /// <summary>Bytes that this rank sends to others in a step; 0 in one process.</summary>
    internal long ExchangedBytes => (_headExchange?.BytesSent ?? 0) + (_modelExchange?.BytesSent ?? 0);

    // The gradients of the step's mean loss in the roots of the trees, that loss, and the tokens of this rank.
    private (double Loss, long Tokens) AddGradients(int epoch, int first, int examples)
    {
        long tokens = 0;
        try
        {
            for (int micro = _share.First; micro < _share.Last; micro++)
            {
                if (first + micro < _train.Count) // the last step of an epoch may have fewer
                {
                    _train.Fill(epoch, first + micro);
                    DropoutStep dropout = new(Options.Seed, (uint)(((long)StepsDone * Options.Accumulate) + micro));
                    _losses[micro] = Classifier.Loss(_train.Tokens, _train.Lengths, _train.Labels, _context, _least, dropout,
                        _modelGradients?.Leaf, _headGradients.Leaf, examples);
                    tokens += _train.Tokens.Length;
                }
                else
                {
                    _losses[micro] = 0;
                }

                _modelGradients?.Add(_workspace.Workers);
                _headGradients.Add(_workspace.Workers);
            }
        }
        catch (Exception error)
        {
            _ranks.Failed(error);
        }

        _ranks.Agree(RankTask.Gradients);
        double loss = _losses.Sum();
        _headExchange?.Sum(_headGradients);
        if (_modelGradients is not null) _modelExchange?.Sum(_modelGradients);
        return (loss, tokens);
    }

    // The losses of this rank's batches, and how many examples are right on all ranks.
    private long AddValidation(ExampleBatches validation, StepLosses losses)
    {
        long right = 0;
        (int from, int to) = new SumTree(validation.Count).ShareOf(_ranks.Ranks.Rank, _ranks.Ranks.Size);
        try
        {
            for (int batch = from; batch < to; batch++)
            {
                validation.FillSorted(batch);
                losses[batch] = validation.Filled
                    * Classifier.Loss(validation.Tokens, validation.Lengths, validation.Labels, _context, _least, null, null, null);
                right += Classifier.CountRight(validation.Labels, _context);
            }
        }
        catch (Exception error)
        {
            _ranks.Failed(error);
        }

        return _ranks.Agree(RankTask.Validation, right).Count;
    }

    private void ClearGradients()
    {
        _headGradients.Clear();
        _modelGradients?.Clear();
    }

    // The last of what is made: who is refused leaves nothing behind.
    private void RequireSame()
    {
        if (!_ranks.Several) return;
        try
        {
            _ranks.RequireSame([.. RankTalk.Program, .. Identity().Values]);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    private void RequireSameWeights()
    {
        if (_ranks.Several) _ranks.RequireSame([("steps done", StepsDone.ToString(CultureInfo.InvariantCulture)), ("weights", StartOf(Classifier))]);
    }
}
