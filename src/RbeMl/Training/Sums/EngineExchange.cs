namespace RbeMl.Training;

/// <summary>What makes of the gradients of each rank the sum of all.</summary>
internal interface IGradientExchange : IDisposable
{
    /// <summary>Bytes that this rank sends to others in a step.</summary>
    long BytesSent { get; }

    /// <summary>Leaves the sum of all ranks in the tree's root, and begins the next.</summary>
    /// <param name="gradients">This rank's.</param>
    void Sum(GradientTree<float> gradients);

    /// <summary>Forgets what it keeps from step to step, as the step has failed whose sum was the last.</summary>
    void Forget();
}

/// <summary>The sum of what connects the ranks.</summary>
/// <param name="ranks">The ranks.</param>
/// <param name="length">Elements of the vector.</param>
internal sealed unsafe class EngineExchange(ICollective ranks, long length) : IGradientExchange
{
    private const int Most = 1 << 26; // elements of a call

    /// <inheritdoc/>
    public long BytesSent => Bytes(ranks.Size, length);

    /// <summary>Those of a ring, which sends the fewest.</summary>
    public static long Bytes(int size, long length) => sizeof(float) * 2 * (size - 1) * length / size;

    /// <inheritdoc/>
    public void Sum(GradientTree<float> gradients)
    {
        for (long at = 0; at < length; at += Most) ranks.AllReduceSum(new Span<float>(gradients.Root.Pointer + at, (int)Math.Min(Most, length - at)));
    }

    /// <inheritdoc/>
    public void Forget()
    {
    }

    /// <inheritdoc/>
    public void Dispose()
    {
    }
}
