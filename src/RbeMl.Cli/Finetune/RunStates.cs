using System.Buffers.Binary;
using System.Globalization;
using System.Text.Json.Nodes;
using RbeMl.Models;
using RbeMl.Storage;
using RbeMl.Training;

namespace RbeMl.Cli.Finetune;

/// <summary>
/// The training states of a run in its folder, <c>state-STEP.rbe</c>: the trainer's state with the run's own part, its record so far and its
/// clock. The latest <c>--keep-states</c> of them are kept while the run lasts, and none once it is complete.
/// </summary>
internal sealed class RunStates : ITrainingPart, IDisposable
{
    private const string PartName = StateFiles.Part, RunIdKey = StateFiles.RunId, SecondsKey = "seconds", LimitKey = "limitSeconds",
        ValidationKey = "validation", StepsKey = "steps", CommandKey = "command", StepKey = "step", LossKey = "loss";
    private const int NumbersOfStep = 6, StepBytes = NumbersOfStep * sizeof(double);

    private readonly FinetuneSettings _settings;
    private readonly RunRecord _run;
    private readonly TrainingStateFile? _resumed;
    private readonly SortedSet<int> _steps = []; // of the states in the folder
    private RunClock? _clock;
    private TimeSpan _saved;

    /// <summary>Opens the state that the run is to go on from, if it is to.</summary>
    /// <param name="settings">What was asked for.</param>
    /// <param name="run">The record of the run.</param>
    /// <exception cref="RbeFileException">There is none, or it is damaged, no training state or of another version.</exception>
    public RunStates(FinetuneSettings settings, RunRecord run)
    {
        (_settings, _run) = (settings, run);
        if (settings.Resume is not { } from) return;
        string path = Directory.Exists(from) ? StateFiles.Latest(from) : from;
        _resumed = TrainingStateFile.Open(path);
        Path = path;
        if (_resumed.Part(PartName) is not { } part)
        {
            throw new RbeFileException(path, "is a training state that finetune did not write. Resume it with the trainer that saved it.");
        }

        RunId = part.Text(RunIdKey);
        _steps.UnionWith(StateFiles.StepsIn(settings.Out).Where(step => StateFiles.IsOf(FileOf(step), RunId)));
    }

    /// <summary>The state that the run goes on from; null for a new run.</summary>
    public string? Path { get; }

    /// <summary>The run that it is of; null for a new run.</summary>
    public string? RunId { get; }

    /// <summary>Gives the trainer and the record what the state has.</summary>
    /// <param name="trainer">The trainer, of the same model, data and settings.</param>
    /// <param name="loaded">The run that wrote the model that was loaded; null for a new model. A file that this very run saved may stand for
    /// the model that it began with, whose place it took.</param>
    /// <returns>The run's clock, which goes on where it stood.</returns>
    /// <exception cref="StateMismatchException">It is the state of another run, or of one that is complete.</exception>
    public RunClock Resume(Trainer trainer, RunMark? loaded)
    {
        double elapsed = _resumed!.Part(PartName)!.Value.Real(SecondsKey);
        trainer.Resume(_resumed, anyStart: loaded?.RunId == RunId, [(PartName, this)]);
        _resumed.Dispose();
        return new RunClock(_settings.Steps, _settings.Seconds, TimeSpan.FromSeconds(Math.Clamp(elapsed, 0, TimeSpan.MaxValue.TotalSeconds / 4)));
    }

    /// <summary>Checks, before the first step, that there is room for the states.</summary>
    /// <exception cref="RbeFileException">The disk has too little space left.</exception>
    public void Begin(Trainer trainer, RunClock clock)
    {
        (_clock, _saved) = (clock, clock.Elapsed);
        if (!_settings.StateEvery.Saves) return;

        // A new one is written beside those that are kept.
        AtomicFile.CheckSpace(_settings.Out, trainer.StateBytes * Math.Max(1, _settings.KeepStates + 1 - _steps.Count), "the training states");
    }

    /// <summary>Whether it is time to save the state.</summary>
    public bool IsDue(Trainer trainer) => _settings.StateEvery.IsDue(trainer.StepsDone, _clock!.Elapsed - _saved);

