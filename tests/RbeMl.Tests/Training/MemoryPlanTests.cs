using RbeMl.Codec;
using RbeMl.Layers;
using RbeMl.Memory;
using RbeMl.Models;
using RbeMl.Tests.Support;
using RbeMl.Training;

namespace RbeMl.Tests.Training;

public sealed class MemoryPlanTests
{
    private const int Batch = 24, Length = 64, Threads = 2;
    private static readonly MemoryPlanOptions s_options =
        new() { LimitBytes = long.MaxValue, BatchSize = Batch, Context = Length, Threads = Threads, RestingBytes = 1 << 20 };

    /// <summary>Buffers are rounded up to 64 bytes each, of which there are less than a hundred.</summary>
    [Theory]
    [InlineData(CheckpointPolicy.None, ActivationOffload.None, 0, 0)]
    [InlineData(CheckpointPolicy.None, ActivationOffload.None, 8, 1)]
    [InlineData(CheckpointPolicy.Selective, ActivationOffload.None, 0, 1)]
    [InlineData(CheckpointPolicy.Full, ActivationOffload.None, 8, 0)]
    [InlineData(CheckpointPolicy.None, ActivationOffload.BFloat16, 0, 0)]
    [InlineData(CheckpointPolicy.Full, ActivationOffload.BFloat16, 8, 0)]
    [InlineData(CheckpointPolicy.Selective, ActivationOffload.Spill, 8, 0)]
    [InlineData(CheckpointPolicy.Full, ActivationOffload.Spill, 16, 1)]
    public void The_prediction_is_what_gets_allocated(CheckpointPolicy policy, ActivationOffload offload, int part, int headChunks)
    {
        ActivationSettings settings = new() { Checkpointing = policy, Offload = offload, PartSequences = part, HeadChunks = headChunks };
        foreach (bool compressed in (bool[])[false, true])
        {
            using TransformerModel<float> model = SmallModel.Create(Length, layers: 3, compressedTable: compressed, width: 48);
            PredictionIsAllocation(model, settings, Batch, Length, Threads);
        }
    }

    /// <summary>
    /// Products are divided into tile rows, which work in whole panels: none beside those that the backward has anyway, a validation before
    /// it or not.
    /// </summary>
    [Theory]
    [InlineData(CheckpointPolicy.None)]
    [InlineData(CheckpointPolicy.Selective)]
    [InlineData(CheckpointPolicy.Full)]
    public void With_fewer_chunks_than_threads_too(CheckpointPolicy policy)
    {
        foreach (ActivationOffload offload in (ActivationOffload[])[ActivationOffload.None, ActivationOffload.BFloat16])
        {
            foreach (bool frozen in (bool[])[false, true])
            {
                using TransformerModel<float> model = frozen ? FrozenModel() : SmallModel.Create(Length, layers: 3, width: 48);
                PredictionIsAllocation(model, new() { Checkpointing = policy, Offload = offload }, 1, Length, threads: 3);
            }
        }
    }

    /// <summary>A thread works on several chunks at once where weights are codes, and its scratch grows with them.</summary>
    [Theory]
    [InlineData(Batch, Threads)]
    [InlineData(3, Threads)]
    [InlineData(3, 1)]
    public void With_codes_chunks_that_are_worked_on_together_count(int batch, int threads)
    {
        using TransformerModel<float> model = FrozenModel();
        ActivationSettings settings = new() { Checkpointing = CheckpointPolicy.Selective };
        PredictionIsAllocation(model, settings, batch, Length, threads);
        Assert.True(model.PredictStep(settings, batch, Length, threads).Scratch > (6400 * threads) + model.PredictStep(settings, 1, Length, threads).Scratch);
    }

    // A model whose matrices are codes of 4 bits.
    private static TransformerModel<float> FrozenModel()
    {
        TransformerConfig config = new() { Width = 48, Heads = 2, Layers = 3, Vocabulary = 11, MaxSequenceLength = Length };
        BlockWeights[] blocks = [.. Enumerable.Range(1, config.Layers).Select(seed =>
            BlockWeights.Compress(DenseBlockWeights.Gpt2Initialization(config, seed), config, new RbeOptions { Tile = 32, Format = RbeFormat.Quantized(4) }))];
        using TransformerModel<float> sparse = SmallModel.Create(Length, layers: 3, width: 48);
        return new(sparse.GetWeights() with { Blocks = blocks });
    }

    /// <summary>Attention of documents that share rows works on copies.</summary>
    [Theory]
    [InlineData(CheckpointPolicy.None, 0)]
    [InlineData(CheckpointPolicy.Full, 8)]
    public void With_documents_that_share_rows(CheckpointPolicy policy, int part)
    {
        using TransformerModel<float> model = SmallModel.Create(Length, layers: 3, width: 48);
        PredictionIsAllocation(model, new ActivationSettings { Checkpointing = policy, PartSequences = part }, Batch, Length, Threads, documents: true);
    }

