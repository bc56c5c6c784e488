using System.Globalization;
using RbeMl.Codec;
using RbeMl.Layers;
using RbeMl.Models;
using RbeMl.Tests.Files;
using RbeMl.Tests.Support;
using RbeMl.Training;

namespace RbeMl.Tests.Training;

/// <summary>Ranks that divide the optimiser's state and update have the bits of one process, and an N-th of the state each.</summary>
public sealed class SharedOptimizerTests : IDisposable
{
    private static readonly TrainerOptions s_options = new()
    {
        Steps = 5,
        BatchSize = 2,
        Context = 16,
        Accumulate = 4,
        LearningRate = 3e-3,
        WarmupSteps = 2,
        ValidateEvery = 2,
        ValidationSequences = 7,
        AverageHorizon = 4,
        Clip = 0.5, // so that each step's norm decides about its bits
    };

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    public static TheoryData<string, int> Runs
    {
        get
        {
            TheoryData<string, int> runs = [];
            foreach (OptimizerOptions optimizer in OptimizerOptions.All) for (int size = 1; size <= 4; size++) runs.Add(optimizer.Name, size);
            return runs;
        }
    }

    private static TokenDataset Data(ulong seed) => TokenDataset.FromStream([.. Enumerable.Range(0, 400).Select(i => i * i % 11 % 7)], 11, seed);

    // Tables of several pieces, and matrices of less and of more than one.
    private static TransformerModel<float> Model(bool dense = false) => TransformerModel<float>.Create(
        new TransformerConfig { Width = 64, Heads = 2, Layers = 2, Vocabulary = 700, MaxSequenceLength = 16, Dropout = 0.1f },
        dense ? new RbeOptions { Tile = 64, Alphas = false, Format = RbeFormat.Sparse(64 * 64) } : new RbeOptions { Tile = 32, Format = RbeFormat.Sparse(300) },
        1);

    private static Trainer Make(TrainerOptions options, ICollective? ranks = null, int threads = 1, bool dense = false) =>
        new(Model(dense), Data(5), Data(6), options, threads, ranks);

    private static TrainerOptions With(string optimizer) => s_options with { Optimizer = OptimizerOptions.All.Single(each => each.Name == optimizer) };

    // All that a run reports but times.
    private static string[] Run(Trainer trainer)
    {
        List<string> told = [];
        double last = trainer.Run(report => told.Add(string.Create(CultureInfo.InvariantCulture,
            $"{report.Step} {report.Loss:R} {report.LearningRate:R} {report.GradientNorm:R} {report.ValidationLoss:R} {report.Tokens}")));
        return [.. told, last.ToString("R", CultureInfo.InvariantCulture), RunMark.HashOf(trainer.Model)];
    }

    private static void Same(string[] expected, int size, TrainerOptions options, bool dense = false) => new ThreadCollective(size).Run(ranks =>
    {
        using Trainer trainer = Make(options with { ShardOptimizer = true }, ranks, ranks.Rank + 1, dense);
        Assert.Equal(size > 1, trainer.SavesTogether);
        Assert.Equal(expected, Run(trainer));
        Assert.All(trainer.Gradients.Slices, slice => Assert.All(trainer.Gradients.Of(slice).ToArray(), value => Assert.Equal(0, value)));
    });

    [Theory]
    [MemberData(nameof(Runs))]
    public void Any_number_of_ranks_has_the_bits_of_one_process(string optimizer, int size)
    {
        using Trainer alone = Make(With(optimizer));
        Same(Run(alone), size, With(optimizer));
    }

    [Theory]
    [InlineData("adamw", 4)]
    [InlineData("muon", 3)]
    public void Weights_of_few_bits_and_frozen_tables_have_them_too(string optimizer, int bits)
    {
        TrainerOptions options = With(optimizer) with { TrainBits = bits, Groups = [new ParameterGroup("embedding.*") { Frozen = true }] };
        using Trainer alone = Make(options, dense: true);
        string[] expected = Run(alone);
        for (int size = 2; size <= 3; size++) Same(expected, size, options, dense: true);
    }

    /// <summary>The parts of all ranks together are the state of one process, and none is larger than an N-th by more than a piece.</summary>
    [Theory]
    [InlineData("adamw", 8)]
    [InlineData("adamw8", 2)]
    [InlineData("lion", 4)]
    [InlineData("sgd", 4)]
    public void Each_rank_has_its_part_of_the_state_and_plans_with_it(string optimizer, int bytesOfValue)
    {
        TrainerOptions options = With(optimizer) with { AverageHorizon = 0 };
        using Trainer alone = Make(options);
        long whole = alone.Bytes.Optimizer;
        for (int size = 2; size <= 4; size++)
        {
            (long Bytes, long Planned, long Held)[] parts = new (long, long, long)[size];
            new ThreadCollective(size).Run(ranks =>
            {
                using Trainer trainer = Make(options with { ShardOptimizer = true }, ranks);
                parts[ranks.Rank] = (trainer.Bytes.Optimizer, trainer.Estimate.Optimizer, trainer.OptimizerBytesHeld);
            });
            long gaps = alone.Gradients.Slices.Count * 16L * bytesOfValue, piece = (1 << 14) * (bytesOfValue + 1L);
            Assert.InRange(parts.Sum(part => part.Bytes), whole, whole + gaps);
            Assert.All(parts, part =>
            {
                Assert.InRange(part.Bytes, (whole / size) - piece, (whole / size) + gaps + piece);
                Assert.Equal(part.Bytes, part.Planned);
                Assert.InRange(part.Held, part.Bytes, part.Bytes + 256); // in whole lines
            });
        }
    }

