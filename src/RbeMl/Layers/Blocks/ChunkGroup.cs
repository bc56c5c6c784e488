using System.Numerics;
using RbeMl.Memory;

namespace RbeMl.Layers;

/// <summary>
/// Gradients are summed over groups of chunks, which are then added to the vector of gradients one after the other: so a batch done in
/// parts of whole groups has the same gradients, bit for bit, as in one. A large group is faster (lanes are summed once for each), a small
/// one lets parts be smaller. The size depends on the length of the sequences alone, never on threads, batch or memory.
/// </summary>
internal static class ChunkGroup
{
    private const int Most = 8, Least = 2;
    private const int WidePart = Most * Panel<float>.WideLanes;

    /// <summary>
    /// Chunks of a group: the most of 8, 4 and 2 for which whole groups of whole sequences can be as short as 512 tokens or one sequence; 8
    /// where none is.
    /// </summary>
    /// <param name="length">T, at least 1.</param>
    public static int Of(int length)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(length, 1);
        for (int chunks = Most; chunks >= Least; chunks /= 2)
        {
            if (PartOf(length, chunks) <= Math.Max(length, WidePart)) return chunks;
        }

        return Most;
    }

    /// <summary>Tokens of a group.</summary>
    /// <param name="length">T, at least 1.</param>
    public static int Tokens(int length) => Of(length) * Panel<float>.WideLanes;

    // Tokens of the shortest part that is whole sequences and whole groups; a group is a power of two.
    private static long PartOf(int length, int chunks)
    {
        int tokens = chunks * Panel<float>.WideLanes, common = Math.Min(tokens, 1 << BitOperations.TrailingZeroCount(length));
        return (long)length / common * tokens;
    }
}
