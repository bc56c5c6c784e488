namespace RbeMl.Tests.Support;

/// <summary>What a thread allocates on the managed heap.</summary>
internal static class Allocations
{
    /// <summary>
    /// The least bytes of several windows, all of which are done, so that ranks stay in step: resident memory is read, and garbage made, once a second, and
    /// the compiler's second tier comes later on a busy machine (the first boxes).
    /// </summary>
    /// <param name="windows">How many.</param>
    /// <param name="window">What is measured.</param>
    public static long Least(int windows, Action window)
    {
        long least = long.MaxValue;
        for (int i = 0; i < windows; i++)
        {
            if (i >= windows / 4) Thread.Sleep(20);
            long before = GC.GetAllocatedBytesForCurrentThread();
            window();
            least = Math.Min(least, GC.GetAllocatedBytesForCurrentThread() - before);
        }

        return least;
    }
}
