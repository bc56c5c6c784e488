using System.Diagnostics;

namespace RbeMl.Layers;

/// <summary>Counts profiled forwards of one block; safe for several threads.</summary>
internal sealed class BlockProfile
{
    /// <summary>Stages of a block: the first ones of <see cref="ProfileStage"/>, up to its weight gradients.</summary>
    public const int Stages = (int)ProfileStage.WeightGradients + 1;

    private long _count;
    private long _totalTicks;

    /// <summary>Turns the ticks of one call into a report.</summary>
    public LayerStats Finish(long[] ticks, long total, int layer, int threads, long bytes)
    {
        long count = Interlocked.Increment(ref _count);
        long sum = Interlocked.Add(ref _totalTicks, total);
        return new LayerStats(
            layer, count, Time(ProfileStage.LayerNorm1), Time(ProfileStage.Projections), Time(ProfileStage.Attention), Time(ProfileStage.AttentionOutput),
            Time(ProfileStage.LayerNorm2), Time(ProfileStage.FeedForward), Span(total), Span(sum / count), threads, bytes);

        TimeSpan Time(ProfileStage stage)
        {
            long stageTicks = 0;
            for (int i = (int)stage; i < ticks.Length; i += BlockProfile.Stages) stageTicks += ticks[i];
            return Span(stageTicks);
        }

        static TimeSpan Span(long ticks) => TimeSpan.FromSeconds(ticks / (double)Stopwatch.Frequency);
    }
}
