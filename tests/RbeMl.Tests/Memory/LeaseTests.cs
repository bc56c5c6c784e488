using RbeMl.Layers;
using RbeMl.Memory;
using RbeMl.Models;

namespace RbeMl.Tests.Memory;

/// <summary>Objects that are disposed, or used a second time, while another thread is in the middle of a public call on them.</summary>
public sealed class LeaseTests
{
    public static TheoryData<string> Calls => [.. PublicCall.Names];

    [Theory]
    [MemberData(nameof(Calls))]
    public void What_is_disposed_in_the_middle_of_a_call_is_freed_after_it(string name)
    {
        float[] expected;
        using (HeldWorkers other = new())
        {
            PublicCall undisturbed = PublicCall.Create(name, other.Team);
            expected = undisturbed.Call();
            foreach (IDisposable part in undisturbed.Parts.Values) part.Dispose();
        }

        using HeldWorkers team = new();
        using MemoryCounter counter = MemoryCounter.Open();
        PublicCall call = PublicCall.Create(name, team.Team);
        long before = counter.LiveBuffers;
        float[] actual = team.InTheMiddle(call.Busy, call.Call, () =>
        {
            foreach (IDisposable part in call.Parts.Values) Parallel.For(0, 3, _ => part.Dispose());
            Assert.True(counter.LiveBuffers > 0, "memory in use was freed");
        });
        Assert.Equal(expected, actual);
        Assert.True(counter.LiveBuffers < before, "nothing was freed after the call");
        Assert.Throws<ObjectDisposedException>(call.Call);
    }

    [Theory]
    [MemberData(nameof(Calls))]
    public void A_call_on_what_was_disposed_is_refused(string name)
    {
        using WorkerPool workers = new(2);
        List<string> parts = [.. PublicCall.Create(name, workers).Parts.Keys];
        foreach (string part in parts)
        {
            PublicCall call = PublicCall.Create(name, workers);
            if (call.Parts[part] is RbeTransformerBlock<float> or LayerKvCache<float>)
            {
                // Parts of a model or of a model's cache are freed with it.
                call.Parts[part].Dispose();
                Assert.NotEmpty(call.Call());
                continue;
            }

            if (part is "workspace" && name is "Generator" or "AdamW") continue; // another one
            if (part is "model" && name is "AdamW") continue; // its norm reads the gradients only
            call.Parts[part].Dispose();
            call.Parts[part].Dispose();
            Assert.Throws<ObjectDisposedException>(call.Call);
        }
    }

    [Theory]
    [MemberData(nameof(Calls))]
    public void A_second_call_at_the_same_time_is_refused(string name)
    {
        using HeldWorkers team = new();
        PublicCall call = PublicCall.Create(name, team.Team);
        float[] first = team.InTheMiddle(call.Busy, call.Call, () =>
        {
            ConcurrentUseException error = Assert.Throws<ConcurrentUseException>(call.Call);
            Assert.Contains("Give each thread an object of its own", error.Message, StringComparison.Ordinal);
        });
        Assert.NotEmpty(first);
        Assert.Equal(0, call.Busy.Calls);
    }

    [Fact]
    public void A_cache_in_use_is_neither_reset_nor_cut_nor_used_by_another_model()
    {
        using HeldWorkers team = new();
        PublicCall call = PublicCall.Create("Decode", team.Team);
        KvCache<float> cache = (KvCache<float>)call.Parts["cache"];
        TransformerModel<float> model = (TransformerModel<float>)call.Parts["model"];
        using Workspace<float> own = new(1);
        team.InTheMiddle(call.Busy, call.Call, () =>
        {
            Assert.Throws<ConcurrentUseException>(cache.Reset);
            Assert.Throws<ConcurrentUseException>(() => cache[0].Reset());
            Assert.Throws<ConcurrentUseException>(() => cache[0].Truncate(1));
            Assert.Throws<ConcurrentUseException>(() => model.LastLogits([1, 2, 3], 3, 1, own, cache, new float[33]));
            Assert.Throws<ConcurrentUseException>(() =>
                model.Blocks[0].Forward(new float[3 * 32], 3, 1, new ForwardOptions<float> { Cache = cache[0] }, null, own));
        });
        Assert.Equal(9, cache.Length);
    }

