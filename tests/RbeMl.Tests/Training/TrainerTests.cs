using RbeMl.Codec;
using RbeMl.Layers;
using RbeMl.Memory;
using RbeMl.Models;
using RbeMl.Tests.Support;
using RbeMl.Training;

namespace RbeMl.Tests.Training;

public class TrainerTests
{
    private static readonly TransformerConfig s_config = new() { Width = 32, Heads = 2, Layers = 2, Vocabulary = 11, MaxSequenceLength = 16, Dropout = 0.1f };
    private static readonly RbeOptions s_options = new() { Tile = 32, Format = RbeFormat.Sparse(128, SupportRule.Runs(8)) };
    private static readonly TrainerOptions s_training =
        new() { Steps = 60, BatchSize = 4, Context = 16, LearningRate = 3e-3, WarmupSteps = 5, ValidateEvery = 20, ValidationSequences = 8 };

    [Fact]
    public void Training_learns_a_pattern()
    {
        using Trainer trainer = new(Model(), new Counting(11), new Counting(11), s_training, threads: 2);
        double before = trainer.Validate();
        List<TrainingProgress> reports = [];
        double after = trainer.Run(reports.Add);
        Assert.Equal(60, reports.Count);
        Assert.InRange(before, 2.2, 2.6); // ln 11 = 2.40
        Assert.True(after < 1.0, $"{before} -> {after}");
        Assert.Equal([20, 40, 60], reports.Where(r => r.ValidationLoss is not null).Select(r => r.Step));
        Assert.Equal(after, trainer.Run());
        Assert.NotEqual(trainer.Validate(1), trainer.Validate(2));
        Assert.All(reports, r => Assert.True(r.GradientNorm > 0 && r.TokensPerSecond > 0 && r.ResidentBytes > 0));
    }

    [Theory]
    [InlineData(2, CheckpointPolicy.None)]
    [InlineData(3, CheckpointPolicy.Selective)]
    [InlineData(1, CheckpointPolicy.Full)]
    public void The_same_seed_gives_the_same_bits(int threads, CheckpointPolicy policy)
    {
        Assert.Equal(Train(1, CheckpointPolicy.None, 1337), Train(threads, policy, 1337));
        Assert.NotEqual(Train(1, CheckpointPolicy.None, 1337), Train(1, CheckpointPolicy.None, 1338));

        static int[] Train(int threads, CheckpointPolicy policy, ulong seed)
        {
            TransformerModel<float> model = Model();
            using Trainer trainer = new(model, new Counting(11), null, s_training with { Steps = 5, Checkpointing = policy, Seed = seed }, threads);
            trainer.Run();
            return Bits(model);
        }
    }

    [Fact]
    public void Accumulated_micro_batches_equal_one_large_batch()
    {
        // Without dropout the mean of two halves is the mean of the whole; the sums differ in their order only.
        float[] once = Gradients(8, 1), twice = Gradients(4, 2);
        double difference = Math.Sqrt(once.Zip(twice, (a, b) => (double)(a - b) * (a - b)).Sum()), norm = Math.Sqrt(once.Sum(a => (double)a * a));
        Assert.InRange(difference / norm, 0, 1e-5);

        static float[] Gradients(int batch, int accumulate)
        {
            TransformerModel<float> model = new(Model().GetWeights() with { Config = s_config with { Dropout = 0 } });
            using Trainer trainer =
                new(model, new Counting(11), null, s_training with { BatchSize = batch, Accumulate = accumulate, PreconditionAlphas = false }, 1);
            trainer.Step();
            return [.. model.Parameters.Slices.SelectMany(s => trainer.Optimizer.StateVectors[0].Of(s).ToArray())]; // a tenth of the clipped gradients
        }
    }

    /// <summary>The same batch at a rate that moves nothing: only the dropout differs from step to step.</summary>
    [Fact]
    public void Every_step_draws_its_own_dropout()
    {
        Assert.Equal(10, Norms(0.1f).Distinct().Count());
        Assert.Single(Norms(0).Distinct());

        static double[] Norms(float dropout)
        {
            TransformerModel<float> model = new(Model().GetWeights() with { Config = s_config with { Dropout = dropout } });
            using Trainer trainer =
                new(model, new Counting(11, same: true), null, s_training with { LearningRate = 1e-30, WeightDecay = 0, PreconditionAlphas = false }, 1);
            return [.. Enumerable.Range(0, 10).Select(_ => trainer.Step().GradientNorm)];
        }
    }

