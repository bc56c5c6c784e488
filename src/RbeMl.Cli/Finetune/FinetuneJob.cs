using System.Diagnostics;
using System.Globalization;
using RbeMl.Cli.Output;
using RbeMl.Codec;
using RbeMl.Files;
using RbeMl.Layers;
using RbeMl.Models;
using RbeMl.Storage;
using RbeMl.Text;
using RbeMl.Training;

namespace RbeMl.Cli.Finetune;

/// <summary>One run of <c>rbeml finetune</c>: check, load, train, measure, save.</summary>
internal sealed partial class FinetuneJob(FinetuneSettings settings, JsonTarget json, CommandHost host, RunRanks ranks)
{
    private const int DefaultContext = 128, SampleTokens = 48, ValidationSequences = int.MaxValue, InterimSequences = 160;
    private const double ValidateEvery = 0.1, InterimShare = 0.02;
    private RunGuard _guard = null!;
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
    private DeltaModel? _delta; // what is trained of the model; null for all
    private TimeSpan _earlier; // of training, before a resumed run was stopped

    /// <summary>Does it all.</summary>
    /// <returns>An <see cref="ExitCode"/>.</returns>
    public int Run()
    {
        try
        {
            return RunAll();
        }
        catch (InvalidSettingException error) when (GroupArguments.InWords(error) is { } told)
        {
            throw told;
        }
        finally
        {
            _log?.Dispose();
        }
    }

