using System.Runtime.CompilerServices;
using RbeMl.Memory;
using RbeMl.Numerics;

namespace RbeMl.Kernels;

/// <summary>
/// A copy of a matrix's runs of sixteen in the order in which a single token meets them: for every sixteen output rows the runs of all tile
/// columns, one after the other. So a sum stays in registers over the whole row of tiles, there is one loop in the place of one a tile, and
/// memory is read front to back.
/// </summary>
internal sealed unsafe class PackedRuns : IPackedSparse
{
    private const int Length = 16;
    private readonly int _groups;
    private readonly WeightPrecision _precision;
    private readonly NativeBuffer<int> _starts;
    private readonly NativeBuffer<ushort> _columns;
    private readonly NativeBuffer<ushort> _values;

    /// <summary>Copies the values <c>[tile][run][16]</c>.</summary>
    public PackedRuns(SparsityPattern pattern, ReadOnlySpan<float> values, WeightPrecision precision)
    {
        int tile = pattern.Support.Tile, runs = pattern.Support.RunsPerTile;
        _groups = tile / Length;
        _precision = precision;
        _starts = new NativeBuffer<int>((pattern.TileRows * _groups) + 1);
        _columns = new NativeBuffer<ushort>(pattern.Support.Starts.Length);
        _values = new NativeBuffer<ushort>((long)values.Length * (precision == WeightPrecision.Float32 ? 2 : 1));
        int next = 0;
        for (int i = 0; i < pattern.TileRows; i++)
        {
            for (int group = 0; group < _groups; group++)
            {
                _starts.Pointer[(i * _groups) + group] = next;
                for (int j = 0; j < pattern.TileColumns; j++)
                {
                    int t = (i * pattern.TileColumns) + j;
                    ReadOnlySpan<ushort> starts = pattern.Support.StartsOf(t);
                    for (int r = 0; r < runs; r++)
                    {
                        if (starts[r] / tile / Length != group) continue;
                        _columns.Pointer[next] = (ushort)((j * tile) + (starts[r] % tile));
                        Store(values.Slice(((t * runs) + r) * Length, Length), next++);
                    }
                }
            }
        }

        _starts.Pointer[pattern.TileRows * _groups] = next;
    }

    /// <summary>Whether a matrix is of runs of sixteen and its columns have numbers of 16 bits.</summary>
    public static bool Fits(SparsityPattern pattern) =>
        pattern.Support.RunLength == Length && pattern.TileColumns * pattern.Support.Tile <= ushort.MaxValue + 1;

    /// <inheritdoc/>
    public long Bytes => _starts.AllocatedBytes + _columns.AllocatedBytes + _values.AllocatedBytes;

    /// <inheritdoc/>
    public void Multiply(int tileRow, float* x, float* y)
    {
        Wide.Run(new MultiplyWork(this, tileRow, x, y));
        GC.KeepAlive(this); // its native memory
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _starts.Dispose();
        _columns.Dispose();
        _values.Dispose();
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Run<TLanes, TValues>(int tileRow, float* x, float* y)
        where TLanes : unmanaged, ILanes<TLanes>
        where TValues : struct, IValues
    {
        const int Ahead = 32; // runs
        for (int group = 0; group < _groups; group++)
        {
            int* start = _starts.Pointer + (tileRow * _groups) + group;
            ushort* end = _columns.Pointer + start[1];
            for (int part = 0; part < Length; part += TLanes.Count)
            {
                ushort* column = _columns.Pointer + start[0];
                ushort* value = _values.Pointer + ((((long)start[0] * Length) + part) * TValues.Size);
                TLanes a = TLanes.Zero, b = a, c = a, d = a;
                for (; column + 4 <= end; column += 4, value += 4 * Length * TValues.Size)
                {
                    if (part == 0)
                    {
                        Prefetch.Near(value + (Ahead * Length * TValues.Size));
                        Prefetch.Near(value + ((Ahead + 2) * Length * TValues.Size));
                    }

                    a = TLanes.Fma(TValues.Load<TLanes>(value), TLanes.Set(x[column[0]]), a);
                    b = TLanes.Fma(TValues.Load<TLanes>(value + (Length * TValues.Size)), TLanes.Set(x[column[1]]), b);
                    c = TLanes.Fma(TValues.Load<TLanes>(value + (2 * Length * TValues.Size)), TLanes.Set(x[column[2]]), c);
                    d = TLanes.Fma(TValues.Load<TLanes>(value + (3 * Length * TValues.Size)), TLanes.Set(x[column[3]]), d);
                }

                for (; column < end; column++, value += Length * TValues.Size) a = TLanes.Fma(TValues.Load<TLanes>(value), TLanes.Set(x[*column]), a);
                float* to = y + (group * Length) + part;
                TLanes.Store(TLanes.Add(TLanes.Load(to), TLanes.Add(TLanes.Add(a, b), TLanes.Add(c, d))), to);
            }
        }
    }

    private void Store(ReadOnlySpan<float> run, int index)
    {
        for (int k = 0; k < Length; k++)
        {
            long at = ((long)index * Length) + k;
            if (_precision == WeightPrecision.Float32) ((float*)_values.Pointer)[at] = run[k];
            else _values.Pointer[at] = WeightRounding.ToBFloat16(run[k]);
        }
    }

    internal readonly struct MultiplyWork(PackedRuns packed, int tileRow, float* x, float* y) : ILaneWork
    {
        public void Run<TLanes>()
            where TLanes : unmanaged, ILanes<TLanes>
        {
            if (packed._precision == WeightPrecision.Float32) packed.Run<TLanes, FloatValues>(tileRow, x, y);
            else packed.Run<TLanes, RoundedValues>(tileRow, x, y);
        }
    }

    /// <summary>How values are stored, in elements of 16 bits.</summary>
    private interface IValues
    {
        static abstract int Size { get; }

        static abstract TLanes Load<TLanes>(ushort* p)
            where TLanes : unmanaged, ILanes<TLanes>;
    }

    private readonly struct FloatValues : IValues
    {
        public static int Size => 2;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static TLanes Load<TLanes>(ushort* p)
            where TLanes : unmanaged, ILanes<TLanes> => TLanes.Load((float*)p);
    }

    private readonly struct RoundedValues : IValues
    {
        public static int Size => 1;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static TLanes Load<TLanes>(ushort* p)
            where TLanes : unmanaged, ILanes<TLanes> => TLanes.LoadBFloat16(p);
    }
}
