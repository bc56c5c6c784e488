using System.Numerics;
using RbeMl.Numerics;

namespace RbeMl.Layers;

/// <summary>What a forward call may be given besides its input. Shapes: B sequences, T tokens each, Tkv = past + T keys.</summary>
/// <typeparam name="T">Element type.</typeparam>
public sealed unsafe class ForwardOptions<T>
    where T : unmanaged, IFloatingPointIeee754<T>
{
    /// <summary>[B, Tkv]: 0 hides a token from all others (padding). Null hides none.</summary>
    public byte[]? PaddingMask { get; init; }

    /// <summary>The same in native memory, for calls that allocate nothing; null for <see cref="PaddingMask"/>.</summary>
    internal byte* Padding { get; set; }

    /// <summary>[B, 1, T, Tkv]: added to the scaled scores, for all heads. Null adds nothing.</summary>
    public T[]? AdditiveMask { get; init; }

    /// <summary>
    /// Documents that share the rows, of which attention sees one at a time; null where a row is one. Without cache, masks and weights to return.
    /// </summary>
    internal RowDocuments? Documents { get; set; }

    /// <summary>[B, T] place of each token in its document, in native memory; null for its place in the row.</summary>
    internal int* Positions { get; set; }

    /// <summary>Past keys and values; the call's own are appended.</summary>
    internal LayerKvCache<T>? Cache { get; init; }

    /// <summary>Random stream of the dropout while training; null switches dropout off (evaluation).</summary>
    public DropoutStep? Dropout { get; set; }

    /// <summary>Place in the batch of the call's first sequence: a batch done in parts draws the same dropout as in one.</summary>
    public int FirstSequence { get; set; }

    /// <summary>Whether to return the attention probabilities [B, H, T, Tkv].</summary>
    public bool ReturnAttentionWeights { get; init; }

    /// <summary>
    /// Whether NaN and infinity may come out: for sequences that have nothing to do with each other and are looked at one by one. Otherwise
    /// a block that makes one throws a <see cref="NonFiniteException"/>.
    /// </summary>
    public bool AllowNonFinite { get; init; }

    /// <summary>Whether to measure the stages and return <see cref="LayerStats"/>.</summary>
    public bool Profile { get; init; }
}

/// <summary>Names the random numbers of one training step's dropout, so that a recomputation draws the same.</summary>
/// <param name="Seed">Seed of the run.</param>
/// <param name="Step">Number of the forward pass in the run.</param>
public readonly record struct DropoutStep(ulong Seed, uint Step)
{
    internal RandomKey Key(int layer, DropoutSite site) => new(Seed, Step, (ushort)layer, site);
}

/// <summary>Where the time of a block's forward went. Stage times are added up over threads.</summary>
/// <param name="Layer">Layer index.</param>
/// <param name="ForwardCount">Profiled forwards of this block so far, this one included.</param>
/// <param name="LayerNorm1">LayerNorm before attention, with the transform it is fused into.</param>
/// <param name="Projections">Query, key and value.</param>
/// <param name="Attention">Scores, softmax, weighted values.</param>
/// <param name="AttentionOutput">Output projection and first residual.</param>
/// <param name="LayerNorm2">LayerNorm before the feed-forward layer, with its transform.</param>
/// <param name="FeedForward">Both feed-forward matrices, GELU, and the second residual.</param>
/// <param name="Total">Wall time of the call.</param>
/// <param name="AverageTotal">Mean wall time of the profiled forwards so far, this one included.</param>
/// <param name="Threads">Threads used.</param>
/// <param name="WorkspaceBytes">Native memory that the workspace holds: the largest calls so far decide it.</param>
public sealed record LayerStats(
    int Layer, long ForwardCount, TimeSpan LayerNorm1, TimeSpan Projections, TimeSpan Attention, TimeSpan AttentionOutput, TimeSpan LayerNorm2,
    TimeSpan FeedForward, TimeSpan Total, TimeSpan AverageTotal, int Threads, long WorkspaceBytes);

/// <summary>What a block's forward returns.</summary>
/// <param name="Output">[B, T, D] row-major.</param>
/// <param name="AttentionWeights">[B, H, T, Tkv] after dropout, when asked for.</param>
/// <param name="Statistics">Stage times, when asked for.</param>
/// <typeparam name="T">Element type.</typeparam>
public sealed record TransformerBlockOutput<T>(T[] Output, T[]? AttentionWeights, LayerStats? Statistics);