    private int RunAll()
    {
        ranks.RequireSame(settings.Options, "--threads");
        if (settings.OnlyTells && !ranks.IsFirst) return ExitCode.Done;
        using RunStates states = _states = new RunStates(settings, _run, ranks);
        _files = new RunFiles(settings.Out, settings.Overwrite, states.RunId);
        if (ranks.IsFirst) CheckFiles();
        using FolderLock? folder = settings.OnlyTells || !ranks.IsFirst ? null : FolderLock.Take(settings.Out);
        if (!settings.OnlyTells && _files.Earlier is { } earlier) Say(earlier);
        using ModelBundle? loaded = settings.Model is { } file ? ModelInput.LoadLanguageModel(host, file) : null;
        int context = Context(loaded?.Model.Config);
        Say($"Loading {(settings.Tokens ?? (settings.Text.Count > 0 ? string.Join(", ", settings.Text) : "the SDK's documentation"))}");
        TrainingData data = ReadingView.Read(host, json.OnOutput, view => TrainingData.Load(settings, loaded, context, view, host.Cancel));
        // A model that this very run saved in the place of the one it began with has the formats asked for.
        bool own = states.RunId is { } id && loaded?.Run?.RunId == id;
        ModelMove move = new(settings, _files, own ? null : loaded?.Model);
        TransformerModel<float> model =
            TrainingModel.Create(own ? settings with { Compression = null } : settings, loaded?.Model, data.Vocabulary, context);
        _delta = DeltaArguments.InWords(() => TrainingModel.WithDelta(settings, model, data, context, own, host.Cancel));
        model = _delta?.Model ?? model;

        Describe(model, data, context);
        host.Cancel.ThrowIfCancellationRequested();
        RunForecast forecast = new(settings, _delta, json, host);
        if (settings.DryRun) return forecast.DryRun(model, data, context, BestBytes(model, context));
        if (settings.FindRate is { } most) return forecast.FindRate(most, model, data, context);

        states.Before = [.. data.Prompts.Select(prompt => ranks.IsFirst ? Sample(model, data, prompt) : "")];
        LaterWork later = new();
        model = Train(model, data, context, later, loaded?.Run);
        if (!ranks.IsFirst) return _run.Cancelled ? ExitCode.Cancelled : ExitCode.Done;
        Measure(later, () => _run.Quality = move.Measure(model, data, context, Say, host.Cancel));
        Measure(later, () => _run.Samples =
            [.. data.Prompts.Select((prompt, i) => new SampleRecord(Decode(data, prompt), states.Before[i], Sample(model, data, prompt)))]);
        Finish(model, data, later);
        later.ThrowFirst(Saved);
        return _run.Cancelled ? ExitCode.Cancelled : ExitCode.Done;
    }

    // Before any work: every file can be written, and none would take the place of another or of the data.
    private void CheckFiles()
    {
        List<string> written = [.. _files.All];
        if (json.File is { } document)
        {
            written.Add(document);
            if (settings.ConfigFile is { } config) Options.RequireDistinct(document, [config]);
        }

        if (settings.Csv is { } table) written.Add(table);
        if (settings.SaveDelta is { } delta) written.Add(delta);
        List<string> kept = [.. settings.TextFiles, .. settings.ValidationFiles];
        if (settings.Tokens is { } tokens) kept.Add(tokens);
        if (settings.Validation is { } validation) kept.Add(validation);
        if (settings.ApplyDelta is { } begun) kept.Add(begun);
        for (int i = 0; i < written.Count; i++)
        {
            Options.RequireDistinct(written[i], [.. written[..i], .. kept]);

            // The model itself may be continued in its place, but not where a delta needs it later.
            if ((i > 0 || settings.SaveDelta is not null) && settings.Model is { } model)
            {
                Options.RequireDistinct(written[i], [ModelSource.InFolder(model) ?? model]);
            }
        }

        CheckNew(settings.Csv, "--csv", IsTable);
        CheckNew(settings.SaveDelta, "--save-delta", file => ContentKind.IsIn(file, ContentKind.Delta));
        if (settings is { TensorBoard: { } events, OnlyTells: false }) AtomicFile.CheckFolder(events);
        foreach (string file in settings.OnlyTells ? written.Where(file => file == json.File) : written) AtomicFile.CheckFile(file);
        _run.Kept = _files.Kept;
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
        TrainerOptions options = settings.ToTrainer(context, ValidationSequences, BestBytes(model, context) + (settings.MemoryLimit is null ? 0
            : RehearseSaving(model, data) + (settings.TrainBits is null ? 0 : 2 * sizeof(float) * model.Parameters.Length)), _delta); // saved in another format
        using Trainer trainer = new(model, data.Train, data.Validation, options, settings.Threads, ranks.Collective);
        using BestWeights? best = _states.Best = settings.Patience > 0 ? trainer.KeepBest() : null;
        _guard = new RunGuard(settings, _run, _states, happened => host.Complain($"rbeml: note: {happened}"));
        _run.Settings = settings.ListedWith(model, options, trainer.Activations, _run.Threads);
        if ((_run.Ranks = ranks.Record(trainer)) is { } shared) Say(shared.Describe());
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
        catch (Exception error) when (ranks.IsFirst && (trainer.StepsDone > 0 || _guard.GaveUp is not null))
        {
            // By the first rank alone: the others may be gone, or know nothing of it yet.
            if (trainer.StepsDone == 0) throw new SavedWorkException(error, _guard.GaveUp!);
            if (!trainer.IsWhole) throw new SavedWorkException(error, HalfMoved);
            if (trainer.Diverged || !trainer.PredictsHere()) throw new SavedWorkException(error, NotSaved);
            trainer.ApplyAverage();
            SaveAfter(error, Served(trainer), data); // the weights are those of the last step that was done
        }

        _run.Cancelled = ranks.Any(host.Cancel.IsCancellationRequested) && !clock.IsOver(trainer.StepsDone);
        _run.ByTime = trainer.StepsDone < options.Steps;
        _run.TrainingSeconds = clock.Elapsed.TotalSeconds;
        if (RunGuard.Fault(trainer) is { } fault) throw new SavedWorkException(fault, NotSaved);
        if (_run.Cancelled) SaveState(trainer); // before the weights become their average
        if (!ApplyBest(trainer)) trainer.ApplyAverage();
        TransformerModel<float> served = Served(trainer);
        SaveLast(served, data);
        if (_run.Cancelled)
        {
            string more = _states.CanGoBack ? " The same command with --resume goes on." : "";
            later.Do(() => Say($"Stopping: the model after {StepsDone} is saved in {_files.Model}.{more} The figures so far and the report "
                + $"follow; a second Ctrl-C leaves them out."));
        }

        Measure(later, () =>
        {
            Validate(trainer, view, ValidationSequences);
            _run.BitsPerByte = _run.Validation[^1].Loss / Math.Log(2) / data.BytesPerToken(context, ValidationSequences);
        });
        _run.Profile = ProfileRecord.Of(trainer.Profile);
        TrainingBytes bytes = trainer.Bytes;
        _run.Bytes = new ByteRecord(bytes.Weights, bytes.Gradients, bytes.Optimizer, bytes.Activations);
        _run.Memory = MemoryRecord.Of(trainer);
        long state = (trainer.StateVectors * bytes.DenseWeights) + trainer.Options.Optimizer.CodedBytes(bytes.DenseWeights / sizeof(float));
        _run.DenseBytes = new ByteRecord(bytes.DenseWeights, bytes.DenseWeights, state, bytes.Activations);
        return served;
    }

    // What is trained at few bits is saved and used in the format that holds them.
    private TransformerModel<float> Served(Trainer trainer) => Served(settings, trainer);

    /// <summary>What a run saves.</summary>
    /// <param name="settings">What was asked for.</param>
    /// <param name="trainer">The trainer.</param>
    internal static TransformerModel<float> Served(FinetuneSettings settings, Trainer trainer) =>
        settings.TrainBits is null ? trainer.Model : new TransformerModel<float>(trainer.GetWeights());

    // A new run, or one that goes on.
    private RunClock Begin(Trainer trainer, TrainingView view, TrainingData data, RunMark? loaded)
    {
        RunClock clock;
        if (_states.Path is { } state)
        {
            clock = _states.Resume(trainer, loaded);
            trainer.RequireSameWeights();
            _earlier = clock.Elapsed;
            Say($"Resuming after {StepsDone} from {state}");
        }
        else
        {
            Validate(trainer, view, ValidationSequences);
            if (ranks.Any(host.Cancel.IsCancellationRequested)) throw new OperationCanceledException(host.Cancel);
            _run.RunId = RunId.Of(settings, trainer.Model, data, trainer.Options.Context, _delta, ranks.Size);
            clock = new RunClock(settings.Steps, settings.Seconds, ranks: ranks);
            if (settings.ConfigRun is { } other && other != _run.RunId)
            {
                host.Complain($"rbeml: note: the file of --config is of run {other}, and this is {_run.RunId}: an option, or a file it names, has changed.");
            }
        }

        _states.Begin(trainer, clock);
        if (settings.OnDivergence == OnDivergence.Rollback && !_states.CanGoBack) SaveState(trainer); // the earliest to go back to
        return clock;
    }

    private void Steps(Trainer trainer, TrainingData data, TrainingView view, RunClock clock)
    {
        double nextValidation = NextValidation(clock.Fraction(trainer.StepsDone)), cost = 0;
        TimeSpan saveEvery = settings.SaveMinutes > 0 ? TimeSpan.FromMinutes(settings.SaveMinutes) : TimeSpan.MaxValue, saved = clock.Elapsed;
        while (!clock.IsOver(trainer.StepsDone) || IsBack(RunGuard.Fault(trainer)))
        {
            if (_guard.Step(trainer, clock.Fraction(trainer.StepsDone), host.Cancel) is not { } progress)
            {
                Restart();
                continue;
            }

            _run.Add(progress);
            _guard.Look();
            Log(_run.Steps[^1]);
            if (host.Stopping is { } stopping) stopping.HasWork = true;
            clock.Look();
            double done = clock.Fraction(trainer.StepsDone);
            if (done >= nextValidation && done < 1)
            {
                // A look in between is a small one, and left out where even that would eat up the time to train in.
                double before = clock.Elapsed.TotalSeconds;
                try
                {
                    if (settings.Patience > 0 || settings.Seconds is not { } limit || cost <= InterimShare * limit) Validate(trainer, view, InterimSequences);
                }
                catch (NonFiniteException error)
                {
                    if (IsBack(error)) continue;
                    throw;
                }
                clock.Look();
                cost = Math.Max(cost, clock.Elapsed.TotalSeconds - before);
                nextValidation = NextValidation(done);
                if (settings.OnDivergence == OnDivergence.Rollback) SaveState(trainer);
                if (GotNoBetter(trainer)) return;
            }

            view.Report(progress, done, clock.Elapsed);
            if (done < 1 && trainer.HasMet && _states.IsDue(trainer)) SaveState(trainer);
            if (clock.Elapsed - saved < saveEvery || done >= 1 || !trainer.HasMet) continue;
            if (RunGuard.Fault(trainer) is null) SaveMeanwhile(trainer, data); // what is wrong ends the next step
            saved = clock.Elapsed;
        }

        // Whether the run went back from weights that a look found to predict nothing.
        bool IsBack(NonFiniteException? ruined)
        {
            if (ruined is null || !_guard.GoesBack(trainer, ruined)) return false;
            Restart();
            return true;
        }

        void Restart()
        {
            _log?.Restart(_run);
            nextValidation = NextValidation(clock.Fraction(trainer.StepsDone));
        }
    }

    private static double NextValidation(double done) => (Math.Floor(done / ValidateEvery) + 1) * ValidateEvery;

    private void Validate(Trainer trainer, TrainingView view, int sequences)
    {
        bool again = _run.Validation.Count > 0 && _run.Validation[^1].Step == trainer.StepsDone;
        if (again && _run.BestStep is null) return;
        double loss = trainer.Validate(sequences, host.Cancel);
        view.Validation = new ValidationRecord(trainer.StepsDone, loss);
        if (again) // of the best weights, in place of the last
        {
            _run.Validation[^1] = view.Validation;
            _log?.Restart(_run);
            return;
        }

        _run.Validation.Add(view.Validation);
        _log?.Write(view.Validation);
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
        IReadOnlyList<ParameterGroup> groups = [.. _delta?.Groups ?? [], .. settings.Groups];
        long trainable = model.Parameters.Slices.Where(slice => ParameterGroup.Trains(groups, slice)).Sum(slice => (long)slice.Length);
        long dense = model.Parameters.TrainableCount + matrices.Sum(m => (long)m.Rows * m.Columns - m.TrainableCount);
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

    // Each on its own: one that fails leaves the others.
    private void Finish(TransformerModel<float> model, TrainingData data, LaterWork later)
    {
        later.Do(() => SaveZip(model, data));
        later.Do(() => _log?.Finish(_run));
        _run.Files["metrics"] = _files.Metrics;
        _run.Files["report"] = _files.Report;
        _run.Files["steps"] = _files.Lines;
        _run.Files["options"] = _files.Config;
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
