namespace RbeMl.Codec;

/// <summary>
/// Levels of the quantiser, symmetric about zero and meant for groups of unit variance, so that a group's scale is about its standard deviation.
/// 2 .. 5 bits: the Lloyd-Max levels of a unit Gaussian, which have no zero; the upper half of the codes is positive.
/// 6 .. 8 bits: uniform, (code - 2^(bits - 1)) / 2^(bits - 3); the encoder leaves code 0 unused.
/// </summary>
internal static class QuantizerLevels
{
    // Positive halves; the tests derive them again by Lloyd's iteration.
    private static readonly float[] s_two = [0.452780040f, 1.510417609f];

    private static readonly float[] s_three = [0.245094179f, 0.756005281f, 1.343909279f, 2.151945705f];

    private static readonly float[] s_four =
        [0.128395030f, 0.388048299f, 0.656759119f, 0.942340456f, 1.256231197f, 1.618046386f, 2.069017227f, 2.732589571f];

    private static readonly float[] s_five =
    [
        0.065889660f, 0.198051830f, 0.331378306f, 0.466699523f, 0.604933624f, 0.747135704f, 0.894565117f, 1.048783320f,
        1.211804381f, 1.386340340f, 1.576228079f, 1.787233218f, 2.028728399f, 2.317739404f, 2.691119577f, 3.260732493f,
    ];

    private static readonly float[][] s_levels = ByBits(Make);

    /// <summary>What is made once for each number of bits; that of some bits is at bits - <see cref="QuantizedTiles.LeastBits"/>.</summary>
    public static T[] ByBits<T>(Func<int, T> make) => [.. Enumerable.Range(QuantizedTiles.LeastBits, QuantizedTiles.BitChoices).Select(make)];

    /// <summary><c>[2^bits]</c>, ascending. Do not write to it.</summary>
    public static float[] For(int bits) => s_levels[bits - QuantizedTiles.LeastBits];

    /// <summary>The positive levels, ascending; with uniform levels without the zero.</summary>
    public static ReadOnlySpan<float> Positive(int bits) => IsUniform(bits) ? For(bits).AsSpan((1 << bits - 1) + 1) : For(bits).AsSpan(1 << bits - 1);

    /// <summary>Whether the levels are equally spaced.</summary>
    public static bool IsUniform(int bits) => bits >= 6;

    /// <summary>Distance of uniform levels, a power of two.</summary>
    public static float Step(int bits) => 1f / (1 << bits - 3);

    private static float[] Make(int bits)
    {
        if (IsUniform(bits)) return [.. Enumerable.Range(0, 1 << bits).Select(code => (code - (1 << bits - 1)) * Step(bits))];
        float[] positive = bits switch { 2 => s_two, 3 => s_three, 4 => s_four, _ => s_five };
        return [.. positive.Reverse().Select(level => -level), .. positive];
    }
}
