using System.Numerics;
using System.Runtime.CompilerServices;
using RbeMl.Numerics;

namespace RbeMl.Kernels;

/// <summary>The pass of an exponential moving average.</summary>
internal static unsafe class AverageKernel
{
    /// <summary>a = a + rate * (w - a).</summary>
    public static void Average<T>(T* w, T* a, long count, T rate)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        if (typeof(T) != typeof(float)) ReferenceOptimizer.Average(w, a, count, rate);
        else Wide.Run(new Work((float*)w, (float*)a, count, float.CreateTruncating(rate)));
    }

    /// <summary>The same over lanes.</summary>
    internal readonly struct Work(float* w, float* a, long count, float rate) : ILaneWork
    {
        public void Run<TLanes>()
            where TLanes : unmanaged, ILanes<TLanes>
        {
            long whole = count - (count % TLanes.Count);
            Pass<TLanes>(w, a, whole, rate);
            Pass<LanesScalar>(w + whole, a + whole, count - whole, rate);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Pass<TLanes>(float* w, float* a, long count, float rate)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        TLanes part = TLanes.Set(rate);
        for (long i = 0; i < count; i += TLanes.Count)
        {
            TLanes mean = TLanes.Load(a + i);
            TLanes.Store(TLanes.Fma(part, TLanes.Subtract(TLanes.Load(w + i), mean), mean), a + i);
        }
    }
}
