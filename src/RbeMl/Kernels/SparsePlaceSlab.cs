using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using RbeMl.Memory;

namespace RbeMl.Kernels;

/// <summary>
/// Single places as a single token meets them: a lane is an output row, and a step multiplies one coefficient of each of sixteen rows with inputs that are picked
/// out of registers by column. Cells (<see cref="PlaceCell"/>) of a row lie one after the other, so memory is read front to back. All widths give the same bits.
/// </summary>
internal sealed unsafe class SparsePlaceSlab : ISparseSlab
{
    private const int Lanes = PlaceCell.Lanes;
    private const int Ahead = 4096; // bytes
    private const int Margin = 64; // that the last step may read beyond
    private readonly int _rows;
    private readonly int _rowBlocks;
    private readonly int _columns;
    private readonly WeightPrecision _precision;
    private readonly NativeBuffer<long> _starts;
    private readonly NativeBuffer<byte> _cells;
    private readonly NativeBuffer<uint> _masks;

    /// <summary>Copies the values <c>[tile][place]</c>.</summary>
    public SparsePlaceSlab(SparsePattern pattern, ReadOnlySpan<float> values, WeightPrecision precision)
    {
        int tile = pattern.Support.Tile;
        _rows = Math.Min(tile, PlaceCell.Columns);
        _rowBlocks = tile / _rows;
        _columns = pattern.TileColumns * tile;
        _precision = precision;
        PlaceCell cell = new(pattern, _rows);
        int blocks = pattern.TileRows * _rowBlocks, cells = (_columns + PlaceCell.Columns - 1) / PlaceCell.Columns;
        _starts = new NativeBuffer<long>(blocks);
        long bytes = 0;
        for (int block = 0; block < blocks; block++)
        {
            _starts.Pointer[block] = bytes;
            for (int c = 0; c < cells; c++)
            {
                cell.Load(block, c);
                bytes += cell.Bytes(SizeOf(precision));
            }
        }

        _cells = new NativeBuffer<byte>(bytes + Margin);
        byte* to = _cells.Pointer;
        for (int block = 0; block < blocks; block++)
        {
            for (int c = 0; c < cells; c++)
            {
                cell.Load(block, c);
                to = cell.Write(values, precision, to);
            }
        }

        // From number 16 - n on: the mask of the first n lanes.
        _masks = new NativeBuffer<uint>(2 * Lanes);
        _masks.Span[..Lanes].Fill(uint.MaxValue);
    }

    /// <inheritdoc/>
    public long Bytes => (_starts.Length * sizeof(long)) + _cells.Length + (_masks.Length * sizeof(uint));

    /// <summary>Bytes of a value.</summary>
    public static int SizeOf(WeightPrecision precision) => precision == WeightPrecision.Float32 ? sizeof(float) : sizeof(ushort);

    /// <inheritdoc/>
    public void Multiply(int tileRow, float* x, float* y)
    {
        bool rounded = _precision == WeightPrecision.BFloat16;
        if (Vector512.IsHardwareAccelerated)
        {
            if (rounded) Run<Lanes512, SparseSlab.RoundedValues>(tileRow, x, y);
            else Run<Lanes512, SparseSlab.FloatValues>(tileRow, x, y);
        }
        else if (Vector256.IsHardwareAccelerated && Fma.IsSupported)
        {
            if (rounded) Run<Lanes256, SparseSlab.RoundedValues>(tileRow, x, y);
            else Run<Lanes256, SparseSlab.FloatValues>(tileRow, x, y);
        }
        else if (rounded) Run<LanesScalar, SparseSlab.RoundedValues>(tileRow, x, y);
        else Run<LanesScalar, SparseSlab.FloatValues>(tileRow, x, y);
        GC.KeepAlive(this); // its native memory
    }

