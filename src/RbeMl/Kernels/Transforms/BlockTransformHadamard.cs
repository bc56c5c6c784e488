using System.Runtime.CompilerServices;
using RbeMl.Numerics;

namespace RbeMl.Kernels;

/// <summary>Walsh-Hadamard transform in natural order, orthonormal: butterflies at every stride, two strides a pass.</summary>
internal static unsafe class BlockTransformHadamard
{
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void Apply<TLanes>(int tile, float* x, float* y, int width)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        float scale = 1 / MathF.Sqrt(tile);
        for (int lane = 0; lane < width; lane += TLanes.Count)
        {
            int stride = 1;
            Pass4<TLanes>(tile, stride, x + lane, y + lane, width, scale);
            for (stride = 4; stride * 4 <= tile; stride *= 4) Pass4<TLanes>(tile, stride, y + lane, y + lane, width, 1);
            if (stride < tile) Pass2<TLanes>(tile, stride, y + lane, width);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Pass4<TLanes>(int n, int stride, float* x, float* y, nint width, float scale)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        nint step = stride * width;
        TLanes s = TLanes.Set(scale);
        for (int start = 0; start < n; start += 4 * stride)
        {
            for (int i = start; i < start + stride; i++)
            {
                float* p = x + i * width, q = y + i * width;
                TLanes a = TLanes.Load(p), b = TLanes.Load(p + step), c = TLanes.Load(p + 2 * step), d = TLanes.Load(p + 3 * step);
                TLanes ab = TLanes.Multiply(TLanes.Add(a, b), s), amb = TLanes.Multiply(TLanes.Subtract(a, b), s);
                TLanes cd = TLanes.Multiply(TLanes.Add(c, d), s), cmd = TLanes.Multiply(TLanes.Subtract(c, d), s);
                TLanes.Store(TLanes.Add(ab, cd), q);
                TLanes.Store(TLanes.Add(amb, cmd), q + step);
                TLanes.Store(TLanes.Subtract(ab, cd), q + 2 * step);
                TLanes.Store(TLanes.Subtract(amb, cmd), q + 3 * step);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Pass2<TLanes>(int n, int stride, float* y, nint width)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        for (int start = 0; start < n; start += 2 * stride)
        {
            for (int i = start; i < start + stride; i++)
            {
                float* p = y + i * width, q = p + stride * width;
                TLanes a = TLanes.Load(p), b = TLanes.Load(q);
                TLanes.Store(TLanes.Add(a, b), p);
                TLanes.Store(TLanes.Subtract(a, b), q);
            }
        }
    }
}
