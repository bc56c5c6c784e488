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
/// Transposed: a tile's pairs of neighbours (two columns, the same rows), then its other runs.
/// </summary>
internal sealed unsafe class SparseRunOrder : IDisposable
{
    private readonly NativeBuffer<RunStep> _steps;
    private readonly NativeBuffer<int> _starts;
    private readonly NativeBuffer<ushort> _pairs;
    private readonly NativeBuffer<int> _pairStarts;
    private readonly int _tileColumns;

    internal SparseRunOrder(CoefficientSupport support, int tileRows, int tileColumns)
    {
        const int Range = ushort.MaxValue + 1;
        _tileColumns = tileColumns;
        Groups = support.Tile / support.RunLength;
        Segment = Math.Min(Range / support.Tile, Range / Math.Max(1, support.RunsPerTile));
        _steps = new NativeBuffer<RunStep>(support.Starts.Length);
        _starts = new NativeBuffer<int>((long)tileRows * Groups * (tileColumns + 1));
        _pairs = new NativeBuffer<ushort>(support.Starts.Length);
        _pairStarts = new NativeBuffer<int>(2L * support.TileCount + 1);
        BuildForward(support, tileRows);
        BuildTransposed(support);
    }

    /// <summary>Groups of L rows in a tile.</summary>
    internal int Groups { get; }

    /// <summary>Tile columns of a segment.</summary>
    internal int Segment { get; }

    /// <summary>Runs as <see cref="StartsOf"/> points into them.</summary>
    internal RunStep* Steps => _steps.Pointer;

    /// <summary>Indices of first runs of transposed steps: runs r and r + 1 for a pair.</summary>
    internal ushort* Pairs => _pairs.Pointer;

    /// <summary><c>[2 tiles + 1]</c>: tile t's pairs start at 2t and its single runs at 2t + 1.</summary>
    internal int* PairStarts => _pairStarts.Pointer;

    internal long Bytes => _steps.Length * sizeof(RunStep) + (_starts.Length + _pairStarts.Length) * sizeof(int) + _pairs.Length * sizeof(ushort);

    public void Dispose()
    {
        _steps.Dispose();
        _starts.Dispose();
        _pairs.Dispose();
        _pairStarts.Dispose();
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
                        _steps.Pointer[step++] = new RunStep((ushort)(inSegment * support.Tile + places[r] % support.Tile), (ushort)(inSegment * support.RunsPerTile + r));
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
            for (int pass = 0; pass < 2; pass++)
            {
                _pairStarts.Pointer[2 * t + pass] = next;
                for (int r = 0; r < places.Length; r++)
                {
                    bool paired = r + 1 < places.Length && places[r] / groupPlaces == places[r + 1] / groupPlaces;
                    if (paired == (pass == 0)) _pairs.Pointer[next++] = (ushort)r;
                    if (paired) r++;
                }
            }
        }

        _pairStarts.Pointer[2 * support.TileCount] = next;
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
