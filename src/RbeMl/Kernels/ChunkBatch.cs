namespace RbeMl.Kernels;

/// <summary>A few chunks of tokens that are worked on together, so that a decoded tile serves all of them.</summary>
/// <param name="Count">Chunks, at least 1.</param>
/// <param name="Lanes">Lanes of a chunk: 16, 32, 48 or 64.</param>
/// <param name="LastTokens">Lanes of the last chunk that hold a token; the other chunks are full.</param>
internal readonly record struct ChunkBatch(int Count, int Lanes, int LastTokens)
{
    private const int LaneStep = 16;

    /// <summary>Lanes of a chunk that products have to compute: those with tokens, in whole vectors.</summary>
    public int LanesOf(int chunk) => chunk < Count - 1 ? Lanes : Math.Min(Lanes, (LastTokens + LaneStep - 1) / LaneStep * LaneStep);
}

/// <summary>The same place in each chunk of a group.</summary>
/// <typeparam name="T">Element type.</typeparam>
/// <param name="first">Place in the first chunk, or null for none.</param>
/// <param name="stride">Elements from one chunk to the next.</param>
internal readonly unsafe struct ChunkPointers<T>(T* first, long stride)
    where T : unmanaged
{
    /// <summary>The same places as another type of the same size.</summary>
    public ChunkPointers<TOther> As<TOther>()
        where TOther : unmanaged => new((TOther*)first, stride);

    /// <summary>Whether there is none.</summary>
    public bool IsNull => first == null;

    /// <summary>Place in chunk <paramref name="chunk"/>.</summary>
    public T* this[int chunk] => first + (chunk * stride);

    /// <summary>A place further on; nothing stays nothing.</summary>
    public ChunkPointers<T> Offset(long elements) => first == null ? this : new(first + elements, stride);
}
