using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace RbeMl.Numerics;

/// <summary>A = R' R of a symmetric positive definite matrix, R upper triangular, in blocks of 64 rows; the same bits for any number of threads.</summary>
internal static unsafe class CholeskyFactor
{
    private const int Block = 64;
    private const int Chunk = 128; // columns of the solve a thread takes at a time; a multiple of the strips

    /// <summary>Replaces the upper triangle of A by R; what lies below the diagonal becomes meaningless.</summary>
    /// <param name="matrix"><c>[size, size]</c> row-major; only its upper triangle is read.</param>
    /// <param name="size">Rows; a multiple of 16.</param>
    /// <param name="parallel">Threads and cancellation; null for all processors.</param>
    /// <exception cref="NonFiniteException">The matrix is not positive definite to working precision.</exception>
    public static void Factor(double[] matrix, int size, ParallelOptions? parallel = null)
    {
        if (size % SymmetricUpdate.Strip != 0 || matrix.LongLength != (long)size * size)
        {
            throw new ArgumentException("A square matrix of a multiple of 16 rows is needed.", nameof(matrix));
        }

        double[] packed = new double[size * Block];
        parallel ??= new ParallelOptions();
        fixed (double* a = matrix, p = packed)
        {
            nint address = (nint)a, packedAddress = (nint)p;
            for (int k = 0; k < size; k += Block)
            {
                int rows = Math.Min(Block, size - k), next = k + rows, rest = size - next, from = k;
                FactorDiagonal(a, size, k, rows);
                if (rest == 0) break;
                Parallel.For(0, (rest + Chunk - 1) / Chunk, parallel, c =>
                {
                    int first = next + c * Chunk, columns = Math.Min(Chunk, size - first);
                    Solve((double*)address, size, from, rows, first, columns);
                    Pack((double*)address, size, from, rows, first, columns, (double*)packedAddress + (long)(first - next) * rows);
                });
                SymmetricUpdate.Add(p, rows, a, size, next, -1, parallel);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void FactorDiagonal(double* a, long size, int k, int rows)
    {
        for (int j = 0; j < rows; j++)
        {
            double* row = a + (k + j) * size + k;
            double pivot = row[j];
            if (!(pivot > 0) || !double.IsFinite(pivot))
            {
                throw new NonFiniteException(
                    "second moment",
                    FormattableString.Invariant(
                    $"pivot {pivot} at feature {k + j}: the damped matrix is not positive definite. Use more damping, or look for huge activations."));
            }

            double inverse = 1 / Math.Sqrt(pivot);
            for (int c = j; c < rows; c++) row[c] *= inverse;
            for (int i = j + 1; i < rows; i++)
            {
                double* other = a + (k + i) * size + k;
                double factor = row[i];
                for (int c = i; c < rows; c++) other[c] -= factor * row[c];
            }
        }
    }

    // Rows k .. k + rows of the given columns become R11'^-1 A12.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Solve(double* a, long size, int k, int rows, int first, int columns)
    {
        for (int j = 0; j < rows; j++)
        {
            double* row = a + (k + j) * size;
            Vector512<double> inverse = Vector512.Create(1 / row[k + j]);
            for (int c = first; c < first + columns; c += Vector512<double>.Count) (Vector512.Load(row + c) * inverse).Store(row + c);
            for (int i = j + 1; i < rows; i++)
            {
                double* other = a + (k + i) * size;
                Vector512<double> factor = Vector512.Create(-row[k + i]);
                for (int c = first; c < first + columns; c += Vector512<double>.Count)
                {
                    Vector512.MultiplyAddEstimate(factor, Vector512.Load(row + c), Vector512.Load(other + c)).Store(other + c);
                }
            }
        }
    }

    private static void Pack(double* a, long size, int k, int rows, int first, int columns, double* packed)
    {
        const int strip = SymmetricUpdate.Strip;
        for (int s = 0; s < columns / strip; s++)
        {
            for (int j = 0; j < rows; j++, packed += strip)
            {
                new Span<double>(a + (k + j) * size + first + s * strip, strip).CopyTo(new Span<double>(packed, strip));
            }
        }
    }
}
