namespace RbeMl.Tests.Support;

/// <summary>What a thread allocates on the managed heap.</summary>
internal static class Allocations
{
    private const int BeforePauses = 5, PauseMilliseconds = 50;

    /// <summary>
    /// The least bytes of several windows: resident memory is read, and garbage made, once a second; the runtime now and then charges a thread for something
    /// of its own; and the compiler's second tier comes later on a busy machine, where the first boxes.
    /// </summary>
    /// <param name="windows">The most windows.</param>
    /// <param name="window">What is measured.</param>
    /// <param name="all">Whether all windows are done, as ranks must to stay in step; else the first that allocates nothing is the last.</param>
    public static long Least(int windows, Action window, bool all = false)
    {
        long least = long.MaxValue;
        for (int i = 0; i < windows && (all || least > 0); i++)
        {
            if (i >= BeforePauses && least > 0) Thread.Sleep(PauseMilliseconds);
            long before = GC.GetAllocatedBytesForCurrentThread();
            window();
            least = Math.Min(least, GC.GetAllocatedBytesForCurrentThread() - before);
        }

        return least;
    }
}
