using System.Runtime.CompilerServices;
using RbeMl.Numerics;

namespace RbeMl.Kernels;

/// <summary>Haar wavelet transform, orthonormal, all levels: sums and differences of neighbours over sqrt 2, then the same of the sums.</summary>
internal static unsafe class BlockTransformHaar
{
    private const int LargestTile = 128;
    private const int LargestLanes = 16;

    [SkipLocalsInit]
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void Forward<TLanes>(int tile, float* x, float* y, int width)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        byte* memory = stackalloc byte[LargestTile * LargestLanes * sizeof(float) + 64];
        float* sums = (float*)(((nint)memory + 63) & ~63);
        nint lanes = TLanes.Count, stride = width;
        TLanes s = TLanes.Set(MathF.Sqrt(0.5f));
        for (int lane = 0; lane < width; lane += TLanes.Count)
        {
            for (nint i = 0; i < tile; i++) TLanes.Store(TLanes.Load(x + lane + i * stride), sums + i * lanes);
            for (nint half = tile / 2; half > 0; half /= 2)
            {
                for (nint i = 0; i < half; i++)
                {
                    TLanes a = TLanes.Load(sums + 2 * i * lanes), b = TLanes.Load(sums + (2 * i + 1) * lanes);
                    TLanes.Store(TLanes.Multiply(TLanes.Add(a, b), s), sums + i * lanes);
                    TLanes.Store(TLanes.Multiply(TLanes.Subtract(a, b), s), y + lane + (half + i) * stride);
                }
            }

            TLanes.Store(TLanes.Load(sums), y + lane);
        }
    }

    [SkipLocalsInit]
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void Inverse<TLanes>(int tile, float* x, float* y, int width)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        byte* memory = stackalloc byte[LargestTile * LargestLanes * sizeof(float) + 64];
        float* sums = (float*)(((nint)memory + 63) & ~63);
        nint lanes = TLanes.Count, stride = width;
        TLanes s = TLanes.Set(MathF.Sqrt(0.5f));
        for (int lane = 0; lane < width; lane += TLanes.Count)
        {
            TLanes.Store(TLanes.Load(x + lane), sums);
            for (nint half = 1; half < tile; half *= 2)
            {
                // Backwards, so that the pair at 2i does not overwrite sums still to be read.
                for (nint i = half - 1; i >= 0; i--)
                {
                    TLanes a = TLanes.Multiply(TLanes.Load(sums + i * lanes), s), b = TLanes.Multiply(TLanes.Load(x + lane + (half + i) * stride), s);
                    TLanes.Store(TLanes.Add(a, b), sums + 2 * i * lanes);
                    TLanes.Store(TLanes.Subtract(a, b), sums + (2 * i + 1) * lanes);
                }
            }

            for (nint i = 0; i < tile; i++) TLanes.Store(TLanes.Load(sums + i * lanes), y + lane + i * stride);
        }
    }
}
