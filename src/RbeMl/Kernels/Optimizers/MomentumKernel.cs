using System.Numerics;
using System.Runtime.CompilerServices;
using RbeMl.Numerics;

namespace RbeMl.Kernels;

/// <summary>The pass of a momentum that looks ahead.</summary>
internal static unsafe class MomentumKernel
{
    /// <summary>m = momentum * m + (1 - momentum) g; then g = momentum * m + (1 - momentum) g, g being gradient * gradientScale.</summary>
    public static void Nesterov<T>(T* g, T* m, long count, T momentum, T gradientScale)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        if (typeof(T) != typeof(float)) ReferenceOptimizer.Nesterov(g, m, count, momentum, gradientScale);
        else Wide.Run(new Work((float*)g, (float*)m, count, float.CreateTruncating(momentum), float.CreateTruncating(gradientScale)));
    }

    /// <summary>The same over lanes.</summary>
    internal readonly struct Work(float* g, float* m, long count, float momentum, float gradientScale) : ILaneWork
    {
        public void Run<TLanes>()
            where TLanes : unmanaged, ILanes<TLanes>
        {
            long whole = count - (count % TLanes.Count);
            Pass<TLanes>(g, m, whole, momentum, gradientScale);
            Pass<LanesScalar>(g + whole, m + whole, count - whole, momentum, gradientScale);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Pass<TLanes>(float* g, float* m, long count, float momentum, float gradientScale)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        TLanes keep = TLanes.Set(momentum), rest = TLanes.Set((1f - momentum) * gradientScale);
        for (long i = 0; i < count; i += TLanes.Count)
        {
            TLanes gradient = TLanes.Multiply(rest, TLanes.Load(g + i));
            TLanes mean = TLanes.Fma(keep, TLanes.Load(m + i), gradient);
            TLanes.Store(mean, m + i);
            TLanes.Store(TLanes.Fma(keep, mean, gradient), g + i);
        }
    }
}
