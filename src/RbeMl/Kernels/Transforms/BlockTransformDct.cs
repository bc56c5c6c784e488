using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using RbeMl.Numerics;

namespace RbeMl.Kernels;

/// <summary>
/// DCT-II of a column of vectors by Lee's split. With c(i) = 1 / (2 cos(pi (2i + 1) / 2N)), the unscaled N-point DCT X of x is two of half the length:
/// T of x(i) + x(N-1-i) and U of (x(i) - x(N-1-i)) c(i), X(2k) = T(k) and X(2k+1) = U(k) + U(k+1), U(N/2) = 0.
/// 16 points stay in registers (<see cref="BlockTransformDct16"/>); two levels above share one pass over memory. The inverse runs the
/// transposed steps backwards.
/// </summary>
internal static unsafe class BlockTransformDct
{
    private const int Base = BlockTransformDct16.Points;
    private const int LargestTile = 128;
    private const int LargestLanes = 16;

    // c(i) of N points at offset N / 2, so that N = 32, 64 and 128 share one table. It is the process's, and no model's memory; it never moves.
    private static readonly float[] s_halfSecants = MakeHalfSecants();

    [SkipLocalsInit]
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void Forward<TLanes>(int tile, float* x, float* y, int width)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        byte* memory = stackalloc byte[2 * LargestTile * LargestLanes * sizeof(float) + 64];
        float* a = Align(memory), b = a + LargestTile * LargestLanes;
        float* secants = (float*)Unsafe.AsPointer(ref MemoryMarshal.GetArrayDataReference(s_halfSecants));
        int lanes = TLanes.Count;
        for (int lane = 0; lane < width; lane += lanes)
        {
            if (tile == 2 * Base)
            {
                Split2<TLanes>(tile, secants, x + lane, width, a);
            }
            else if (tile == 4 * Base)
            {
                Split4<TLanes>(tile, secants, x + lane, width, a);
            }
            else
            {
                Split2<TLanes>(tile, secants, x + lane, width, b);
                for (int half = 0; half < 2; half++) Split4<TLanes>(tile / 2, secants, b + half * tile / 2 * lanes, lanes, a + half * tile / 2 * lanes);
            }

            for (int k = 0; k < tile; k += Base) BlockTransformDct16.Forward<TLanes>(a + k * lanes);

            float scale = MathF.Sqrt(2f / tile);
            if (tile == 2 * Base)
            {
                Merge2<TLanes>(tile, a, y + lane, width, scale);
            }
            else if (tile == 4 * Base)
            {
                Merge4<TLanes>(tile, a, y + lane, width, scale);
            }
            else
            {
                for (int half = 0; half < 2; half++) Merge4<TLanes>(tile / 2, a + half * tile / 2 * lanes, b + half * tile / 2 * lanes, lanes, 1);
                Merge2<TLanes>(tile, b, y + lane, width, scale);
            }

            TLanes.Store(TLanes.Multiply(TLanes.Load(y + lane), TLanes.Set(MathF.Sqrt(0.5f))), y + lane);
        }
    }

    [SkipLocalsInit]
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void Inverse<TLanes>(int tile, float* x, float* y, int width)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        byte* memory = stackalloc byte[2 * LargestTile * LargestLanes * sizeof(float) + 64];
        float* a = Align(memory), b = a + LargestTile * LargestLanes;
        float* secants = (float*)Unsafe.AsPointer(ref MemoryMarshal.GetArrayDataReference(s_halfSecants));
        int lanes = TLanes.Count;
        for (int lane = 0; lane < width; lane += lanes)
        {
            float scale = MathF.Sqrt(2f / tile);
            if (tile == 2 * Base)
            {
                Merge2Transposed<TLanes>(tile, x + lane, width, a, scale);
            }
            else if (tile == 4 * Base)
            {
                Merge4Transposed<TLanes>(tile, x + lane, width, a, scale);
            }
            else
            {
                Merge2Transposed<TLanes>(tile, x + lane, width, b, scale);
                for (int half = 0; half < 2; half++) Merge4Transposed<TLanes>(tile / 2, b + half * tile / 2 * lanes, lanes, a + half * tile / 2 * lanes, 1);
            }

            TLanes.Store(TLanes.Multiply(TLanes.Load(a), TLanes.Set(MathF.Sqrt(0.5f))), a);
            for (int k = 0; k < tile; k += Base) BlockTransformDct16.Inverse<TLanes>(a + k * lanes);

            if (tile == 2 * Base)
            {
                Split2Transposed<TLanes>(tile, secants, a, y + lane, width);
            }
            else if (tile == 4 * Base)
            {
                Split4Transposed<TLanes>(tile, secants, a, y + lane, width);
            }
            else
            {
                for (int half = 0; half < 2; half++)
                {
                    Split4Transposed<TLanes>(tile / 2, secants, a + half * tile / 2 * lanes, b + half * tile / 2 * lanes, lanes);
                }

                Split2Transposed<TLanes>(tile, secants, b, y + lane, width);
            }
        }
    }

    // x is [n] at a stride, y is [n] contiguous: halves T and U.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Split2<TLanes>(int n, float* secants, float* x, nint stride, float* y)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        nint half = n / 2, lanes = TLanes.Count;
        for (nint i = 0; i < half; i++)
        {
            TLanes p = TLanes.Load(x + i * stride), q = TLanes.Load(x + (n - 1 - i) * stride);
            TLanes.Store(TLanes.Add(p, q), y + i * lanes);
            TLanes.Store(TLanes.Multiply(TLanes.Subtract(p, q), TLanes.Set(secants[half + i])), y + (half + i) * lanes);
        }
    }

    // Two levels at once: quarters TT, TU, UT, UU.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Split4<TLanes>(int n, float* secants, float* x, nint stride, float* y)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        nint half = n / 2, quarter = n / 4, lanes = TLanes.Count;
        for (nint i = 0; i < quarter; i++)
        {
            nint mirror = half - 1 - i;
            TLanes x0 = TLanes.Load(x + i * stride), x1 = TLanes.Load(x + mirror * stride);
            TLanes x2 = TLanes.Load(x + (half + i) * stride), x3 = TLanes.Load(x + (n - 1 - i) * stride);
            TLanes t0 = TLanes.Add(x0, x3), t1 = TLanes.Add(x1, x2);
            TLanes u0 = TLanes.Multiply(TLanes.Subtract(x0, x3), TLanes.Set(secants[half + i]));
            TLanes u1 = TLanes.Multiply(TLanes.Subtract(x1, x2), TLanes.Set(secants[half + mirror]));
            TLanes c = TLanes.Set(secants[quarter + i]);
            TLanes.Store(TLanes.Add(t0, t1), y + i * lanes);
            TLanes.Store(TLanes.Multiply(TLanes.Subtract(t0, t1), c), y + (quarter + i) * lanes);
            TLanes.Store(TLanes.Add(u0, u1), y + (half + i) * lanes);
            TLanes.Store(TLanes.Multiply(TLanes.Subtract(u0, u1), c), y + (half + quarter + i) * lanes);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Merge2<TLanes>(int n, float* x, float* y, nint stride, float scale)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        nint half = n / 2, lanes = TLanes.Count;
        TLanes s = TLanes.Set(scale), u = TLanes.Load(x + half * lanes);
        for (nint k = 0; k < half; k++)
        {
            TLanes next = k + 1 < half ? TLanes.Load(x + (half + k + 1) * lanes) : TLanes.Zero;
            TLanes.Store(TLanes.Multiply(TLanes.Load(x + k * lanes), s), y + 2 * k * stride);
            TLanes.Store(TLanes.Multiply(TLanes.Add(u, next), s), y + (2 * k + 1) * stride);
            u = next;
        }
    }

    // With quarters A, B, C, D: X(4k) = A(k), X(4k+2) = B(k) + B(k+1), X(4k+1) = C(k) + D', X(4k+3) = D' + C(k+1), D' = D(k) + D(k+1).
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Merge4<TLanes>(int n, float* x, float* y, nint stride, float scale)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        nint quarter = n / 4, lanes = TLanes.Count, step = quarter * lanes;
        TLanes s = TLanes.Set(scale), b = TLanes.Load(x + step), c = TLanes.Load(x + 2 * step), d = TLanes.Load(x + 3 * step);
        for (nint k = 0; k < quarter; k++)
        {
            TLanes nextB = TLanes.Zero, nextC = TLanes.Zero, nextD = TLanes.Zero;
            float* p = x + (k + 1) * lanes;
            if (k + 1 < quarter) (nextB, nextC, nextD) = (TLanes.Load(p + step), TLanes.Load(p + 2 * step), TLanes.Load(p + 3 * step));
            TLanes pair = TLanes.Add(d, nextD);
            float* q = y + 4 * k * stride;
            TLanes.Store(TLanes.Multiply(TLanes.Load(x + k * lanes), s), q);
            TLanes.Store(TLanes.Multiply(TLanes.Add(c, pair), s), q + stride);
            TLanes.Store(TLanes.Multiply(TLanes.Add(b, nextB), s), q + 2 * stride);
            TLanes.Store(TLanes.Multiply(TLanes.Add(pair, nextC), s), q + 3 * stride);
            (b, c, d) = (nextB, nextC, nextD);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Merge2Transposed<TLanes>(int n, float* x, nint stride, float* y, float scale)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        nint half = n / 2, lanes = TLanes.Count;
        TLanes s = TLanes.Set(scale), previous = TLanes.Zero;
        for (nint k = 0; k < half; k++)
        {
            TLanes odd = TLanes.Multiply(TLanes.Load(x + (2 * k + 1) * stride), s);
            TLanes.Store(TLanes.Multiply(TLanes.Load(x + 2 * k * stride), s), y + k * lanes);
            TLanes.Store(TLanes.Add(previous, odd), y + (half + k) * lanes);
            previous = odd;
        }
    }

    // C(k) = X(4k+1) + X(4k-1), B(k) = X(4k+2) + X(4k-2), D(k) = (X(4k+1) + X(4k+3)) + (X(4k-3) + X(4k-1)).
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Merge4Transposed<TLanes>(int n, float* x, nint stride, float* y, float scale)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        nint quarter = n / 4, lanes = TLanes.Count, step = quarter * lanes;
        TLanes s = TLanes.Set(scale), b = TLanes.Zero, c = TLanes.Zero, d = TLanes.Zero;
        for (nint k = 0; k < quarter; k++)
        {
            float* p = x + 4 * k * stride, q = y + k * lanes;
            TLanes x1 = TLanes.Multiply(TLanes.Load(p + stride), s), x2 = TLanes.Multiply(TLanes.Load(p + 2 * stride), s);
            TLanes x3 = TLanes.Multiply(TLanes.Load(p + 3 * stride), s), pair = TLanes.Add(x1, x3);
            TLanes.Store(TLanes.Multiply(TLanes.Load(p), s), q);
            TLanes.Store(TLanes.Add(b, x2), q + step);
            TLanes.Store(TLanes.Add(c, x1), q + 2 * step);
            TLanes.Store(TLanes.Add(d, pair), q + 3 * step);
            (b, c, d) = (x2, x3, pair);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Split2Transposed<TLanes>(int n, float* secants, float* x, float* y, nint stride)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        nint half = n / 2, lanes = TLanes.Count;
        for (nint i = 0; i < half; i++)
        {
            TLanes t = TLanes.Load(x + i * lanes), u = TLanes.Load(x + (half + i) * lanes), c = TLanes.Set(secants[half + i]);
            TLanes.Store(TLanes.Fma(u, c, t), y + i * stride);
            TLanes.Store(TLanes.FmaNegated(u, c, t), y + (n - 1 - i) * stride);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Split4Transposed<TLanes>(int n, float* secants, float* x, float* y, nint stride)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        nint half = n / 2, quarter = n / 4, lanes = TLanes.Count;
        for (nint i = 0; i < quarter; i++)
        {
            nint mirror = half - 1 - i;
            TLanes a = TLanes.Load(x + i * lanes), b = TLanes.Load(x + (quarter + i) * lanes);
            TLanes c = TLanes.Load(x + (half + i) * lanes), d = TLanes.Load(x + (half + quarter + i) * lanes);
            TLanes w = TLanes.Set(secants[quarter + i]), w0 = TLanes.Set(secants[half + i]), w1 = TLanes.Set(secants[half + mirror]);
            TLanes t0 = TLanes.Fma(b, w, a), t1 = TLanes.FmaNegated(b, w, a);
            TLanes u0 = TLanes.Fma(d, w, c), u1 = TLanes.FmaNegated(d, w, c);
            TLanes.Store(TLanes.Fma(u0, w0, t0), y + i * stride);
            TLanes.Store(TLanes.Fma(u1, w1, t1), y + mirror * stride);
            TLanes.Store(TLanes.FmaNegated(u1, w1, t1), y + (half + i) * stride);
            TLanes.Store(TLanes.FmaNegated(u0, w0, t0), y + (n - 1 - i) * stride);
        }
    }

    private static float* Align(byte* p) => (float*)(((nint)p + 63) & ~63);

    private static float[] MakeHalfSecants()
    {
        float[] table = GC.AllocateArray<float>(LargestTile, pinned: true);
        for (int n = 2; n <= LargestTile; n *= 2)
        {
            for (int i = 0; i < n / 2; i++) table[n / 2 + i] = (float)(0.5 / Math.Cos(Math.PI * (2 * i + 1) / (2.0 * n)));
        }

        return table;
    }
}
