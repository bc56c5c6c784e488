using System.Runtime.CompilerServices;

namespace RbeMl.Numerics;

/// <summary>
/// What a single token needs besides its products with compressed weights: here a lane is a feature, where the panels' kernels have a token in each.
/// Vectors are <c>[features]</c>, 64-byte aligned unless said otherwise.
/// </summary>
internal static unsafe class VectorKernel
{
    /// <summary>Rows that <see cref="Dot"/> does at a time.</summary>
    public const int DotRows = 4;

    // Long rows come from memory, one after the other: a single run of addresses, this many floats of it on their way.
    private const int LongRow = 256, Ahead = 2048;

    /// <summary>y = (x - mean) / sqrt(variance + epsilon) * gamma + beta. y may be x.</summary>
    public static void Normalize(float* x, float* gamma, float* beta, float* y, int features, float epsilon) =>
        Wide.Run(new NormalizeWork(x, gamma, beta, y, features, epsilon));

    /// <summary>
    /// y = M x, M being stored by columns: <c>[terms][size]</c>, a column of the product after the other. size is 32, 64 or 128, terms a multiple of
    /// 4; y may not be x. All widths add up in one order.
    /// </summary>
    public static void Transform(float* columns, float* x, float* y, int size, int terms) =>
        Wide.Run(new TransformWork(columns, x, y, size, terms));

    /// <summary>y[r] += row r of a <c>[rows][length]</c> times x; nothing need be aligned.</summary>
    public static void Dot(float* matrix, long stride, int rows, int length, float* x, float* y) =>
        Wide.Run(new DotWork(matrix, stride, rows, length, x, y));

    /// <summary>y[r] += the sum of <c>partials[r][lanes]</c>; lanes are 16, 8 or 4, rows a multiple of 16.</summary>
    public static void AddSums(float* partials, int lanes, int rows, float* y) => Wide.Run(lanes, new AddSumsWork(partials, rows, y));

    internal readonly struct NormalizeWork(float* x, float* gamma, float* beta, float* y, int features, float epsilon) : ILaneWork
    {
        public void Run<TLanes>()
            where TLanes : unmanaged, ILanes<TLanes> => Normalize<TLanes>(x, gamma, beta, y, features, epsilon);
    }

    // Two passes: the variance is of what is left after the mean.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Normalize<TLanes>(float* x, float* gamma, float* beta, float* y, int features, float epsilon)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        int whole = features / TLanes.Count * TLanes.Count;
        TLanes sums = TLanes.Zero;
        for (int f = 0; f < whole; f += TLanes.Count) sums = TLanes.Add(sums, TLanes.Load(x + f));
        float sum = TLanes.Sum(sums);
        for (int f = whole; f < features; f++) sum += x[f];
        float mean = sum / features;

        TLanes means = TLanes.Set(mean), squares = TLanes.Zero;
        for (int f = 0; f < whole; f += TLanes.Count)
        {
            TLanes d = TLanes.Subtract(TLanes.Load(x + f), means);
            squares = TLanes.Fma(d, d, squares);
        }

        float square = TLanes.Sum(squares);
        for (int f = whole; f < features; f++) square += (x[f] - mean) * (x[f] - mean);
        float scale = (1f / MathF.Sqrt((square / features) + epsilon)) + (square * 0); // NaN, not 0, where it overflows
        TLanes scales = TLanes.Set(scale);
        for (int f = 0; f < whole; f += TLanes.Count)
        {
            TLanes normal = TLanes.Multiply(TLanes.Subtract(TLanes.Load(x + f), means), scales);
            TLanes.Store(TLanes.Fma(normal, TLanes.Load(gamma + f), TLanes.Load(beta + f)), y + f);
        }

