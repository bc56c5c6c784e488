using System.Runtime.CompilerServices;
using RbeMl.Layers;
using RbeMl.Memory;
using RbeMl.Models;
using RbeMl.Tests.Support;
using RbeMl.Training;

namespace RbeMl.Tests.Memory;

/// <summary>Threads and memory of objects that nobody disposed.</summary>
public sealed class CollectedTests
{
    private const int Objects = 300;

    [Theory]
    [InlineData("team")]
    [InlineData("workspace")]
    [InlineData("generator")]
    [InlineData("trainer")]
    public void Threads_and_memory_end_with_their_owner(string kind)
    {
        using Gpt2Model<float> model = SmallModel.Create(dropout: 0);
        using MemoryCounter counter = MemoryCounter.Open();
        List<WeakReference<Thread>> threads = Make(kind, model);
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

    // In a method of its own, so that no local keeps an object.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static List<WeakReference<Thread>> Make(string kind, Gpt2Model<float> model)
    {
        List<WeakReference<Thread>> threads = [];
        for (int i = 0; i < Objects; i++) threads.Add(MakeOne(kind, model));
        return threads;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static WeakReference<Thread> MakeOne(string kind, Gpt2Model<float> model)
    {
        ThreadTeam team;
        switch (kind)
        {
            case "generator":
                Generator generator = new(model, 2);
                generator.Start([1, 2], new GenerationOptions());
                generator.Next(new GenerationOptions(), 0);
                team = generator.Workspace.Team;
                break;
            case "trainer":
                Trainer trainer = new(model, new CountingTokens(11), null, new TrainerOptions { Steps = 5, Batch = 2, Context = 8 }, 2);
                trainer.Step();
                team = trainer.Workspace.Team;
                break;
            case "workspace":
                Workspace<float> workspace = new(2);
                model.Logits([1, 2, 3], 1, 3, workspace);
                team = workspace.Team;
                break;
            default:
                team = new ThreadTeam(2);
                break;
        }

        Finder work = new() { Found = new Thread?[2], Arrived = [0] };
        team.For(2, ref work);
        return new WeakReference<Thread>(work.Found[1]!);
    }

    private static int Alive(List<WeakReference<Thread>> threads) => threads.Count(t => t.TryGetTarget(out Thread? thread) && thread.IsAlive);

    // No thread leaves its item before both have one.
    private struct Finder : IParallelWork
    {
        internal Thread?[] Found;
        internal int[] Arrived;

        public readonly void Execute(int item, int worker)
        {
            Found[worker] = Thread.CurrentThread;
            Interlocked.Increment(ref Arrived[0]);
            SpinWait spin = default;
            while (Volatile.Read(ref Arrived[0]) < 2) spin.SpinOnce();
        }
    }
}
