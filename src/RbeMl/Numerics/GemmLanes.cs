using System.Runtime.CompilerServices;

namespace RbeMl.Numerics;

/// <summary>The fast <see cref="Gemm"/>: tiles of up to 8 rows x 3 vectors whose sums stay in registers.</summary>
internal static unsafe class GemmLanes
{
    // Terms of the sum done at a time: a strip of B of 2 x 16 columns then takes 32 KB, and rows of A that share it are done in a row.
    private const int BlockK = 256, BlockKTransposed = 64, BlockM = 64;

    internal readonly struct MultiplyWork(int m, int n, int k, float* a, long strideM, long strideK, float* b, long ldb, float* c, long ldc,
        bool accumulate) : ILaneWork
    {
        public void Run<TLanes>()
            where TLanes : unmanaged, ILanes<TLanes> => Multiply<TLanes>(m, n, k, a, strideM, strideK, b, ldb, c, ldc, accumulate);
    }

    /// <summary>As <see cref="Gemm.Multiply"/>; reads and writes nothing beyond column n.</summary>
    internal static void Multiply<TLanes>(
        int m, int n, int k, float* a, long strideM, long strideK, float* b, long ldb, float* c, long ldc, bool accumulate)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        if (k <= 0)
        {
            for (int i = 0; i < m && !accumulate; i++) new Span<float>(c + i * ldc, n).Clear();
            return;
        }

        if (strideM == 1 && m > BlockM && k > BlockKTransposed)
        {
            // A transposed: its memory is read in order when all rows take some terms before the next terms follow.
            for (int p = 0; p < k; p += BlockKTransposed)
            {
                int terms = Math.Min(BlockKTransposed, k - p), next = Math.Min(BlockKTransposed, k - p - terms);
                for (int i = 0; i < m; i += BlockM)
                {
                    float* aBlock = a + i + p * strideK;
                    int rows = Math.Min(BlockM, m - i);
                    PrefetchRows(aBlock + terms * strideK, rows, next, strideK);
                    Block<TLanes>(rows, n, terms, aBlock, 1, strideK, b + p * ldb, ldb, c + i * ldc, ldc, accumulate || p > 0);
                }
            }

            return;
        }

