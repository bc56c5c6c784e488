using RbeMl.Codec;

namespace RbeMl.Kernels;

/// <summary>Rounding to a grid of few bits, value by value.</summary>
internal static class ReferenceGrid
{
    /// <summary>As <see cref="GridKernel.Round"/>: codes and scale of a group.</summary>
    /// <param name="x">[64].</param>
    /// <param name="bits">2 .. 8.</param>
    /// <param name="codes">[64], written.</param>
    public static Half Round(ReadOnlySpan<float> x, int bits, Span<byte> codes)
    {
        float largest = 0;
        foreach (float value in x) largest = Math.Max(largest, Math.Abs(value));
        float reach = largest / QuantizerLevels.Positive(bits)[^1];
        Half scale = Half.Zero;
        if (reach > 0 && float.IsFinite(2 / reach))
        {
            (float first, float second) = GridKernel.Trials(bits);
            (double gain, double fit) = Fit(x, reach * first, bits);
            if (Fit(x, reach * second, bits) is var other && other.Gain > gain) fit = other.Scale;
            scale = (Half)(float)Math.Min(fit, GridKernel.LargestScale);
        }

        Assign(x, scale, bits, codes);
        return scale;
    }

    private static (double Gain, double Scale) Fit(ReadOnlySpan<float> x, float scale, int bits)
    {
        double products = 0, squares = 0;
        foreach (float value in x)
        {
            double level = QuantizerLevels.For(bits)[GroupQuantizer.CodeOf(value, 1 / scale, bits)];
            products += value * level;
            squares += level * level;
        }

        return squares > 0 ? (products * products / squares, products / squares) : (0, 0);
    }

    /// <summary>The codes of the levels nearest to values, given their scale.</summary>
    public static void Assign(ReadOnlySpan<float> x, Half scale, int bits, Span<byte> codes)
    {
        float s = (float)scale, inverse = s > 0 ? 1 / s : 0;
        for (int i = 0; i < x.Length; i++) codes[i] = GroupQuantizer.CodeOf(x[i], inverse, bits);
    }
}
