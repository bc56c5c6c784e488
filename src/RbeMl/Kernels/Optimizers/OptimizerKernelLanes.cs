using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using RbeMl.Numerics;

namespace RbeMl.Kernels;

/// <summary>The numbers of one AdamW step; see <see cref="OptimizerKernel.AdamW"/>.</summary>
internal readonly record struct AdamWFactors(
    float Rate, float Decay, float Beta1, float Beta2, float Eps, float Correction1, float Correction2, float GradientScale);

/// <summary>The fast <see cref="OptimizerKernel"/>.</summary>
internal static unsafe class OptimizerKernelLanes
{
    // Squares are summed over blocks of this many elements, then over the blocks in order.
    private const int SumBlock = 4096;

    internal readonly struct AdamWWork(float* w, float* g, float* m, float* v, long count, AdamWFactors factors) : ILaneWork
    {
        public void Run<TLanes>()
            where TLanes : unmanaged, ILanes<TLanes>
        {
            long whole = count - count % TLanes.Count;
            Pass<TLanes>(w, g, m, v, whole, factors);
            Pass<LanesScalar>(w + whole, g + whole, m + whole, v + whole, count - whole, factors);
        }
    }

    /// <summary>Sum of squares in double: eight partial sums for each block, whatever the machine.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static double SumOfSquares(float* x, long count)
    {
        double total = 0;
        for (long start = 0; start < count; start += SumBlock)
        {
            float* p = x + start, end = p + Math.Min(SumBlock, count - start);
            Vector512<double> sum = Vector512<double>.Zero;
            for (; p + 8 <= end; p += 8)
            {
                (Vector256<double> low, Vector256<double> high) = Vector256.Widen(Vector256.Load(p));
                Vector512<double> value = Vector512.Create(low, high);
                sum += value * value;
            }

            double block = Vector512.Sum(sum);
            for (; p < end; p++) block += (double)*p * *p;
            total += block;
        }

        return total;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Pass<TLanes>(float* w, float* g, float* m, float* v, long count, in AdamWFactors factors)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        TLanes beta1 = TLanes.Set(factors.Beta1), beta2 = TLanes.Set(factors.Beta2), eps = TLanes.Set(factors.Eps);
        TLanes rest1 = TLanes.Set(1f - factors.Beta1), rest2 = TLanes.Set(1f - factors.Beta2), scale = TLanes.Set(factors.GradientScale);
        TLanes shrink = TLanes.Set(1f - factors.Rate * factors.Decay), step = TLanes.Set(factors.Rate / factors.Correction1);
        TLanes inverse2 = TLanes.Set(1f / factors.Correction2);
        for (long i = 0; i < count; i += TLanes.Count)
        {
            TLanes gradient = TLanes.Multiply(TLanes.Load(g + i), scale);
            TLanes.Store(TLanes.Zero, g + i);
            TLanes first = TLanes.Fma(beta1, TLanes.Load(m + i), TLanes.Multiply(rest1, gradient));
            TLanes second = TLanes.Fma(beta2, TLanes.Load(v + i), TLanes.Multiply(rest2, TLanes.Multiply(gradient, gradient)));
            TLanes root = TLanes.Add(TLanes.Sqrt(TLanes.Multiply(second, inverse2)), eps);
            TLanes.Store(first, m + i);
            TLanes.Store(second, v + i);
            TLanes.Store(TLanes.FmaNegated(step, TLanes.Divide(first, root), TLanes.Multiply(shrink, TLanes.Load(w + i))), w + i);
        }
    }
}
