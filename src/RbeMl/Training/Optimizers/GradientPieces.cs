using RbeMl.Layers;

namespace RbeMl.Training;

/// <summary>The pieces of what is trained that passes over gradients work on; fixed, so that sums are the same for any number of threads and ranks.</summary>
internal static class GradientPieces
{
    /// <summary>Elements of a piece; the last of a slice may have fewer.</summary>
    public const int Most = 1 << 14;

    private const int Alignment = 16; // of slices in a vector

    /// <summary>The pieces: slice, first element in it, elements.</summary>
    /// <param name="slices">The slices.</param>
    /// <param name="trained">Whether a slice is trained; null trains all.</param>
    public static (int Slice, int First, int Length)[] Of(IReadOnlyList<ParameterSlice> slices, Func<ParameterSlice, bool>? trained)
    {
        List<(int, int, int)> pieces = [];
        for (int s = 0; s < slices.Count; s++)
        {
            if (!(trained?.Invoke(slices[s]) ?? true)) continue;
            for (int first = 0; first < slices[s].Length; first += Most) pieces.Add((s, first, Math.Min(Most, slices[s].Length - first)));
        }

        return [.. pieces];
    }

    /// <summary>Where each piece begins in a vector of them alone, whose slices are aligned, and where that ends.</summary>
    /// <param name="pieces">The pieces, or some of them.</param>
    public static long[] Starts(IReadOnlyList<(int Slice, int First, int Length)> pieces)
    {
        long[] starts = new long[pieces.Count + 1];
        for (int piece = 0; piece < pieces.Count; piece++)
        {
            starts[piece + 1] = starts[piece] + ((pieces[piece].Length + Alignment - 1) / Alignment * Alignment);
        }

        return starts;
    }
}