        for (int i = 0; i < m; i += BlockM)
        {
            for (int p = 0; p < k; p += BlockK)
            {
                float* aBlock = a + i * strideM + p * strideK;
                Block<TLanes>(
                    Math.Min(BlockM, m - i), n, Math.Min(BlockK, k - p), aBlock, strideM, strideK, b + p * ldb, ldb, c + i * ldc, ldc, accumulate || p > 0);
            }
        }
    }

    private static void Block<TLanes>(int m, int n, int k, float* a, long strideM, long strideK, float* b, long ldb, float* c, long ldc, bool accumulate)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        int whole = n - n % TLanes.Count;
        Columns<TLanes>(m, whole, k, a, strideM, strideK, b, ldb, c, ldc, accumulate);
        if (whole < n) Columns<LanesScalar>(m, n - whole, k, a, strideM, strideK, b + whole, ldb, c + whole, ldc, accumulate);
    }

    // Asks for the part of A that the same rows need next: the hardware does not foresee strides of whole rows.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void PrefetchRows(float* a, int rows, int terms, long strideK)
    {
        for (int p = 0; p < terms; p++)
        {
            for (int i = 0; i < rows; i += 16) Prefetch.Second(a + p * strideK + i);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Columns<TLanes>(
        int m, int n, int k, float* a, long strideM, long strideK, float* b, long ldb, float* c, long ldc, bool accumulate)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        int j = 0;
        for (; n - j >= 2 * TLanes.Count; j += 2 * TLanes.Count)
        {
            // One vector alone would wait for its loads: the last three are done together, where there are registers for it.
            if (TLanes.Count == 16 && n - j == 3 * TLanes.Count)
            {
                Rows8x3<TLanes>(m & ~7, k, a, strideM, strideK, b + j, ldb, c + j, ldc, accumulate);
                a += (m & ~7) * strideM;
                c += (m & ~7) * ldc;
                m &= 7;
            }

            Strip<TLanes, Two>(m, k, a, strideM, strideK, b + j, ldb, c + j, ldc, accumulate);
        }

        for (; j < n; j += TLanes.Count) Strip<TLanes, One>(m, k, a, strideM, strideK, b + j, ldb, c + j, ldc, accumulate);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Strip<TLanes, TColumns>(int m, int k, float* a, long strideM, long strideK, float* b, long ldb, float* c, long ldc, bool accumulate)
        where TLanes : unmanaged, ILanes<TLanes>
        where TColumns : struct
    {
        int i = 0;

        // Sixteen sums need the 32 registers of 512-bit machines.
        if (TLanes.Count == 16)
        {
            for (; i + 8 <= m; i += 8) Rows8<TLanes, TColumns>(k, a + i * strideM, strideM, strideK, b, ldb, c + i * ldc, ldc, accumulate);
        }

        for (; i + 4 <= m; i += 4) Rows4<TLanes, TColumns>(k, a + i * strideM, strideM, strideK, b, ldb, c + i * ldc, ldc, accumulate);
        for (; i < m; i++) Row<TLanes, TColumns>(k, a + i * strideM, strideK, b, ldb, c + i * ldc, accumulate);
    }

    // Eight rows after eight: twenty-four sums.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Rows8x3<TLanes>(int m, int k, float* a, long strideM, long strideK, float* b, long ldb, float* c, long ldc, bool accumulate)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        long s2 = 2 * strideM, s3 = 3 * strideM, n = TLanes.Count;
        for (int i = 0; i < m; i += 8, a += 8 * strideM, c += 8 * ldc)
        {
            TLanes x0 = TLanes.Zero, x1 = x0, x2 = x0, x3 = x0, x4 = x0, x5 = x0, x6 = x0, x7 = x0;
            TLanes y0 = x0, y1 = x0, y2 = x0, y3 = x0, y4 = x0, y5 = x0, y6 = x0, y7 = x0;
            TLanes z0 = x0, z1 = x0, z2 = x0, z3 = x0, z4 = x0, z5 = x0, z6 = x0, z7 = x0;
            float* a0 = a, a4 = a + 4 * strideM, row = b;
            for (int p = 0; p < k; p++, a0 += strideK, a4 += strideK, row += ldb)
            {
                TLanes bx = TLanes.Load(row), by = TLanes.Load(row + n), bz = TLanes.Load(row + 2 * n), w;
                w = TLanes.Set(a0[0]);
                (x0, y0, z0) = (TLanes.Fma(w, bx, x0), TLanes.Fma(w, by, y0), TLanes.Fma(w, bz, z0));
                w = TLanes.Set(a0[strideM]);
                (x1, y1, z1) = (TLanes.Fma(w, bx, x1), TLanes.Fma(w, by, y1), TLanes.Fma(w, bz, z1));
                w = TLanes.Set(a0[s2]);
                (x2, y2, z2) = (TLanes.Fma(w, bx, x2), TLanes.Fma(w, by, y2), TLanes.Fma(w, bz, z2));
                w = TLanes.Set(a0[s3]);
                (x3, y3, z3) = (TLanes.Fma(w, bx, x3), TLanes.Fma(w, by, y3), TLanes.Fma(w, bz, z3));
                w = TLanes.Set(a4[0]);
                (x4, y4, z4) = (TLanes.Fma(w, bx, x4), TLanes.Fma(w, by, y4), TLanes.Fma(w, bz, z4));
                w = TLanes.Set(a4[strideM]);
                (x5, y5, z5) = (TLanes.Fma(w, bx, x5), TLanes.Fma(w, by, y5), TLanes.Fma(w, bz, z5));
                w = TLanes.Set(a4[s2]);
                (x6, y6, z6) = (TLanes.Fma(w, bx, x6), TLanes.Fma(w, by, y6), TLanes.Fma(w, bz, z6));
                w = TLanes.Set(a4[s3]);
                (x7, y7, z7) = (TLanes.Fma(w, bx, x7), TLanes.Fma(w, by, y7), TLanes.Fma(w, bz, z7));
            }

            float* to = c;
            Write3(to, x0, y0, z0, accumulate);
            to += ldc;
            Write3(to, x1, y1, z1, accumulate);
            to += ldc;
            Write3(to, x2, y2, z2, accumulate);
            to += ldc;
            Write3(to, x3, y3, z3, accumulate);
            to += ldc;
            Write3(to, x4, y4, z4, accumulate);
            to += ldc;
            Write3(to, x5, y5, z5, accumulate);
            to += ldc;
            Write3(to, x6, y6, z6, accumulate);
            to += ldc;
            Write3(to, x7, y7, z7, accumulate);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Rows8<TLanes, TColumns>(int k, float* a, long strideM, long strideK, float* b, long ldb, float* c, long ldc, bool accumulate)
        where TLanes : unmanaged, ILanes<TLanes>
        where TColumns : struct
    {
        TLanes x0 = TLanes.Zero, x1 = x0, x2 = x0, x3 = x0, x4 = x0, x5 = x0, x6 = x0, x7 = x0;
        TLanes y0 = x0, y1 = x0, y2 = x0, y3 = x0, y4 = x0, y5 = x0, y6 = x0, y7 = x0;
        float* a4 = a + 4 * strideM;
        long s2 = 2 * strideM, s3 = 3 * strideM;
        for (int p = 0; p < k; p++)
        {
            TLanes bx = TLanes.Load(b), by = Second<TLanes, TColumns>(b), w;
            w = TLanes.Set(a[0]);
            x0 = TLanes.Fma(w, bx, x0);
            if (typeof(TColumns) == typeof(Two)) y0 = TLanes.Fma(w, by, y0);
            w = TLanes.Set(a[strideM]);
            x1 = TLanes.Fma(w, bx, x1);
            if (typeof(TColumns) == typeof(Two)) y1 = TLanes.Fma(w, by, y1);
            w = TLanes.Set(a[s2]);
            x2 = TLanes.Fma(w, bx, x2);
            if (typeof(TColumns) == typeof(Two)) y2 = TLanes.Fma(w, by, y2);
            w = TLanes.Set(a[s3]);
            x3 = TLanes.Fma(w, bx, x3);
            if (typeof(TColumns) == typeof(Two)) y3 = TLanes.Fma(w, by, y3);
            w = TLanes.Set(a4[0]);
            x4 = TLanes.Fma(w, bx, x4);
            if (typeof(TColumns) == typeof(Two)) y4 = TLanes.Fma(w, by, y4);
            w = TLanes.Set(a4[strideM]);
            x5 = TLanes.Fma(w, bx, x5);
            if (typeof(TColumns) == typeof(Two)) y5 = TLanes.Fma(w, by, y5);
            w = TLanes.Set(a4[s2]);
            x6 = TLanes.Fma(w, bx, x6);
            if (typeof(TColumns) == typeof(Two)) y6 = TLanes.Fma(w, by, y6);
            w = TLanes.Set(a4[s3]);
            x7 = TLanes.Fma(w, bx, x7);
            if (typeof(TColumns) == typeof(Two)) y7 = TLanes.Fma(w, by, y7);
            a += strideK;
            a4 += strideK;
            b += ldb;
        }

        Write<TLanes, TColumns>(c, x0, y0, accumulate);
        Write<TLanes, TColumns>(c + ldc, x1, y1, accumulate);
        Write<TLanes, TColumns>(c + 2 * ldc, x2, y2, accumulate);
        Write<TLanes, TColumns>(c + 3 * ldc, x3, y3, accumulate);
        c += 4 * ldc;
        Write<TLanes, TColumns>(c, x4, y4, accumulate);
        Write<TLanes, TColumns>(c + ldc, x5, y5, accumulate);
        Write<TLanes, TColumns>(c + 2 * ldc, x6, y6, accumulate);
        Write<TLanes, TColumns>(c + 3 * ldc, x7, y7, accumulate);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Rows4<TLanes, TColumns>(int k, float* a, long strideM, long strideK, float* b, long ldb, float* c, long ldc, bool accumulate)
        where TLanes : unmanaged, ILanes<TLanes>
        where TColumns : struct
    {
        TLanes x0 = TLanes.Zero, x1 = x0, x2 = x0, x3 = x0, y0 = x0, y1 = x0, y2 = x0, y3 = x0;
        long s2 = 2 * strideM, s3 = 3 * strideM;
        for (int p = 0; p < k; p++)
        {
            TLanes bx = TLanes.Load(b), by = Second<TLanes, TColumns>(b), w;
            w = TLanes.Set(a[0]);
            x0 = TLanes.Fma(w, bx, x0);
            if (typeof(TColumns) == typeof(Two)) y0 = TLanes.Fma(w, by, y0);
            w = TLanes.Set(a[strideM]);
            x1 = TLanes.Fma(w, bx, x1);
            if (typeof(TColumns) == typeof(Two)) y1 = TLanes.Fma(w, by, y1);
            w = TLanes.Set(a[s2]);
            x2 = TLanes.Fma(w, bx, x2);
            if (typeof(TColumns) == typeof(Two)) y2 = TLanes.Fma(w, by, y2);
            w = TLanes.Set(a[s3]);
            x3 = TLanes.Fma(w, bx, x3);
            if (typeof(TColumns) == typeof(Two)) y3 = TLanes.Fma(w, by, y3);
            a += strideK;
            b += ldb;
        }

        Write<TLanes, TColumns>(c, x0, y0, accumulate);
        Write<TLanes, TColumns>(c + ldc, x1, y1, accumulate);
        Write<TLanes, TColumns>(c + 2 * ldc, x2, y2, accumulate);
        Write<TLanes, TColumns>(c + 3 * ldc, x3, y3, accumulate);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Row<TLanes, TColumns>(int k, float* a, long strideK, float* b, long ldb, float* c, bool accumulate)
        where TLanes : unmanaged, ILanes<TLanes>
        where TColumns : struct
    {
        TLanes x = TLanes.Zero, y = x;
        for (int p = 0; p < k; p++)
        {
            TLanes w = TLanes.Set(*a);
            x = TLanes.Fma(w, TLanes.Load(b), x);
            if (typeof(TColumns) == typeof(Two)) y = TLanes.Fma(w, Second<TLanes, TColumns>(b), y);
            a += strideK;
            b += ldb;
        }

        Write<TLanes, TColumns>(c, x, y, accumulate);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TLanes Second<TLanes, TColumns>(float* p)
        where TLanes : unmanaged, ILanes<TLanes>
        where TColumns : struct => typeof(TColumns) == typeof(Two) ? TLanes.Load(p + TLanes.Count) : TLanes.Zero;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Write<TLanes, TColumns>(float* c, TLanes x, TLanes y, bool accumulate)
        where TLanes : unmanaged, ILanes<TLanes>
        where TColumns : struct
    {
        TLanes.Store(accumulate ? TLanes.Add(TLanes.Load(c), x) : x, c);
        if (typeof(TColumns) != typeof(Two)) return;
        float* d = c + TLanes.Count;
        TLanes.Store(accumulate ? TLanes.Add(TLanes.Load(d), y) : y, d);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Write3<TLanes>(float* c, TLanes x, TLanes y, TLanes z, bool accumulate)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        Write<TLanes, Two>(c, x, y, accumulate);
        Write<TLanes, One>(c + (2 * TLanes.Count), z, z, accumulate);
    }

    // Vectors a tile is wide, as types, so that each gets code of its own.
    private readonly struct One;

    private readonly struct Two;
}
