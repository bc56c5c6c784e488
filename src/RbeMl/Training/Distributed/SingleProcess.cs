namespace RbeMl.Training;

/// <summary>The one rank of a training that nobody shares.</summary>
internal sealed class SingleProcess : ICollective
{
    private SingleProcess()
    {
    }

    /// <summary>It has no state, so there is one.</summary>
    public static SingleProcess Instance { get; } = new();

    /// <inheritdoc/>
    public int Rank => 0;

    /// <inheritdoc/>
    public int Size => 1;

    /// <inheritdoc/>
    public string Description => "one process";

    /// <inheritdoc/>
    public void AllToAll(ReadOnlySpan<byte> send, ReadOnlySpan<int> sendCounts, Span<byte> receive, ReadOnlySpan<int> receiveCounts) => send.CopyTo(receive);

    /// <inheritdoc/>
    public void AllGather(Span<byte> all, ReadOnlySpan<int> counts)
    {
    }

    /// <inheritdoc/>
    public void AllReduceSum(Span<float> values)
    {
    }

    /// <inheritdoc/>
    public void Abort(string reason)
    {
    }
}
