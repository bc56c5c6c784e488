using RbeMl.Models;
using RbeMl.Tests.Files;
using RbeMl.Tests.Support;
using RbeMl.Training;

namespace RbeMl.Tests.Training;

/// <summary>
/// Ranks that step by themselves and average now and then: replicas are equal then, runs repeat themselves, and what is averaged is the mean.
/// </summary>
public sealed class LocalStepsTests : IDisposable
{
    private static readonly TrainerOptions s_options = new()
    {
        Steps = 12,
        BatchSize = 2,
        Context = 16,
        Accumulate = 6,
        LearningRate = 3e-3,
        WarmupSteps = 2,
        ValidateEvery = 5, // between two means
        ValidationSequences = 8,
        AverageHorizon = 4,
        LocalSteps = 3,
    };

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private static TokenDataset Data(ulong seed) => TokenDataset.FromStream([.. Enumerable.Range(0, 400).Select(i => i * i % 11 % 7)], 11, seed);

    private static Trainer Make(TrainerOptions options, ICollective? ranks = null, int threads = 1) =>
        new(SmallModel.Create(), Data(5), Data(6), options, threads, ranks);

    private static (double Loss, string Hash)[] Run(TrainerOptions options, int size)
    {
        (double, string)[] told = new (double, string)[size];
        new ThreadCollective(size).Run(ranks =>
        {
            using Trainer trainer = Make(options, ranks, ranks.Rank + 1);
            told[ranks.Rank] = (trainer.Run(), RunMark.HashOf(trainer.Model));
        });
        return told;
    }

    [Theory]
    [InlineData("adamw")]
    [InlineData("sgd")]
    [InlineData("lion")]
    [InlineData("muon")]
    public void Replicas_are_equal_runs_repeat_themselves_and_the_loss_is_near(string optimizer)
    {
        TrainerOptions options = s_options with { Optimizer = OptimizerOptions.All.Single(each => each.Name == optimizer) };
        (double Loss, string Hash) plain = Run(options with { LocalSteps = 1 }, 1)[0];
        Assert.Equal(plain, Run(options, 1)[0]); // in one process nothing changes
        for (int size = 2; size <= 3; size++)
        {
            (double Loss, string Hash)[] told = Run(options, size);
            Assert.All(told, rank => Assert.Equal(told[0], rank));
            Assert.Equal(told, Run(options, size));
            Assert.NotEqual(plain.Hash, told[0].Hash);
            Assert.InRange(Math.Abs(told[0].Loss - plain.Loss), 0, 0.1 * plain.Loss);
        }
    }

    /// <summary>Plain gradient descent: the mean of one step of each rank is the step by the mean of their gradients, but for rounding.</summary>
    [Fact]
    public void The_mean_of_steps_by_plain_descent_is_the_step_by_the_mean()
    {
        TrainerOptions options = s_options with { Optimizer = new SgdOptions { Momentum = 0 }, Clip = 0, WeightDecay = 0, WarmupSteps = 0, AverageHorizon = 0 };
        using Trainer plain = Make(options);
        plain.Step();
        float[] expected = Values(plain);
        new ThreadCollective(3).Run(ranks =>
        {
            using Trainer trainer = Make(options, ranks);
            float[] before = Values(trainer);
            trainer.Step();
            Assert.False(trainer.HasMet);
            float[] own = Values(trainer);
            trainer.Meet();
            Assert.True(trainer.HasMet);
            float[] mean = Values(trainer);
            double moved = Furthest(before, expected);
            Assert.InRange(Furthest(own, mean), 0.05 * moved, 10 * moved); // ranks had gone ways of their own
            for (int i = 0; i < mean.Length; i++) Assert.Equal(expected[i], mean[i], (1e-3 * moved) + (1e-6 * Math.Abs(expected[i])));
        });

        static double Furthest(float[] a, float[] b) => a.Zip(b).Max(pair => Math.Abs(pair.First - pair.Second));
        static float[] Values(Trainer trainer) => [.. trainer.Model.Parameters.Slices.SelectMany(trainer.Model.Parameters.ToFloats)];
    }

    [Fact]
    public void A_state_saved_at_a_mean_goes_on_with_the_bits_of_a_run_that_was_never_stopped()
    {
        string path = _folder.File("state.rbe");
        TrainerOptions options = s_options with { ValidateEvery = 0, StatePath = path, StateEvery = SaveInterval.EverySteps(1) };
        string expected = Run(options with { StatePath = null }, 2)[0].Hash;
        new ThreadCollective(2).Run(ranks =>
        {
            using CancellationTokenSource cancel = new();
            using Trainer trainer = Make(options, ranks);
            Assert.ThrowsAny<OperationCanceledException>(() => trainer.Run(report =>
            {
                if (report.Step == 6 && ranks.Rank == 1) cancel.Cancel();
            }, cancel.Token));
        });
        (double _, string hash)[] told = Run(options, 2);
        Assert.All(told, rank => Assert.Equal(expected, rank.hash));
    }

