using System.Runtime.CompilerServices;
using RbeMl.Numerics;

namespace RbeMl.Kernels;

/// <summary>
/// y^ += C x^ of a single token, from the values where training keeps them: they lie in the order of the walk. A run is a vector of output rows that
/// is multiplied with one number of x^.
/// </summary>
internal static unsafe class VectorSparse
{
    /// <summary>y <c>[tile]</c> += row <paramref name="tileRow"/> of the tiles of C times x <c>[columns][tile]</c>.</summary>
    public static void Multiply(SparsityPattern pattern, float* values, int tileRow, float* x, float* y)
    {
        int length = pattern.Support.RunLength;
        if (length == 1) Places(pattern, values, tileRow, x, y);
        else Wide.Run(Math.Min(Wide.Lanes, length), new RunsWork(pattern, values, tileRow, x, y));
        GC.KeepAlive(pattern); // its native memory
    }

    private readonly struct RunsWork(SparsityPattern pattern, float* values, int tileRow, float* x, float* y) : ILaneWork
    {
        public void Run<TLanes>()
            where TLanes : unmanaged, ILanes<TLanes> => Runs<TLanes>(pattern, values, tileRow, x, y);
    }

    // The runs of a tile ascend by row, so those of one group of rows follow each other.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Runs<TLanes>(SparsityPattern pattern, float* values, int tileRow, float* x, float* y)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        int tile = pattern.Support.Tile, length = pattern.Support.RunLength, runs = pattern.Support.RunsPerTile, columns = pattern.TileColumns,
            mask = tile - 1, shift = tile == 32 ? 5 : tile == 64 ? 6 : 7;
        long firstRun = (long)tileRow * columns * runs;
        fixed (ushort* starts = pattern.Support.Starts.AsSpan())
        {
            ushort* run = starts + firstRun;
            float* value = values + (firstRun * length);
            for (int j = 0; j < columns; j++, x += tile)
            {
                ushort* end = run + runs;
                while (run < end)
                {
                    int group = *run >> shift, limit = (group + 1) << shift;
                    ushort* last = run;
                    while (last < end && *last < limit) last++;
                    for (int part = 0; part < length; part += TLanes.Count)
                    {
                        TLanes sum = TLanes.Load(y + group + part);
                        float* v = value + part;
                        for (ushort* r = run; r < last; r++, v += length) sum = TLanes.Fma(TLanes.Load(v), TLanes.Set(x[*r & mask]), sum);
                        TLanes.Store(sum, y + group + part);
                    }

                    value += (last - run) * length;
                    run = last;
                }
            }
        }
    }

    // Three loops of straight-line steps, as in SparseKernelPlaces.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Places(SparsityPattern pattern, float* values, int tileRow, float* x, float* y)
    {
        SparsePositionOrder order = pattern.Rows!;
        int places = pattern.Support.RunsPerTile, tile = pattern.Support.Tile;
        for (int j = 0; j < pattern.TileColumns; j++, x += tile)
        {
            long t = ((long)tileRow * pattern.TileColumns) + j;
            byte* column = order.Across + (t * places);
            float* value = values + (t * places);
            int* starts = order.Starts + (3 * t);
            PositionStep* step = order.Steps + starts[0], twos = order.Steps + starts[1], ones = order.Steps + starts[2], end = order.Steps + starts[3];
            for (; step < twos; step++)
            {
                byte* c = column + step->Entry;
                float* v = value + step->Entry;
                y[step->Line] += (v[0] * x[c[0]]) + (v[1] * x[c[1]]) + ((v[2] * x[c[2]]) + (v[3] * x[c[3]]));
            }

            for (; step < ones; step++) y[step->Line] += (value[step->Entry] * x[column[step->Entry]]) + (value[step->Entry + 1] * x[column[step->Entry + 1]]);
            for (; step < end; step++) y[step->Line] += value[step->Entry] * x[column[step->Entry]];
        }
    }
}
