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
        ValidationKey = "validation", StepsKey = "steps", CommandKey = "command", StepKey = "step", LossKey = "loss", BeforeKey = "before",
        EventsKey = "events", PatienceKey = "patience";
    private const int NumbersOfStep = 6, StepBytes = NumbersOfStep * sizeof(double);

    private readonly FinetuneSettings _settings;
    private readonly RunRecord _run;
    private readonly RunRanks _ranks;
    private TrainingStateFile? _resumed;
    private readonly SortedSet<int> _steps = []; // of the states in the folder
    private RunClock? _clock;
    private TimeSpan _saved;
    private int _savedStep;

    /// <summary>Opens the state that the run is to go on from, if it is to.</summary>
    /// <param name="settings">What was asked for.</param>
    /// <param name="run">The record of the run.</param>
    /// <param name="ranks">The ranks of the run, of which the first writes.</param>
    /// <exception cref="RbeFileException">There is none, or it is damaged, no training state or of another version.</exception>
    public RunStates(FinetuneSettings settings, RunRecord run, RunRanks ranks)
    {
        (_settings, _run, _ranks) = (settings, run, ranks);
        if (settings.Resume is not { } from) return;
        string path = Directory.Exists(from) ? StateFiles.Latest(from) : from;
        _resumed = Open(path);
        Path = path;
        if (_resumed.Part(PartName) is not { } part)
        {
            throw new RbeFileException(path, "is a training state that finetune did not write. Resume it with the trainer that saved it.");
        }

        RunId = part.Text(RunIdKey);
        _steps.UnionWith(StateFiles.StepsIn(settings.Out).Where(step => StateFiles.IsOf(FileOf(step), RunId)));
    }

    /// <summary>The state that the run goes on from; null for a new run.</summary>
    public string? Path { get; private set; }

    /// <summary>What the model wrote before any training; of a resumed run what it wrote then.</summary>
    public IReadOnlyList<string> Before { get; set; } = [];

    /// <summary>The run that it is of; null for a new run.</summary>
    public string? RunId { get; private set; }

    /// <summary>Gives the trainer and the record what the state has.</summary>
    /// <param name="trainer">The trainer, of the same model, data and settings.</param>
    /// <param name="loaded">The run that wrote the model that was loaded; null for a new model. A file that this very run saved may stand for
    /// the model that it began with, whose place it took.</param>
    /// <returns>The run's clock, which goes on where it stood.</returns>
    /// <exception cref="StateMismatchException">It is the state of another run, or of one that is complete.</exception>
    public RunClock Resume(Trainer trainer, RunMark? loaded)
    {
        JsonFields own = _resumed!.Part(PartName)!.Value;
        double elapsed = own.Real(SecondsKey);
        try
        {
            trainer.Resume(_resumed, anyStart: loaded?.RunId == RunId, Parts);
        }
        catch (StateMismatchException error)
        {
            throw new StateMismatchException(error.Path, OptionOf(error.What), InWords(error.Saved), InWords(error.Asked),
                $"{error.Mend} It was begun with: {own.Text(CommandKey)}");
        }

        _resumed.Dispose();
        TimeSpan before = TimeSpan.FromSeconds(Math.Clamp(elapsed, 0, TimeSpan.MaxValue.TotalSeconds / 4));
        return new RunClock(_settings.Steps, _settings.Seconds, before, _ranks);
    }

    /// <summary>Checks, before the first step, that there is room for the states.</summary>
    /// <exception cref="RbeFileException">The disk has too little space left.</exception>
    public void Begin(Trainer trainer, RunClock clock)
    {
        (_clock, _saved, _savedStep) = (clock, clock.Elapsed, trainer.StepsDone);
        if (!_settings.StateEvery.Saves || !_ranks.IsFirst) return;

        // A new one is written beside those that are kept.
        long bytes = trainer.StateBytes + (Best is null ? 0 : trainer.VectorBytes);
        AtomicFile.CheckSpace(_settings.Out, bytes * Math.Max(1, _settings.KeepStates + 1 - _steps.Count), "the training states");
    }

    /// <summary>The best weights so far, which states keep too; null for none.</summary>
    public BestWeights? Best { get; set; }

    /// <summary>Whether there is a state of this run to go back to.</summary>
    public bool CanGoBack => _steps.Count > 0;

    /// <summary>Gives trainer and record what the last state has; the clock goes on.</summary>
    /// <exception cref="RbeFileException">It cannot be read.</exception>
    public void GoBack(Trainer trainer)
    {
        Path = FileOf(_steps.Max);
        using (_resumed = Open(Path)) trainer.Resume(_resumed, anyStart: true, Parts);
        _savedStep = trainer.StepsDone;
    }

    private List<(string, ITrainingPart)> Parts => Best is { } best ? [(PartName, this), (BestWeights.Name, best)] : [(PartName, this)];

    /// <summary>Whether it is time to save the state.</summary>
    public bool IsDue(Trainer trainer) => _settings.StateEvery.IsDue(trainer.StepsDone, _savedStep, _clock!.Elapsed - _saved);

    /// <summary>Saves the state now, unless none are wanted.</summary>
    /// <param name="trainer">The trainer.</param>
    /// <param name="keepEarlier">Keeps the files of an earlier run, among which may be one of this name.</param>
    /// <returns>The file; null where none are wanted.</returns>
    /// <exception cref="RbeFileException">It cannot be written; the earlier ones are there.</exception>
    public string? Save(Trainer trainer, Action keepEarlier)
    {
        (_saved, _savedStep) = (_clock!.Elapsed, trainer.StepsDone);
        if (!_settings.StateEvery.Saves) return null;
        string file = FileOf(trainer.StepsDone);
        if (!_ranks.IsFirst)
        {
            if (trainer.SavesTogether) trainer.SaveState(file, []);
            return null;
        }

        trainer.SaveState(file, Parts, keepEarlier);
        _steps.Add(trainer.StepsDone);
        while (_steps.Count > _settings.KeepStates && _steps.Min != trainer.StepsDone) Remove(_steps.Min);
        return file;
    }

    /// <summary>Lets the other ranks know of the states that the first has.</summary>
    public void Share()
    {
        int latest = (int)_ranks.OfFirst(_steps.Count > 0 ? _steps.Max : -1);
        if (_ranks.IsFirst) return;
        _steps.Clear();
        if (latest >= 0) _steps.Add(latest);
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
        state.Add(BeforeKey, new JsonArray([.. Before.Select(text => (JsonNode)text)]));
        state.Add(ValidationKey, new JsonArray([.. _run.Validation.Select(v => (JsonNode)new JsonObject { [StepKey] = v.Step, [LossKey] = v.Loss })]));
        if (_run.Events.Count > 0) state.Add(EventsKey, new JsonArray([.. _run.Events.Select(happened => (JsonNode)happened.Line)]));
        if (_settings.Patience > 0) state.Add(PatienceKey, _settings.Patience);
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

        int patience = state.Fields.OptionalWhole(PatienceKey, 0, int.MaxValue) ?? 0;
        if (patience != _settings.Patience)
        {
            throw new StateMismatchException(Path!, "--patience", $"{patience}", $"{_settings.Patience}", "Resume with the same patience.");
        }

        List<RunEvent> events = [.. (state.Fields.OptionalTexts(EventsKey) ?? []).Select(RunEvent.Of).OfType<RunEvent>()];
        List<ValidationRecord> validation =
            [.. state.Fields.Objects(ValidationKey).Select(v => new ValidationRecord(v.Whole(StepKey, 0, int.MaxValue), v.Real(LossKey)))];
        IReadOnlyList<string> before = state.Fields.OptionalTexts(BeforeKey) ?? [];
        if (before.Count != Before.Count) // as many as there are prompts, which follow from the data
        {
            throw new RbeFileException(Path!,
                $"has {Amount.Of(before.Count, "sample")} from before the training, expected {Before.Count}. Use another state.");
        }

        byte[] bytes = state.Bytes(StepsKey);
        if (bytes.Length != (long)_resumed!.Step * StepBytes)
        {
            throw new RbeFileException(Path!, $"has a record of {bytes.Length / StepBytes} steps, expected {_resumed.Step}. Use another state.");
        }

        state.Then(() =>
        {
            _run.RunId = RunId ??= state.Fields.Text(RunIdKey);
            Before = before;
            _run.Events.Clear();
            _run.Events.AddRange(events);
            _run.Validation.Clear();
            _run.Steps.Clear();
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

    // Where the latest state is damaged, those before it are there to go on from.
    private TrainingStateFile Open(string path)
    {
        try
        {
            return TrainingStateFile.Open(path);
        }
        catch (RbeFileException error) when (EarlierThan(path) is { } earlier)
        {
            throw new RbeFileException(path, $"{error.Message[(error.Path.Length + 2)..]} Or go on from an earlier one: --resume {earlier}.");
        }
    }

    private string? EarlierThan(string path)
    {
        if (!Directory.Exists(_settings.Resume)) return null;
        return StateFiles.StepsIn(_settings.Resume).OrderDescending().Select(step => StateFiles.Of(_settings.Resume, step))
            .FirstOrDefault(file => file != path);
    }

    // A run that is limited by time has as many steps as there can be.
    private static string InWords(string value) => value == int.MaxValue.ToString(CultureInfo.InvariantCulture) ? "none" : value;

    /// <summary>The option that sets what the library calls so; its own name where none does.</summary>
    internal static string OptionOf(string what) => what switch
    {
        nameof(TrainerOptions.BatchSize) => "--batch",
        nameof(TrainerOptions.WarmupSteps) => "--warmup",
        nameof(TrainerOptions.FinalFraction) => "--final-rate",
        nameof(TrainerOptions.Groups) => "--group",
        nameof(TrainerOptions.Sum) => RankOptions.SumName,
        nameof(TrainerOptions.Wire) => RankOptions.WireName,
        nameof(TrainerOptions.LocalSteps) => RankOptions.LocalName,
        nameof(TrainerOptions.Steps) or nameof(TrainerOptions.Context) or nameof(TrainerOptions.Accumulate) or nameof(TrainerOptions.Optimizer)
            or nameof(TrainerOptions.LearningRate) or nameof(TrainerOptions.CoefficientLearningRate) or nameof(TrainerOptions.WeightDecay)
            or nameof(TrainerOptions.TrainBits) or nameof(TrainerOptions.Clip) or nameof(TrainerOptions.PreconditionAlphas)
            or nameof(TrainerOptions.Seed) or nameof(TrainerOptions.AverageHorizon) or nameof(TrainerOptions.Schedule) or nameof(TrainerOptions.Cycles) =>
            "--" + string.Concat(what.Select((c, i) => char.IsUpper(c) ? (i > 0 ? "-" : "") + char.ToLowerInvariant(c) : $"{c}")),
        _ => what,
    };

    private static string Limit(double? seconds) => seconds is { } some ? string.Create(CultureInfo.InvariantCulture, $"{some} s") : "none";

    private void Remove(int step)
    {
        TemporaryNames.Delete(FileOf(step));
        _steps.Remove(step);
    }

    private string FileOf(int step) => StateFiles.Of(_settings.Out, step);
}