    private static void PredictionIsAllocation(TransformerModel<float> model, ActivationSettings settings, int batch, int length, int threads,
        bool documents = false)
    {
        int[] positions = documents ? [.. Enumerable.Range(0, batch * length).Select(i => i % length % 20)] : [];
        using MemoryCounter counter = MemoryCounter.Open();
        using Workspace<float> workspace = new(threads);
        using TransformerContext<float> context = new(model, workspace, settings);
        using ParameterVector<float> gradients = model.Parameters.CreateLike();
        int[] inputs = new int[batch * length], targets = new int[batch * length];
        new CountingTokens(11).Fill(0, batch, length, inputs, targets);
        model.Loss(inputs, targets, batch, length, context, positions: positions); // a validation needs nothing of its own
        model.Loss(inputs, targets, batch, length, context, null, gradients, positions: positions);
        StepMemory expected = model.PredictStep(settings, batch, length, threads, documents), actual = TransformerModel<float>.MeasureStep(context);
        Near(expected.Activations, actual.Activations);
        Near(expected.Workspace, actual.Workspace);
        Near(expected.Scratch, actual.Scratch);
        Near(expected.Head, actual.Head);
        Near(expected.Spilled, actual.Spilled);
        Near(expected.Total + (model.Parameters.Length * sizeof(float)), counter.PeakBytes);

        static void Near(long expected, long actual) => Assert.InRange(actual, expected, expected + 6400);
    }

    [Fact]
    public void Lower_limits_choose_dearer_ways_down_to_the_least()
    {
        using TransformerModel<float> model = SmallModel.Create(Length, layers: 3, width: 64);
        MemoryPlan plan = MemoryPlan.Create(model, s_options);
        Assert.Equal(new ActivationSettings(), plan.Settings);
        List<MemoryPlan> plans = [plan];
        MemoryLimitException? refused = null;
        while (refused is null)
        {
            try
            {
                plans.Add(MemoryPlan.Create(model, s_options with { LimitBytes = plans[^1].Estimate.Total - 1 }));
            }
            catch (MemoryLimitException error)
            {
                refused = error;
            }
        }

        Assert.Equal(plans[^1].Estimate.Total, refused.LeastBytes);
        Assert.All(plans.Skip(1).Zip(plans), pair => Assert.True(pair.First.Estimate.Total < pair.Second.Estimate.Total));
        Assert.Equal(plans.OrderBy(p => (p.Settings.Offload, p.Settings.Checkpointing)), plans);
        Assert.Contains(plans, p => p.Settings is { Checkpointing: CheckpointPolicy.None, Offload: ActivationOffload.None, PartSequences: 8 });
        Assert.Equal((CheckpointPolicy.Full, ActivationOffload.Spill), (plans[^1].Settings.Checkpointing, plans[^1].Settings.Offload));
        Assert.DoesNotContain(plans, p => p.Settings.Offload is ActivationOffload.BFloat16);
        MemoryPlan least = MemoryPlan.Create(model, s_options with { LimitBytes = refused.LeastBytes });
        Assert.Equal(plans[^1], least with { LimitBytes = plans[^1].LimitBytes });
        Assert.Contains("in a file", least.Describe(), StringComparison.Ordinal);
    }

    [Fact]
    public void Sequences_that_do_not_fill_512_tokens_are_cut_too()
    {
        const int Odd = 96;
        using TransformerModel<float> model = SmallModel.Create(Odd, layers: 3, width: 64);
        MemoryPlanOptions options = s_options with { Context = Odd };
        MemoryLimitException refused = Assert.Throws<MemoryLimitException>(() => MemoryPlan.Create(model, options with { LimitBytes = 1 }));
        MemoryPlan least = MemoryPlan.Create(model, options with { LimitBytes = refused.LeastBytes });
        Assert.Equal(4, least.Settings.PartSequences); // 384 tokens
        long coarse = MemoryPlan.Predict(model, least.Settings with { PartSequences = 16 }, options, s_options.RestingBytes!.Value).Total; // three times 512
        Assert.True(least.Estimate.Step.Total < 0.6 * (coarse - least.Estimate.Total + least.Estimate.Step.Total));
    }