    [Theory]
    [InlineData("adamw", 1, 3)]
    [InlineData("adamw", 3, 1)]
    [InlineData("adamw8", 3, 2)]
    [InlineData("lion", 2, 4)]
    [InlineData("muon", 2, 3)]
    public void A_state_is_that_of_one_process_byte_for_byte_and_goes_on_anywhere(string optimizer, int before, int after)
    {
        TrainerOptions options = With(optimizer);
        (string alone, string shared) = (_folder.File("alone.rbe"), _folder.File("shared.rbe"));
        using Trainer one = Make(options);
        for (int step = 0; step < 3; step++) one.Step();
        one.SaveState(alone);
        string expected = Run(one)[^1];
        new ThreadCollective(before).Run(ranks =>
        {
            using Trainer trainer = Make(options with { ShardOptimizer = true }, ranks);
            for (int step = 0; step < 3; step++) trainer.Step();
            if (before == 1) trainer.SaveState(shared);
            else trainer.SaveState(ranks.Rank == 0 ? shared : _folder.File("nowhere.rbe"));
            trainer.Step(); // goes on as if nothing had been
        });
        Assert.False(File.Exists(_folder.File("nowhere.rbe")));
        Assert.Equal(File.ReadAllBytes(alone), File.ReadAllBytes(shared));
        new ThreadCollective(after).Run(ranks =>
        {
            using Trainer trainer = Make(options with { ShardOptimizer = true }, ranks);
            trainer.Resume(shared);
            Assert.Equal(expected, Run(trainer)[^1]);
        });
    }

    [Fact]
    public void A_file_that_cannot_be_written_is_the_first_ranks_error_alone_and_the_others_go_on()
    {
        using Trainer alone = Make(s_options);
        string expected = Run(alone)[^1];
        Exception?[] seen = new Exception?[3];
        new ThreadCollective(3).Run(ranks =>
        {
            using Trainer trainer = Make(s_options with { ShardOptimizer = true }, ranks);
            trainer.Step();
            seen[ranks.Rank] = Record.Exception(() => trainer.SaveState(Path.Combine(_folder.File("no-folder"), "state.rbe")));
            Assert.Equal(expected, Run(trainer)[^1]);
        });
        Assert.IsType<RbeFileException>(seen[0]);
        Assert.Null(seen[1]);
        Assert.Null(seen[2]);
    }

    [Fact]
    public void A_run_saves_and_resumes_by_itself()
    {
        string path = _folder.File("state.rbe");
        TrainerOptions options = s_options with { StatePath = path, StateEvery = SaveInterval.EverySteps(1), ShardOptimizer = true };
        using Trainer alone = Make(s_options);
        string expected = Run(alone)[^1];
        new ThreadCollective(3).Run(ranks =>
        {
            using CancellationTokenSource cancel = new();
            using Trainer trainer = Make(options, ranks);
            Assert.ThrowsAny<OperationCanceledException>(() => trainer.Run(report =>
            {
                if (report.Step == 3 && ranks.Rank == 1) cancel.Cancel();
            }, cancel.Token));
        });
        Assert.True(File.Exists(path));
        new ThreadCollective(2).Run(ranks =>
        {
            using Trainer trainer = Make(options, ranks);
            Assert.Equal(expected, Run(trainer)[^1]);
        });
    }

