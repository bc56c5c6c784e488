using System.Diagnostics;

namespace RbeMl.Layers;

/// <summary>Stages of a block that are timed: the first ones of <see cref="ProfileStage"/>.</summary>
internal enum BlockStage
{
    LayerNorm1,
    Projections,
    Attention,
    AttentionOutput,
    LayerNorm2,
    FeedForward,
    Recomputation,
    FeedForwardBackward,
    LayerNorm2Backward,
    AttentionOutputBackward,
    AttentionBackward,
    ProjectionsBackward,
    LayerNorm1Backward,
    WeightGradients,
    Count,
}

/// <summary>Counts profiled forwards of one block; safe for several threads.</summary>
internal sealed class BlockProfile
{
    private long _count;
    private long _totalTicks;

    /// <summary>Turns the ticks of one call into a report.</summary>
    public LayerStats Finish(long[] ticks, long total, int layer, int threads, long bytes)
    {
        long count = Interlocked.Increment(ref _count);
        long sum = Interlocked.Add(ref _totalTicks, total);
        return new LayerStats(
            layer, count, Time(BlockStage.LayerNorm1), Time(BlockStage.Projections), Time(BlockStage.Attention), Time(BlockStage.AttentionOutput),
            Time(BlockStage.LayerNorm2), Time(BlockStage.FeedForward), Span(total), Span(sum / count), threads, bytes);

        TimeSpan Time(BlockStage stage)
        {
            long stageTicks = 0;
            for (int i = (int)stage; i < ticks.Length; i += (int)BlockStage.Count) stageTicks += ticks[i];
            return Span(stageTicks);
        }

        static TimeSpan Span(long ticks) => TimeSpan.FromSeconds(ticks / (double)Stopwatch.Frequency);
    }
}
