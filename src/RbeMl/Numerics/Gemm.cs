using System.Numerics;

namespace RbeMl.Numerics;

/// <summary>Dense product C (+)= A B with any strides of A; lanes run along the columns of B and C.</summary>
internal static unsafe class Gemm
{
    /// <summary>c[m][n] = (accumulate ? c : 0) + sum over k of a[m * strideM + k * strideK] * b[k * ldb + n].</summary>
    public static void Multiply<T>(int m, int n, int k, T* a, long strideM, long strideK, T* b, long ldb, T* c, long ldc, bool accumulate)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        if (typeof(T) != typeof(float)) ReferenceGemm.Multiply(m, n, k, a, strideM, strideK, b, ldb, c, ldc, accumulate);
        else Wide.Run(new GemmLanes.MultiplyWork(m, n, k, (float*)a, strideM, strideK, (float*)b, ldb, (float*)c, ldc, accumulate));
    }
}
