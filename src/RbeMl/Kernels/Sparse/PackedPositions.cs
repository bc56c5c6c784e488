using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using RbeMl.Memory;
using RbeMl.Numerics;

namespace RbeMl.Kernels;

/// <summary>
/// Single places as a single token meets them: a lane is an output row, and a step multiplies one coefficient of each of sixteen rows with
/// inputs that are picked out of registers by column. Cells (<see cref="PositionCell"/>) of a row lie one after the other, so memory is
/// read front to back. All widths give the same bits.
/// </summary>
internal sealed unsafe partial class PackedPositions : IPackedSparse
{
    private const int Lanes = PositionCell.Lanes;
    private const int Ahead = 2048; // bytes
    private const int Margin = 128; // that the last step may read beyond
    private readonly int _rows;
    private readonly int _rowBlocks;
    private readonly int _columns;
    private readonly WeightPrecision _precision;
    private readonly NativeBuffer<long> _starts;
    private readonly NativeBuffer<byte> _cells;
    private readonly NativeBuffer<uint> _masks;

    /// <summary>Copies the values <c>[tile][place]</c>.</summary>
    public PackedPositions(SparsityPattern pattern, ReadOnlySpan<float> values, WeightPrecision precision)
    {
        int tile = pattern.Support.Tile;
        _rows = Math.Min(tile, PositionCell.Columns);
        _rowBlocks = tile / _rows;
        _columns = pattern.TileColumns * tile;
        _precision = precision;
        PositionCell cell = new(pattern, _rows);
        int blocks = pattern.TileRows * _rowBlocks, cells = (_columns + PositionCell.Columns - 1) / PositionCell.Columns;
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
    public long Bytes => _starts.AllocatedBytes + _cells.AllocatedBytes + _masks.AllocatedBytes;

    /// <summary>Bytes of a value.</summary>
    public static int SizeOf(WeightPrecision precision) => precision == WeightPrecision.Float32 ? sizeof(float) : sizeof(ushort);

    /// <inheritdoc/>
    public void Multiply(int tileRow, float* x, float* y)
    {
        Wide.Run(new MultiplyWork(this, tileRow, x, y));
        GC.KeepAlive(this); // its native memory
    }

    private void Run<TLanes, TPairs>(int tileRow, float* x, float* y)
        where TLanes : unmanaged, ILanes<TLanes>
        where TPairs : struct, IPairs
    {
        for (int block = 0; block < _rowBlocks; block++, y += _rows)
        {
            byte* cells = _cells.Pointer + _starts.Pointer[(tileRow * _rowBlocks) + block];
            if (typeof(TLanes) == typeof(Lanes512)) RowInRegisters<TPairs>(cells, _masks.Pointer, x, _columns, y, _rows);
            else Row<TPairs>(cells, x, _columns, y, _rows);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _starts.Dispose();
        _cells.Dispose();
        _masks.Dispose();
    }

    [SkipLocalsInit]
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Row<TPairs>(byte* cell, float* x, int columns, float* y, int rows)
        where TPairs : struct, IPairs
    {
        float* sums = stackalloc float[2 * PositionCell.Columns];
        for (int first = 0; first < columns; first += PositionCell.Columns, x += PositionCell.Columns)
        {
            byte* ranks = cell + PositionCell.Header, step = ranks + rows, column = step + cell[0] + cell[1] + cell[2] + cell[3];
            byte* value = column + (2 * Unsafe.ReadUnaligned<ushort>(cell + PositionCell.Groups));
            new Span<float>(sums, 2 * PositionCell.Columns).Clear();
            for (int group = 0; group < rows / Lanes; group++)
            {
                float* even = sums + (group * Lanes), odd = even + PositionCell.Columns;
                for (byte* end = step + cell[group]; step < end; step++)
                {
                    int lanes = *step;
                    for (int lane = 0; lane < lanes; lane++, column += 2)
                    {
                        even[lane] = MathF.FusedMultiplyAdd(TPairs.First(value, lanes, lane), x[column[0]], even[lane]);
                        odd[lane] = MathF.FusedMultiplyAdd(TPairs.Second(value, lanes, lane), x[column[1]], odd[lane]);
                    }

                    value += 2 * lanes * TPairs.Size;
                }
            }

            for (int r = 0; r < rows; r++) y[r] += sums[ranks[r]] + sums[PositionCell.Columns + ranks[r]];
            cell = value;
        }
    }

    internal readonly struct MultiplyWork(PackedPositions packed, int tileRow, float* x, float* y) : ILaneWork
    {
        public void Run<TLanes>()
            where TLanes : unmanaged, ILanes<TLanes>
        {
            if (packed._precision == WeightPrecision.Float32) packed.Run<TLanes, FloatPairs>(tileRow, x, y);
            else packed.Run<TLanes, RoundedPairs>(tileRow, x, y);
        }
    }

    /// <summary>How the coefficients of a step are stored.</summary>
    private interface IPairs
    {
        /// <summary>Bytes of a coefficient.</summary>
        static abstract int Size { get; }

        /// <summary>Both coefficients of the first lanes, 0 in the others.</summary>
        static abstract void Load(byte* value, nint lanes, Vector512<uint> mask, out Vector512<float> first, out Vector512<float> second);

        static abstract void PrefetchPairs(byte* value);

        static abstract float First(byte* value, int lanes, int lane);

        static abstract float Second(byte* value, int lanes, int lane);
    }

    private readonly struct FloatPairs : IPairs
    {
        public static int Size => sizeof(float);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Load(byte* value, nint lanes, Vector512<uint> mask, out Vector512<float> first, out Vector512<float> second)
        {
            first = (Vector512.Load((uint*)value) & mask).AsSingle();
            second = (Vector512.Load((uint*)value + lanes) & mask).AsSingle();
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void PrefetchPairs(byte* value)
        {
            Prefetch.Near(value);
            Prefetch.Near(value + 64);
        }

        public static float First(byte* value, int lanes, int lane) => Unsafe.ReadUnaligned<float>(value + (lane * sizeof(float)));

        public static float Second(byte* value, int lanes, int lane) => Unsafe.ReadUnaligned<float>(value + ((lanes + lane) * sizeof(float)));
    }

    private readonly struct RoundedPairs : IPairs
    {
        public static int Size => sizeof(ushort);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Load(byte* value, nint lanes, Vector512<uint> mask, out Vector512<float> first, out Vector512<float> second)
        {
            Vector512<uint> both = Vector512.Load((uint*)value) & mask;
            first = (both << 16).AsSingle();
            second = (both & Vector512.Create(0xFFFF0000)).AsSingle();
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void PrefetchPairs(byte* value) => Prefetch.Near(value);

        public static float First(byte* value, int lanes, int lane) =>
            WeightRounding.FromBFloat16(Unsafe.ReadUnaligned<ushort>(value + (2 * lane * sizeof(ushort))));

        public static float Second(byte* value, int lanes, int lane) =>
            WeightRounding.FromBFloat16(Unsafe.ReadUnaligned<ushort>(value + (((2 * lane) + 1) * sizeof(ushort))));
    }
}
