using System.Globalization;
using System.IO.Hashing;
using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using RbeMl.MLNet.Training;
using RbeMl.Storage;
using RbeMl.Training;

namespace RbeMl.MLNet.LanguageModels;

/// <content>What the training keeps in its state besides what the trainer does: epochs so far, and the best weights.</content>
internal sealed partial class LanguageModelTraining
{
    private const string Name = "languageModel", EpochsKey = "epochs", LossKey = "loss", ValidationKey = "validation", SumKey = "sum", TokensKey = "tokens",
        PatienceKey = "patience", DataKey = "validationData", BestEpochKey = "bestEpoch", BestLossKey = "bestLoss", BestKey = "best";

    /// <inheritdoc/>
    void ITrainingPart.Save(StateWriter state)
    {
        JsonArray epochs = [];
        foreach (EpochSummary epoch in _epochs)
        {
            JsonObject entry = new() { [LossKey] = epoch.Loss };
            if (epoch.ValidationLoss is { } validation) entry[ValidationKey] = validation;
            epochs.Add((JsonNode)entry);
        }

        state.Add(EpochsKey, epochs);
        state.Add(PatienceKey, _options.Patience);
        state.Add(DataKey, ValidationData());
        state.Add(SumKey, _sum);
        state.Add(TokensKey, (double)_since);
        state.Add(BestEpochKey, _bestEpoch);
        if (_bestEpoch > 0) state.Add(BestLossKey, _bestLoss);
        if (_best is not null) state.Add(BestKey, _best);
    }

    /// <inheritdoc/>
    void ITrainingPart.Load(StateReader state)
    {
        JsonFields fields = state.Fields;
        Same("patience", Number(fields.Whole(PatienceKey, 0, int.MaxValue)), Number(_options.Patience));
        Same("validation data", fields.Text(DataKey), ValidationData());
        List<EpochSummary> epochs = [.. fields.Objects(EpochsKey).Select(epoch => new EpochSummary(epoch.Real(LossKey), epoch.OptionalReal(ValidationKey)))];
        double sum = fields.Real(SumKey);
        long since = (long)Math.Clamp(fields.Real(TokensKey), 0, long.MaxValue / 2);
        int bestEpoch = fields.Whole(BestEpochKey, 0, int.MaxValue);
        double bestLoss = bestEpoch > 0 ? fields.Real(BestLossKey) : double.PositiveInfinity;
        if (_best is not null) state.Read(BestKey, _best);
        state.Then(() =>
        {
            _epochs.AddRange(epochs);
            (_sum, _since, _bestEpoch, _bestLoss) = (sum, since, bestEpoch, bestLoss);
        });
    }

    private void Same(string what, string saved, string asked)
    {
        if (saved == asked) return;
        throw new StateMismatchException(_options.StatePath!, what, saved, asked, "Resume with what the run was begun with, or give another StatePath.");
    }

    private static string Number(int value) => value.ToString(CultureInfo.InvariantCulture);

    private string ValidationData()
    {
        XxHash128 hash = new();
        foreach (int[] window in _data.Validation)
        {
            hash.Append(MemoryMarshal.AsBytes<int>([window.Length]));
            hash.Append(MemoryMarshal.AsBytes<int>(window));
        }

        return Convert.ToHexStringLower(hash.GetCurrentHash());
    }

    private void Save(string path) => _trainer.SaveState(path, [(Name, this)]);

    private void Resume(string path)
    {
        using TrainingStateFile state = TrainingStateFile.Open(path);
        _trainer.Resume(state, anyStart: false, [(Name, this)]);
        _log.Say($"Resuming after {_trainer.StepsDone} of {Steps} steps from {path}");
    }
}
