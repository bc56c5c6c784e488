using RbeMl.Codec;
using RbeMl.Layers;
using RbeMl.Models;
using RbeMl.Numerics;
using RbeMl.Tests.Support;
using RbeMl.Training;

namespace RbeMl.Tests.Training;

/// <summary>
/// Sums of gradients that are not those of one process, by what connects the ranks or rounded on the wire: replicas are equal, a run repeated has the same
/// bits, and the loss is near.
/// </summary>
public sealed unsafe class OtherSumsTests
{
    private static readonly TrainerOptions s_options = new()
    {
        Steps = 12,
        BatchSize = 2,
        Context = 16,
        Accumulate = 6,
        LearningRate = 3e-3,
        WarmupSteps = 2,
        ValidateEvery = 4,
        ValidationSequences = 8,
    };

    public static TheoryData<GradientSum, GradientWire, double> Ways => new()
    {
        { GradientSum.Engine, GradientWire.Float32, 1e-4 }, // an order of additions
        { GradientSum.Reproducible, GradientWire.BFloat16, 2e-2 }, // rounding to 2^-8
    };

    private static TokenDataset Data(ulong seed) => TokenDataset.FromStream([.. Enumerable.Range(0, 400).Select(i => i * i % 11 % 7)], 11, seed);

    private static Trainer Make(TrainerOptions options, ICollective? ranks = null, int threads = 1) =>
        new(SmallModel.Create(dropout: 0.1f), Data(5), Data(6), options, threads, ranks);

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
    [MemberData(nameof(Ways))]
    public void Replicas_are_equal_runs_repeat_themselves_and_the_loss_is_near(GradientSum sum, GradientWire wire, double tolerance)
    {
        TrainerOptions options = s_options with { Sum = sum, Wire = wire };
        (double loss, string hash) = Run(s_options, 1)[0];
        Assert.Equal((loss, hash), Run(options, 1)[0]); // in one process nothing changes
        for (int size = 2; size <= 4; size++)
        {
            (double Loss, string Hash)[] told = Run(options, size);
            Assert.All(told, rank => Assert.Equal(told[0], rank));
            Assert.Equal(told, Run(options, size));
            bool inTreesOrder = sum is GradientSum.Engine && size == 3; // three ranks of two micro-batches add up as the tree does
            Assert.Equal(inTreesOrder, hash == told[0].Hash);
            Assert.InRange(Math.Abs(told[0].Loss - loss), 0, tolerance * loss);
        }
    }

    /// <summary>Of several parts and a rest, so that slices of all ranks and parts are seen.</summary>
    [Fact]
    public void A_rounded_sum_is_the_sum_within_its_rounding_and_what_is_lost_comes_later()
    {
        const int Size = 3, Steps = 20;
        const float Value = 1f + (1f / 1024); // between two numbers of bf16
        TransformerModel<float> model = TransformerModel<float>.Create(
            new TransformerConfig { Width = 64, Heads = 2, Layers = 1, Vocabulary = 17000, MaxSequenceLength = 16 },
            new RbeOptions { Tile = 32, Format = RbeFormat.Sparse(300) }, 1);
        new ThreadCollective(Size).Run(ranks =>
        {
            using GradientTree<float> tree = new(model.Parameters, 1);
            VectorShares shares = VectorShares.Even(tree.Root.Length, Size);
            Assert.True(shares.Parts > 1);
            using RoundedExchange exchange = new(ranks, shares);
            double[] sums = new double[2]; // of the first and the last element
            for (int step = 0; step < Steps; step++)
            {
                new Span<float>(tree.Root.Pointer, (int)tree.Root.Length).Fill(Value * (ranks.Rank + 1));
                exchange.Sum(tree);
                (float first, float last) = (tree.Root.Pointer[0], tree.Root.Pointer[tree.Root.Length - 1]);
                Assert.InRange(first, 6 * Value * (1 - (2 / 256f)), 6 * Value * (1 + (2 / 256f)));
                (sums[0], sums[1]) = (sums[0] + first, sums[1] + last);
            }

            // What is missing is in the roundings of the last step alone: half a unit each of the sum and of what the ranks sent.
            Assert.All(sums, sum => Assert.InRange(sum, (Steps * 6.0 * Value) - (12 / 256.0), (Steps * 6.0 * Value) + (12 / 256.0)));
            exchange.Forget();
            new Span<float>(tree.Root.Pointer, (int)tree.Root.Length).Fill(Value * (ranks.Rank + 1));
            exchange.Sum(tree);
            Assert.Equal(6f, tree.Root.Pointer[0]); // 1 + 2 + 3: nothing of before
        });
        model.Dispose();
    }

    [Fact]
    public void Rounding_with_its_error_is_that_of_the_plain_loops_and_keeps_no_error_that_is_no_number()
    {
        Random random = new(3);
        for (int count = 0; count <= 70; count++)
        {
            float[] values = [.. Enumerable.Range(0, count).Select(_ => (float)((random.NextDouble() - 0.5) * Math.Pow(10, random.Next(-30, 30))))];
            foreach ((int place, float odd) in ((int, float)[])[(0, float.NaN), (1, float.PositiveInfinity), (2, float.NegativeInfinity), (3, float.MaxValue)])
            {
                if (5 * place < count) values[5 * place] = odd;
            }

            float[] errors = [.. values.Select(value => float.IsFinite(value) ? value * 1e-3f : 0)], plainErrors = [.. errors];
            ushort[] codes = new ushort[count], plainCodes = new ushort[count];
            fixed (float* x = values, e = errors, p = plainErrors)
            fixed (ushort* y = codes, z = plainCodes)
            {
                BFloat16Kernel.RoundWithError(x, e, y, count);
                ReferenceBFloat16.RoundWithError(x, p, z, count);
            }

            Assert.Equal(plainCodes, codes);
            Assert.Equal(plainErrors, errors);
            Assert.All(errors, error => Assert.True(float.IsFinite(error)));
        }
    }

