using System.Numerics;
using RbeMl.Numerics;

namespace RbeMl.Kernels;

/// <summary>Dropout by a counter-based generator.</summary>
internal static unsafe class DropoutKernel
{
    /// <summary>block[f][lane] = dropped ? 0 : block / (1 - p). The element's row is firstToken + lane, its column firstFeature + f.</summary>
    public static void Apply<T>(RandomKey key, float probability, T* block, int firstFeature, int rows, long firstToken, int width)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        if (typeof(T) != typeof(float)) ReferenceDropout.Apply(key, probability, block, firstFeature, rows, firstToken, width);
        else Wide.Run(new DropoutKernelLanes.ApplyWork(key, probability, (float*)block, firstFeature, rows, firstToken, width));
    }
}
