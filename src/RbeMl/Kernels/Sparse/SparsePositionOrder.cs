using RbeMl.Codec;
using RbeMl.Memory;

namespace RbeMl.Kernels;

/// <summary>Four, two or one consecutive entries of one line of a tile.</summary>
/// <param name="Line">Row, or column when by column.</param>
/// <param name="Entry">First entry.</param>
internal readonly record struct PositionStep(ushort Line, ushort Entry);

/// <summary>
/// Single places of every tile by line (row or column). A line's entries are cut into steps of four, then two, then one; a tile's steps are sorted
/// by size, so that a kernel has three loops of straight-line steps and no branch that depends on the length of a line.
/// </summary>
internal sealed unsafe class SparsePositionOrder : IDisposable
{
    private readonly NativeBuffer<byte> _across;
    private readonly NativeBuffer<ushort>? _values;
    private readonly NativeBuffer<PositionStep> _steps;
    private readonly NativeBuffer<int> _starts;

    internal SparsePositionOrder(CoefficientSupport support, bool byColumn)
    {
        _across = new NativeBuffer<byte>(support.Starts.Length);
        _values = byColumn ? new NativeBuffer<ushort>(support.Starts.Length) : null;
        _starts = new NativeBuffer<int>(3L * support.TileCount + 1);
        List<PositionStep> steps = [];
        for (int t = 0; t < support.TileCount; t++) AddTile(support, t, byColumn, steps);
        _starts.Pointer[3 * support.TileCount] = steps.Count;
        _steps = new NativeBuffer<PositionStep>(steps.Count);
        steps.CopyTo(_steps.Span);
    }

    /// <summary><c>[tile][K]</c>: the column of each entry, or its row when by column.</summary>
    internal byte* Across => _across.Pointer;

    /// <summary><c>[tile][K]</c>: which value an entry has, or null when entry e has value e.</summary>
    internal ushort* Values => _values is null ? null : _values.Pointer;

    internal PositionStep* Steps => _steps.Pointer;

    /// <summary><c>[3 tiles + 1]</c>: tile t's steps of four start at 3t, of two at 3t + 1, of one at 3t + 2.</summary>
    internal int* Starts => _starts.Pointer;

    internal long Bytes => _across.AllocatedBytes + (_values?.AllocatedBytes ?? 0) + _steps.AllocatedBytes + _starts.AllocatedBytes;

    public void Dispose()
    {
        _across.Dispose();
        _values?.Dispose();
        _steps.Dispose();
        _starts.Dispose();
    }

    private void AddTile(CoefficientSupport support, int t, bool byColumn, List<PositionStep> steps)
    {
        int tile = support.Tile;
        ushort[] places = support.StartsOf(t).ToArray();
        int[] order = [.. Enumerable.Range(0, places.Length)];
        if (byColumn) order = [.. order.OrderBy(e => places[e] % tile)]; // stable: rows ascend in a column
        int[] line = [.. order.Select(e => byColumn ? places[e] % tile : places[e] / tile)];
        long at = (long)t * support.RunsPerTile;
        for (int e = 0; e < order.Length; e++)
        {
            int place = places[order[e]];
            _across.Pointer[at + e] = (byte)(byColumn ? place / tile : place % tile);
            if (_values is not null) _values.Pointer[at + e] = (ushort)order[e];
        }

        for (int pass = 0; pass < 3; pass++)
        {
            int size = 4 >> pass;
            _starts.Pointer[3 * t + pass] = steps.Count;
            for (int e = 0, end; e < line.Length; e = end)
            {
                for (end = e; end < line.Length && line[end] == line[e];) end++;
                int count = end - e;
                int begin = e + (pass == 0 ? 0 : count / (2 * size) * (2 * size));
                for (; begin + size <= end; begin += size) steps.Add(new PositionStep((ushort)line[e], (ushort)begin));
            }
        }
    }
}
