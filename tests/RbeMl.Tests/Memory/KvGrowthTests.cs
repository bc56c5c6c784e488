using RbeMl.Codec;
using RbeMl.Kernels;
using RbeMl.Layers;
using RbeMl.Memory;
using RbeMl.Models;

namespace RbeMl.Tests.Memory;

/// <summary>Caches take memory for the tokens that there are, not for those that there may be.</summary>
public sealed class KvGrowthTests
{
    private static readonly TransformerConfig s_config = new() { Width = 32, Heads = 2, Layers = 2, Vocabulary = 11, MaxSequenceLength = 2000 };

    public static TheoryData<KvFormat> Formats => [.. Enum.GetValues<KvFormat>()];

    /// <summary>A cache with all its room from the start has the same bits as one that grows.</summary>
    [Theory]
    [MemberData(nameof(Formats))]
    public void A_cache_that_grows_gives_the_bits_of_one_that_does_not(KvFormat format)
    {
        using TransformerModel<float> model = Model(s_config);
        using Workspace<float> workspace = new(2);
        using KvCache<float> growing = new(s_config, 2, 300, format), whole = new(s_config, 2, 300, format);
        for (int l = 0; l < 2; l++) whole[l].Reserve(300);
        long last = 0;
        int grown = 0;
        float[] a = new float[22], b = new float[22];
        for (int length = 5, done = 0; done + length <= 300; done += length, length = done < 200 ? 1 : 7)
        {
            int[] tokens = [.. Enumerable.Range(done, 2 * length).Select(t => t % 11)];
            model.LastLogits(tokens, 2, length, workspace, growing, a);
            model.LastLogits(tokens, 2, length, workspace, whole, b);
            Assert.Equal(b, a);
            if (growing.AllocatedBytes > last) grown++;
            last = growing.AllocatedBytes;
        }

        Assert.Equal(4, grown); // 64, 128, 256, 300 rounded up to 16
        Assert.Equal(whole.AllocatedBytes, last);
    }

    [Fact]
    public void Memory_is_at_most_twice_that_of_the_tokens_and_the_work_is_linear()
    {
        using LayerKvCache<float> cache = new(1, 2, 16, 1_000_000);
        using RbeTransformerBlock<float> block =
            new(s_config, BlockWeights.CreateRandom(s_config, new RbeOptions { Tile = 32, Format = RbeFormat.Sparse(8) }, 1));
        Assert.Equal(0, cache.AllocatedBytes);
        long moved = 0, before = 0;
        for (int token = 1; token <= 20_000; token++)
        {
            cache.Reserve(1);
            cache.Advance(block, 1);
            if (cache.AllocatedBytes != before) moved += token;
            before = cache.AllocatedBytes;
            Assert.InRange(cache.AllocatedBytes, 2L * 32 * 4 * token, Math.Max(64, 2L * token) * 2 * 32 * 4);
        }

        Assert.InRange(moved, 1, 2 * 20_000);
    }

    /// <summary>A small model that says it has a million positions: a cache of all of them would take 512 MB.</summary>
    [Fact]
    public void A_generator_takes_memory_for_its_text_only()
    {
        TransformerConfig config = s_config with { MaxSequenceLength = 1_000_000 };
        using TransformerModel<float> model = Model(config);
        using MemoryCounter counter = MemoryCounter.Open();
        using Generator generator = new(model, 1);
        Assert.Equal(0, generator.CacheBytes);
        long allocated = GC.GetAllocatedBytesForCurrentThread();
        int[] text = [.. generator.Generate([1, 2, 3], new GenerationOptions { MaxTokens = 80, Temperature = 0 })];
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - allocated, 0, 100_000);
        Assert.Equal(80, text.Length);
        Assert.Equal(2L * 2 * 32 * 4 * 128, generator.CacheBytes);
        Assert.InRange(counter.PeakBytes, generator.CacheBytes, 1 << 20);
    }

    [Theory]
    [MemberData(nameof(Formats))]
    public void A_step_in_which_the_cache_grows_makes_no_managed_object(KvFormat format)
    {
        using TransformerModel<float> model = Model(s_config);
        using Workspace<float> workspace = new(1);
        float[] logits = new float[11];
        int[] token = [3], prompt = new int[63];
        using KvCache<float> warm = new(s_config, 1, 2000, format), cache = new(s_config, 1, 2000, format);
        Run(warm);
        model.LastLogits(prompt, 1, 63, workspace, cache, logits);
        long[] runs = new long[3];
        for (int run = 0; run < runs.Length; run++)
        {
            int room = cache[0].Stride;
            long before = GC.GetAllocatedBytesForCurrentThread();
            while (cache[0].Stride == room) Run(cache);
            runs[run] = GC.GetAllocatedBytesForCurrentThread() - before;
        }

        Assert.Contains(0, runs); // the runtime now and then charges a thread for something of its own, which does not come again

        void Run(KvCache<float> to)
        {
            for (int n = 0; n < 64; n++) model.LastLogits(token, 1, 1, workspace, to, logits);
        }
    }

    [Fact]
    public void A_counter_sees_what_a_buffer_grows_by()
    {
        using MemoryCounter counter = MemoryCounter.Open();
        NativeBuffer<int> buffer = new(6);
        for (int i = 0; i < 6; i++) buffer.Span[i] = i + 1;
        buffer.Widen(2, 3, 40, 2);
        Assert.Equal((80, 320, 320, 1), (buffer.Length, buffer.AllocatedBytes, counter.Bytes, counter.LiveBuffers));
        Assert.Equal([1, 2, 0, 4, 5, 0], (int[])[buffer.Span[0], buffer.Span[1], buffer.Span[2], buffer.Span[40], buffer.Span[41], buffer.Span[42]]);
        Assert.Throws<ArgumentException>(() => buffer.Widen(2, 39, 50, 1));
        buffer.Dispose();
        buffer.Dispose();
        Assert.Equal((0, 0), (counter.Bytes, counter.LiveBuffers));
        Assert.Throws<ObjectDisposedException>(() => buffer.Span.Length);
    }

    private static TransformerModel<float> Model(TransformerConfig config) =>
        TransformerModel<float>.Create(config, new RbeOptions { Tile = 32, Format = RbeFormat.Sparse(96) }, 1);
}
