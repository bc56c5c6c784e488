using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace RbeMl.Codec;

/// <summary>
/// Quantises 64 values with one fp16 scale for least squared error: each of sixteen trial scales assigns levels, least squares gives the best scale
/// for these levels, the best pair is refined a few times and every step is judged with the scale as rounded to fp16.
/// Scales above 65504 are cut to it; groups whose scale fp16 cannot hold become zero.
/// </summary>
internal static class GroupQuantizer
{
    private const int Size = QuantizedTiles.GroupSize;
    private const int Trials = 16;
    private const int Refinements = 3;
    private const float Vanishing = 1e-8f; // no fp16 scale is small enough to keep anything of such a group

    /// <summary>Quantises a group.</summary>
    /// <param name="values"><c>[64]</c>.</param>
    /// <param name="bits">2 .. 8.</param>
    /// <param name="codes"><c>[64]</c>, written.</param>
    /// <returns>The scale.</returns>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Half Quantize(ReadOnlySpan<float> values, int bits, Span<byte> codes)
    {
        ReadOnlySpan<float> levels = QuantizerLevels.Positive(bits);
        float energy = 0, largest = 0;
        foreach (float value in values[..Size])
        {
            energy += value * value;
            largest = Math.Max(largest, Math.Abs(value));
        }

        Half scale = Half.Zero;
        if (largest > Vanishing)
        {
            // The range of trials: from clipping much of the group to covering its largest value with room to spare.
            float top = 1.02f * largest / levels[^1], bottom = Math.Min(0.6f * MathF.Sqrt(energy / Size), 0.6f * top);
            if (QuantizerLevels.IsUniform(bits)) bottom = UniformClip(bits) * top;
            float ratio = MathF.Pow(top / bottom, 1f / (Trials - 1)), trial = bottom, best = -1, start = 0;
            for (int t = 0; t < Trials; t++, trial *= ratio)
            {
                (float xq, float qq) = Assign(values, trial, bits, levels);
                float gain = qq > 0 ? xq * xq / qq : 0; // energy explained by the best scale for these levels
                if (gain <= best) continue;
                best = gain;
                start = xq / qq;
            }

            scale = Refine(values, start, bits, levels);
        }

        Encode(values, (float)scale, bits, codes);
        return scale;
    }

    // With many levels clipping hardly pays, and the trials may lie closer.
    private static float UniformClip(int bits) => bits switch { 8 => 0.8f, 7 => 0.7f, _ => 0.55f };

    private static Half Refine(ReadOnlySpan<float> values, float start, int bits, ReadOnlySpan<float> levels)
    {
        Half best = Half.Zero;
        float bestGain = 0;
        for (int r = 0; r < Refinements; r++)
        {
            Half rounded = (Half)Math.Min(start, 65504f);
            float s = (float)rounded;
            if (s == 0) break;
            (float xq, float qq) = Assign(values, s, bits, levels);
            float gain = s * (2 * xq - s * qq);
            if (gain <= bestGain) break;
            bestGain = gain;
            best = rounded;
            start = xq / qq;
        }

        return best;
    }

    // Sums of |x| q and q² over the group, q being the level nearest to |x| / scale.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static (float Xq, float Qq) Assign(ReadOnlySpan<float> values, float scale, int bits, ReadOnlySpan<float> levels)
    {
        ref float x = ref MemoryMarshal.GetReference(values);
        Vector512<float> inverse = Vector512.Create(1 / scale), xq = default, qq = default;
        for (int i = 0; i < Size; i += Vector512<float>.Count)
        {
            Vector512<float> magnitude = Vector512.Abs(Vector512.LoadUnsafe(ref x, (nuint)i)), a = magnitude * inverse, q;
            if (QuantizerLevels.IsUniform(bits))
            {
                q = Vector512.Min(Vector512.Round(a * (1 << bits - 3)), Vector512.Create((float)levels.Length)) * QuantizerLevels.Step(bits);
            }
            else
            {
                q = Vector512.Create(levels[0]);
                for (int j = 1; j < levels.Length; j++)
                {
                    q = Vector512.ConditionalSelect(Vector512.GreaterThan(a, Vector512.Create(0.5f * (levels[j - 1] + levels[j]))),
                        Vector512.Create(levels[j]), q);
                }
            }

            xq += magnitude * q;
            qq += q * q;
        }

        return (Vector512.Sum(xq), Vector512.Sum(qq));
    }

    private static void Encode(ReadOnlySpan<float> values, float scale, int bits, Span<byte> codes)
    {
        float inverse = scale > 0 ? 1 / scale : 0;
        for (int e = 0; e < Size; e++) codes[e] = CodeOf(values[e], inverse, bits);
    }

    /// <summary>The code of the level nearest to a value, given 1 / scale.</summary>
    public static byte CodeOf(float value, float inverse, int bits)
    {
        int half = 1 << bits - 1, n = 0;
        float a = Math.Abs(value) * inverse;
        if (QuantizerLevels.IsUniform(bits))
        {
            n = (int)Math.Min(MathF.Round(a * (1 << bits - 3)), half - 1);
            return (byte)(value < 0 ? half - n : half + n);
        }

        ReadOnlySpan<float> levels = QuantizerLevels.Positive(bits);
        while (n + 1 < levels.Length && a > 0.5f * (levels[n] + levels[n + 1])) n++;
        return (byte)(value < 0 ? half - 1 - n : half + n);
    }
}
