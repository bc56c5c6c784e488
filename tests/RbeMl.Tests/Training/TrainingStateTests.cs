using RbeMl.Codec;
using RbeMl.Layers;
using RbeMl.Memory;
using RbeMl.Models;
using RbeMl.Storage;
using RbeMl.Tests.Files;
using RbeMl.Tests.Support;
using RbeMl.Training;

namespace RbeMl.Tests.Training;

/// <summary>
/// A training that is resumed from its state gives the bits of one that was never stopped; a state of another run is refused and changes
/// nothing.
/// </summary>
public sealed class TrainingStateTests : IDisposable
{
    private const int Steps = 9;

    private static readonly TrainerOptions s_options = new()
    {
        Steps = Steps,
        BatchSize = 4,
        Context = 16,
        LearningRate = 3e-3,
        WarmupSteps = 2,
        ValidateEvery = 4,
        ValidationSequences = 8,
    };

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    public static TheoryData<string> Optimizers => [.. OptimizerOptions.All.Select(optimizer => optimizer.Name), "sgd without momentum"];

    private static OptimizerOptions Find(string name) =>
        OptimizerOptions.All.FirstOrDefault(optimizer => optimizer.Name == name) ?? new SgdOptions { Momentum = 0 };

    private static TokenDataset Data(ulong seed = 5, int change = -1) =>
        TokenDataset.FromStream([.. Enumerable.Range(0, 400).Select(i => i == change ? 10 : i * i % 11 % 7)], 11, seed);

    private static Trainer Make(TrainerOptions? options = null, int threads = 1, TransformerModel<float>? model = null, ITokenSource? data = null) =>
        new(model ?? SmallModel.Create(), data ?? Data(), Data(6), options ?? s_options, threads);

    internal static int[] Bits(ParameterVector<float> parameters) =>
        [.. parameters.Slices.SelectMany(slice => parameters.ToFloats(slice)).Select(BitConverter.SingleToInt32Bits)];

    private string Saved(int step, TrainerOptions? options = null)
    {
        string path = _folder.File($"{Guid.NewGuid():N}.rbe");
        using Trainer trainer = Make(options);
        while (trainer.StepsDone < step) trainer.Step();
        trainer.SaveState(path);
        return path;
    }

    [Theory]
    [MemberData(nameof(Optimizers))]
    public void Resumed_at_any_step_and_with_other_threads_it_has_the_bits_of_a_run_that_never_stopped(string optimizer)
    {
        TrainerOptions options = s_options with { Optimizer = Find(optimizer), Accumulate = 2, AverageHorizon = 4 };
        string[] states = [.. Enumerable.Range(0, Steps).Select(step => _folder.File($"{step}.rbe"))];
        List<TrainingProgress> reports = [];
        using Trainer whole = Make(options, 2);
        whole.SaveState(states[0]);
        double last = whole.Run(report =>
        {
            reports.Add(report);
            if (report.Step < Steps) whole.SaveState(states[report.Step]);
        });
        for (int step = 0; step < Steps; step++)
        {
            using Trainer resumed = Make(options, 1 + (step % 3));
            resumed.Resume(states[step]);
            Assert.Equal(step, resumed.StepsDone);
            List<TrainingProgress> rest = [];
            Assert.Equal(last, resumed.Run(rest.Add));
            Assert.Equal(reports.Skip(step).Select(r => (r.Step, r.Loss, r.LearningRate, r.GradientNorm, r.ValidationLoss)),
                rest.Select(r => (r.Step, r.Loss, r.LearningRate, r.GradientNorm, r.ValidationLoss)));
            Assert.Equal(Bits(whole.Model.Parameters), Bits(resumed.Model.Parameters));
            for (int vector = 0; vector < options.Optimizer.StateVectors; vector++)
            {
                Assert.Equal(Bits(whole.Optimizer.StateVectors[vector]), Bits(resumed.Optimizer.StateVectors[vector]));
            }
        }
    }

    /// <summary>What is not said counts as none, so states of earlier versions are those of runs in which every later option is at its default.</summary>
    [Fact]
    public void An_option_at_its_default_says_nothing_that_earlier_states_do_not()
    {
        string[] first =
        [
            "Steps", "BatchSize", "Context", "Accumulate", "Optimizer", "LearningRate", "WarmupSteps", "Schedule", "FinalFraction", "WeightDecay", "Clip",
            "PreconditionAlphas", "Seed", "AverageHorizon",
        ];
        RunIdentity identity = new RunIdentity().Add(new TrainerOptions().Deciding());
        Assert.Equal(first, identity.Values.Where(value => value.Value != "none").Select(value => value.Name));
    }

