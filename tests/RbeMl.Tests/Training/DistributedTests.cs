using System.Globalization;
using RbeMl.Codec;
using RbeMl.Layers;
using RbeMl.Models;
using RbeMl.Tests.Files;
using RbeMl.Tests.Support;
using RbeMl.Training;

namespace RbeMl.Tests.Training;

/// <summary>Ranks that share a step's micro-batches give the bits of one process; an error of one is an error of all.</summary>
public sealed class DistributedTests : IDisposable
{
    private static readonly TrainerOptions s_options = new()
    {
        Steps = 5,
        BatchSize = 2,
        Context = 16,
        Accumulate = 8,
        LearningRate = 3e-3,
        WarmupSteps = 2,
        ValidateEvery = 2,
        ValidationSequences = 7,
        AverageHorizon = 4,
    };

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    public static TheoryData<string, int> Runs
    {
        get
        {
            TheoryData<string, int> runs = [];
            foreach (OptimizerOptions optimizer in OptimizerOptions.All) foreach (int accumulate in (int[])[8, 12]) runs.Add(optimizer.Name, accumulate);
            return runs;
        }
    }

    private static TokenDataset Data(ulong seed = 5, int change = -1) =>
        TokenDataset.FromStream([.. Enumerable.Range(0, 400).Select(i => i == change ? 10 : i * i % 11 % 7)], 11, seed);

    private static Trainer Make(TrainerOptions options, int threads = 1, ICollective? ranks = null, ITokenSource? data = null,
        TransformerModel<float>? model = null) =>
        new(model ?? SmallModel.Create(dropout: 0.1f), data ?? Data(), Data(6), options, threads, ranks);

    private static TransformerModel<float> Small(RbeOptions options, ulong seed) => TransformerModel<float>.Create(
        new TransformerConfig { Width = 32, Heads = 2, Layers = 1, Vocabulary = 11, MaxSequenceLength = 16 }, options, seed);

    // All that a run reports but times.
    private static string[] Run(Trainer trainer)
    {
        List<string> told = [];
        double last = trainer.Run(report => told.Add(string.Create(CultureInfo.InvariantCulture,
            $"{report.Step} {report.Loss:R} {report.LearningRate:R} {report.GradientNorm:R} {report.ValidationLoss:R} {report.Tokens}")));
        return [.. told, last.ToString("R", CultureInfo.InvariantCulture), RunMark.HashOf(trainer.Model)];
    }

    private static string[][] RunRanks(int size, TrainerOptions options, Func<int, int>? threads = null)
    {
        string[][] told = new string[size][];
        new ThreadCollective(size).Run(ranks =>
        {
            using Trainer trainer = Make(options, threads?.Invoke(ranks.Rank) ?? 1, ranks);
            told[ranks.Rank] = Run(trainer);
        });
        return told;
    }

    [Theory]
    [MemberData(nameof(Runs))]
    public void One_to_four_ranks_have_the_bits_of_one_process(string optimizer, int accumulate)
    {
        TrainerOptions options = s_options with { Optimizer = OptimizerOptions.All.Single(each => each.Name == optimizer), Accumulate = accumulate };
        using Trainer alone = Make(options, 2);
        string[] expected = Run(alone);
        for (int size = 1; size <= 4; size++) Assert.All(RunRanks(size, options), told => Assert.Equal(expected, told));
    }

    [Fact]
    public void Ranks_of_one_micro_batch_each_and_of_different_numbers_of_threads_have_them_too()
    {
        TrainerOptions options = s_options with { Accumulate = 5 };
        using Trainer alone = Make(options);
        string[] expected = Run(alone);
        Assert.All(RunRanks(5, options), told => Assert.Equal(expected, told));
        Assert.All(RunRanks(2, options, rank => rank + 1), told => Assert.Equal(expected, told));
    }

    [Fact]
    public void Frozen_parameters_are_not_exchanged_and_change_nothing()
    {
        TrainerOptions options = s_options with { Groups = [new ParameterGroup("embedding*") { Frozen = true }] };
        using Trainer alone = Make(options);
        string[] expected = Run(alone);
        Assert.All(RunRanks(3, options), told => Assert.Equal(expected, told));
    }

    [Fact]
    public void Weights_of_few_bits_are_the_same_on_any_number_of_ranks()
    {
        TrainerOptions options = s_options with { TrainBits = 4, Optimizer = new MuonOptions() };
        using Trainer alone = Make(options, model: Dense());
        string[] expected = Run(alone);
        string[][] told = new string[2][];
        new ThreadCollective(2).Run(ranks =>
        {
            using Trainer trainer = Make(options, 1, ranks, model: Dense());
            told[ranks.Rank] = Run(trainer);
        });
        Assert.All(told, rank => Assert.Equal(expected, rank));

        static TransformerModel<float> Dense() => Small(new RbeOptions { Tile = 32, Alphas = false, Format = RbeFormat.Sparse(32 * 32) }, 1);
    }

