using RbeMl.Codec;
using RbeMl.Kernels;
using RbeMl.Layers;
using RbeMl.Memory;
using RbeMl.Models;

namespace RbeMl.Tests.Models;

public sealed class DecodeAllocationTests
{
    private const int WarmUp = 20, Steps = 60, Runs = 5;
    private static readonly TransformerConfig s_config = new() { Width = 64, Heads = 4, Layers = 2, Vocabulary = 50, MaxSequenceLength = 128 };

    public static TheoryData<KvFormat, int> Cases => new()
    {
        { KvFormat.F32, 1 }, { KvFormat.F32, 2 }, { KvFormat.F16, 1 }, { KvFormat.F16, 2 }, { KvFormat.Int8, 1 }, { KvFormat.Int8, 2 },
    };

    [Theory]
    [MemberData(nameof(Cases))]
    public void A_step_of_the_model_allocates_nothing(KvFormat format, int threads)
    {
        using TransformerModel<float> model = Model();
        AllocatesNothing(() =>
        {
            using Workspace<float> workspace = new(threads);
            using KvCache<float> cache = new(s_config, 1, 128, format);
            float[] logits = new float[50];
            int[] token = [7];
            long[] allocated = Allocated(workspace.Workers, _ => model.LastLogits(token, 1, 1, workspace, cache, logits));
            Assert.Equal(WarmUp + Steps, cache.Length);
            return allocated;
        });
    }

    [Theory]
    [InlineData(1, "quantized")]
    [InlineData(2, "trellis")]
    [InlineData(2, "compact")]
    [InlineData(1, "compact-runs")]
    public void A_step_of_every_format_allocates_nothing(int batch, string format)
    {
        RbeFormat rule =
            format switch
            {
                "quantized" => RbeFormat.Quantized(4) with { Outliers = 3 },
                "trellis" => RbeFormat.Trellis(3),
                "compact-runs" => RbeFormat.Sparse(96, SupportRule.Runs(16)),
                _ => RbeFormat.Sparse(96)
            };
        RbeOptions options = new() { Tile = 32, Format = rule };
        BlockWeights weights = BlockWeights.Compress(DenseBlockWeights.Gpt2Initialization(s_config, 1), s_config, options);
        TransformerWeights random = TransformerWeights.CreateRandom(s_config, new RbeOptions { Tile = 32, Format = RbeFormat.Sparse(96) }, 1);
        using TransformerModel<float> whole = new(random with { Blocks = [weights, weights] });
        using TransformerModel<float> model = format.StartsWith("compact", StringComparison.Ordinal) ? whole.ToInference(WeightPrecision.BFloat16) : whole;
        AllocatesNothing(() =>
        {
            using Workspace<float> workspace = new(2);
            using KvCache<float> cache = new(s_config, batch, 128);
            float[] logits = new float[batch * 50];
            int[] tokens = [.. Enumerable.Range(7, batch)];
            return Allocated(workspace.Workers, _ => model.LastLogits(tokens, batch, 1, workspace, cache, logits));
        });
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void A_step_of_the_generator_allocates_nothing(KvFormat format, int threads)
    {
        using TransformerModel<float> whole = Model(),
            model = new(whole.GetWeights() with { Tokens = new ModelTokens { EndTokens = [49], Unused = [40, 41] } });
        AllocatesNothing(() =>
        {
            using Generator generator = new(model, threads);
            GenerationOptions options = new() { TopK = 20, TopP = 0.9, MinP = 0.01, RepetitionPenalty = 1.1, StopStrings = ["x"], KvFormat = format };
            generator.Start([1, 2, 3], options);
            return Allocated(generator.Workspace.Workers, n => generator.Next(options, n));
        });
    }

    /// <summary>That the measure finds an object that every step, or one step alone, makes on either thread.</summary>
    [Theory]
    [InlineData(0, 1)]
    [InlineData(1, 1)]
    [InlineData(0, WarmUp + Steps)]
    [InlineData(1, WarmUp + Steps)]
    public void The_measure_finds_a_single_object(int worker, int every)
    {
        long[] allocated = Least(() =>
        {
            using WorkerPool workers = new(2);
            return Allocated(workers, n =>
            {
                int arrived = 0;
                Makers work = Make(worker, (n + 1) % every == 0, ref arrived);
                workers.For(2, ref work);
            });
        });
        Assert.InRange(allocated[worker], 24, 24 * Steps);
        Assert.Equal(0, allocated[1 - worker]);

        static unsafe Makers Make(int worker, bool now, ref int arrived) =>
            new(worker, now, (int*)System.Runtime.CompilerServices.Unsafe.AsPointer(ref arrived));
    }

    private static TransformerModel<float> Model() =>
        TransformerModel<float>.Create(s_config, new RbeOptions { Tile = 32, Format = RbeFormat.Sparse(96, SupportRule.Runs(16)) }, 1);

    private static void AllocatesNothing(Func<long[]> run)
    {
        long[] least = Least(run);
        Assert.True(least.All(b => b == 0), $"bytes by thread, the least of {Runs} runs: {string.Join(" + ", least)}");
    }

    // The least of some runs, by thread: what a step allocates it allocates in every run of a new workspace and cache. The runtime now and
    // then charges a thread for something of its own (a first use of a rare path, such as falling asleep on a busy machine; a table that
    // grew with all that runs in the process), which does not come again.
    private static long[] Least(Func<long[]> run)
    {
        long[] least = run();
        for (int n = 1; n < Runs; n++) least = [.. least.Zip(run(), Math.Min)];
        return least;
    }

    // Bytes that each thread of the team allocates in the steps after the first ones.
    private static long[] Allocated(WorkerPool workers, Action<int> step)
    {
        long[] before = new long[workers.Threads], after = new long[workers.Threads];
        Read(workers, before);
        for (int n = 0; n < WarmUp; n++) step(n);
        Read(workers, before);
        for (int n = WarmUp; n < WarmUp + Steps; n++) step(n);
        Read(workers, after);
        return [.. after.Zip(before, (a, b) => a - b)];
    }

    private static unsafe void Read(WorkerPool workers, long[] bytes)
    {
        int arrived = 0;
        Counters work = new(bytes, &arrived, workers.Threads);
        workers.For(workers.Threads, ref work);
    }

    private readonly unsafe struct Makers(int maker, bool now, int* arrived) : IParallelWork
    {
        public void Execute(int item, int worker)
        {
            if (worker == maker && now) GC.KeepAlive(new object());
            Interlocked.Increment(ref *arrived);
            SpinWait spin = default;
            while (Volatile.Read(ref *arrived) < 2) spin.SpinOnce();
        }
    }

    // No thread leaves its item before all have one, so each reads its own counter.
    private readonly unsafe struct Counters(long[] bytes, int* arrived, int threads) : IParallelWork
    {
        public void Execute(int item, int worker)
        {
            bytes[worker] = GC.GetAllocatedBytesForCurrentThread();
            Interlocked.Increment(ref *arrived);
            SpinWait spin = default;
            while (Volatile.Read(ref *arrived) < threads) spin.SpinOnce();
        }
    }
}