    [Fact]
    public void A_state_of_a_resumed_run_is_that_of_the_run_that_never_stopped()
    {
        string first = Saved(3), whole = Saved(6), resumed = _folder.File("resumed.rbe");
        using Trainer trainer = Make(threads: 2);
        trainer.Resume(first);
        while (trainer.StepsDone < 6) trainer.Step();
        trainer.SaveState(resumed);
        Assert.Equal(File.ReadAllBytes(whole), File.ReadAllBytes(resumed));
    }

    [Fact]
    public void What_decides_no_bit_may_change()
    {
        string state = Saved(4);
        using Trainer plain = Make(), other = Make(s_options with
        {
            Checkpointing = CheckpointPolicy.Full,
            Offload = ActivationOffload.Spill,
            SpillFolder = _folder.Path,
            ValidateEvery = 1,
            ValidationSequences = 3,
            Profile = true,
            StatePath = _folder.File("other.rbe"),
            StateEvery = SaveInterval.EverySteps(2),
            ExtraBytes = 1,
            MemoryLimit = 1 << 20,
        });
        foreach (Trainer trainer in (Trainer[])[plain, other])
        {
            trainer.Resume(state);
            trainer.Run();
        }

        Assert.Equal(Bits(plain.Model.Parameters), Bits(other.Model.Parameters));
    }

    /// <summary>Every setting is one that decides bits, and then a state with another value is refused, or is known not to.</summary>
    [Fact]
    public void Every_setting_that_decides_bits_must_be_the_same()
    {
        string[] free =
        [
            nameof(TrainerOptions.ValidateEvery), nameof(TrainerOptions.ValidationSequences), nameof(TrainerOptions.Checkpointing),
            nameof(TrainerOptions.Offload), nameof(TrainerOptions.SpillFolder), nameof(TrainerOptions.MemoryLimit), nameof(TrainerOptions.ExtraBytes),
            nameof(TrainerOptions.Profile), nameof(TrainerOptions.StatePath), nameof(TrainerOptions.StateEvery),
            nameof(TrainerOptions.ShardOptimizer), // states are those of one process, see SharedOptimizerTests
        ];
        (string Name, TrainerOptions Options)[] others =
        [
            (nameof(TrainerOptions.Steps), s_options with { Steps = 10 }), (nameof(TrainerOptions.BatchSize), s_options with { BatchSize = 3 }),
            (nameof(TrainerOptions.Context), s_options with { Context = 8 }), (nameof(TrainerOptions.Accumulate), s_options with { Accumulate = 2 }),
            (nameof(TrainerOptions.Optimizer), s_options with { Optimizer = new AdamWOptions { Beta1 = 0.8 } }),
            (nameof(TrainerOptions.LearningRate), s_options with { LearningRate = 1e-3 }),
            (nameof(TrainerOptions.CoefficientLearningRate), s_options with { CoefficientLearningRate = 1e-3 }),
            (nameof(TrainerOptions.WarmupSteps), s_options with { WarmupSteps = 3 }),
            (nameof(TrainerOptions.Schedule), s_options with { Schedule = RateSchedule.Linear }),
            (nameof(TrainerOptions.FinalFraction), s_options with { FinalFraction = 0.2 }),
            (nameof(TrainerOptions.Cycles), s_options with { Cycles = 2 }),
            (nameof(TrainerOptions.WeightDecay), s_options with { WeightDecay = 0.2 }), (nameof(TrainerOptions.Clip), s_options with { Clip = 0.5 }),
            (nameof(TrainerOptions.PreconditionAlphas), s_options with { PreconditionAlphas = false }),
            (nameof(TrainerOptions.AverageHorizon), s_options with { AverageHorizon = 5 }),
            (nameof(TrainerOptions.Seed), s_options with { Seed = 7 }), (nameof(TrainerOptions.Sum), s_options with { Sum = GradientSum.Engine }),
            (nameof(TrainerOptions.LocalSteps), s_options with { LocalSteps = 4 }),
            (nameof(TrainerOptions.Wire), s_options with { Wire = GradientWire.BFloat16 }),
            (nameof(TrainerOptions.Groups), s_options with { Groups = [new ParameterGroup("*.bias") { RateFactor = 0.5 }] }),
        ];
        string[] takesAnotherModel = [nameof(TrainerOptions.TrainBits)]; // FewBitsTests
        Assert.Equal(typeof(TrainerOptions).GetProperties().Select(p => p.Name).Order(),
            free.Concat(takesAnotherModel).Concat(others.Select(o => o.Name)).Order());
        string state = Saved(3);
        foreach ((string name, TrainerOptions options) in others)
        {
            using Trainer trainer = Make(options);
            Assert.Equal(name, Refused(trainer, state).What);
        }
    }

