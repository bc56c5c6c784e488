using System.Numerics;
using System.Runtime.CompilerServices;
using RbeMl.Numerics;

namespace RbeMl.Kernels;

/// <summary>Divergence of one softmax from another, of panels of logits <c>[vocabulary][width]</c>.</summary>
internal static unsafe class DivergenceKernel
{
    private const int BlockRows = 32; // sums of blocks keep rounding errors small

    /// <summary>
    /// losses[lane] = KL(p, q), p and q the softmax of <paramref name="expected"/> and <paramref name="logits"/>; 0 where the target is negative. With a
    /// gradient, logits become (q - p) * scale, zero in lanes without a target.
    /// </summary>
    public static void Loss<T>(T* logits, T* expected, int vocabulary, int width, int* targets, T* losses, bool gradient, T scale)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        if (typeof(T) != typeof(float)) ReferenceDivergence.Loss(logits, expected, vocabulary, width, targets, losses, gradient, scale);
        else Wide.Run(new LossWork((float*)logits, (float*)expected, vocabulary, width, targets, (float*)losses, gradient, float.CreateTruncating(scale)));
    }

    internal readonly struct LossWork(
        float* logits, float* expected, int vocabulary, int width, int* targets, float* losses, bool gradient, float scale) : ILaneWork
    {
        public void Run<TLanes>()
            where TLanes : unmanaged, ILanes<TLanes>
        {
            int lane = 0;
            for (; lane + TLanes.Count <= width; lane += TLanes.Count)
            {
                Group<TLanes>(logits + lane, expected + lane, vocabulary, width, targets + lane, losses + lane, gradient, scale);
            }

            for (; lane < width; lane++)
            {
                Group<LanesScalar>(logits + lane, expected + lane, vocabulary, width, targets + lane, losses + lane, gradient, scale);
            }
        }
    }

    // KL = sum of p (log p - log q), with log p = x - max - log(sum of exp).
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Group<TLanes>(float* logits, float* expected, int vocabulary, long width, int* targets, float* losses, bool gradient, float scale)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        float* own = stackalloc float[TLanes.Count], other = stackalloc float[TLanes.Count], active = stackalloc float[TLanes.Count];
        TLanes.Store(LogSum<TLanes>(logits, vocabulary, width), own);
        TLanes.Store(LogSum<TLanes>(expected, vocabulary, width), other);
        for (int i = 0; i < TLanes.Count; i++)
        {
            bool counts = targets[i] >= 0;
            active[i] = counts ? 1 : 0;
            if (!counts) own[i] = other[i] = 0;
        }

        TLanes q0 = TLanes.Load(own), p0 = TLanes.Load(other), counted = TLanes.Load(active), half = TLanes.Set(0.5f), times = TLanes.Set(scale);
        TLanes sum = TLanes.Zero, part = TLanes.Zero;
        for (int v = 0; v < vocabulary; v++)
        {
            if (v % BlockRows == 0) (sum, part) = (TLanes.Add(sum, part), TLanes.Zero);

            // Lanes that do not count may hold anything.
            TLanes q = TLanes.SelectLess(counted, half, TLanes.Zero, TLanes.Subtract(TLanes.Load(logits + (v * width)), q0));
            TLanes p = TLanes.SelectLess(counted, half, TLanes.Zero, TLanes.Subtract(TLanes.Load(expected + (v * width)), p0));
            TLanes probability = VectorMath.ExpNotLarge(p);
            part = TLanes.Fma(probability, TLanes.Subtract(p, q), part);
            if (!gradient) continue;
            TLanes.Store(TLanes.Multiply(TLanes.Subtract(VectorMath.ExpNotLarge(q), probability), times), logits + (v * width));
        }

        TLanes.Store(TLanes.SelectLess(counted, half, TLanes.Zero, TLanes.Add(sum, part)), losses);
    }

    private static TLanes LogSum<TLanes>(float* logits, int vocabulary, long width)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        TLanes max = TLanes.Set(-1e30f), sum = TLanes.Zero;
        for (int v = 0; v < vocabulary; v++) max = TLanes.Max(max, TLanes.Load(logits + (v * width)));
        for (int start = 0; start < vocabulary; start += BlockRows)
        {
            TLanes part = TLanes.Zero;
            for (int v = start; v < Math.Min(start + BlockRows, vocabulary); v++)
            {
                part = TLanes.Add(part, VectorMath.ExpNotLarge(TLanes.Subtract(TLanes.Load(logits + (v * width)), max)));
            }

            sum = TLanes.Add(sum, part);
        }

        float* values = stackalloc float[TLanes.Count];
        TLanes.Store(sum, values);
        for (int i = 0; i < TLanes.Count; i++) values[i] = MathF.Log(values[i]);
        return TLanes.Add(max, TLanes.Load(values));
    }
}
