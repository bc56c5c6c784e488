using System.Numerics;
using System.Runtime.CompilerServices;
using RbeMl.Numerics;

namespace RbeMl.Kernels;

/// <summary>
/// The matrix U V' of a matrix U S V': that with orthonormal columns next to it, to about a quarter, as momentum needs no more. An odd
/// polynomial of degree five in the singular values is applied three times, which brings all from <see cref="Least"/> of the bound to 1 into
/// [0.73, 1.27]. It works on the Gram matrix X' X, which is small where X is tall, and multiplies X once, at the end.
/// </summary>
internal static unsafe class OrthogonalKernel
{
    /// <summary>Singular values below this part of the bound come out smaller than the others.</summary>
    public const double Least = 0.01;

    private const int Block = 32; // rows of a symmetric product of which what is left of the diagonal is not computed

    /// <summary>
    /// a, b and c of p(s) = a s + b s^3 + c s^5, once after the other: each is the nearest to 1, in its largest difference, on the range
    /// that the one before leaves of [0.01, 1], but not below a 50th of its upper end, found by the Remez exchange.
    /// </summary>
    public static ReadOnlySpan<double> Polynomials =>
    [
        7.710969245867684, -22.113754790481163, 16.24874301773847,
        3.787152994530936, -3.0658912648478065, 0.6533295208282657,
        2.668359226415882, -1.982936526771972, 0.45325833757757544,
    ];

    /// <summary>Scratch elements that it takes.</summary>
    /// <param name="columns">Columns of the matrix.</param>
    public static long ScratchElements(int columns) => 5L * columns * columns;

    /// <summary>to = X p(...), of the singular values brought near 1. All zero stays so.</summary>
    /// <param name="rows">Rows of X, no fewer than its columns.</param>
    /// <param name="columns">Columns of X.</param>
    /// <param name="x">X, [rows][columns], of an ordinary size: its squares must neither overflow nor vanish.</param>
    /// <param name="to">[rows][columns], written; not X.</param>
    /// <param name="scratch">As many elements as <see cref="ScratchElements"/> says.</param>
    public static void Orthogonalise<T>(int rows, int columns, T* x, T* to, T* scratch)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        long size = (long)columns * columns;
        T* gram = scratch, square = gram + size, p = square + size, product = p + size, next = product + size;
        Symmetric(columns, rows, x, 1, columns, x, gram);

        // The Gram matrix's norm is no less than the largest square of a singular value, and nearer to it than the norm of X.
        double norm = Math.Sqrt(OptimizerKernel.SumOfSquares(gram, size));
        if (norm == 0)
        {
            new Span<T>(to, checked(rows * columns)).Clear();
            return;
        }

        Combine(size, T.CreateTruncating(1 / norm), gram, T.Zero, gram, gram);
        ReadOnlySpan<double> polynomials = Polynomials;
        for (int i = 0; i < polynomials.Length; i += 3)
        {
            // All these are polynomials of one symmetric matrix: they are symmetric, and their order does not matter.
            Symmetric(columns, columns, gram, columns, 1, gram, square);
            Combine(size, T.CreateTruncating(polynomials[i + 1]), gram, T.CreateTruncating(polynomials[i + 2]), square, p);
            for (int d = 0; d < columns; d++) p[d * (columns + 1L)] += T.CreateTruncating(polynomials[i]);
            if (i + 3 < polynomials.Length)
            {
                Symmetric(columns, columns, p, columns, 1, p, square);
                Symmetric(columns, columns, gram, columns, 1, square, next);
                Swap(ref gram, ref next);
            }

            if (i == 0)
            {
                Swap(ref product, ref p);
            }
            else
            {
                Symmetric(columns, columns, product, columns, 1, p, square);
                Swap(ref product, ref square);
            }
        }

        Combine(size, T.CreateTruncating(1 / Math.Sqrt(norm)), product, T.Zero, product, product);
        Gemm.Multiply(rows, columns, columns, x, columns, 1, product, columns, to, columns, accumulate: false);
    }

    private static void Swap<T>(ref T* a, ref T* b)
        where T : unmanaged
    {
        T* first = a;
        a = b;
        b = first;
    }

    // c [m][m] = A B, which is symmetric.
    private static void Symmetric<T>(int m, int k, T* a, long strideM, long strideK, T* b, T* c)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        for (int i = 0; i < m; i += Block)
        {
            int rows = Math.Min(Block, m - i);
            Gemm.Multiply(rows, m - i, k, a + (i * strideM), strideM, strideK, b + i, m, c + (i * (long)m) + i, m, accumulate: false);
            for (int j = i + rows; j < m; j++)
            {
                for (int r = i; r < i + rows; r++) c[(j * (long)m) + r] = c[(r * (long)m) + j];
            }
        }
    }

    // to = a x + b y
    private static void Combine<T>(long count, T a, T* x, T b, T* y, T* to)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        if (typeof(T) == typeof(float))
        {
            Wide.Run(new CombineWork(count, float.CreateTruncating(a), (float*)x, float.CreateTruncating(b), (float*)y, (float*)to));
        }
        else
        {
            for (long i = 0; i < count; i++) to[i] = (a * x[i]) + (b * y[i]);
        }
    }

    private readonly struct CombineWork(long count, float a, float* x, float b, float* y, float* to) : ILaneWork
    {
        public void Run<TLanes>()
            where TLanes : unmanaged, ILanes<TLanes>
        {
            long whole = count - (count % TLanes.Count);
            Pass<TLanes>(whole, a, x, b, y, to);
            Pass<LanesScalar>(count - whole, a, x + whole, b, y + whole, to + whole);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Pass<TLanes>(long count, float a, float* x, float b, float* y, float* to)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        TLanes first = TLanes.Set(a), second = TLanes.Set(b);
        for (long i = 0; i < count; i += TLanes.Count)
        {
            TLanes.Store(TLanes.Fma(first, TLanes.Load(x + i), TLanes.Multiply(second, TLanes.Load(y + i))), to + i);
        }
    }
}