    [Fact]
    public void Other_models_and_data_are_refused_with_both_sides()
    {
        string state = Saved(3);
        TransformerModel<float> trained = SmallModel.Create(), places = SmallModel.Create(support: SupportRule.Random());
        trained.Parameters.Of(trained.Parameters.Slices[3])[0] += 1e-3f;
        (string What, Trainer Trainer)[] others =
        [
            ("model", Make(model: SmallModel.Create(layers: 1))), ("model", Make(model: SmallModel.Create(dropout: 0.2f))), ("model", Make(model: places)),
            ("weights at the start", Make(model: trained)), ("training data", Make(data: Data(change: 77))), ("training data", Make(data: Data(seed: 8))),
            ("training data", Make(data: new CountingTokens(11))),
            ("validation data", new Trainer(SmallModel.Create(), Data(), null, s_options, 1)),
        ];
        foreach ((string what, Trainer trainer) in others)
        {
            using (trainer)
            {
                StateMismatchException error = Refused(trainer, state);
                Assert.Equal((what, state), (error.What, error.Path));
                Assert.Matches("the training state has .+, this run has .+ Resume with what the run was begun with", error.Message);
            }
        }
    }

    [Fact]
    public void A_run_that_is_complete_is_refused()
    {
        string state = Saved(Steps);
        using Trainer trainer = Make();
        Assert.Contains("9 of 9, its run is complete", Refused(trainer, state).Message);
    }

    [Fact]
    public void Other_files_damage_and_later_versions_are_refused()
    {
        string state = Saved(3), model = _folder.File("model.rbe"), damaged = _folder.File("damaged.rbe");
        RbeMl.Files.ModelFile.Save(model, SmallModel.Create());
        using Trainer trainer = Make();
        Assert.Contains("holds \"rbeml-gpt2\", a training state", Refuse(model).Message);
        Assert.Contains("no such file", Refuse(_folder.File("none.rbe")).Message);
        byte[] bytes = File.ReadAllBytes(state);
        for (int place = 0; place < bytes.Length; place += Math.Max(1, bytes.Length / 97))
        {
            File.WriteAllBytes(damaged, bytes[..place]);
            Refuse(damaged);
            byte[] flipped = [.. bytes];
            flipped[place] ^= 4;
            File.WriteAllBytes(damaged, flipped);
            Refuse(damaged);
        }

        StateFiles.Change(state, damaged, metadata => metadata["stateVersion"] = 2);
        Assert.Matches("state of version 2, written by RbeMl .+ which reads version 1", Refuse(damaged).Message);
        foreach (string key in new[] { "kind", "stateVersion", "step", "steps", "run", "parts" })
        {
            StateFiles.Change(state, damaged, metadata => metadata.Remove(key));
            Refuse(damaged);
        }

        foreach (string part in new[] { "trainer", "weights", "optimizer" })
        {
            StateFiles.Change(state, damaged, metadata => metadata["parts"]!.AsObject().Remove(part));
            Refuse(damaged);
        }

        foreach (string tensor in new[] { "weights.values", "optimizer.0", "optimizer.1" })
        {
            StateFiles.Change(state, damaged, _ => { }, name => name == tensor ? "other" : name);
            Refuse(damaged);
        }

        StateFiles.Change(state, damaged, _ => { }, value: (name, values) => { if (name == "optimizer.1") values[7] = float.NaN; });
        Assert.IsType<NonFiniteException>(Refuse(damaged));

        RbeException Refuse(string path)
        {
            int[] before = Bits(trainer.Model.Parameters);
            RbeException error = Assert.ThrowsAny<RbeException>(() => trainer.Resume(path));
            Assert.Equal(before, Bits(trainer.Model.Parameters));
            Assert.Equal(0, trainer.StepsDone);
            return error;
        }
    }

    [Fact]
    public void A_run_with_a_path_goes_on_from_what_is_there_and_leaves_nothing_when_it_is_complete()
    {
        string path = _folder.File("deep/run.rbe");
        TrainerOptions options = s_options with { StatePath = path, StateEvery = SaveInterval.EverySteps(2) };
        using Trainer whole = Make(), second = Make(options, 2);
        whole.Run();
        List<int> saved = [];
        using (Trainer first = Make(options))
        {
            using CancellationTokenSource cancel = new();
            Assert.Throws<OperationCanceledException>(() => first.Run(report =>
            {
                if (File.Exists(path)) saved.Add(report.Step);
                if (report.Step == 5) cancel.Cancel();
            }, cancel.Token));
        }

        Assert.Equal([3, 4, 5], saved); // each told before the state of its own step is saved
        List<int> rest = [];
        second.Run(report => rest.Add(report.Step));
        Assert.Equal([6, 7, 8, 9], rest);
        Assert.Equal(Bits(whole.Model.Parameters), Bits(second.Model.Parameters));
        Assert.False(File.Exists(path), "the state of a run that is complete was left");
        using Trainer other = Make(options with { Seed = 8 });
        File.Copy(Saved(3), path);
        Assert.Throws<StateMismatchException>(() => other.Run());
        Assert.True(File.Exists(path), "a state of another run was deleted");
        using Trainer nowhere = Make(options with { StatePath = Path.Combine(path, "in a file.rbe") });
        Assert.Throws<RbeFileException>(() => nowhere.Run());
        Assert.Equal(0, nowhere.StepsDone);
    }