    [Fact]
    public void Vectors_of_another_model_are_refused_before_anything_is_written()
    {
        TransformerModel<float> model = Model(), other = TransformerModel<float>.Create(s_config with { Layers = 1 }, s_options, 1), twin = Model();
        using Workspace<float> workspace = new(1);
        using TransformerContext<float> context = new(model, workspace);
        using RbeMl.Memory.WorkerPool workers = new(1);
        using Optimizer<float> optimizer = s_training.Optimizer.Create(model.Parameters, s_training);
        foreach (TransformerModel<float> wrong in (TransformerModel<float>[])[other, twin])
        {
            Assert.Throws<ShapeMismatchException>(() => model.Loss([1, 2], [2, 3], 1, 2, context, null, wrong.Parameters.CreateLike()));
            Assert.Throws<ShapeMismatchException>(() => wrong.Loss([1, 2], [2, 3], 1, 2, context));
            Assert.Throws<ShapeMismatchException>(() => optimizer.Step(wrong.Parameters.CreateLike(), 1, workers));
            Assert.Throws<ShapeMismatchException>(() => model.Parameters.CopyFrom(wrong.Parameters));
        }

        using KvCache<float> cache = new(other.Config, 1, 8);
        Assert.Throws<ShapeMismatchException>(() => model.Logits([1], 1, 1, workspace, cache));
    }

    [Fact]
    public void A_step_that_diverges_is_named_and_leaves_the_weights_alone()
    {
        TransformerModel<float> model = Model();
        model.Parameters.Of(model.Parameters.Find("blocks.0.attention.value.coefficients"))[5] = float.PositiveInfinity;
        int[] before = Bits(model);
        using Trainer trainer = new(model, new Counting(11), null, s_training, 1);
        NonFiniteException error = Assert.Throws<NonFiniteException>(() => trainer.Step());
        Assert.Equal("step 1, blocks.0", error.Where);
        Assert.Equal(before, Bits(model));
    }

    [Fact]
    public void A_step_that_failed_halfway_leaves_nothing_to_the_next()
    {
        Assert.Equal(Train(fail: false), Train(fail: true));

        static int[] Train(bool fail)
        {
            TransformerModel<float> model = Model();
            FailsOnce source = new() { At = fail ? 3 : -1 };
            using Trainer trainer = new(model, source, null, s_training with { Accumulate = 2, Steps = 3 }, 2);
            if (fail) Assert.Throws<FormatException>(() => trainer.Run());
            trainer.Run();
            Assert.All(trainer.Gradients.Of(model.Parameters.Slices[0]).ToArray(), g => Assert.Equal(0, g));
            return Bits(model);
        }
    }

    private sealed class FailsOnce : ITokenSource
    {
        private readonly Counting _tokens = new(11);

        public long At { get; set; }

        public int Vocabulary => 11;

        public void Fill(long batchIndex, int batch, int context, Span<int> inputs, Span<int> targets)
        {
            if (batchIndex == At)
            {
                At = -1;
                throw new FormatException("once");
            }

            _tokens.Fill(batchIndex, batch, context, inputs, targets);
        }
    }

    [Fact]
    public void A_cancelled_run_stops_after_the_step_under_way()
    {
        using CancellationTokenSource cancel = new();
        using Trainer trainer = new(Model(), new Counting(11), null, s_training, 1);
        Assert.Throws<OperationCanceledException>(() => trainer.Run(r => { if (r.Step == 3) cancel.Cancel(); }, cancel.Token));
        Assert.Equal(3, trainer.StepsDone);
    }

    [Fact]
    public void Gradients_and_optimiser_state_are_as_small_as_the_trainable_values()
    {
        TransformerModel<float> model = Model();
        using Trainer trainer = new(model, new Counting(11), null, s_training, 1);
        Assert.Equal(0, trainer.Bytes.Activations);
        trainer.Step();
        TrainingBytes bytes = trainer.Bytes;
        long trainable = model.Parameters.Slices.Sum(s => (long)s.Length);
        Assert.Equal(4 * trainable, bytes.Gradients);
        Assert.Equal(8 * trainable, bytes.Optimizer);
        Assert.True(bytes.Weights >= bytes.Gradients && bytes.Weights < bytes.DenseWeights);
        // 12 D x D matrices a block, and the vectors and tables that are dense either way.
        long dense = 4 * ((2 * ((12 * 32 * 32) + (13 * 32))) + (2 * 32) + ((11 + 16) * 32));
        Assert.Equal(dense, bytes.DenseWeights);
        Assert.True(bytes.Activations > 0);
    }

