namespace RbeMl.Codec;

/// <summary>Takes the largest coefficients out of a tile, so that its codes need not reach them.</summary>
internal static class OutlierSelector
{
    private const float LargestHalf = 65504;

    /// <summary>
    /// Takes as many as <paramref name="places"/> holds: the largest by magnitude, of equal ones the first. Values beyond fp16 are cut to
    /// its range.
    /// </summary>
    /// <param name="coefficients"><c>[B²]</c>, zero afterwards where one was taken.</param>
    /// <param name="places">Written, ascending.</param>
    /// <param name="values">Written, one a place.</param>
    public static void TakeLargest(Span<float> coefficients, Span<ushort> places, Span<Half> values)
    {
        if (places.Length == 0) return;
        int held = 0;
        for (int e = 0; e < coefficients.Length; e++)
        {
            float magnitude = Math.Abs(coefficients[e]);
            if (held == places.Length && !(magnitude > Math.Abs(coefficients[places[^1]]))) continue;
            if (held < places.Length) held++;
            int at = held - 1; // the held ones descend by magnitude
            for (; at > 0 && magnitude > Math.Abs(coefficients[places[at - 1]]); at--) places[at] = places[at - 1];
            places[at] = (ushort)e;
        }

        places.Sort();
        for (int i = 0; i < places.Length; i++)
        {
            values[i] = (Half)Math.Clamp(coefficients[places[i]], -LargestHalf, LargestHalf);
            coefficients[places[i]] = 0;
        }
    }
}
