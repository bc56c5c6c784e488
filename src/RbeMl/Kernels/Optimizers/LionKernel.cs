using System.Numerics;
using System.Runtime.CompilerServices;
using RbeMl.Numerics;

namespace RbeMl.Kernels;

/// <summary>The pass of Lion.</summary>
internal static unsafe class LionKernel
{
    /// <summary>
    /// w = w (1 - rate * decay) - rate * sign(b1 m + (1 - b1) g); then m = b2 m + (1 - b2) g, g being gradient * gradientScale and the sign
    /// of 0 being 0. The gradients are zero afterwards: clearing them costs nothing while they are in cache.
    /// </summary>
    public static void Lion<T>(T* w, T* g, T* m, long count, T rate, T decay, T beta1, T beta2, T gradientScale)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        if (typeof(T) != typeof(float))
        {
            ReferenceOptimizer.Lion(w, g, m, count, rate, decay, beta1, beta2, gradientScale);
            return;
        }

        Wide.Run(new Work(
            (float*)w, (float*)g, (float*)m, count, float.CreateTruncating(rate), float.CreateTruncating(decay),
            float.CreateTruncating(beta1), float.CreateTruncating(beta2), float.CreateTruncating(gradientScale)));
    }

    /// <summary>The same over lanes.</summary>
    internal readonly struct Work(float* w, float* g, float* m, long count, float rate, float decay, float beta1, float beta2, float gradientScale)
        : ILaneWork
    {
        public void Run<TLanes>()
            where TLanes : unmanaged, ILanes<TLanes>
        {
            long whole = count - count % TLanes.Count;
            Pass<TLanes>(w, g, m, whole, rate, decay, beta1, beta2, gradientScale);
            Pass<LanesScalar>(w + whole, g + whole, m + whole, count - whole, rate, decay, beta1, beta2, gradientScale);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Pass<TLanes>(float* w, float* g, float* m, long count, float rate, float decay, float beta1, float beta2, float gradientScale)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        TLanes keep1 = TLanes.Set(beta1), keep2 = TLanes.Set(beta2), rest1 = TLanes.Set(1f - beta1), rest2 = TLanes.Set(1f - beta2);
        TLanes scale = TLanes.Set(gradientScale), shrink = TLanes.Set(1f - rate * decay), up = TLanes.Set(rate), down = TLanes.Set(-rate);
        for (long i = 0; i < count; i += TLanes.Count)
        {
            TLanes gradient = TLanes.Multiply(TLanes.Load(g + i), scale), momentum = TLanes.Load(m + i);
            TLanes.Store(TLanes.Zero, g + i);
            TLanes direction = TLanes.Fma(keep1, momentum, TLanes.Multiply(rest1, gradient));
            TLanes step = TLanes.SelectLess(direction, TLanes.Zero, up, TLanes.SelectLess(TLanes.Zero, direction, down, TLanes.Zero));
            TLanes.Store(TLanes.Fma(keep2, momentum, TLanes.Multiply(rest2, gradient)), m + i);
            TLanes.Store(TLanes.Fma(shrink, TLanes.Load(w + i), step), w + i);
        }
    }
}
