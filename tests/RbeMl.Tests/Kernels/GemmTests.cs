using RbeMl.Numerics;
using RbeMl.Tests.Support;

namespace RbeMl.Tests.Kernels;

public sealed unsafe class GemmTests
{
    public static TheoryData<int> Lanes => LaneCases.All;

    [Theory]
    [MemberData(nameof(Lanes))]
    public void Every_column_count_matches_the_reference(int lanes)
    {
        for (int n = 0; n <= 257; n++) Check(lanes, 5, n, 7, rowMajor: true, accumulate: n % 2 == 0);
    }

    [Theory]
    [MemberData(nameof(Lanes))]
    public void Rows_terms_and_strides_match_the_reference(int lanes)
    {
        foreach (int m in new[] { 0, 1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 63, 64, 65, 131 })
        {
            foreach (int k in new[] { 0, 1, 2, 31, 64 })
            {
                Check(lanes, m, 16, k, rowMajor: true, accumulate: false);
                Check(lanes, m, 37, k, rowMajor: false, accumulate: true);
                Check(lanes, m, 48, k, rowMajor: m % 2 == 0, accumulate: k % 2 == 0); // three vectors together
                Check(lanes, m, 83, k, rowMajor: m % 2 != 0, accumulate: k % 2 != 0);
            }
        }

        // Beyond one block of terms.
        foreach (int k in new[] { 255, 256, 257, 600 }) Check(lanes, 19, 64, k, rowMajor: k % 2 == 0, accumulate: k > 256);

        // A transposed and large enough to be taken by rows of its memory.
        Check(lanes, 131, 37, 200, rowMajor: false, accumulate: false);
        Check(lanes, 70, 32, 129, rowMajor: false, accumulate: true);
    }

    [Fact]
    public void The_public_entry_matches_the_reference()
    {
        Check(0, 13, 64, 300, rowMajor: true, accumulate: false);
        Check(0, 64, 16, 64, rowMajor: false, accumulate: true);
    }

    [Theory]
    [MemberData(nameof(Lanes))]
    public void A_nan_stays_in_its_column(int lanes)
    {
        const int M = 9, N = 48, K = 5, Bad = 21;
        using GuardedBuffer<float> a = LaneCases.Guarded(Numbers.Normal(M * K, 1)), b = LaneCases.Guarded(Numbers.Normal(K * N, 2)), c = new(M * N);
        b.Pointer[2 * N + Bad] = float.NaN;
        Run(lanes, M, N, K, a.Pointer, K, 1, b.Pointer, N, c.Pointer, N, false);
        for (int i = 0; i < M * N; i++) Assert.Equal(i % N == Bad, float.IsNaN(c.Pointer[i]));
    }

    private static void Check(int lanes, int m, int n, int k, bool rowMajor, bool accumulate)
    {
        // Rows are longer than needed except the last, which ends at the guard page.
        const int Gap = 3;
        long strideM = rowMajor ? k + Gap : 1, strideK = rowMajor ? 1 : m + Gap;
        int ldb = n + Gap, ldc = n + 2 * Gap;
        float[] a = Numbers.Normal(Length(rowMajor ? m : k, rowMajor ? k : m, rowMajor ? k + Gap : m + Gap), 1);
        float[] b = Numbers.Normal(Length(k, n, ldb), 2), c = Numbers.Normal(Length(m, n, ldc), 3);
        double[] expected = LaneCases.Doubles(c), size = Array.ConvertAll(expected, Math.Abs);
        fixed (double* x = LaneCases.Doubles(a), y = LaneCases.Doubles(b), z = expected) ReferenceGemm.Multiply(m, n, k, x, strideM, strideK, y,
            ldb, z, ldc, accumulate);

        // The same sums with absolute values bound the rounding errors.
        fixed (double* x = Array.ConvertAll(LaneCases.Doubles(a), Math.Abs), y = Array.ConvertAll(LaneCases.Doubles(b), Math.Abs), z = size)
        {
            ReferenceGemm.Multiply(m, n, k, x, strideM, strideK, y, ldb, z, ldc, accumulate);
        }

        using GuardedBuffer<float> fa = LaneCases.Guarded(a), fb = LaneCases.Guarded(b), fc = LaneCases.Guarded(c);
        Run(lanes, m, n, k, fa.Pointer, strideM, strideK, fb.Pointer, ldb, fc.Pointer, ldc, accumulate);

        // A sum of k products in any order is within (k + 1) roundings of the sum of absolute values; gaps between rows (error bound 0 below) keep their bits.
        LaneCases.Close(
            expected, fc.Span, i => i % ldc < n ? (k + 2) * LaneCases.Rounding * size[i]
            : 0, FormattableString.Invariant($"{lanes} lanes, {m} x {n} x {k}, rowMajor {rowMajor}"));
    }

    private static int Length(int rows, int columns, int stride) => rows == 0 || columns == 0 ? 0 : (rows - 1) * stride + columns;

    private static void Run(int lanes, int m, int n, int k, float* a, long strideM, long strideK, float* b, long ldb, float* c, long ldc, bool accumulate)
    {
        if (lanes > 0) Wide.Run(lanes, new GemmLanes.MultiplyWork(m, n, k, a, strideM, strideK, b, ldb, c, ldc, accumulate));
        else Gemm.Multiply(m, n, k, a, strideM, strideK, b, ldb, c, ldc, accumulate);
    }
}
