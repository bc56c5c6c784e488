using System.Runtime.CompilerServices;

namespace RbeMl.Oracle.Tests.Native;

public sealed class HeldFinalizersTests
{
    private static readonly ManualResetEventSlim s_ran = new();

    [Fact]
    public void NothingIsFinalizedWhileTestsRun()
    {
        HeldFinalizers.Hold();
        WeakReference dropped = Drop();
        for (int i = 0; i < 100 && dropped.IsAlive; i++) GC.Collect();
        Assert.False(dropped.IsAlive);
        Assert.False(s_ran.Wait(TimeSpan.FromMilliseconds(200)));
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static WeakReference Drop() => new(new Finalizable());

    private sealed class Finalizable
    {
        ~Finalizable() => s_ran.Set();
    }
}