    internal void Run<TLanes, TValues>(int tileRow, float* x, float* y)
        where TLanes : unmanaged, ILanes<TLanes>
        where TValues : struct, SparseSlab.IValues
    {
        for (int block = 0; block < _rowBlocks; block++, y += _rows)
        {
            byte* cells = _cells.Pointer + _starts.Pointer[(tileRow * _rowBlocks) + block];
            if (typeof(TLanes) == typeof(Lanes512)) RowInRegisters<TValues>(cells, _masks.Pointer, x, _columns, y, _rows);
            else Row<TLanes, TValues>(cells, x, _columns, y, _rows);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _starts.Dispose();
        _cells.Dispose();
        _masks.Dispose();
    }

    // The sums of a group stay in a register; a cell's sums by rank are then picked by the ranks of its rows.
    [SkipLocalsInit]
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void RowInRegisters<TValues>(byte* cell, uint* masks, float* x, int columns, float* y, int rows)
        where TValues : struct, SparseSlab.IValues
    {
        float* sums = stackalloc float[PlaceCell.Columns];
        for (int first = 0; first < columns; first += PlaceCell.Columns, x += PlaceCell.Columns)
        {
            bool whole = columns - first >= PlaceCell.Columns;
            Vector512<float> x0 = Vector512.Load(x), x1 = Vector512.Load(x + 16);
            Vector512<float> x2 = whole ? Vector512.Load(x + 32) : x0, x3 = whole ? Vector512.Load(x + 48) : x1;
            byte* ranks = cell + PlaceCell.Header, step = ranks + rows, column = step + cell[0] + cell[1] + cell[2] + cell[3];
            byte* value = column + Unsafe.ReadUnaligned<ushort>(cell + PlaceCell.Groups);
            Sse.Prefetch0(cell + Ahead);
            Sse.Prefetch0(cell + Ahead + 64);
            for (int group = 0; group < rows / Lanes; group++)
            {
                Vector512<float> sum = Vector512<float>.Zero;
                for (byte* end = step + cell[group]; step < end; step++)
                {
                    int lanes = *step;
                    Vector512<int> index = Avx512F.ConvertToVector512Int32(Vector128.Load(column));
                    Vector512<uint> coefficients = TValues.Load<Lanes512>((ushort*)value).V.AsUInt32() & Vector512.Load(masks + Lanes - lanes);
                    Sse.Prefetch0(value + Ahead);
                    Sse.Prefetch0(column + Ahead);
                    sum = Vector512.FusedMultiplyAdd(coefficients.AsSingle(), Pick(index, x0, x1, x2, x3), sum);
                    column += lanes;
                    value += lanes * TValues.Size * sizeof(ushort);
                }

                sum.Store(sums + (group * Lanes));
            }

            (x0, x1, x2, x3) = (Vector512.Load(sums), Vector512.Load(sums + 16), Vector512.Load(sums + 32), Vector512.Load(sums + 48));
            for (int r = 0; r < rows; r += Lanes)
            {
                Vector512<int> index = Avx512F.ConvertToVector512Int32(Vector128.Load(ranks + r));
                (Vector512.Load(y + r) + Pick(index, x0, x1, x2, x3)).Store(y + r);
            }

            cell = value;
        }
    }

    // Lanes of x by number; bits beyond 6 are of no meaning to the permutations, but lanes with them are not used.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Pick(Vector512<int> index, Vector512<float> x0, Vector512<float> x1, Vector512<float> x2, Vector512<float> x3)
    {
        Vector512<float> low = Avx512F.PermuteVar16x32x2(x0, index, x1), high = Avx512F.PermuteVar16x32x2(x2, index, x3);
        return Vector512.ConditionalSelect(Vector512.LessThan(index, Vector512.Create(32)).AsSingle(), low, high);
    }

    [SkipLocalsInit]
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Row<TLanes, TValues>(byte* cell, float* x, int columns, float* y, int rows)
        where TLanes : unmanaged, ILanes<TLanes>
        where TValues : struct, SparseSlab.IValues
    {
        float* sums = stackalloc float[PlaceCell.Columns];
        for (int first = 0; first < columns; first += PlaceCell.Columns, x += PlaceCell.Columns)
        {
            byte* ranks = cell + PlaceCell.Header, step = ranks + rows, column = step + cell[0] + cell[1] + cell[2] + cell[3];
            ushort* value = (ushort*)(column + Unsafe.ReadUnaligned<ushort>(cell + PlaceCell.Groups));
            new Span<float>(sums, rows).Clear();
            for (int group = 0; group < rows / Lanes; group++)
            {
                float* sum = sums + (group * Lanes);
                for (byte* end = step + cell[group]; step < end; step++)
                {
                    int lanes = *step, lane = 0;
                    for (; Eight<TLanes>() && lane + 8 <= lanes; lane += 8)
                    {
                        Vector256<float> picked = Vector256.Create(
                            x[column[lane]], x[column[lane + 1]], x[column[lane + 2]], x[column[lane + 3]], x[column[lane + 4]], x[column[lane + 5]], x[column[lane + 6]], x[column[lane + 7]]);
                        Lanes256 total = Lanes256.Fma(TValues.Load<Lanes256>(value + (lane * TValues.Size)), new Lanes256(picked), Lanes256.Load(sum + lane));
                        Lanes256.Store(total, sum + lane);
                    }

                    for (; lane < lanes; lane++)
                    {
                        sum[lane] = MathF.FusedMultiplyAdd(TValues.Load<LanesScalar>(value + (lane * TValues.Size)).V, x[column[lane]], sum[lane]);
                    }

                    column += lanes;
                    value += lanes * TValues.Size;
                }
            }

            for (int r = 0; r < rows; r++) y[r] += sums[ranks[r]];
            cell = (byte*)value;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool Eight<TLanes>() => typeof(TLanes) == typeof(Lanes256);
}