    /// <summary>Saves the state now, unless none are wanted.</summary>
    /// <param name="trainer">The trainer.</param>
    /// <param name="keepEarlier">Keeps the files of an earlier run, among which may be one of this name.</param>
    /// <returns>The file; null where none are wanted.</returns>
    /// <exception cref="RbeFileException">It cannot be written; the earlier ones are there.</exception>
    public string? Save(Trainer trainer, Action keepEarlier)
    {
        if (!_settings.StateEvery.Saves) return null;
        _saved = _clock!.Elapsed;
        string file = FileOf(trainer.StepsDone);
        keepEarlier();
        trainer.SaveState(file, [(PartName, this)]);
        _steps.Add(trainer.StepsDone);
        while (_steps.Count > _settings.KeepStates && _steps.Min != trainer.StepsDone) Remove(_steps.Min);
        return file;
    }

    /// <summary>Deletes all of them: the run is complete, and nothing is left to go on with.</summary>
    public void Clear()
    {
        while (_steps.Count > 0) Remove(_steps.Min);
    }

    /// <inheritdoc/>
    public void Dispose() => _resumed?.Dispose();

    /// <inheritdoc/>
    void ITrainingPart.Save(StateWriter state)
    {
        state.Add(RunIdKey, _run.RunId);
        state.Add(CommandKey, _run.Command);
        state.Add(SecondsKey, _clock!.Elapsed.TotalSeconds);
        if (_settings.Seconds is { } limit) state.Add(LimitKey, limit);
        state.Add(ValidationKey, new JsonArray([.. _run.Validation.Select(v => (JsonNode)new JsonObject { [StepKey] = v.Step, [LossKey] = v.Loss })]));
        state.Add(StepsKey, (long)_run.Steps.Count * StepBytes, sink =>
        {
            Span<byte> bytes = stackalloc byte[StepBytes];
            foreach (StepRecord step in _run.Steps)
            {
                ReadOnlySpan<double> reals = [step.Loss, step.LearningRate, step.GradientNorm, step.TokensPerSecond];
                for (int i = 0; i < reals.Length; i++) BinaryPrimitives.WriteDoubleLittleEndian(bytes[(i * sizeof(double))..], reals[i]);
                BinaryPrimitives.WriteInt64LittleEndian(bytes[32..], step.ResidentBytes);
                BinaryPrimitives.WriteInt64LittleEndian(bytes[40..], step.Tokens);
                sink(bytes);
            }
        });
    }

    /// <inheritdoc/>
    void ITrainingPart.Load(StateReader state)
    {
        double? limit = state.Fields.OptionalReal(LimitKey);
        if (limit != _settings.Seconds)
        {
            throw new StateMismatchException(Path!, "--seconds", Limit(limit), Limit(_settings.Seconds),
                "Resume with the same time limit: the learning rate goes by it.");
        }

        if (limit is { } all && state.Fields.Real(SecondsKey) >= all)
        {
            throw new StateMismatchException(Path!, "seconds", $"{Limit(all)} behind it, its run is complete", "none to go on with",
                "Use the model that the run saved, or begin a new run from it.");
        }

        List<ValidationRecord> validation =
            [.. state.Fields.Objects(ValidationKey).Select(v => new ValidationRecord(v.Whole(StepKey, 0, int.MaxValue), v.Real(LossKey)))];
        byte[] bytes = state.Bytes(StepsKey);
        if (bytes.Length != (long)_resumed!.Step * StepBytes)
        {
            throw new RbeFileException(Path!, $"has a record of {bytes.Length / StepBytes} steps, expected {_resumed.Step}. Use another state.");
        }

        state.Then(() =>
        {
            _run.RunId = RunId!;
            _run.Validation.AddRange(validation);
            for (int step = 1; step <= bytes.Length / StepBytes; step++)
            {
                ReadOnlySpan<byte> one = bytes.AsSpan((step - 1) * StepBytes, StepBytes);
                _run.Steps.Add(new StepRecord(step, Real(one, 0), Real(one, 1), Real(one, 2), Real(one, 3),
                    BinaryPrimitives.ReadInt64LittleEndian(one[32..]), BinaryPrimitives.ReadInt64LittleEndian(one[40..])));
            }
        });

        static double Real(ReadOnlySpan<byte> step, int index) => BinaryPrimitives.ReadDoubleLittleEndian(step[(index * sizeof(double))..]);
    }

    private static string Limit(double? seconds) => seconds is { } some ? string.Create(CultureInfo.InvariantCulture, $"{some} s") : "none";

    private void Remove(int step)
    {
        TemporaryNames.Delete(FileOf(step));
        _steps.Remove(step);
    }

    private string FileOf(int step) => StateFiles.Of(_settings.Out, step);
}
