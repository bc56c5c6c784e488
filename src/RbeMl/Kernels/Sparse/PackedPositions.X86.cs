using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using RbeMl.Numerics;

namespace RbeMl.Kernels;

/// <content>Rows on AVX-512, whose permutations reach into two registers.</content>
internal sealed unsafe partial class PackedPositions
{
    // The sums of a group stay in registers; a cell's sums by rank are then picked by the ranks of its rows.
    [SkipLocalsInit]
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void RowInRegisters<TPairs>(byte* cell, uint* masks, float* x, int columns, float* y, int rows)
        where TPairs : struct, IPairs
    {
        float* sums = stackalloc float[PositionCell.Columns];
        for (int first = 0; first < columns; first += PositionCell.Columns, x += PositionCell.Columns)
        {
            bool whole = columns - first >= PositionCell.Columns;
            Vector512<float> x0 = Vector512.Load(x), x1 = Vector512.Load(x + 16);
            Vector512<float> x2 = whole ? Vector512.Load(x + 32) : x0, x3 = whole ? Vector512.Load(x + 48) : x1;
            byte* ranks = cell + PositionCell.Header, step = ranks + rows, column = step + cell[0] + cell[1] + cell[2] + cell[3];
            byte* value = column + (2 * Unsafe.ReadUnaligned<ushort>(cell + PositionCell.Groups));
            Prefetch.Near(cell + Ahead);
            Prefetch.Near(cell + Ahead + 64);
            for (int group = 0; group < rows / Lanes; group++)
            {
                Vector512<float> even = Vector512<float>.Zero, odd = even;
                for (byte* end = step + cell[group]; step < end; step++)
                {
                    nint lanes = *step;
                    Vector512<uint> index = Avx512F.ConvertToVector512UInt32(Vector256.Load((ushort*)column));
                    TPairs.Load(value, lanes, Vector512.Load(masks + Lanes - lanes), out Vector512<float> a, out Vector512<float> b);
                    TPairs.PrefetchPairs(value + Ahead);
                    Prefetch.Near(column + Ahead);
                    even = Vector512.FusedMultiplyAdd(a, Pick(index, Vector512.Create(32u), x0, x1, x2, x3), even);
                    odd = Vector512.FusedMultiplyAdd(b, Pick(index >> 8, Vector512.Create(32u), x0, x1, x2, x3), odd);
                    column += 2 * lanes;
                    value += 2 * lanes * TPairs.Size;
                }

                (even + odd).Store(sums + (group * Lanes));
            }

            (x0, x1, x2, x3) = (Vector512.Load(sums), Vector512.Load(sums + 16), Vector512.Load(sums + 32), Vector512.Load(sums + 48));
            for (int r = 0; r < rows; r += Lanes)
            {
                Vector512<uint> index = Avx512F.ConvertToVector512UInt32(Vector128.Load(ranks + r));
                (Vector512.Load(y + r) + Pick(index, Vector512.Create(32u), x0, x1, x2, x3)).Store(y + r);
            }

            cell = value;
        }
    }

    // Lanes of x by number: a permutation takes the lowest five bits, and the sixth chooses between two.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Pick(Vector512<uint> index, Vector512<uint> sixth, Vector512<float> x0, Vector512<float> x1,
        Vector512<float> x2, Vector512<float> x3)
    {
        Vector512<float> low = Avx512F.PermuteVar16x32x2(x0, index.AsInt32(), x1), high = Avx512F.PermuteVar16x32x2(x2, index.AsInt32(), x3);
        return Vector512.ConditionalSelect(Vector512.Equals(index & sixth, Vector512<uint>.Zero).AsSingle(), low, high);
    }
}
