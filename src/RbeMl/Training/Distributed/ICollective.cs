namespace RbeMl.Training;

/// <summary>
/// The ranks that train one model together, as one of them sees them: it moves bytes between them, and adds nothing but what it is asked to. All
/// ranks call the same methods in the same order, one call at a time, and each call returns when this rank's part is done. Parts fill the span that they
/// are in; otherwise, and with a negative number of bytes, a <see cref="ShapeMismatchException"/> is thrown.
/// </summary>
public interface ICollective
{
    /// <summary>This rank, 0 to <see cref="Size"/> - 1. The first reports and writes files.</summary>
    int Rank { get; }

    /// <summary>Ranks.</summary>
    int Size { get; }

    /// <summary>What connects them, such as <c>Open MPI 4.1.4</c>.</summary>
    string Description { get; }

    /// <summary>Sends a part of its own bytes to each rank and receives one from each.</summary>
    /// <param name="send">The parts for rank 0, 1, ..., one behind the other.</param>
    /// <param name="sendCounts">[Size] bytes of each part, 0 or more.</param>
    /// <param name="receive">Written with the parts from rank 0, 1, ..., one behind the other; lies nowhere in <paramref name="send"/>.</param>
    /// <param name="receiveCounts">[Size] bytes of each part.</param>
    /// <exception cref="DistributedException">A rank has failed, or the connection to it.</exception>
    void AllToAll(ReadOnlySpan<byte> send, ReadOnlySpan<int> sendCounts, Span<byte> receive, ReadOnlySpan<int> receiveCounts);

    /// <summary>Gives every rank the parts of all.</summary>
    /// <param name="all">The parts of rank 0, 1, ..., one behind the other; this rank's own is there, and the others are written.</param>
    /// <param name="counts">[Size] bytes of each part, the same on all ranks.</param>
    /// <exception cref="DistributedException">A rank has failed, or the connection to it.</exception>
    void AllGather(Span<byte> all, ReadOnlySpan<int> counts);

    /// <summary>Adds up the values of all ranks, one by one, in an order of its own.</summary>
    /// <param name="values">This rank's, as many on all ranks; written with the sums, the same bits on all ranks.</param>
    /// <exception cref="DistributedException">A rank has failed, or the connection to it.</exception>
    void AllReduceSum(Span<float> values);

    /// <summary>Ends the training of all ranks, because of an error that the others do not know of and would wait after.</summary>
    /// <param name="reason">What happened, for those that are still able to tell it.</param>
    void Abort(string reason);
}
