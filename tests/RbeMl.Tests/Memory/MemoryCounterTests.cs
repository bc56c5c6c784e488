using System.Runtime.CompilerServices;
using RbeMl.Codec;
using RbeMl.Layers;
using RbeMl.Memory;
using RbeMl.Models;
using RbeMl.Tests.Support;
using RbeMl.Training;

namespace RbeMl.Tests.Memory;

public sealed class MemoryCounterTests
{
    [Fact]
    public void Counts_bytes_peak_and_buffers()
    {
        using MemoryCounter counter = MemoryCounter.Open();
        NativeBuffer<float> large = new(1000), small = new(1);
        Assert.Equal((4032 + 64, 2), (counter.Bytes, counter.LiveBuffers)); // whole lines of 64 bytes
        large.Dispose();
        large.Dispose();
        Assert.Equal((64, 4096, 1), (counter.Bytes, counter.PeakBytes, counter.LiveBuffers));
        counter.ResetPeak();
        Assert.Equal(64, counter.PeakBytes);
        using (MemoryCounter inner = MemoryCounter.Open())
        {
            using NativeBuffer<byte> third = new(100);
            Assert.Equal((128, 192), (inner.Bytes, counter.Bytes));
        }

        small.Dispose();
        Assert.Equal((0, 0, 0), (counter.Bytes, counter.LiveBuffers, counter.LostBuffers));
    }

    [Fact]
    public void The_process_counts_what_any_thread_allocates()
    {
        const long Large = 1 << 30;
        long before = MemoryCounter.Process.Bytes;
        using MemoryCounter counter = MemoryCounter.Open();
        Thread other = new(() => new NativeBuffer<byte>(64).Dispose());
        other.Start();
        other.Join();
        Assert.Equal(0, counter.PeakBytes); // another thread's
        Assert.InRange(MemoryCounter.Process.PeakBytes, 64, before + Large);
    }

    [Fact]
    public void A_forgotten_buffer_is_counted_as_lost()
    {
        using MemoryCounter counter = MemoryCounter.Open();
        Forget();
        for (int i = 0; i < 50 && counter.LostBuffers == 0; i++)
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
        }

        Assert.Equal((0, 0, 1), (counter.Bytes, counter.LiveBuffers, counter.LostBuffers));
    }

    [Theory]
    [InlineData(CheckpointPolicy.None, ActivationOffload.None, LayerNormStorage.Dense)]
    [InlineData(CheckpointPolicy.Selective, ActivationOffload.BFloat16, LayerNormStorage.Compressed)]
    [InlineData(CheckpointPolicy.Full, ActivationOffload.Spill, LayerNormStorage.Scalar)]
    public void Model_and_trainer_give_back_all_they_took(CheckpointPolicy policy, ActivationOffload offload, LayerNormStorage norms)
    {
        using MemoryCounter counter = MemoryCounter.Open();
        string spill;
        using (TransformerModel<float> model = SmallModel.Create(norms: norms, compressedTable: norms != LayerNormStorage.Dense))
        using (Trainer trainer =
            new(model, new CountingTokens(11), new CountingTokens(11),
                new TrainerOptions { Steps = 9, BatchSize = 4, Context = 16, Checkpointing = policy, Offload = offload }, 2))
        {
            trainer.Validate(1);
            trainer.Step();
            spill = trainer.Activations.Offload is ActivationOffload.Spill ? trainer.SpillPath! : "";
            Assert.Equal(spill.Length > 0, File.Exists(spill));
            Assert.Equal(counter.Bytes, counter.PeakBytes); // nothing is allocated that a later step does not use
            Assert.True(counter.Bytes > trainer.StepBytes.Total);
        }

        Assert.Equal((0, 0, 0), (counter.Bytes, counter.LiveBuffers, counter.LostBuffers));
        Assert.False(File.Exists(spill));
    }

    /// <summary>Exactly: every native buffer is counted, and every owner of one tells it.</summary>
    [Theory]
    [InlineData("runs")]
    [InlineData("places")]
    [InlineData("quantized")]
    [InlineData("compact")]
    [InlineData("compressed")]
    public void A_model_tells_all_the_native_memory_it_holds(string kind)
    {
        TransformerConfig config =
            new()
            {
                Width = 64,
                Heads = 2,
                Layers = 2,
                Vocabulary = 50,
                MaxSequenceLength = 32,
                LayerNorm = kind == "compressed"
                ? LayerNormStorage.Compressed : LayerNormStorage.Dense
            };
        RbeOptions options = new() { Tile = 32, Format = RbeFormat.Sparse(96, kind == "places" ? SupportRule.Random(1) : SupportRule.Runs(16)) };
        TransformerWeights weights = TransformerWeights.CreateRandom(config, options, 1, kind == "compressed" ? options : null);
        if (kind == "quantized")
        {
            BlockWeights block =
                BlockWeights.Compress(DenseBlockWeights.Gpt2Initialization(config, 1), config,
                    new RbeOptions { Tile = 32, Format = RbeFormat.Quantized(4) with { Outliers = 3 } });
            weights = weights with { Blocks = [block, block] };
        }

        using TransformerModel<float> first = new(weights); // what all models share is there now
        long trained = first.WeightBytes;
        Generate(first);
        using MemoryCounter counter = MemoryCounter.Open();
        using TransformerModel<float> model = kind == "compact" ? first.ToInference(RbeMl.Kernels.WeightPrecision.BFloat16) : new(weights);
        Assert.Equal(counter.Bytes, model.NativeBytes);
        Assert.Equal(ModelSize.Of(model).ResidentBytes, model.WeightBytes);
        Assert.True(model.WeightBytes >= Math.Max(model.NativeBytes, ModelSize.Of(model).Bytes));

        // Two bytes a value and column and four a start on top of what is trained; three floats a tile and outlier once vectors are prepared.
        if (kind == "compact") Assert.InRange(model.WeightBytes - trained, 2L * Values(model), 4L * Values(model));
        if (kind == "quantized") Assert.Equal(model.Matrices.Sum(m => 3L * m.Matrix.TileCount * sizeof(float)), first.WeightBytes - trained);
        if (kind == "quantized") Assert.Equal(first.WeightBytes, model.WeightBytes); // both hold the same base
        Assert.Equal(counter.Bytes, model.NativeBytes);

        static long Values(TransformerModel<float> model) => model.Matrices.Sum(m => (long)m.Matrix.Coefficients.Length);

        static void Generate(TransformerModel<float> model)
        {
            using Workspace<float> workspace = new(1);
            using KvCache<float> cache = new(model.Config, 1, 8);
            model.LastLogits([1], 1, 1, workspace, cache, new float[50]);
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Forget() => _ = new NativeBuffer<float>(5);
}
