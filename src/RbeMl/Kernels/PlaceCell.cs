using System.Runtime.CompilerServices;
using RbeMl.Codec;

namespace RbeMl.Kernels;

/// <summary>
/// Single places of a cell, up to 64 x 64 coefficients, as <see cref="SparsePlaceSlab"/> stores them. Its rows are ranked by how many places they have, most
/// first, and sixteen ranks are a group. Step s of a group takes place s of each of its rows that have so many: they are the group's first lanes, so nothing is
/// stored for the others. In bytes: steps of each group [4]; the number of places [2]; the rank of each row [rows]; lanes of each step; columns of all lanes; values of all lanes.
/// </summary>
/// <param name="pattern">The matrix.</param>
/// <param name="rows">Rows of a cell: 32 or 64.</param>
internal sealed unsafe class PlaceCell(SparsePattern pattern, int rows)
{
    /// <summary>Columns of a cell.</summary>
    public const int Columns = 64;

    /// <summary>Rows of a group.</summary>
    public const int Lanes = 16;

    /// <summary>Bytes before the ranks.</summary>
    public const int Header = Groups + sizeof(ushort);

    /// <summary>Groups that a cell has at most; others have no steps.</summary>
    public const int Groups = Columns / Lanes;

    private readonly List<(int Row, int Column, int Entry)> _places = [];
    private readonly int[] _first = new int[rows + 1];
    private readonly int[] _order = new int[rows];

    /// <summary>Steps of all groups.</summary>
    private int Steps => Enumerable.Range(0, rows / Lanes).Sum(StepsOf);

    /// <summary>Gathers the places of a cell, of which <paramref name="rowBlock"/> and <paramref name="column"/> count the ones above and left of it.</summary>
    public void Load(int rowBlock, int column)
    {
        CoefficientSupport support = pattern.Support;
        int tile = support.Tile, firstRow = rowBlock * rows, firstColumn = column * Columns, end = Math.Min(firstColumn + Columns, pattern.TileColumns * tile);
        _places.Clear();
        for (int j = firstColumn / tile; j * tile < end; j++)
        {
            int t = (firstRow / tile * pattern.TileColumns) + j;
            ReadOnlySpan<ushort> starts = support.StartsOf(t);
            for (int e = 0; e < starts.Length; e++)
            {
                int r = (starts[e] / tile) - (firstRow % tile), c = (j * tile) + (starts[e] % tile) - firstColumn;
                if ((uint)r < rows && (uint)c < Columns) _places.Add((r, c, (t * support.RunsPerTile) + e));
            }
        }

        // Of one row the places of one tile ascend and those of the next tile follow.
        _places.Sort();
        Array.Clear(_first);
        foreach ((int row, _, _) in _places) _first[row + 1]++;
        for (int r = 0; r < rows; r++) _first[r + 1] += _first[r];
        for (int r = 0; r < rows; r++) _order[r] = r;
        Array.Sort(_order, (a, b) => CountOf(a) != CountOf(b) ? CountOf(b) - CountOf(a) : a - b);
    }

    /// <summary>Bytes of the loaded cell.</summary>
    public long Bytes(int valueSize) => Header + rows + Steps + ((long)_places.Count * (1 + valueSize));

    /// <summary>Writes the loaded cell and returns its end.</summary>
    public byte* Write(ReadOnlySpan<float> values, WeightPrecision precision, byte* to)
    {
        int valueSize = SparsePlaceSlab.SizeOf(precision);
        byte* ranks = to + Header, step = ranks + rows, column = step + Steps, value = column + _places.Count;
        for (int group = 0; group < Groups; group++) to[group] = (byte)(group < rows / Lanes ? StepsOf(group) : 0);
        Unsafe.WriteUnaligned(to + Groups, (ushort)_places.Count);
        for (int rank = 0; rank < rows; rank++) ranks[_order[rank]] = (byte)rank;
        for (int group = 0; group < rows / Lanes; group++)
        {
            for (int s = 0; s < StepsOf(group); s++)
            {
                int lanes = 0;
                for (; lanes < Lanes && CountOf(_order[(group * Lanes) + lanes]) > s; lanes++, value += valueSize)
                {
                    (_, int c, int entry) = _places[_first[_order[(group * Lanes) + lanes]] + s];
                    *column++ = (byte)c;
                    if (precision == WeightPrecision.Float32) Unsafe.WriteUnaligned(value, values[entry]);
                    else Unsafe.WriteUnaligned(value, WeightRounding.ToBFloat16(values[entry]));
                }

                *step++ = (byte)lanes;
            }
        }

        return value;
    }

    private int CountOf(int row) => _first[row + 1] - _first[row];

    private int StepsOf(int group) => CountOf(_order[group * Lanes]);
}
