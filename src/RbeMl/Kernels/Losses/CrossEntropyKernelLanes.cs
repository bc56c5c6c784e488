using System.Runtime.CompilerServices;
using RbeMl.Numerics;

namespace RbeMl.Kernels;

/// <summary>The fast <see cref="CrossEntropyKernel"/>: one pass over the logits for the loss, one for the gradient.</summary>
internal static unsafe class CrossEntropyKernelLanes
{
    // Rows that are still in the first-level cache when their exponentials follow their maximum. Sums of blocks also keep rounding errors small.
    private const int BlockRows = 32;

    internal readonly struct LossWork(
        float* logits, int vocabulary, int width, int* targets, float* losses, bool gradient, float scale) : ILaneWork
    {
        public void Run<TLanes>()
            where TLanes : unmanaged, ILanes<TLanes>
        {
            int lane = 0;
            for (; lane + 4 * TLanes.Count <= width; lane += 4 * TLanes.Count)
            {
                Group<QuadLanes<TLanes>>(logits + lane, vocabulary, width, targets + lane, losses + lane, gradient, scale);
            }

            for (; lane + TLanes.Count <= width; lane += TLanes.Count)
            {
                Group<TLanes>(logits + lane, vocabulary, width, targets + lane, losses + lane, gradient, scale);
            }

            for (; lane < width; lane++) Group<LanesScalar>(logits + lane, vocabulary, width, targets + lane, losses + lane, gradient, scale);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Group<TLanes>(float* logits, int vocabulary, long width, int* targets, float* losses, bool gradient, float scale)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        TLanes max = TLanes.Set(float.NegativeInfinity), sum = TLanes.Zero;
        for (int start = 0; start < vocabulary; start += BlockRows)
        {
            float* block = logits + start * width;
            int rows = Math.Min(BlockRows, vocabulary - start);
            TLanes top = max, part = TLanes.Zero;
            for (int v = 0; v < rows; v++) top = TLanes.Max(top, TLanes.Load(block + v * width));

            // While a lane has seen nothing but -infinity any finite shift serves.
            TLanes shift = TLanes.SelectLess(TLanes.Set(float.NegativeInfinity), top, top, TLanes.Zero);
            for (int v = 0; v < rows; v++) part = TLanes.Add(part, VectorMath.ExpNotLarge(TLanes.Subtract(TLanes.Load(block + v * width), shift)));
            sum = TLanes.Fma(sum, VectorMath.ExpNotLarge(TLanes.Subtract(max, shift)), part);
            max = top;
        }

        float* maxima = stackalloc float[TLanes.Count], factors = stackalloc float[TLanes.Count];
        TLanes.Store(max, maxima);
        TLanes.Store(sum, factors);
        for (int i = 0; i < TLanes.Count; i++)
        {
            bool active = targets[i] >= 0;
            losses[i] = active ? (float)(maxima[i] - (double)logits[targets[i] * width + i] + Math.Log(factors[i])) : 0f;
            factors[i] = active ? 1f / factors[i] : 0f;
        }

        if (!gradient) return;
        Gradient<TLanes>(logits, vocabulary, width, maxima, factors, scale);
        for (int i = 0; i < TLanes.Count; i++)
        {
            if (targets[i] >= 0) logits[targets[i] * width + i] -= scale;
        }
    }

    // logits = exp(logit - maximum) * inverse sum * scale. A method of its own: the compiler stops inlining in large ones.
    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static void Gradient<TLanes>(float* logits, int vocabulary, long width, float* maxima, float* factors, float scale)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        TLanes max = TLanes.Load(maxima), inverse = TLanes.Load(factors), times = TLanes.Set(scale), least = TLanes.Set(1e-30f);
        for (int v = 0; v < vocabulary; v++)
        {
            TLanes probability = TLanes.Multiply(VectorMath.ExpNotLarge(TLanes.Subtract(TLanes.Load(logits + v * width), max)), inverse);

            // Lanes without a target, whose inverse is 0 and else at least 1 / vocabulary, become zero whatever they held.
            TLanes.Store(TLanes.Multiply(TLanes.SelectLess(inverse, least, TLanes.Zero, probability), times), logits + v * width);
        }
    }
}