    [Fact]
    public void A_value_that_is_no_number_on_one_rank_fails_the_step_on_all_with_the_words_of_one_process()
    {
        string expected = Assert.Throws<NonFiniteException>(() => Ruined(null)).Message;
        Exception?[] seen = new Exception?[3];
        new ThreadCollective(3).Run(ranks => seen[ranks.Rank] = Record.Exception(() => Ruined(ranks)));
        Assert.All(seen, error => Assert.Equal(expected, Assert.IsType<NonFiniteException>(error).Message));

        // Only the batches of the last rank have the id whose embedding is too large.
        static void Ruined(ICollective? ranks)
        {
            TransformerModel<float> model = SmallModel.Create();
            ParameterSlice slice = model.Parameters.Slices.First(slice => slice.Kind == ParameterKind.Embedding);
            float[] values = model.Parameters.ToFloats(slice);
            int width = slice.Length / model.Config.Vocabulary;
            values.AsSpan(10 * width, width).Fill(float.MaxValue);
            model.Parameters.Write(slice, values);
            using Trainer trainer = Make(s_options with { Accumulate = 6 }, 1, ranks, new LastOnly(4), model);
            trainer.Step();
        }
    }

    [Fact]
    public void Another_error_of_one_rank_fails_the_step_on_all_and_names_the_rank()
    {
        Exception?[] seen = new Exception?[3];
        new ThreadCollective(3).Run(ranks => seen[ranks.Rank] = Record.Exception(() =>
        {
            using Trainer trainer = Make(s_options with { Accumulate = 6 }, 1, ranks, new LastOnly(2, new IOException("the share is gone")));
            trainer.Step();
        }));
        Assert.All(seen, error => Assert.Equal((1, "rank 1: the share is gone"),
            (Assert.IsType<DistributedException>(error).Rank, error.Message)));
        Assert.IsType<IOException>(seen[1]!.InnerException);
        Assert.Null(seen[0]!.InnerException);
    }

    [Fact]
    public void A_step_that_one_rank_cancels_is_cancelled_on_all_and_can_be_done_again()
    {
        string[] hashes = new string[2];
        using Trainer alone = Make(s_options);
        alone.Step();
        new ThreadCollective(2).Run(ranks =>
        {
            using CancellationTokenSource cancel = new();
            using Trainer trainer = Make(s_options, 1, ranks);
            if (ranks.Rank == 1) cancel.Cancel();
            Assert.ThrowsAny<OperationCanceledException>(() => trainer.Step(cancel: cancel.Token));
            Assert.Equal(0, trainer.StepsDone);
            trainer.Step();
            hashes[ranks.Rank] = RunMark.HashOf(trainer.Model);
        });
        Assert.All(hashes, hash => Assert.Equal(RunMark.HashOf(alone.Model), hash));
    }

    [Theory]
    [InlineData("Seed", "rank 2: Seed: it has 7, rank 0 has 1337.")]
    [InlineData("LearningRate", "rank 2: LearningRate: it has 0.5, rank 0 has 0.003.")]
    [InlineData("data", "rank 2: training data: it has 400 tokens, checksum ")]
    [InlineData("model", "rank 2: model: it has 1 block of width 32, 11 token ids, checksum ")]
    public void What_a_rank_has_of_its_own_is_refused_before_the_first_step(string what, string message)
    {
        TrainerOptions other = what switch { "Seed" => s_options with { Seed = 7 }, "LearningRate" => s_options with { LearningRate = 0.5 }, _ => s_options };
        Exception?[] seen = new Exception?[3];
        new ThreadCollective(3).Run(ranks => seen[ranks.Rank] = Record.Exception(() =>
        {
            bool odd = ranks.Rank == 2;
            Make(odd ? other : s_options, 1, ranks, odd && what == "data" ? Data(change: 100) : null,
                Small(new RbeOptions { Tile = 32, Format = RbeFormat.Sparse(128) }, odd && what == "model" ? 9 : 1ul)).Dispose();
        }));
        Assert.All(seen, error => Assert.StartsWith(message, Assert.IsType<DistributedException>(error).Message));
    }

    [Fact]
    public void More_ranks_than_micro_batches_are_refused()
    {
        ThreadCollective ranks = new(3);
        InvalidSettingException error = Assert.Throws<InvalidSettingException>(() => Make(s_options with { Accumulate = 2 }, 1, ranks[0]));
        Assert.StartsWith("Accumulate = 2: 3 ranks share the micro-batches of a step: use at least 3", error.Message);
    }