        for (int f = whole; f < features; f++) y[f] = ((x[f] - mean) * scale * gamma[f]) + beta[f];
    }

    internal readonly struct TransformWork(float* columns, float* x, float* y, int size, int terms) : ILaneWork
    {
        public void Run<TLanes>()
            where TLanes : unmanaged, ILanes<TLanes> => Transform<TLanes>(columns, x, y, size, terms);
    }

    // Eight sums are under way at once: two vectors of y, each of every fourth term.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Transform<TLanes>(float* columns, float* x, float* y, int size, int terms)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        nint n = size, lanes = TLanes.Count;
        for (nint r = 0; r < n; r += 2 * lanes)
        {
            TLanes a0 = TLanes.Zero, a1 = a0, b0 = a0, b1 = a0, c0 = a0, c1 = a0, d0 = a0, d1 = a0;
            float* m = columns + r;
            for (nint k = 0; k < terms; k += 4, m += 4 * n)
            {
                TLanes x0 = TLanes.Set(x[k]), x1 = TLanes.Set(x[k + 1]), x2 = TLanes.Set(x[k + 2]), x3 = TLanes.Set(x[k + 3]);
                (a0, a1) = (TLanes.Fma(x0, TLanes.Load(m), a0), TLanes.Fma(x0, TLanes.Load(m + lanes), a1));
                (b0, b1) = (TLanes.Fma(x1, TLanes.Load(m + n), b0), TLanes.Fma(x1, TLanes.Load(m + n + lanes), b1));
                (c0, c1) = (TLanes.Fma(x2, TLanes.Load(m + (2 * n)), c0), TLanes.Fma(x2, TLanes.Load(m + (2 * n) + lanes), c1));
                (d0, d1) = (TLanes.Fma(x3, TLanes.Load(m + (3 * n)), d0), TLanes.Fma(x3, TLanes.Load(m + (3 * n) + lanes), d1));
            }

            TLanes.Store(TLanes.Add(TLanes.Add(a0, b0), TLanes.Add(c0, d0)), y + r);
            TLanes.Store(TLanes.Add(TLanes.Add(a1, b1), TLanes.Add(c1, d1)), y + r + lanes);
        }
    }

    internal readonly struct DotWork(float* matrix, long stride, int rows, int length, float* x, float* y) : ILaneWork
    {
        public void Run<TLanes>()
            where TLanes : unmanaged, ILanes<TLanes> => Dot<TLanes>(matrix, stride, rows, length, x, y);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Dot<TLanes>(float* matrix, long stride, int rows, int length, float* x, float* y)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        if (length >= LongRow)
        {
            DotLong<TLanes>(matrix, stride, rows, length, x, y);
            return;
        }

        int lanes = TLanes.Count, whole = length / lanes * lanes, r = 0;
        for (; r + DotRows <= rows; r += DotRows, matrix += DotRows * stride)
        {
            float* w0 = matrix, w1 = matrix + stride, w2 = w1 + stride, w3 = w2 + stride;
            TLanes a = TLanes.Zero, b = a, c = a, d = a;
            for (int f = 0; f < whole; f += lanes)
            {
                TLanes v = TLanes.Load(x + f);
                (a, b) = (TLanes.Fma(v, TLanes.Load(w0 + f), a), TLanes.Fma(v, TLanes.Load(w1 + f), b));
                (c, d) = (TLanes.Fma(v, TLanes.Load(w2 + f), c), TLanes.Fma(v, TLanes.Load(w3 + f), d));
            }

            y[r] += TLanes.Sum(a) + Rest(w0, x, whole, length);
            y[r + 1] += TLanes.Sum(b) + Rest(w1, x, whole, length);
            y[r + 2] += TLanes.Sum(c) + Rest(w2, x, whole, length);
            y[r + 3] += TLanes.Sum(d) + Rest(w3, x, whole, length);
        }

        for (; r < rows; r++, matrix += stride)
        {
            TLanes a = TLanes.Zero;
            for (int f = 0; f < whole; f += lanes) a = TLanes.Fma(TLanes.Load(x + f), TLanes.Load(matrix + f), a);
            y[r] += TLanes.Sum(a) + Rest(matrix, x, whole, length);
        }
    }

    // Four sums of a row are under way at once.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void DotLong<TLanes>(float* matrix, long stride, int rows, int length, float* x, float* y)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        nint lanes = TLanes.Count, step = DotRows * lanes, whole = length / step * step, line = 64 / sizeof(float);
        for (int r = 0; r < rows; r++, matrix += stride)
        {
            TLanes a = TLanes.Zero, b = a, c = a, d = a;
            for (nint f = 0; f < whole; f += step)
            {
                float* w = matrix + f, v = x + f;
                for (nint p = 0; p < step; p += line) Prefetch.Near(w + Ahead + p);
                (a, b) = (TLanes.Fma(TLanes.Load(v), TLanes.Load(w), a), TLanes.Fma(TLanes.Load(v + lanes), TLanes.Load(w + lanes), b));
                v += 2 * lanes;
                w += 2 * lanes;
                (c, d) = (TLanes.Fma(TLanes.Load(v), TLanes.Load(w), c), TLanes.Fma(TLanes.Load(v + lanes), TLanes.Load(w + lanes), d));
            }

            y[r] += TLanes.Sum(TLanes.Add(TLanes.Add(a, b), TLanes.Add(c, d))) + Rest(matrix, x, (int)whole, length);
        }
    }

    private static float Rest(float* row, float* x, int first, int end)
    {
        float sum = 0;
        for (int f = first; f < end; f++) sum += row[f] * x[f];
        return sum;
    }

    private readonly struct AddSumsWork(float* partials, int rows, float* y) : ILaneWork
    {
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Run<TLanes>()
            where TLanes : unmanaged, ILanes<TLanes>
        {
            for (int r = 0; r < rows; r += TLanes.Count)
            {
                TLanes.Store(TLanes.Add(TLanes.Load(y + r), TLanes.SumRows(partials + ((long)r * TLanes.Count))), y + r);
            }
        }
    }
}
