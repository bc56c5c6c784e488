using System.Numerics;

namespace RbeMl.Numerics;

/// <summary>C (+)= A B by three loops.</summary>
internal static unsafe class ReferenceGemm
{
    /// <summary>c[m][n] = (accumulate ? c : 0) + sum over k of a[m * strideM + k * strideK] * b[k * ldb + n].</summary>
    public static void Multiply<T>(int m, int n, int k, T* a, long strideM, long strideK, T* b, long ldb, T* c, long ldc, bool accumulate)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        for (int i = 0; i < m; i++)
        {
            for (int j = 0; j < n; j++)
            {
                T sum = accumulate ? c[i * ldc + j] : T.Zero;
                for (int p = 0; p < k; p++) sum += a[i * strideM + p * strideK] * b[p * ldb + j];
                c[i * ldc + j] = sum;
            }
        }
    }
}