    [Fact]
    public void One_model_serves_two_workspaces_at_the_same_time()
    {
        using HeldWorkers team = new();
        PublicCall call = PublicCall.Create("Logits", team.Team);
        TransformerModel<float> model = (TransformerModel<float>)call.Parts["model"];
        using Workspace<float> own = new(1);
        float[] second = [];
        int[] tokens = [.. Enumerable.Range(0, 24).Select(i => i * 7 % 11)];
        float[] first = team.InTheMiddle(call.Busy, call.Call, () => second = model.Logits(tokens, 3, 8, own));
        Assert.Equal(first, second);
    }

    [Fact]
    public void A_lease_frees_once_and_counts_its_calls()
    {
        Owner owner = new();
        Lease lease = new(owner);
        Hold first = lease.Share(), second = lease.Share();
        Assert.Throws<ConcurrentUseException>(() => lease.Claim());
        Assert.Equal(2, lease.Calls);
        lease.Dispose();
        lease.Dispose();
        Assert.Equal("Owner", Assert.Throws<ObjectDisposedException>(() => lease.Share()).ObjectName);
        Assert.Throws<ObjectDisposedException>(() => lease.Claim());
        first.Dispose();
        Assert.Equal(0, owner.Freed);
        second.Dispose();
        Assert.Equal(1, owner.Freed);
        lease.Dispose();
        Assert.Equal(1, owner.Freed);
    }

    /// <summary>Threads that compute and dispose at random: whatever the order, results are right or a typed error says why there are none.</summary>
    [Fact]
    public void Random_calls_and_disposals_on_many_threads_end_in_results_or_typed_errors()
    {
        const int Rounds = 60, Threads = 4;
        int right = 0, refused = 0;
        using WorkerPool workers = new(2);
        foreach (string name in (string[])["Logits", "Decode", "Gradients", "BlockBackward", "ClassifierLoss", "SequenceLosses"])
        {
            PublicCall reference = PublicCall.Create(name, workers);
            float[] expected = reference.Call();
            foreach (IDisposable part in reference.Parts.Values) part.Dispose();
            for (int round = 0; round < Rounds / 6; round++)
            {
                PublicCall call = PublicCall.Create(name, workers);
                Random random = new((round * 100) + name.Length);
                IDisposable victim = call.Parts.Values.ElementAt(random.Next(call.Parts.Count));
                int killer = random.Next(Threads), wait = random.Next(2000);
                bool repeats = name is "Gradients" or "ClassifierLoss" or "SequenceLosses"; // the others change what they work on
                using Barrier start = new(Threads);
                Thread[] threads = [.. Enumerable.Range(0, Threads).Select(t => new Thread(() =>
                {
                    start.SignalAndWait();
                    if (t == killer)
                    {
                        Thread.SpinWait(wait);
                        victim.Dispose();
                        return;
                    }

                    try
                    {
                        float[] actual = call.Call();
                        if (repeats && !actual.AsSpan().SequenceEqual(expected)) Interlocked.Add(ref right, -1_000_000);
                        Interlocked.Increment(ref right);
                    }
                    catch (Exception error) when (error is ConcurrentUseException or ObjectDisposedException or InvalidOperationException or TokenException)
                    {
                        // Used at the same time; disposed; a context that a first backward emptied; a cache that the first calls filled.
                        Interlocked.Increment(ref refused);
                    }
                }))];
                foreach (Thread thread in threads) thread.Start();
                foreach (Thread thread in threads) thread.Join();
                foreach (IDisposable part in call.Parts.Values) part.Dispose();
            }
        }

        Assert.True(right >= 0, "a call gave a wrong result");
        Assert.Equal(Rounds * (Threads - 1), right + refused);
    }

    private sealed class Owner : ILeased
    {
        public int Freed { get; private set; }

        public void Free() => Freed++;
    }
}
