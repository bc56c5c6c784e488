using System.Numerics;
using System.Runtime.CompilerServices;
using RbeMl.Codec;
using RbeMl.Memory;

namespace RbeMl.Kernels;

/// <summary>Four, two or one consecutive entries of one line of a tile.</summary>
/// <param name="Line">Row, or column when by column.</param>
/// <param name="Entry">First entry.</param>
internal readonly record struct PositionStep(ushort Line, ushort Entry);

/// <summary>
/// Single places of every tile by line (row or column). A line's entries are cut into steps of four, then two, then one; a tile's steps are sorted
/// by size, so that a kernel has three loops of straight-line steps and no branch that depends on the length of a line. Orders are built when a model
/// is loaded, so this counts and places, and sorts nothing.
/// </summary>
internal sealed unsafe class SparsePositionOrder : IDisposable
{
    private const int Sizes = 3;
    private readonly NativeBuffer<byte> _across;
    private readonly NativeBuffer<ushort>? _values;
    private readonly NativeBuffer<PositionStep> _steps;
    private readonly NativeBuffer<int> _starts;

    internal SparsePositionOrder(CoefficientSupport support, bool byColumn)
    {
        _across = new NativeBuffer<byte>(support.Starts.Length);
        _values = byColumn ? new NativeBuffer<ushort>(support.Starts.Length) : null;
        _starts = new NativeBuffer<int>(((long)Sizes * support.TileCount) + 1);
        int* starts = _starts.Pointer, first = stackalloc int[support.Tile + 1];
        int steps = 0;
        for (int t = 0; t < support.TileCount; t++)
        {
            CountLines(support, t, byColumn, first);
            for (int pass = 0; pass < Sizes; pass++)
            {
                *starts++ = steps;
                for (int line = 0; line < support.Tile; line++) steps += StepsOf(first[line + 1] - first[line], pass);
            }
        }

        *starts = steps;
        _steps = new NativeBuffer<PositionStep>(steps);
        for (int t = 0; t < support.TileCount; t++) AddTile(support, t, byColumn, first);
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

    // Where the entries of each line start, and end after the last.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void CountLines(CoefficientSupport support, int tileIndex, bool byColumn, int* first)
    {
        int tile = support.Tile, shift = BitOperations.Log2((uint)tile);
        new Span<int>(first, tile + 1).Clear();
        foreach (ushort place in support.StartsOf(tileIndex)) first[1 + (byColumn ? place & (tile - 1) : place >> shift)]++;
        for (int line = 0; line < tile; line++) first[line + 1] += first[line];
    }

    // Steps of four, two or one entries of a line of so many.
    private static int StepsOf(int entries, int pass) => pass == 0 ? entries / 4 : (entries >> (Sizes - 1 - pass)) & 1;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void AddTile(CoefficientSupport support, int tileIndex, bool byColumn, int* first)
    {
        int tile = support.Tile, shift = BitOperations.Log2((uint)tile);
        ReadOnlySpan<ushort> places = support.StartsOf(tileIndex);
        CountLines(support, tileIndex, byColumn, first);
        PositionStep* step = _steps.Pointer + _starts.Pointer[Sizes * tileIndex];
        for (int pass = 0; pass < Sizes; pass++)
        {
            int size = 4 >> pass;
            for (int line = 0; line < tile; line++)
            {
                int count = first[line + 1] - first[line], entry = first[line] + (pass == 0 ? 0 : count / (2 * size) * (2 * size));
                for (int left = StepsOf(count, pass); left > 0; left--, entry += size) *step++ = new PositionStep((ushort)line, (ushort)entry);
            }
        }

        // Places ascend, so that rows do in a column.
        byte* across = _across.Pointer + ((long)tileIndex * places.Length);
        ushort* values = _values is null ? null : _values.Pointer + ((long)tileIndex * places.Length);
        for (int e = 0; e < places.Length; e++)
        {
            if (!byColumn)
            {
                across[e] = (byte)(places[e] & (tile - 1));
                continue;
            }

            int entry = first[places[e] & (tile - 1)]++;
            across[entry] = (byte)(places[e] >> shift);
            values[entry] = (ushort)e;
        }
    }
}
