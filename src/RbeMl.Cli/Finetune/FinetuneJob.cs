using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using RbeMl.Cli.Output;
using RbeMl.Codec;
using RbeMl.Layers;
using RbeMl.Models;
using RbeMl.Storage;
using RbeMl.Text;
using RbeMl.Training;

namespace RbeMl.Cli.Finetune;

/// <summary>One run of <c>rbeml finetune</c>: check, load, train, measure, save.</summary>
internal sealed partial class FinetuneJob(FinetuneSettings settings, JsonTarget json, CommandHost host)
{
    private const int DefaultContext = 128, SampleTokens = 48, ValidationSequences = 800, InterimSequences = 160;
    private const double ValidateEvery = 0.1, InterimShare = 0.02;
    private readonly Stopwatch _watch = Stopwatch.StartNew();
    private readonly RunRecord _run = new()
    {
        Seed = settings.Seed,
        Threads = settings.Threads == 0 ? Environment.ProcessorCount : settings.Threads,
        Command = settings.Command,
        Version = MachineRecord.Version(),
        Machine = MachineRecord.Here(),
    };

    private RunFiles _files = null!; // once it is known which run this is
    private RunStates _states = null!;
    private TimeSpan _earlier; // of training, before a resumed run was stopped

    /// <summary>Does it all.</summary>
    /// <returns>An <see cref="ExitCode"/>.</returns>
    public int Run()
    {
        using RunStates states = _states = new RunStates(settings, _run);
        _files = new RunFiles(settings.Out, settings.Overwrite, states.RunId);
        CheckFiles();
        using ModelBundle? loaded = settings.Model is { } file ? ModelInput.LoadLanguageModel(host, file) : null;
        int context = Context(loaded?.Model.Config);
        Say($"Loading {(settings.Tokens ?? (settings.Text.Count > 0 ? string.Join(", ", settings.Text) : "the SDK's documentation"))}");
        TrainingData data = ReadingView.Read(host, json.OnOutput, view => TrainingData.Load(settings, loaded, context, view, host.Cancel));
        // A model that this very run saved in the place of the one it began with has the formats asked for.
        bool own = states.RunId is { } id && loaded?.Run?.RunId == id;
        TransformerModel<float> model =
            TrainingModel.Create(own ? settings with { Compression = null } : settings, loaded?.Model, data.Vocabulary, context);
        Describe(model, data, context);
        host.Cancel.ThrowIfCancellationRequested();
        if (settings.DryRun) return DryRun(model, data, context);

        List<string> before = [.. data.Prompts.Select(prompt => Sample(model, data, prompt))];
        LaterWork later = new();
        model = Train(model, data, context, later, loaded?.Run);
        Measure(later, () => _run.Samples =
            [.. data.Prompts.Select((prompt, i) => new SampleRecord(Decode(data, prompt), before[i], Sample(model, data, prompt)))]);
        Finish(model, data, later);
        later.ThrowFirst(Saved);
        return _run.Cancelled ? ExitCode.Cancelled : ExitCode.Done;
    }

    // Two steps of the model in memory: one to begin with, one to measure.
    private int DryRun(TransformerModel<float> model, TrainingData data, int context)
    {
        TrainerOptions options = settings.ToTrainer(context, ValidationSequences, 0) with { SpillFolder = null }; // writes nothing to --out
        using Trainer trainer = new(model, data.Train, null, options, settings.Threads);
        long memory = (trainer.Plan?.Estimate ?? trainer.Estimate).Total, bytes = ModelSize.Of(model).Bytes;
        trainer.Step(0, host.Cancel);
        long started = Stopwatch.GetTimestamp();
        trainer.Step(0, host.Cancel);
        double step = Stopwatch.GetElapsedTime(started).TotalSeconds;
        double limit = settings.Seconds ?? double.PositiveInfinity, asked = settings.Steps ?? double.PositiveInfinity;
        double seconds = Math.Min(step * asked, limit), steps = Math.Min(asked, Math.Max(1, Math.Floor(limit / step)));
        Say($"About {Format.Bytes(bytes)} of weights, {Format.Bytes(memory)} of memory, {step.ToString("G3", CultureInfo.InvariantCulture)} s a step: "
            + $"{Format.Count(steps, "step")} in {Format.Seconds(seconds)}, and what measuring and saving take. Nothing was written.");
        json.Write(host, JsonSerializer.Serialize(
            new { DryRun = true, settings.Out, Bytes = bytes, PeakBytes = memory, SecondsPerStep = step, Steps = steps, Seconds = seconds },
            JsonStyle.Indented));
        return ExitCode.Done;
    }

    // Before any work: every file can be written, and none would take the place of another or of the data.
    private void CheckFiles()
    {
        List<string> written = [.. _files.All];
        if (json.File is { } document) written.Add(document);
        List<string> kept = [.. settings.Text];
        if (settings.Tokens is { } tokens) kept.Add(tokens);
        if (settings.Validation is { } validation) kept.Add(validation);
        for (int i = 0; i < written.Count; i++)
        {
            Options.RequireDistinct(written[i], [.. written[..i], .. kept]);

            // The model itself may be continued in its place.
            if (i > 0 && settings.Model is { } model) Options.RequireDistinct(written[i], [model]);
        }

        foreach (string file in settings.DryRun ? written.Where(file => file == json.File) : written) AtomicFile.CheckFile(file);
        _run.Kept = _files.Kept;
        if (!settings.DryRun && _files.Earlier is { } earlier) Say(earlier);
    }

    private int Context(TransformerConfig? model)
    {
        int room = model?.MaxSequenceLength ?? int.MaxValue;
        int context = settings.Context ?? Math.Min(DefaultContext, room);
        return context <= room ? context
            : throw new InvalidSettingException("--context", context, $"the model has {Format.Count(room, "position")}; use at most that.");
    }

    // Gives the model as it is served.
    private TransformerModel<float> Train(TransformerModel<float> model, TrainingData data, int context, LaterWork later, RunMark? loaded)
    {
        TrainerOptions options = settings.ToTrainer(context, ValidationSequences, settings.MemoryLimit is null ? 0 : RehearseSaving(model, data));
        using Trainer trainer = new(model, data.Train, data.Validation, options, settings.Threads);
        _run.Settings = Listed(model, options, trainer.Activations);
        Say(trainer.Plan is { } plan
            ? $"Memory: at most {plan.Estimate.Total >> 20} of {plan.LimitBytes >> 20} MiB; {plan.Describe()}"
            : $"Memory: about {trainer.Estimate.Total >> 20} MiB of the machine's {RuntimeFootprint.MachineBytes >> 20} MiB");
        TrainingView view = TrainingView.For(host, json.OnOutput, settings.Steps);
        RunClock clock = Begin(trainer, view, data, loaded);
        try
        {
            view.Run(() => Steps(trainer, data, view, clock));
        }
        catch (OperationCanceledException) when (trainer.StepsDone > 0)
        {
            // The step under way is given up; the weights are those of the last one that was done.
        }
        catch (Exception error) when (trainer.StepsDone > 0)
        {
            if (trainer.Diverged || Fault(trainer) is not null) throw new SavedWorkException(error, NotSaved);
            trainer.ApplyAverage();
            SaveAfter(error, Served(trainer), data); // the weights are those of the last step that was done
        }

        _run.Cancelled = host.Cancel.IsCancellationRequested && !clock.IsOver(trainer.StepsDone);
        _run.ByTime = trainer.StepsDone < options.Steps;
        _run.TrainingSeconds = clock.Elapsed.TotalSeconds;
        if (Fault(trainer) is { } fault) throw new SavedWorkException(fault, NotSaved);
        if (_run.Cancelled) Meanwhile(() => _states.Save(trainer, _files.KeepEarlier)); // before the weights become their average
        trainer.ApplyAverage();
        TransformerModel<float> served = Served(trainer);
        SaveLast(served, data);
        if (_run.Cancelled)
        {
            later.Do(() => Say($"Stopping: the model after {StepsDone} is saved in {_files.Model}. The figures so far and the report "
                + $"follow; a second Ctrl-C leaves them out."));
        }

        Measure(later, () => Validate(trainer, view, ValidationSequences));
        _run.Profile = ProfileRecord.Of(trainer.Profile);
        TrainingBytes bytes = trainer.Bytes;
        _run.Bytes = new ByteRecord(bytes.Weights, bytes.Gradients, bytes.Optimizer, bytes.Activations);
        _run.Memory = MemoryRecord.Of(trainer);
        _run.DenseBytes = new ByteRecord(bytes.DenseWeights, bytes.DenseWeights, trainer.StateVectors * bytes.DenseWeights, bytes.Activations);
        return served;
    }

    // What is trained at few bits is saved and used in the format that holds them.
    private TransformerModel<float> Served(Trainer trainer) =>
        settings.TrainBits is null ? trainer.Model : new TransformerModel<float>(trainer.GetWeights());

    // A new run, or one that goes on.
    private RunClock Begin(Trainer trainer, TrainingView view, TrainingData data, RunMark? loaded)
    {
        RunClock clock;
        if (_states.Path is { } state)
        {
            clock = _states.Resume(trainer, loaded);
            _earlier = clock.Elapsed;
            Say($"Resuming after {StepsDone} from {state}");
        }
        else
        {
            Validate(trainer, view, ValidationSequences);
            host.Cancel.ThrowIfCancellationRequested();
            _run.RunId = RunId.Of(settings, trainer.Model, data, trainer.Options.Context);
            clock = new RunClock(settings.Steps, settings.Seconds);
        }

        _states.Begin(trainer, clock);
        return clock;
    }

    // The settings with what the run has found of them.
    private Dictionary<string, string> Listed(TransformerModel<float> model, TrainerOptions options, ActivationSettings kept)
    {
        Dictionary<string, IFormattable> found = new()
        {
            ["--vocabulary"] = model.Config.Vocabulary,
            ["--context"] = options.Context,
            ["--learning-rate"] = options.LearningRate,
            ["--weight-decay"] = options.WeightDecay,
            ["--warmup"] = options.WarmupSteps,
            ["--dropout"] = model.Config.Dropout,
            ["--threads"] = _run.Threads,
            ["--checkpointing"] = kept.Checkpointing,
            ["--offload"] = kept.Offload,
        };
        if (options.Optimizer is SgdOptions sgd) found["--momentum"] = sgd.Momentum;
        return settings.Listed.ToDictionary(
            option => option.Key,
            option => option.Value
            ?? (found[option.Key] is Enum way ? MemoryRecord.Word(way) : found[option.Key].ToString(null, CultureInfo.InvariantCulture)));
    }

    private void Steps(Trainer trainer, TrainingData data, TrainingView view, RunClock clock)
    {
        double nextValidation = NextValidation(clock.Fraction(trainer.StepsDone)), cost = 0;
        TimeSpan saveEvery = settings.SaveMinutes > 0 ? TimeSpan.FromMinutes(settings.SaveMinutes) : TimeSpan.MaxValue, saved = clock.Elapsed;
        while (!clock.IsOver(trainer.StepsDone))
        {
            host.Cancel.ThrowIfCancellationRequested();
            TrainingProgress progress = trainer.Step(clock.Fraction(trainer.StepsDone), host.Cancel);
            _run.Add(progress);
            if (host.Stopping is { } stopping) stopping.HasWork = true;
            double done = clock.Fraction(trainer.StepsDone);
            if (done >= nextValidation && done < 1)
            {
                // A look in between is a small one, and left out where even that would eat up the time to train in.
                double before = clock.Elapsed.TotalSeconds;
                if (settings.Seconds is not { } limit || cost <= InterimShare * limit) Validate(trainer, view, InterimSequences);
                cost = Math.Max(cost, clock.Elapsed.TotalSeconds - before);
                nextValidation = NextValidation(done);
            }

            view.Report(progress, done, clock.Elapsed);
            if (done < 1 && _states.IsDue(trainer) && Fault(trainer) is null) Meanwhile(() => _states.Save(trainer, _files.KeepEarlier));
            if (clock.Elapsed - saved < saveEvery || done >= 1) continue;
            if (Fault(trainer) is null) SaveMeanwhile(trainer, data); // what is wrong ends the next step
            saved = clock.Elapsed;
        }
    }

    private static double NextValidation(double done) => (Math.Floor(done / ValidateEvery) + 1) * ValidateEvery;

    private void Validate(Trainer trainer, TrainingView view, int sequences)
    {
        if (_run.Validation.Count > 0 && _run.Validation[^1].Step == trainer.StepsDone) return;
        double loss = trainer.Validate(sequences, host.Cancel);
        view.Validation = new ValidationRecord(trainer.StepsDone, loss);
        _run.Validation.Add(view.Validation);
    }

    // Why the weights predict nothing any more; null while they do. A gradient that overflows leaves them as they were, a step too long does not.
    private static NonFiniteException? Fault(Trainer trainer)
    {
        try
        {
            trainer.Validate(1);
            return null;
        }
        catch (NonFiniteException error)
        {
            return error;
        }
    }

    // A figure of the trained model. Who asks to stop waits for none: of a large model each takes minutes.
    private void Measure(LaterWork later, Action figure)
    {
        if (_run.Cancelled) return;
        later.Do(() =>
        {
            try
            {
                figure();
            }
            catch (OperationCanceledException)
            {
                _run.Cancelled = true;
            }
        });
    }

    private void Describe(TransformerModel<float> model, TrainingData data, int context)
    {
        TransformerConfig config = model.Config;
        List<RbeMatrix> matrices = [.. model.Matrices.Select(m => m.Matrix)];
        long trainable = model.Parameters.TrainableCount;
        long dense = trainable + matrices.Sum(m => (long)m.Rows * m.Columns - m.TrainableCount);
        _run.Data = data.Source;
        _run.TrainTokens = data.Train.Tokens;
        _run.ValidationTokens = data.Validation.Tokens;
        _run.StepShape = [settings.Batch, context, settings.Accumulate];
        string tokenizer =
            data.Tokenizer switch { ByteTokenizer => "bytes", CharacterTokenizer => "characters", BytePairTokenizer => "bpe", null => "ids", _ => "gpt2" };
        _run.Model = new ModelRecord(
            config.Layers, config.Heads, config.Width, config.Vocabulary, context, TrainingModel.Describe(matrices[0]), matrices[0].Tile,
            matrices[0].Transform.ToString(), tokenizer, dense, trainable);
        Say($"Model: {Format.Count(config.Layers, "block")}, width {config.Width}, {Format.Count(config.Heads, "head")}, vocabulary "
            + $"{config.Vocabulary} ({tokenizer}), context {context}; {TrainingModel.Describe(matrices[0])}: {Format.Count(trainable)} trained values "
            + $"for {Format.Count(dense)} dense ones{(settings.TrainBits is { } bits ? $", matrices at {bits} bits" : "")}");
        Say($"Data:  {Format.Count(data.Train.Tokens)} training and {Format.Count(data.Validation.Tokens)} validation tokens from {data.Source}");
    }

    private string Sample(TransformerModel<float> model, TrainingData data, int[] prompt)
    {
        using Generator generator = new(model, settings.Threads);
        GenerationOptions options = new() { MaxTokens = SampleTokens, Temperature = 0.7, TopK = 40, Seed = settings.Seed };
        return data.Tokenizer is { } tokenizer
            ? string.Concat(new TextGenerator(generator, tokenizer).Generate(prompt, options, host.Cancel))
            : string.Concat(generator.Generate(prompt, options, host.Cancel).Select(id => string.Create(CultureInfo.InvariantCulture, $" {id}")));
    }

    private static string Decode(TrainingData data, int[] ids) => data.Tokenizer?.Decode(ids) ?? string.Join(' ', ids);

    private string StepsDone => Format.Count(_run.Steps.Count, "step");

    private string Saved => $"The model after {StepsDone} is saved in {_files.Model}.{(_files.Earlier is { } earlier ? " " + earlier : "")}";

    // Each on its own: one that fails leaves the others.
    private void Finish(TransformerModel<float> model, TrainingData data, LaterWork later)
    {
        later.Do(() => SaveZip(model, data));
        _run.Files["metrics"] = _files.Metrics;
        _run.Files["report"] = _files.Report;
        _run.Seconds = (_earlier + _watch.Elapsed).TotalSeconds;
        string document = _run.ToJson();
        later.Do(() => AtomicFile.WriteText(_files.Metrics, document + "\n"));
        later.Do(() => AtomicFile.WriteText(_files.Report, ReportPage.Html(_run)));
        later.Do(() =>
        {
            if (!json.OnOutput) Summary.Write(host, _run);
            if (_run.Cancelled) Say($"Stopped after {StepsDone}; the work so far is saved in {settings.Out}.");
        });
        later.Do(() => json.Write(host, document));
        if (!_run.Cancelled) later.Do(_states.Clear);
    }

    private void Say(string line)
    {
        if (json.OnOutput) return;
        host.Say(line);
        host.Out.Flush();
    }
}
