namespace RbeMl.Codec;

/// <summary>
/// Chooses the scale of a trellis-coded tile: before coding the one that an estimate of the error says is best, after coding the least-squares one for the
/// symbols found. A second round would gain less than 0.1 % of the error on Gaussian values. Scales above 65504 are cut to it; a tile whose scale fp16
/// cannot hold becomes zero.
/// </summary>
internal static class TrellisScaler
{
    private const float LargestHalf = 65504;
    private const float Reach = 128; // standard deviations; no value of an unsaturated tile of up to 128 x 128 lies beyond

    private const double TableReach = 3; // in scales: larger values are mostly cut, as few states are at the table's ends
    private const double Growth = 1.05;

    // For 2 .. 6 bits: the best scale over the root mean square of Gaussian values, and the error that is left of unit variance; both measured.
    private static readonly double[] s_headroom = [1.05, 1.08, 1.09, 1.13, 1.14];
    private static readonly double[] s_errors = [0.265, 0.134, 0.0676, 0.0340, 0.0174];

    /// <summary>
    /// The first scale of a tile or a segment. It grows from that of Gaussian values as long as what it costs (an error in proportion to it everywhere) is less
    /// than what it saves (the largest values are cut less): heavy tails need it.
    /// </summary>
    /// <param name="values">What is to be coded.</param>
    /// <param name="bits">Bits of a symbol.</param>
    public static Half Start(ReadOnlySpan<float> values, int bits)
    {
        double energy = 0;
        foreach (float value in values) energy += (double)value * value;
        double scale = s_headroom[bits - TrellisCodebook.LeastBits] * Math.Sqrt(energy / Math.Max(values.Length, 1)), error = Estimate(values, bits, scale);
        while (scale < LargestHalf)
        {
            double next = Estimate(values, bits, scale * Growth);
            if (!(next < error)) break;
            error = next;
            scale *= Growth;
        }

        return (Half)Math.Min(scale, LargestHalf);
    }

    private static double Estimate(ReadOnlySpan<float> values, int bits, double scale)
    {
        double relative = s_errors[bits - TrellisCodebook.LeastBits], cut = 0, reach = TableReach * scale;
        foreach (float value in values)
        {
            double beyond = Math.Max(Math.Abs(value) - reach, 0);
            cut += beyond * beyond;
        }

        return values.Length * relative * relative * scale * scale + cut;
    }

    /// <summary>Encodes a tile.</summary>
    /// <param name="encoder">The trellis.</param>
    /// <param name="values"><c>[B²]</c>; scaled in place.</param>
    /// <param name="symbols"><c>[B²]</c>, written.</param>
    /// <returns>The scale.</returns>
    public static Half Encode(TrellisEncoder encoder, Span<float> values, Span<byte> symbols)
    {
        Half start = Start(values, encoder.Bits);
        if (start == Half.Zero)
        {
            symbols.Clear();
            return start;
        }

        Normalize(values, start);
        encoder.Encode(values, symbols);
        return Refit(encoder.Bits, values, symbols, start);
    }

    /// <summary>Divides by the scale.</summary>
    public static void Normalize(Span<float> values, Half scale)
    {
        float inverse = 1 / (float)scale;
        for (int e = 0; e < values.Length; e++) values[e] = Math.Clamp(values[e] * inverse, -Reach, Reach);
    }

    // The best scale for the symbols of values that were divided by start.
    private static Half Refit(int bits, ReadOnlySpan<float> values, ReadOnlySpan<byte> symbols, Half start)
    {
        float[] table = TrellisCodebook.For(bits);
        double product = 0, square = 0;
        for (int e = 0, state = 0; e < values.Length; e++)
        {
            state = TrellisCodebook.Next(state, symbols[e], bits);
            product += (double)values[e] * table[state];
            square += (double)table[state] * table[state];
        }

        return (Half)Math.Clamp((double)start * product / square, 0, LargestHalf);
    }
}
