using System.Runtime.CompilerServices;
using RbeMl.Memory;
using RbeMl.Models;
using RbeMl.Tests.Support;
using RbeMl.Training;

namespace RbeMl.Tests.Memory;

/// <summary>Threads and memory end with their owner, whether it is disposed or nobody holds it any more.</summary>
public sealed class CollectedTests
{
    private const int Objects = 100;

    public static TheoryData<string> Kinds => [.. ThreadOwners.Kinds];

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Threads_and_memory_end_with_an_owner_that_nobody_disposed(string kind)
    {
        using TransformerModel<float> model = SmallModel.Create(dropout: 0);
        using SequenceClassifier<float> classifier = new(model, new ClassifierConfig { Classes = 2 }, 1);
        using MemoryCounter counter = MemoryCounter.Open();
        List<WeakReference<Thread>> threads = Make(kind, model, classifier);
        long buffers = counter.LiveBuffers;

        // Collections free what nobody holds, finalizers stop the threads, and these end when they get to run: a condition, not a time.
        for (int round = 0; round < 10_000 && (Alive(threads) > Objects / 20 || counter.LiveBuffers > buffers / 20); round++)
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
            Thread.Sleep(1);
        }

        Assert.InRange(Alive(threads), 0, Objects / 20); // a register or stack slot may still hold a last one
        Assert.InRange(counter.LiveBuffers, 0, buffers / 20);
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Dispose_ends_the_threads_and_frees_every_buffer(string kind)
    {
        using TransformerModel<float> model = SmallModel.Create(dropout: 0);
        using SequenceClassifier<float> classifier = new(model, new ClassifierConfig { Classes = 2 }, 1);
        IDisposable first = ThreadOwners.Create(kind, model, classifier); // the model keeps tables from its first use on
        using MemoryCounter counter = MemoryCounter.Open();
        IDisposable owner = ThreadOwners.Create(kind, model, classifier);
        Thread thread = ThreadOwners.ThreadOf(owner);
        Assert.True(thread.IsAlive && (kind == "team" || counter.LiveBuffers > 0), "nothing is held");
        owner.Dispose();
        Assert.False(thread.IsAlive, "a thread goes on");
        Assert.Equal((0, 0), (counter.LiveBuffers, counter.Bytes));
        first.Dispose();
    }

    // In a method of its own, so that no local keeps an object.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static List<WeakReference<Thread>> Make(string kind, TransformerModel<float> model, SequenceClassifier<float> classifier)
    {
        List<WeakReference<Thread>> threads = [];
        for (int i = 0; i < Objects; i++) threads.Add(MakeOne(kind, model, classifier));
        return threads;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static WeakReference<Thread> MakeOne(string kind, TransformerModel<float> model, SequenceClassifier<float> classifier) =>
        new(ThreadOwners.ThreadOf(ThreadOwners.Create(kind, model, classifier)));

    private static int Alive(List<WeakReference<Thread>> threads) => threads.Count(t => t.TryGetTarget(out Thread? thread) && thread.IsAlive);
}