    /// <summary>A state is due at the first mean after the step at which it would have been saved; a run that is cancelled ends with a mean.</summary>
    [Fact]
    public void States_of_a_number_of_steps_are_put_off_to_a_mean_and_cancelled_replicas_are_equal()
    {
        string path = _folder.File("state.rbe");
        TrainerOptions options = s_options with { ValidateEvery = 0, StatePath = path, StateEvery = SaveInterval.EverySteps(4) };
        int saved = 0;
        string[] hashes = new string[2];
        new ThreadCollective(2).Run(ranks =>
        {
            using CancellationTokenSource cancel = new();
            using Trainer trainer = Make(options, ranks);
            Assert.ThrowsAny<OperationCanceledException>(() => trainer.Run(report =>
            {
                if (ranks.Rank != 0) return;
                if (report.Step == 7)
                {
                    using TrainingStateFile state = TrainingStateFile.Open(path);
                    saved = state.Step;
                    cancel.Cancel();
                }
            }, cancel.Token));
            hashes[ranks.Rank] = RunMark.HashOf(trainer.Model);
        });
        Assert.Equal(6, saved);
        Assert.Equal(hashes[0], hashes[1]);
    }

    [Fact]
    public void What_decides_when_ranks_meet_is_part_of_the_run()
    {
        string path = _folder.File("state.rbe");
        new ThreadCollective(2).Run(ranks =>
        {
            using Trainer trainer = Make(s_options, ranks), other = Make(s_options with { ValidateEvery = 4 }, ranks);
            trainer.Step();
            trainer.SaveState(path);
            if (ranks.Rank != 0) return; // which may be here before the file is
            Assert.Contains("3, validated every 4", Assert.Throws<StateMismatchException>(() => other.Resume(path)).Message, StringComparison.Ordinal);
        });
    }

    [Theory]
    [InlineData(4, 3, false)]
    [InlineData(7, 6, true)]
    [InlineData(8, 7, false)]
    [InlineData(16, 12, true)]
    [InlineData(16, 14, false)]
    public void An_interval_of_seven_steps_is_due_past_each_seventh(int step, int saved, bool due) =>
        Assert.Equal(due, SaveInterval.EverySteps(7).IsDue(step, saved, TimeSpan.Zero));

    [Fact]
    public void What_is_wrong_on_one_rank_is_wrong_on_all_before_anything_has_moved()
    {
        Exception?[] seen = new Exception?[2];
        new ThreadCollective(2).Run(ranks =>
        {
            using Trainer trainer = Make(s_options, ranks);
            string before = RunMark.HashOf(trainer.Model);
            if (ranks.Rank == 1) trainer.Gradients.Of(trainer.Gradients.Slices[0])[3] = float.NaN;
            seen[ranks.Rank] = Record.Exception(() => trainer.Step());
            Assert.Equal(before, RunMark.HashOf(trainer.Model));
            trainer.Step();
        });
        Assert.All(seen, error => Assert.Contains("NaN at element 3", Assert.IsType<NonFiniteException>(error).Message));
    }

    [Fact]
    public void Bytes_are_those_of_weights_and_moments_by_the_steps_and_nothing_is_allocated()
    {
        new ThreadCollective(2).Run(ranks =>
        {
            using Trainer plain = Make(s_options with { Accumulate = 4, LocalSteps = 1 }, ranks),
                trainer = Make(s_options with { Accumulate = 4, LocalSteps = 6, Steps = 60 }, ranks);
            Assert.InRange(trainer.ExchangedBytes / (double)plain.ExchangedBytes, 0.49, 0.51); // three vectors in six steps
            for (int step = 0; step < 18; step++) trainer.Step();
            long least = Allocations.Least(7, Six, all: true);
            Assert.Equal(0, least);

            void Six()
            {
                for (int step = 0; step < 6; step++) trainer.Step();
            }
        });
    }

    [Fact]
    public void What_has_no_mean_or_sends_gradients_is_refused()
    {
        Refused("LocalSteps = 3: the moments of adamw8 are codes, which have no mean.", s_options with { Optimizer = new AdamW8Options() });
        Refused("LocalSteps = 3: with it ranks send no gradients.", s_options with { Wire = GradientWire.BFloat16 });
        Refused("LocalSteps = 3: with it ranks send no gradients.", s_options with { Sum = GradientSum.Engine });
        Refused("LocalSteps = 3: with it ranks send no gradients.", s_options with { ShardOptimizer = true });
        Refused("LocalSteps = 0: use 1", s_options with { LocalSteps = 0 });

        static void Refused(string message, TrainerOptions options) =>
            Assert.StartsWith(message, Assert.Throws<InvalidSettingException>(() => options.Validate()).Message);
    }
}