    [Fact]
    public void The_average_is_validated_and_is_what_remains()
    {
        const int horizon = 3;
        using Trainer plain = Make(), averaged = Make(s_options with { AverageHorizon = horizon }, 2);
        double[] average = Values(plain.Model);
        double validation = double.NaN;
        while (plain.StepsDone < Steps)
        {
            plain.Step();
            double[] now = Values(plain.Model);
            double rate = WeightAverage.RateOf(plain.StepsDone, horizon);
            average = [.. average.Zip(now, (a, w) => a + (rate * (w - a)))];
        }

        double result = averaged.Run(report => validation = report.ValidationLoss ?? validation);
        double[] found = Values(averaged.Model);
        for (int i = 0; i < average.Length; i++) Assert.Equal(average[i], found[i], 1e-5);
        Assert.NotEqual(Values(plain.Model), found);
        using Trainer served = Make(model: averaged.Model);
        Assert.Equal(served.Validate(), result);
        Assert.Equal(validation, result);
        Assert.Equal((1, 10 / 12.0, 1.0 / 100), (WeightAverage.RateOf(1, 100), WeightAverage.RateOf(3, 100), WeightAverage.RateOf(5000, 100)));
        Assert.Equal(4 * (long)found.Length * 3, averaged.Bytes.Optimizer);
        Assert.Equal(plain.Estimate.Optimizer + (4 * averaged.Model.Parameters.Length), averaged.Estimate.Optimizer);

        static double[] Values(TransformerModel<float> model) =>
            [.. model.Parameters.Slices.SelectMany(slice => model.Parameters.ToFloats(slice)).Select(value => (double)value)];
    }

    [Fact]
    public void Too_little_space_is_said_before_anything_is_done()
    {
        AtomicFile.CheckSpace(_folder.Path, 1, "a test");
        RbeFileException error = Assert.Throws<RbeFileException>(() => AtomicFile.CheckSpace(_folder.Path, long.MaxValue / 2, "the training states"));
        Assert.Matches("has [0-9]+ MiB of space left, the training states take [0-9]+ MiB", error.Message);
    }

    [Fact]
    public void A_state_that_cannot_be_written_leaves_the_one_before()
    {
        string state = Saved(3);
        byte[] before = File.ReadAllBytes(state);
        using Trainer trainer = Make();
        trainer.Step();
        Assert.Throws<RbeFileException>(() => trainer.SaveState(Path.Combine(state, "in a file.rbe")));
        trainer.Model.Parameters.Of(trainer.Model.Parameters.Slices[0])[0] = float.NaN;
        Assert.Throws<NonFiniteException>(() => trainer.SaveState(state));
        Assert.Equal(before, File.ReadAllBytes(state));
    }

    /// <summary>All values are finite, and what they predict is not: the state that one can go on from stays, whoever saves it.</summary>
    [Fact]
    public void A_state_that_predicts_nothing_leaves_the_one_before()
    {
        string state = Saved(3);
        byte[] before = File.ReadAllBytes(state);
        using Trainer trainer = Make(s_options with { StatePath = state, StateEvery = SaveInterval.EverySteps(1) });
        trainer.Resume(state);
        Ruin(trainer.Model.Parameters);
        NonFiniteException error = Assert.Throws<NonFiniteException>(() => trainer.SaveState(state));
        Assert.StartsWith("the state after step 3, ", error.Message, StringComparison.Ordinal);
        Assert.Equal(before, File.ReadAllBytes(state));
        using CancellationTokenSource cancelled = new();
        cancelled.Cancel();
        Assert.Throws<OperationCanceledException>(() => trainer.Run(null, cancelled.Token));
        Assert.Equal(before, File.ReadAllBytes(state));
    }

    /// <summary>Makes all weights so large that their products overflow.</summary>
    internal static void Ruin(ParameterVector<float> parameters)
    {
        foreach (ParameterSlice slice in parameters.Slices) parameters.Of(slice).Fill(1e30f);
    }

    private static StateMismatchException Refused(Trainer trainer, string state)
    {
        int[] before = Bits(trainer.Model.Parameters);
        StateMismatchException error = Assert.Throws<StateMismatchException>(() => trainer.Resume(state));
        Assert.Equal(before, Bits(trainer.Model.Parameters));
        Assert.Equal(0, trainer.StepsDone);
        return error;
    }
}