    /// <summary>Of a table whose parts are of several ranks: the words name the first value, as one process finds it.</summary>
    [Theory]
    [InlineData(float.NaN, "gradient")]
    [InlineData(3e38f, "square overflows")]
    public void A_gradient_that_is_no_number_or_too_large_has_the_words_of_one_process(float value, string words)
    {
        TrainerOptions options = s_options with { Clip = 0, AverageHorizon = 0 };
        string expected = Assert.Throws<NonFiniteException>(() => Ruined(null)).Message;
        Assert.Contains(words, expected, StringComparison.Ordinal);
        for (int size = 2; size <= 4; size++)
        {
            Exception?[] seen = new Exception?[size];
            new ThreadCollective(size).Run(ranks => seen[ranks.Rank] = Record.Exception(() => Ruined(ranks)));
            Assert.All(seen, error => Assert.Equal(expected, Assert.IsType<NonFiniteException>(error).Message));
        }

        void Ruined(ICollective? ranks)
        {
            using Trainer trainer = Make(options with { ShardOptimizer = ranks is not null }, ranks);
            foreach (int place in (int[])[30_000, 44_000])
            {
                trainer.Gradients.Of(trainer.Model.Parameters.Slices.First(slice => slice.Kind == ParameterKind.Embedding))[place] = value;
            }

            string before = RunMark.HashOf(trainer.Model);
            try
            {
                trainer.Optimizer.Step(trainer.Gradients, 1, trainer.Workspace.Workers);
            }
            finally
            {
                Assert.Equal(before, RunMark.HashOf(trainer.Model));
            }
        }
    }

    [Fact]
    public void Ranks_that_are_not_at_one_are_refused()
    {
        Exception?[] seen = new Exception?[2];
        new ThreadCollective(2).Run(ranks => seen[ranks.Rank] = Record.Exception(() => Make(s_options with { ShardOptimizer = ranks.Rank == 1 }, ranks)));
        Assert.All(seen, error => Assert.StartsWith("rank 1: ShardOptimizer: it has True, rank 0 has False.", error!.Message));
    }

    [Fact]
    public void Gradients_of_more_than_what_is_trained_are_refused()
    {
        TrainerOptions options = s_options with { ShardOptimizer = true, Groups = [new ParameterGroup("embedding.*") { Frozen = true }] };
        new ThreadCollective(2).Run(ranks =>
        {
            using Trainer trainer = Make(options, ranks);
            using ParameterVector<float> all = trainer.Model.Parameters.CreateLike();
            Assert.Throws<ShapeMismatchException>(() => trainer.Optimizer.Step(all, 1, trainer.Workspace.Workers));
        });
    }

    [Fact]
    public void Steady_steps_allocate_nothing()
    {
        long[] allocated = new long[2];
        new ThreadCollective(2).Run(ranks =>
        {
            using Trainer trainer = Make(s_options with { Steps = 40, ShardOptimizer = true }, ranks);
            for (int step = 0; step < 20; step++) trainer.Step();
            allocated[ranks.Rank] = Allocations.Least(20, () => trainer.Step(), all: true);
        });
        Assert.Equal([0, 0], allocated);
    }

    /// <summary>Every piece has one owner, slices follow each other, ranks have alike, and what stays together does.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    [InlineData(7)]
    [InlineData(64)]
    public void Pieces_are_divided_at_their_borders_and_evenly(int size)
    {
        Random random = new(size);
        int[] lengths = [.. Enumerable.Range(0, 900).Select(i => i % 3 == 0 ? 16 * random.Next(1, 40) : 1 << 14)];
        long[] starts = new long[lengths.Length + 1];
        for (int i = 0; i < lengths.Length; i++) starts[i + 1] = starts[i] + lengths[i];
        VectorShares shares = VectorShares.OnPieces(starts, piece => piece % 5 is 2 or 3, size);
        long[] owned = new long[size];
        int next = 0;
        long at = 0;
        for (int part = 0; part < shares.Parts; part++)
        {
            Assert.Equal(at, shares.Part(part).First);
            int inside = 0;
            for (int rank = 0; rank < size; rank++)
            {
                ((int first, int count), (int from, int to)) = (shares.Slice(part, rank), shares.PiecesOf(part, rank));
                Assert.Equal((inside, next), (first, from));
                Assert.Equal(starts[to] - starts[from], count);
                Assert.True(to == from || to == lengths.Length || to % 5 is not (2 or 3));
                (inside, next, owned[rank]) = (inside + count, to, owned[rank] + count);
            }

            Assert.Equal(inside, shares.Part(part).Count);
            Assert.InRange(inside, 1, 1 << 20);
            at += inside;
        }

        Assert.Equal((lengths.Length, starts[^1]), (next, at));
        Assert.All(owned, elements => Assert.InRange(elements, (starts[^1] / size) - (3 << 14), (starts[^1] / size) + (3 << 14)));
    }

    /// <summary>Pieces cannot be cut, so that the bytes are those of an even division within a few pieces.</summary>
    [Fact]
    public void A_step_sends_the_bytes_of_one_without()
    {
        long[] lengths = new long[2];
        new ThreadCollective(4).Run(ranks =>
        {
            using Trainer plain = Make(s_options, ranks), shared = Make(s_options with { ShardOptimizer = true }, ranks);
            Assert.InRange(shared.ExchangedBytes, plain.ExchangedBytes * 0.8, plain.ExchangedBytes * 1.2);
            if (ranks.Rank == 0) lengths = [plain.ExchangedBytes, shared.ExchangedBytes];
        });
        Assert.All(lengths, bytes => Assert.True(bytes > 0));
    }
}