    [Fact]
    public void A_rank_that_does_something_else_is_told_so()
    {
        Exception?[] seen = new Exception?[2];
        new ThreadCollective(2).Run(ranks => seen[ranks.Rank] = Record.Exception(() =>
        {
            using Trainer trainer = Make(s_options, 1, ranks);
            if (ranks.Rank == 0) trainer.Step();
            else trainer.Validate();
        }));
        Assert.Equal("rank 1: is at the task Comparison while rank 0 is at Step. All ranks must make the same calls in the same order.", seen[0]!.Message);
    }

    [Theory]
    [InlineData(1, 3)]
    [InlineData(2, 3)]
    [InlineData(3, 1)]
    public void A_state_is_resumed_on_another_number_of_ranks_with_the_same_bits(int before, int after)
    {
        string path = _folder.File("state.rbe");
        TrainerOptions options = s_options with { StatePath = path, StateEvery = SaveInterval.EverySteps(1) };
        using Trainer alone = Make(s_options);
        string expected = Run(alone)[^1];
        new ThreadCollective(before).Run(ranks =>
        {
            using CancellationTokenSource cancel = new();
            using Trainer trainer = Make(options, 1, ranks);
            Assert.ThrowsAny<OperationCanceledException>(() => trainer.Run(report =>
            {
                if (report.Step == 3 && ranks.Rank == 0) cancel.Cancel();
            }, cancel.Token));
            Assert.Equal(3, trainer.StepsDone);
        });
        Assert.True(File.Exists(path));
        new ThreadCollective(after).Run(ranks =>
        {
            using Trainer trainer = Make(options, 1, ranks);
            int steps = 0;
            trainer.Run(_ => steps++);
            Assert.Equal(2, steps);
            Assert.Equal(expected, RunMark.HashOf(trainer.Model));
        });
        Assert.False(File.Exists(path));
    }

    /// <summary>Of a step on two ranks, as of one in one process.</summary>
    [Fact]
    public void Steady_steps_allocate_nothing()
    {
        long[] allocated = new long[2];
        new ThreadCollective(2).Run(ranks =>
        {
            using Trainer trainer = Make(s_options with { Steps = 40 }, 1, ranks);
            for (int step = 0; step < 20; step++) trainer.Step();
            allocated[ranks.Rank] = Allocations.Least(20, () => trainer.Step(), all: true);
        });
        Assert.Equal([0, 0], allocated);
    }

    [Fact]
    public void The_plan_counts_the_vectors_of_a_rank_and_what_it_receives_in()
    {
        Trainer[] trainers = new Trainer[2];
        new ThreadCollective(2).Run(ranks => trainers[ranks.Rank] = Make(s_options with { Accumulate = 8 }, 1, ranks));
        using Trainer alone = Make(s_options with { Accumulate = 8 });
        Assert.Equal(4 * alone.VectorBytesHeld(), alone.Estimate.Gradients);
        foreach (Trainer trainer in trainers)
        {
            // Three vectors for four micro-batches, and halves of two nodes.
            Assert.InRange(trainer.Estimate.Gradients, 4 * alone.VectorBytesHeld(), (4 * alone.VectorBytesHeld()) + 256);
            trainer.Dispose();
        }
    }

    /// <summary>A rank sends half of its node, and half of the sum.</summary>
    [Fact]
    public void The_bytes_of_a_step_are_those_of_a_ring_where_each_rank_has_one_node()
    {
        const long Elements = 3_200_000;
        for (int size = 2; size <= 8; size *= 2)
        {
            VectorShares shares = VectorShares.Even(Elements, size);
            for (int rank = 0; rank < size; rank++)
            {
                Assert.InRange(GradientExchange.Bytes(new SumTree(8), rank, shares) / (2.0 * (size - 1) / size * 4 * Elements), 0.999, 1.001);
            }
        }

        Assert.InRange(GradientExchange.Bytes(new SumTree(12), 0, VectorShares.Even(Elements, 2)) / (1.5 * 4 * Elements), 0.999, 1.001);
        Assert.Equal(0, GradientExchange.Bytes(new SumTree(12), 0, VectorShares.Even(Elements, 1)));
    }

    // The id 10 from one micro-batch of a step on, or an error there.
    private sealed class LastOnly(int from, Exception? error = null) : ITokenSource
    {
        public int Vocabulary => 11;

        public void Fill(long batchIndex, int batch, int context, Span<int> inputs, Span<int> targets)
        {
            if (error is not null && batchIndex == from) throw error;
            inputs.Fill(batchIndex >= from ? 10 : 3);
            targets.Fill(4);
        }
    }
}

/// <summary>Sizes that tests compare with.</summary>
internal static class TrainerSizes
{
    /// <summary>Bytes of one vector of what is trained, gaps included.</summary>
    public static long VectorBytesHeld(this Trainer trainer) => trainer.Gradients.Length * sizeof(float);
}
