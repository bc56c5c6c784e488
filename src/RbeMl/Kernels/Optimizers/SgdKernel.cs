using System.Numerics;
using System.Runtime.CompilerServices;
using RbeMl.Numerics;

namespace RbeMl.Kernels;

/// <summary>The pass of gradient descent with momentum.</summary>
internal static unsafe class SgdKernel
{
    /// <summary>
    /// d = g + decay * w; m = momentum * m + d; w = w - rate * m, g being gradient * gradientScale. Without a momentum m (null) w = w -
    /// rate * d. The gradients are zero afterwards: clearing them costs nothing while they are in cache.
    /// </summary>
    public static void Sgd<T>(T* w, T* g, T* m, long count, T rate, T decay, T momentum, T gradientScale)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        if (typeof(T) != typeof(float))
        {
            ReferenceOptimizer.Sgd(w, g, m, count, rate, decay, momentum, gradientScale);
            return;
        }

        Wide.Run(new Work(
            (float*)w, (float*)g, (float*)m, count, float.CreateTruncating(rate), float.CreateTruncating(decay),
            float.CreateTruncating(momentum), float.CreateTruncating(gradientScale)));
    }

    /// <summary>The same over lanes.</summary>
    internal readonly struct Work(float* w, float* g, float* m, long count, float rate, float decay, float momentum, float gradientScale)
        : ILaneWork
    {
        public void Run<TLanes>()
            where TLanes : unmanaged, ILanes<TLanes>
        {
            long whole = count - count % TLanes.Count;
            if (m == null)
            {
                Plain<TLanes>(w, g, whole, rate, decay, gradientScale);
                Plain<LanesScalar>(w + whole, g + whole, count - whole, rate, decay, gradientScale);
                return;
            }

            Pass<TLanes>(w, g, m, whole, rate, decay, momentum, gradientScale);
            Pass<LanesScalar>(w + whole, g + whole, m + whole, count - whole, rate, decay, momentum, gradientScale);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Pass<TLanes>(float* w, float* g, float* m, long count, float rate, float decay, float momentum, float gradientScale)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        TLanes step = TLanes.Set(rate), shrink = TLanes.Set(decay), keep = TLanes.Set(momentum), scale = TLanes.Set(gradientScale);
        for (long i = 0; i < count; i += TLanes.Count)
        {
            TLanes weight = TLanes.Load(w + i), descent = TLanes.Fma(shrink, weight, TLanes.Multiply(TLanes.Load(g + i), scale));
            TLanes.Store(TLanes.Zero, g + i);
            TLanes mean = TLanes.Fma(keep, TLanes.Load(m + i), descent);
            TLanes.Store(mean, m + i);
            TLanes.Store(TLanes.FmaNegated(step, mean, weight), w + i);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Plain<TLanes>(float* w, float* g, long count, float rate, float decay, float gradientScale)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        TLanes step = TLanes.Set(rate), shrink = TLanes.Set(decay), scale = TLanes.Set(gradientScale);
        for (long i = 0; i < count; i += TLanes.Count)
        {
            TLanes weight = TLanes.Load(w + i), descent = TLanes.Fma(shrink, weight, TLanes.Multiply(TLanes.Load(g + i), scale));
            TLanes.Store(TLanes.Zero, g + i);
            TLanes.Store(TLanes.FmaNegated(step, descent, weight), w + i);
        }
    }
}
