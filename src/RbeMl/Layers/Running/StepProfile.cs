using System.Diagnostics;

namespace RbeMl.Layers;

/// <summary>Stages of a training step. Those of a block come first.</summary>
internal enum ProfileStage
{
    /// <summary>LayerNorm before attention, with the transform it is fused into.</summary>
    LayerNorm1,

    /// <summary>Query, key and value.</summary>
    Projections,

    /// <summary>Scores, softmax, weighted values.</summary>
    Attention,

    /// <summary>Output projection and first residual.</summary>
    AttentionOutput,

    /// <summary>LayerNorm before the feed-forward layer, with its transform.</summary>
    LayerNorm2,

    /// <summary>Both feed-forward matrices, GELU and the second residual.</summary>
    FeedForward,

    /// <summary>What checkpointing computes again in the backward.</summary>
    Recomputation,

    /// <summary>Input gradients of the feed-forward layer.</summary>
    FeedForwardBackward,

    /// <summary>Backward of the LayerNorm before the feed-forward layer.</summary>
    LayerNorm2Backward,

    /// <summary>Input gradient of the output projection.</summary>
    AttentionOutputBackward,

    /// <summary>Gradients of query, key and value.</summary>
    AttentionBackward,

    /// <summary>Input gradient of the three projections.</summary>
    ProjectionsBackward,

    /// <summary>Backward of the LayerNorm before attention.</summary>
    LayerNorm1Backward,

    /// <summary>Gradients of coefficients and alphas.</summary>
    WeightGradients,

    /// <summary>Taking a batch from the source.</summary>
    Data,

    /// <summary>Token and position embedding.</summary>
    Embedding,

    /// <summary>Final LayerNorm, logits, loss and their backward.</summary>
    HeadAndLoss,

    /// <summary>Gradients of the embeddings.</summary>
    EmbeddingGradients,

    /// <summary>Norm, clipping and the optimiser's own work.</summary>
    Optimizer,

    /// <summary>Adding up the gradients of all ranks, once they are there.</summary>
    Exchange,
}

/// <summary>What a stage took.</summary>
/// <param name="Stage">The stage.</param>
/// <param name="Count">How often it ran: once a layer and micro-batch, or once a micro-batch or step.</param>
/// <param name="Total">Its part of the wall time: the time that threads spent in it, divided by the number of threads.</param>
internal readonly record struct ProfileEntry(ProfileStage Stage, long Count, TimeSpan Total)
{
    /// <summary>Mean of one run.</summary>
    public TimeSpan Average => Count == 0 ? TimeSpan.Zero : Total / Count;
}

/// <summary>
/// Adds up where the time of training steps goes. Stages inside parallel loops are timed on every thread and divided by the threads, the others on the
/// calling thread, so that the parts add up to at most the whole; what is missing is waiting for the slowest thread and what no stage
/// covers. Belongs to one caller.
/// </summary>
public sealed class StepProfile
{
    private static readonly int s_stages = Enum.GetValues<ProfileStage>().Length;
    private readonly long[] _ticks = new long[s_stages];
    private readonly long[] _counts = new long[s_stages];
    private readonly int _threads;
    private long _totalTicks;

    /// <summary>Creates an empty profile.</summary>
    /// <param name="threads">Threads of the workspace that it is given to.</param>
    public StepProfile(int threads)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(threads, 1);
        _threads = threads;
    }

    /// <summary>Steps profiled.</summary>
    public long Steps { get; private set; }

    /// <summary>Wall time of the steps.</summary>
    public TimeSpan Total => Span(_totalTicks);

    /// <summary>The stages that ran, in the order of <see cref="ProfileStage"/>.</summary>
    internal IEnumerable<ProfileEntry> Entries
    {
        get
        {
            for (int i = 0; i < s_stages; i++)
            {
                if (_counts[i] > 0) yield return new ProfileEntry((ProfileStage)i, _counts[i], Span(_ticks[i]));
            }
        }
    }

    /// <summary>The whole without the parts.</summary>
    public TimeSpan Rest => Span(_totalTicks - _ticks.Sum());

    /// <summary>Now, or 0 where nothing is measured.</summary>
    internal static long Now(StepProfile? profile) => profile is null ? 0 : Stopwatch.GetTimestamp();

    /// <summary>Adds the time since then to a stage of the calling thread.</summary>
    internal void Lap(ProfileStage stage, long since)
    {
        _ticks[(int)stage] += Stopwatch.GetTimestamp() - since;
        _counts[(int)stage]++;
    }

    /// <summary>Adds a call of a block, [worker][stage].</summary>
    internal void AddBlock(ReadOnlySpan<long> ticks)
    {
        for (int stage = 0; stage < BlockProfile.Stages; stage++)
        {
            long sum = 0;
            for (int i = stage; i < ticks.Length; i += BlockProfile.Stages) sum += ticks[i];
            if (sum == 0) continue;
            _ticks[stage] += sum / _threads;
            _counts[stage]++;
        }
    }

    /// <summary>Ends a step that began then.</summary>
    internal void EndStep(long since)
    {
        _totalTicks += Stopwatch.GetTimestamp() - since;
        Steps++;
    }

    private static TimeSpan Span(long ticks) => TimeSpan.FromSeconds(ticks / (double)Stopwatch.Frequency);
}
