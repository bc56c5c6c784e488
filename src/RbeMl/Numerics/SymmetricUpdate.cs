using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace RbeMl.Numerics;

/// <summary>
/// The rank-k update of a symmetric matrix, C += s P' P with P <c>[k, m]</c>, of which only the upper triangle of C is written (and some of what lies below the
/// diagonal within 16 columns of it). Every element is one sum in a fixed order, so the bits do not depend on the number of threads.
/// </summary>
internal static unsafe class SymmetricUpdate
{
    /// <summary>Columns of a packed strip; sizes are multiples of it.</summary>
    public const int Strip = 16;

    /// <summary>Most terms a call should be given: a strip of so many then stays in the first cache.</summary>
    public const int Depth = 128;

    private const int Quad = 4;

    /// <summary>Updates the part of C from row and column <paramref name="first"/> on.</summary>
    /// <param name="packed"><c>[m / 16][k][16]</c>: columns of P in strips.</param>
    /// <param name="depth">k.</param>
    /// <param name="target">C, <c>[size, size]</c>.</param>
    /// <param name="size">Rows of C; a multiple of 16.</param>
    /// <param name="first">Where the updated part begins: m = size - first; a multiple of 16.</param>
    /// <param name="scale">s.</param>
    /// <param name="parallel">Threads and cancellation.</param>
    public static void Add(double* packed, int depth, double* target, int size, int first, double scale, ParallelOptions parallel)
    {
        nint source = (nint)packed, goal = (nint)target;
        Parallel.For(0, (size - first) / Strip, parallel, i => Row((double*)source, depth, (double*)goal, size, first, i, scale));
    }

    private static void Row(double* packed, int depth, double* target, int size, int first, int i, double scale)
    {
        long stripLength = (long)depth * Strip;
        int strips = (size - first) / Strip;
        for (int j = i; j < strips; j++)
        {
            for (int q = 0; q < Strip; q += Quad)
            {
                double* c = target + (long)(first + i * Strip + q) * size + first + j * Strip;
                Accumulate(packed + i * stripLength + q, packed + j * stripLength, depth, c, size, scale);
            }
        }
    }

    // Four rows by sixteen columns of C.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Accumulate(double* a, double* b, int depth, double* c, long stride, double scale)
    {
        Vector512<double> c00 = default, c01 = default, c10 = default, c11 = default, c20 = default, c21 = default, c30 = default, c31 = default;
        for (int k = 0; k < depth; k++, a += Strip, b += Strip)
        {
            Vector512<double> b0 = Vector512.Load(b), b1 = Vector512.Load(b + 8);
            Vector512<double> a0 = Vector512.Create(a[0]), a1 = Vector512.Create(a[1]), a2 = Vector512.Create(a[2]), a3 = Vector512.Create(a[3]);
            c00 = Vector512.MultiplyAddEstimate(a0, b0, c00);
            c01 = Vector512.MultiplyAddEstimate(a0, b1, c01);
            c10 = Vector512.MultiplyAddEstimate(a1, b0, c10);
            c11 = Vector512.MultiplyAddEstimate(a1, b1, c11);
            c20 = Vector512.MultiplyAddEstimate(a2, b0, c20);
            c21 = Vector512.MultiplyAddEstimate(a2, b1, c21);
            c30 = Vector512.MultiplyAddEstimate(a3, b0, c30);
            c31 = Vector512.MultiplyAddEstimate(a3, b1, c31);
        }

        Add(c, c00, c01, scale);
        Add(c + stride, c10, c11, scale);
        Add(c + 2 * stride, c20, c21, scale);
        Add(c + 3 * stride, c30, c31, scale);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Add(double* c, Vector512<double> x, Vector512<double> y, double scale)
    {
        (Vector512.Load(c) + scale * x).Store(c);
        (Vector512.Load(c + 8) + scale * y).Store(c + 8);
    }
}