    [Theory]
    [InlineData(CheckpointPolicy.None, ActivationOffload.None)]
    [InlineData(CheckpointPolicy.Selective, ActivationOffload.None)]
    [InlineData(CheckpointPolicy.Full, ActivationOffload.None)]
    [InlineData(CheckpointPolicy.None, ActivationOffload.BFloat16)]
    [InlineData(CheckpointPolicy.Full, ActivationOffload.BFloat16)]
    [InlineData(CheckpointPolicy.None, ActivationOffload.Spill)]
    [InlineData(CheckpointPolicy.Selective, ActivationOffload.Spill)]
    [InlineData(CheckpointPolicy.Full, ActivationOffload.Spill)]
    [InlineData(CheckpointPolicy.None, ActivationOffload.None, 3)]
    public void A_steady_step_allocates_nothing_on_the_managed_heap(CheckpointPolicy policy, ActivationOffload offload, int accumulate = 1)
    {
        using Trainer trainer = new(Model(), new Counting(11), null, s_training with { Checkpointing = policy, Offload = offload, Accumulate = accumulate }, 1);
        for (int i = 0; i < 5; i++) trainer.Step();
        Assert.Equal(0, Allocations.Least(40, Three));

        void Three()
        {
            for (int i = 0; i < 3; i++) trainer.Step();
        }
    }

    [Fact]
    public void A_rate_or_norm_that_is_no_number_is_refused_and_changes_nothing()
    {
        using Trainer trainer = new(Model(), new Counting(11), null, s_training, 1);
        ParameterVector<float> values = trainer.Model.Parameters;
        float[][] Values() => [.. values.Slices.Select(values.ToFloats)];
        float[][] before = Values();
        Assert.Throws<InvalidSettingException>(() => trainer.Step(double.NaN));
        using ParameterVector<float> gradients = values.CreateLike();
        foreach (double factor in (double[])[double.NaN, double.PositiveInfinity, -1])
        {
            Assert.Throws<InvalidSettingException>(() => trainer.Optimizer.Step(gradients, factor, trainer.Workspace.Workers));
        }

        Assert.Throws<InvalidSettingException>(() => trainer.Optimizer.Step(gradients, 1, trainer.Workspace.Workers, double.NaN));
        Assert.Equal(before, Values());
        Assert.Equal(0, trainer.StepsDone);
    }

    [Fact]
    public void A_vocabulary_below_one_is_refused() => Assert.Throws<InvalidSettingException>(() => TokenDataset.FromStream([1, 2, 3000, 4], -1));

    [Fact]
    public void Bad_settings_are_refused()
    {
        TransformerModel<float> model = Model();
        Assert.Equal("Steps",
            Assert.Throws<InvalidSettingException>(() => new Trainer(model, new Counting(11), null, s_training with { Steps = 0 }, 1)).Setting);
        Assert.Throws<InvalidSettingException>(() => new Trainer(model, new Counting(11), null, s_training with { LearningRate = double.NaN }, 1));
        Assert.Equal("Schedule", Assert.Throws<InvalidSettingException>(() => (s_training with { Schedule = (RateSchedule)9 }).Validate()).Setting);
        Assert.Equal("Checkpointing",
            Assert.Throws<InvalidSettingException>(() => (s_training with { Checkpointing = (CheckpointPolicy)9 }).Validate()).Setting);
        Assert.Equal("LearningRate", Assert.Throws<InvalidSettingException>(() => (s_training with { LearningRate = 1e39 }).Validate()).Setting);
        Assert.Equal("Epsilon",
            Assert.Throws<InvalidSettingException>(() => (s_training with { Optimizer = new AdamWOptions { Epsilon = 1e-50 } }).Validate()).Setting);
        Assert.Equal("Batch x Context",
            Assert.Throws<InvalidSettingException>(() => (s_training with { BatchSize = 65536, Context = 65536 }).Validate()).Setting);
        Assert.Contains("16 positions",
            Assert.Throws<TokenException>(() => new Trainer(model, new Counting(11), null, s_training with { Context = 17 }, 1)).Message,
            StringComparison.Ordinal);
        Assert.Contains("vocabulary of 11",
            Assert.Throws<TokenException>(() => new Trainer(model, new Counting(12), null, s_training, 1)).Message, StringComparison.Ordinal);
        Assert.Throws<InvalidSettingException>(() => new Trainer(model, new Counting(11), null, s_training, -1));
    }

    internal static TransformerModel<float> Model() => TransformerModel<float>.Create(s_config, s_options, 1);

    private static int[] Bits(TransformerModel<float> model) =>
        [.. model.Parameters.Slices.SelectMany(s => model.Parameters.Of(s).ToArray()).Select(BitConverter.SingleToInt32Bits)];

    /// <summary>Sequences that count up by one, from a start that depends on the place in the run.</summary>
    private sealed class Counting(int vocabulary, bool same = false) : ITokenSource
    {
        public int Vocabulary => vocabulary;

        public void Fill(long batchIndex, int batch, int context, Span<int> inputs, Span<int> targets)
        {
            for (int b = 0; b < batch; b++)
            {
                for (int t = 0; t < context; t++)
                {
                    int value = (int)((((same ? 0 : batchIndex) * batch) + b) * 5) + t;
                    inputs[(b * context) + t] = value % vocabulary;
                    targets[(b * context) + t] = (value + 1) % vocabulary;
                }
            }
        }
    }
}