    [Fact]
    public void A_step_that_failed_leaves_no_error_behind()
    {
        TrainerOptions options = s_options with { Wire = GradientWire.BFloat16, AverageHorizon = 0 };
        string[] hashes = new string[2];
        new ThreadCollective(2).Run(ranks =>
        {
            using Trainer plain = Make(options, ranks), failed = Make(options, ranks);
            failed.Gradients.Of(failed.Gradients.Slices[0])[0] = float.NaN; // found by the first step's norm
            Assert.Throws<NonFiniteException>(() => failed.Step());
            for (int step = 0; step < 3; step++) (_, _) = (plain.Step(), failed.Step());
            Assert.Equal(RunMark.HashOf(plain.Model), RunMark.HashOf(failed.Model));
            hashes[ranks.Rank] = RunMark.HashOf(failed.Model);
        });
        Assert.Equal(hashes[0], hashes[1]);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(5)]
    public void Threads_add_up_in_the_order_of_ranks(int size)
    {
        for (int count = 0; count < 12; count++)
        {
            float[][] values = [.. Enumerable.Range(0, size).Select(rank => Enumerable.Range(0, count).Select(i => MathF.Sin((rank * 31) + i)).ToArray())];
            float[] expected = [.. Enumerable.Range(0, count).Select(i => values.Skip(1).Aggregate(values[0][i], (sum, rank) => sum + rank[i]))];
            float[][] sums = [.. values.Select(own => own.ToArray())];
            new ThreadCollective(size).Run(ranks => ranks.AllReduceSum(sums[ranks.Rank]));
            Assert.All(sums, own => Assert.Equal(expected, own));
        }
    }

    [Fact]
    public void Another_number_of_values_is_told()
    {
        Exception?[] seen = new Exception?[3];
        new ThreadCollective(3).Run(ranks => seen[ranks.Rank] = Record.Exception(() => ranks.AllReduceSum(new float[ranks.Rank == 2 ? 5 : 4])));
        Assert.All(seen, error => Assert.Contains("sends another number of bytes", Assert.IsType<DistributedException>(error).Message));
    }

    [Fact]
    public void A_rounded_step_sends_half_of_the_bytes_and_the_plan_counts_its_memory()
    {
        new ThreadCollective(3).Run(ranks =>
        {
            using Trainer plain = Make(s_options, ranks), rounded = Make(s_options with { Wire = GradientWire.BFloat16 }, ranks),
                engine = Make(s_options with { Sum = GradientSum.Engine }, ranks);
            Assert.InRange(rounded.ExchangedBytes, 0.4 * plain.ExchangedBytes, 0.55 * plain.ExchangedBytes);
            Assert.InRange(engine.ExchangedBytes, 0.9 * plain.ExchangedBytes, 1.1 * plain.ExchangedBytes);
            long vector = sizeof(float) * rounded.Gradients.Length; // two micro-batches of a rank take two; what rounding took is a third
            Assert.InRange(rounded.Estimate.Gradients, 3 * vector, 6 * vector);
            Assert.Equal(2 * vector, engine.Estimate.Gradients);
        });
    }

    [Fact]
    public void Ways_that_exclude_each_other_are_refused()
    {
        Refused("Wire = BFloat16: the engine adds up floats. Leave Sum or Wire out.",
            s_options with { Sum = GradientSum.Engine, Wire = GradientWire.BFloat16 });
        Refused("ShardOptimizer = True: with it no rank gets the whole sum", s_options with { Sum = GradientSum.Engine, ShardOptimizer = true });
        Refused("ShardOptimizer = True: with it no rank gets the whole sum", s_options with { Wire = GradientWire.BFloat16, ShardOptimizer = true });
        Refused("Sum = 7: use one of Reproducible, Engine.", s_options with { Sum = (GradientSum)7 });

        static void Refused(string message, TrainerOptions options) =>
            Assert.StartsWith(message, Assert.Throws<InvalidSettingException>(() => options.Validate()).Message);
    }

    [Fact]
    public void Ranks_that_add_up_in_other_ways_are_refused()
    {
        Exception?[] seen = new Exception?[2];
        new ThreadCollective(2).Run(ranks => seen[ranks.Rank] =
            Record.Exception(() => Make(s_options with { Sum = ranks.Rank == 0 ? GradientSum.Engine : GradientSum.Reproducible }, ranks)));
        Assert.All(seen, error => Assert.StartsWith("rank 1: Sum: it has none, rank 0 has Engine.", error!.Message));
    }

    [Theory]
    [InlineData(GradientSum.Engine, GradientWire.Float32)]
    [InlineData(GradientSum.Reproducible, GradientWire.BFloat16)]
    public void Steady_steps_allocate_nothing(GradientSum sum, GradientWire wire)
    {
        long[] allocated = new long[2];
        new ThreadCollective(2).Run(ranks =>
        {
            using Trainer trainer = Make(s_options with { Steps = 40, Sum = sum, Wire = wire }, ranks);
            for (int step = 0; step < 20; step++) trainer.Step();
            allocated[ranks.Rank] = Allocations.Least(20, () => trainer.Step(), all: true);
        });
        Assert.Equal([0, 0], allocated);
    }
}
