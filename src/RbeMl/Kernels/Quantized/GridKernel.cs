using System.Runtime.CompilerServices;
using RbeMl.Codec;
using RbeMl.Numerics;

namespace RbeMl.Kernels;

/// <summary>
/// Rounds groups of 64 values to what <see cref="QuantizedTiles"/> can hold, quickly enough for every step of a training: two scales near
/// that whose highest level reaches the largest value, or with many levels that one alone, assign levels, from which least squares gives
/// the group's fp16 scale; the better is taken. Of normal values its error is 3 to 10 percent above that of a search.
/// </summary>
internal static unsafe class GridKernel
{
    /// <summary>Values that share a scale.</summary>
    public const int Group = QuantizedTiles.GroupSize;

    /// <summary>Largest scale that fp16 holds.</summary>
    public const float LargestScale = 65504f;

    /// <summary>The scales that are tried, in parts of that which reaches the largest value.</summary>
    /// <param name="bits">2 .. 8.</param>
    public static (float First, float Second) Trials(int bits) => bits switch
    {
        2 => (0.5f, 0.65f),
        3 => (0.7f, 0.9f),
        4 => (0.8f, 0.95f),
        5 => (0.95f, 1.02f),
        _ => (1, 1),
    };

    /// <summary>y = scale * nearest level, group by group.</summary>
    /// <param name="x">[groups][64], finite.</param>
    /// <param name="y">[groups][64], written.</param>
    /// <param name="scales">[groups], written.</param>
    /// <param name="groups">Groups.</param>
    /// <param name="bits">2 .. 8.</param>
    public static void Round(float* x, float* y, Half* scales, long groups, int bits) => Wide.Run(new Work(x, y, scales, groups, bits));

    /// <summary>The same over lanes.</summary>
    internal readonly struct Work(float* x, float* y, Half* scales, long groups, int bits) : ILaneWork
    {
        public void Run<TLanes>()
            where TLanes : unmanaged, ILanes<TLanes>
        {
            fixed (float* levels = QuantizerLevels.Positive(bits))
            {
                Levels all = new(levels, QuantizerLevels.Positive(bits).Length, QuantizerLevels.IsUniform(bits) ? QuantizerLevels.Step(bits) : 0, Trials(bits));
                for (long g = 0; g < groups; g++) scales[g] = Group64<TLanes>(x + (g * Group), y + (g * Group), all);
            }
        }
    }

    private readonly struct Levels(float* first, int count, float step, (float First, float Second) trials)
    {
        public readonly float* First = first;
        public readonly int Count = count;
        public readonly float Step = step; // of uniform levels, else 0
        public readonly (float First, float Second) Trials = trials;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static Half Group64<TLanes>(float* x, float* y, in Levels levels)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        TLanes largest = TLanes.Zero;
        for (int i = 0; i < Group; i += TLanes.Count) largest = TLanes.Max(largest, Magnitude(TLanes.Load(x + i)));
        float reach = Largest(largest) / levels.First[levels.Count - 1];
        Half scale = Half.Zero;
        if (reach > 0 && float.IsFinite(2 / reach))
        {
            (float gain, float fit) = Fit<TLanes>(x, reach * levels.Trials.First, levels);
            if (levels.Trials.Second != levels.Trials.First)
            {
                (float otherGain, float otherFit) = Fit<TLanes>(x, reach * levels.Trials.Second, levels);
                if (otherGain > gain) fit = otherFit;
            }

            scale = (Half)MathF.Min(fit, LargestScale);
        }

        float s = (float)scale;
        TLanes by = TLanes.Set(s), inverse = TLanes.Set(s > 0 ? 1 / s : 0);
        for (int i = 0; i < Group; i += TLanes.Count)
        {
            TLanes value = TLanes.Load(x + i);
            TLanes rounded = s > 0 ? TLanes.Multiply(by, Nearest(TLanes.Multiply(Magnitude(value), inverse), levels)) : TLanes.Zero;
            TLanes.Store(TLanes.SelectLess(value, TLanes.Zero, TLanes.Subtract(TLanes.Zero, rounded), rounded), y + i);
        }

        return scale;
    }

    // The best scale for the levels that another assigns, and the squares that it explains.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static (float Gain, float Scale) Fit<TLanes>(float* x, float scale, in Levels levels)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        TLanes inverse = TLanes.Set(1 / scale), products = TLanes.Zero, squares = TLanes.Zero;
        for (int i = 0; i < Group; i += TLanes.Count)
        {
            TLanes magnitude = Magnitude(TLanes.Load(x + i)), level = Nearest(TLanes.Multiply(magnitude, inverse), levels);
            products = TLanes.Fma(magnitude, level, products);
            squares = TLanes.Fma(level, level, squares);
        }

        float product = TLanes.Sum(products), sum = TLanes.Sum(squares);
        return sum > 0 ? (product * product / sum, product / sum) : (0, 0);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TLanes Magnitude<TLanes>(TLanes value)
        where TLanes : unmanaged, ILanes<TLanes> => TLanes.Max(value, TLanes.Subtract(TLanes.Zero, value));

    // Ties go to the lower level, of uniform ones to the even.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TLanes Nearest<TLanes>(TLanes a, in Levels levels)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        if (levels.Step > 0)
        {
            TLanes steps = TLanes.Round(TLanes.Multiply(a, TLanes.Set(1 / levels.Step)));
            return TLanes.Multiply(TLanes.Min(steps, TLanes.Set(levels.Count)), TLanes.Set(levels.Step));
        }

        TLanes level = TLanes.Set(levels.First[0]);
        for (int j = 1; j < levels.Count; j++)
        {
            level = TLanes.SelectLess(TLanes.Set(0.5f * (levels.First[j - 1] + levels.First[j])), a, TLanes.Set(levels.First[j]), level);
        }

        return level;
    }

    private static float Largest<TLanes>(TLanes values)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        float* all = stackalloc float[TLanes.Count];
        TLanes.Store(values, all);
        float largest = 0;
        for (int i = 0; i < TLanes.Count; i++) largest = MathF.Max(largest, all[i]);
        return largest;
    }
}
