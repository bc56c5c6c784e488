using RbeMl.Codec;
using RbeMl.Layers;
using RbeMl.Memory;
using RbeMl.Models;
using RbeMl.Tests.Support;
using RbeMl.Training;

namespace RbeMl.Tests.Training;

/// <summary>What no machine has is refused before it is allocated, with both sides.</summary>
public sealed class NewModelMemoryTests
{
    private const int Long = 1_000_000;
    private static readonly RbeOptions s_options = new() { Tile = 32, Format = RbeFormat.Sparse(32) };
    private static readonly TransformerConfig s_config = new() { Width = 32, Heads = 2, Layers = 12, Vocabulary = 256, MaxSequenceLength = Long };

    [Fact]
    public void Embeddings_that_do_not_fit_are_refused()
    {
        TransformerConfig config = s_config with { Vocabulary = 66_000_000, MaxSequenceLength = 66_000_000, TiedHead = false };
        if (RuntimeFootprint.MachineBytes > 100L << 30) return; // it would fit
        MemoryLimitException error = Assert.Throws<MemoryLimitException>(() => NewModelMemory.Require(config, new AdamWOptions()));
        Assert.Equal(RuntimeFootprint.MachineBytes, error.LimitBytes);
        Assert.Equal(3 * 66_000_000L * 32 * 16, error.LeastBytes);
        Assert.Contains("66000000 positions of width 32", error.Message);
    }

    [Fact]
    public void A_step_that_does_not_fit_is_refused_before_the_model_is_made()
    {
        if (RuntimeFootprint.MachineBytes > 200L << 30) return; // it would fit
        using MemoryCounter counter = MemoryCounter.Open();
        long before = GC.GetAllocatedBytesForCurrentThread();
        MemoryLimitException error =
            Assert.Throws<MemoryLimitException>(() => NewModelMemory.Require(s_config, new AdamWOptions(), s_options, new ActivationSettings(), 8, Long, 1));
        Assert.InRange(error.LeastBytes, 200L << 30, 1L << 40);
        Assert.Contains($"8 x {Long} tokens through 12 blocks", error.Message);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before + counter.PeakBytes, 0, 32 << 20);
    }

    [Fact]
    public void What_fits_is_not_refused() => NewModelMemory.Require(s_config with { MaxSequenceLength = 128 }, new AdamWOptions(), s_options, null, 8, 128, 2);

    [Fact]
    public void A_trainer_says_what_it_takes_or_that_it_does_not_fit()
    {
        using TransformerModel<float> model = TransformerModel<float>.Create(s_config with { Layers = 1, MaxSequenceLength = 64 }, s_options, 1);
        CountingTokens tokens = new(8);
        using (Trainer trainer = new(model, tokens, null, new TrainerOptions { Steps = 1, BatchSize = 2, Context = 64 }, 1))
        {
            Assert.InRange(trainer.Estimate.Total, trainer.Estimate.Step.Total + (4 * model.Parameters.AllocatedBytes), RuntimeFootprint.MachineBytes);
        }

        using MemoryCounter counter = MemoryCounter.Open();
        MemoryPlanOptions options = new() { LimitBytes = 1L << 30, RestingBytes = 1 << 20, BatchSize = 100_000, Context = 64 };
        MemoryLimitException error = Assert.Throws<MemoryLimitException>(() => MemoryPlan.Require(model, new ActivationSettings(), options));
        Assert.Equal(1L << 30, error.LimitBytes);
        Assert.Contains("checkpointing none", error.Message);
        Assert.InRange(counter.PeakBytes, 0, 1 << 20);
    }
}
