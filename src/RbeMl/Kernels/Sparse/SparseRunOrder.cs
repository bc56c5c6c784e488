using RbeMl.Codec;
using RbeMl.Memory;

namespace RbeMl.Kernels;

/// <summary>A run in the order of <see cref="SparseRunOrder"/>, counted from the first tile of its segment.</summary>
/// <param name="Column">Input feature.</param>
/// <param name="Run">Index of the run.</param>
internal readonly record struct RunStep(ushort Column, ushort Run);

/// <summary>
/// Walk orders of runs. Forward: a group of L output rows meets its runs in all tile columns in one unbroken list, so that its sums stay in registers
/// and no short loop ends in a mispredicted branch. Tile columns come in segments short enough for 16-bit steps.
/// Transposed: a tile's steps of four neighbours (four columns, the same rows), then of two, then of one.
/// </summary>
internal sealed unsafe class SparseRunOrder : IDisposable
{
    private const int TransposedSizes = 3;
    private readonly NativeBuffer<RunStep> _steps;
    private readonly NativeBuffer<int> _starts;
    private readonly NativeBuffer<ushort> _transposed;
    private readonly NativeBuffer<int> _transposedStarts;
    private readonly int _tileColumns;

    internal SparseRunOrder(CoefficientSupport support, int tileRows, int tileColumns)
    {
        const int Range = ushort.MaxValue + 1;
        _tileColumns = tileColumns;
        Groups = support.Tile / support.RunLength;
        Segment = Math.Min(Range / support.Tile, Range / Math.Max(1, support.RunsPerTile));
        _steps = new NativeBuffer<RunStep>(support.Starts.Length);
        _starts = new NativeBuffer<int>((long)tileRows * Groups * (tileColumns + 1));
        _transposed = new NativeBuffer<ushort>(support.Starts.Length);
        _transposedStarts = new NativeBuffer<int>((long)TransposedSizes * support.TileCount + 1);
        BuildForward(support, tileRows);
        BuildTransposed(support);
    }

    /// <summary>Groups of L rows in a tile.</summary>
    internal int Groups { get; }

    /// <summary>Tile columns of a segment.</summary>
    internal int Segment { get; }

    /// <summary>Runs as <see cref="StartsOf"/> points into them.</summary>
    internal RunStep* Steps => _steps.Pointer;

    /// <summary>First run of each transposed step.</summary>
    internal ushort* Transposed => _transposed.Pointer;

    /// <summary><c>[3 tiles + 1]</c>: tile t's steps of four runs start at 3t, of two at 3t + 1, of one at 3t + 2.</summary>
    internal int* TransposedStarts => _transposedStarts.Pointer;

    internal long Bytes => _steps.AllocatedBytes + _starts.AllocatedBytes + _transposedStarts.AllocatedBytes + _transposed.AllocatedBytes;

    public void Dispose()
    {
        _steps.Dispose();
        _starts.Dispose();
        _transposed.Dispose();
        _transposedStarts.Dispose();
    }

    /// <summary><c>[TileColumns + 1]</c>: where the steps of each tile column start.</summary>
    internal int* StartsOf(int tileRow, int group) => _starts.Pointer + ((long)tileRow * Groups + group) * (_tileColumns + 1);

    private void BuildForward(CoefficientSupport support, int tileRows)
    {
        int groupPlaces = support.Tile * support.RunLength, step = 0;
        for (int i = 0; i < tileRows; i++)
        {
            for (int group = 0; group < Groups; group++)
            {
                int* starts = StartsOf(i, group);
                for (int j = 0; j < _tileColumns; j++)
                {
                    starts[j] = step;
                    int inSegment = j % Segment;
                    ReadOnlySpan<ushort> places = support.StartsOf(i * _tileColumns + j);
                    for (int r = LowerBound(places, group * groupPlaces); r < places.Length && places[r] / groupPlaces == group; r++)
                    {
                        _steps.Pointer[step++] =
                            new RunStep((ushort)(inSegment * support.Tile + places[r] % support.Tile), (ushort)(inSegment * support.RunsPerTile + r));
                    }
                }

                starts[_tileColumns] = step;
            }
        }
    }

    private void BuildTransposed(CoefficientSupport support)
    {
        int groupPlaces = support.Tile * support.RunLength, next = 0;
        for (int t = 0; t < support.TileCount; t++)
        {
            ReadOnlySpan<ushort> places = support.StartsOf(t);
            for (int pass = 0; pass < TransposedSizes; pass++)
            {
                int size = 4 >> pass;
                _transposedStarts.Pointer[TransposedSizes * t + pass] = next;
                for (int r = 0, end; r < places.Length; r = end)
                {
                    for (end = r; end < places.Length && places[end] / groupPlaces == places[r] / groupPlaces;) end++;
                    int begin = r + (pass == 0 ? 0 : (end - r) / (2 * size) * (2 * size));
                    for (; begin + size <= end; begin += size) _transposed.Pointer[next++] = (ushort)begin;
                }
            }
        }

        _transposedStarts.Pointer[TransposedSizes * support.TileCount] = next;
    }

    // Index of the first place that is at least value.
    private static int LowerBound(ReadOnlySpan<ushort> places, int value)
    {
        int low = 0, high = places.Length;
        while (low < high)
        {
            int middle = (low + high) / 2;
            if (places[middle] < value) low = middle + 1;
            else high = middle;
        }

        return low;
    }
}
