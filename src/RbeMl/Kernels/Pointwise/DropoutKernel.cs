using System.Numerics;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
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
        else if (Vector512.IsHardwareAccelerated) DropoutKernelLanes.Apply<Lanes512>(key, probability, (float*)block, firstFeature, rows, firstToken, width);
        else if (Vector256.IsHardwareAccelerated && Avx2.IsSupported) DropoutKernelLanes.Apply<Lanes256>(key, probability, (float*)block, firstFeature, rows, firstToken, width);
        else DropoutKernelLanes.Apply<LanesScalar>(key, probability, (float*)block, firstFeature, rows, firstToken, width);
    }
}
