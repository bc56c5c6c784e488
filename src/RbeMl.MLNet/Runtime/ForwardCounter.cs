namespace RbeMl.MLNet.Runtime;

/// <summary>Counts the rows that went through a model, over all transformers of the process: how tests see that nothing is computed in vain.</summary>
internal static class ForwardCounter
{
    private static long s_rows, s_generated;

    /// <summary>Rows so far.</summary>
    public static long Rows => Interlocked.Read(ref s_rows);

    /// <summary>Texts that were continued so far.</summary>
    public static long Generated => Interlocked.Read(ref s_generated);

    /// <summary>Counts some.</summary>
    public static void Add(int rows) => Interlocked.Add(ref s_rows, rows);

    /// <summary>Counts a text that is continued.</summary>
    public static void AddGenerated() => Interlocked.Increment(ref s_generated);
}