    /// <summary>Why the feed-forward layer's group of tiles is no setting: what a group takes is a hundredth of the least that a step works in.</summary>
    [Fact]
    public void A_smaller_feed_forward_group_would_save_nothing_worth_a_setting()
    {
        TransformerConfig config = new() { Width = 768, Heads = 12, Layers = 1, Vocabulary = 64, MaxSequenceLength = 256 };
        using TransformerModel<float> model = TransformerModel<float>.Create(config, new RbeOptions { Format = RbeFormat.Sparse(16) }, 1);
        MemoryPlanOptions options = s_options with { BatchSize = 8, Context = 256, LimitBytes = 1 };
        MemoryLimitException refused = Assert.Throws<MemoryLimitException>(() => MemoryPlan.Create(model, options));
        MemoryPlan least = MemoryPlan.Create(model, options with { LimitBytes = refused.LeastBytes });
        Assert.Equal(2, least.Settings.PartSequences);
        Assert.InRange(Threads * model.Blocks[0].FeedForward.ScratchElements(1) * sizeof(float), 1, least.Estimate.Step.Total / 50);
    }

    [Fact]
    public void What_is_given_is_kept()
    {
        using TransformerModel<float> model = SmallModel.Create(Length, layers: 3);
        MemoryLimitException error =
            Assert.Throws<MemoryLimitException>(() =>
                MemoryPlan.Create(model, s_options with { LimitBytes = 1, Checkpointing = CheckpointPolicy.None, Offload = ActivationOffload.None }));
        MemoryPlan plan =
            MemoryPlan.Create(model, s_options with { LimitBytes = error.LeastBytes, Checkpointing = CheckpointPolicy.None, Offload = ActivationOffload.None });
        Assert.Equal((CheckpointPolicy.None, ActivationOffload.None), (plan.Settings.Checkpointing, plan.Settings.Offload));
        Assert.True(error.LeastBytes > Assert.Throws<MemoryLimitException>(() => MemoryPlan.Create(model, s_options with { LimitBytes = 1 })).LeastBytes);
        MemoryPlan full = MemoryPlan.Create(model, s_options with { Checkpointing = CheckpointPolicy.Full, Offload = ActivationOffload.BFloat16 });
        Assert.Equal((CheckpointPolicy.Full, ActivationOffload.BFloat16), (full.Settings.Checkpointing, full.Settings.Offload));
        Assert.Throws<InvalidSettingException>(() => MemoryPlan.Create(model, s_options with { LimitBytes = 0 }));
        Assert.Throws<InvalidSettingException>(() => MemoryPlan.Create(model, s_options with { BatchSize = 0 }));
    }

    [Fact]
    public void Rounding_comes_before_a_file_where_it_is_allowed()
    {
        using TransformerModel<float> model = SmallModel.Create(Length, layers: 6);
        ActivationSettings full = new() { Checkpointing = CheckpointPolicy.Full, PartSequences = 8, HeadChunks = 1 };
        long exact = MemoryPlan.Predict(model, full, s_options, s_options.RestingBytes!.Value).Total;
        Assert.Equal(ActivationOffload.BFloat16, MemoryPlan.Create(model, s_options with { LimitBytes = exact - 1, AllowRounding = true }).Settings.Offload);
        Assert.Equal(ActivationOffload.Spill, MemoryPlan.Create(model, s_options with { LimitBytes = exact - 1 }).Settings.Offload);
    }

    [Fact]
    public void A_trainer_keeps_its_limit_and_learns_the_same_bits()
    {
        const int Mib = 1 << 20;
        int resting = (int)((RuntimeFootprint.Measure() + Mib - 1) / Mib);
        TrainerOptions options = new() { Steps = 3, BatchSize = Batch, Context = Length };
        (int[] Bits, MemoryPlan? Plan, StepMemory Step)[] runs = [.. new int?[] { null, resting + 4096, -1 }.Select(limit =>
        {
            using TransformerModel<float> model = SmallModel.Create(Length, layers: 3, width: 64);
            if (limit < 0) limit = LeastOf(model);
            using Trainer trainer = new(model, new CountingTokens(11), null, options with { MemoryLimit = limit }, Threads);
            trainer.Run();
            return (model.Parameters.Slices.SelectMany(s => model.Parameters.Of(s).ToArray()).Select(BitConverter.SingleToInt32Bits).ToArray(),
                trainer.Plan, trainer.StepBytes);
        })];
        Assert.Null(runs[0].Plan);
        Assert.Equal(new ActivationSettings(), runs[1].Plan!.Settings);
        Assert.All(runs, run => Assert.Equal(runs[0].Bits, run.Bits));

        int LeastOf(TransformerModel<float> model) =>
            (int)((Assert.Throws<MemoryLimitException>(() =>
                new Trainer(model, new CountingTokens(11), null, options with { MemoryLimit = 1 }, Threads)).LeastBytes / Mib) + 64);
    }
}
