using System.Runtime.CompilerServices;
using RbeMl.Codec;

namespace RbeMl.Kernels;

/// <summary>
/// Single places of a cell, up to 64 x 64 coefficients, as <see cref="PackedPositions"/> stores them. Its rows are ranked by how many places they have, most
/// first, and sixteen ranks are a group. Step s of a group takes places 2s and 2s + 1 of each of its rows that have so many: they are the group's first lanes,
/// so nothing is stored for the others. A row with an odd number of places ends in a pair whose second coefficient is 0. In bytes: steps of each group [4]; the
/// number of pairs [2]; the rank of each row [rows]; lanes of each step; columns of all pairs [pairs][2]; their coefficients, in bfloat16 <c>[pairs][2]</c>, as
/// floats for each step <c>[2][lanes]</c>.
/// </summary>
/// <param name="pattern">The matrix.</param>
/// <param name="rows">Rows of a cell: 32 or 64.</param>
internal sealed unsafe class PositionCell(SparsityPattern pattern, int rows)
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

    private int Pairs => Enumerable.Range(0, rows).Sum(PairsOf);

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
    public long Bytes(int valueSize) => Header + rows + Steps + (2L * Pairs * (1 + valueSize));

    /// <summary>Writes the loaded cell and returns its end.</summary>
    public byte* Write(ReadOnlySpan<float> values, WeightPrecision precision, byte* to)
    {
        byte* ranks = to + Header, step = ranks + rows, column = step + Steps, value = column + (2 * Pairs);
        for (int group = 0; group < Groups; group++) to[group] = (byte)(group < rows / Lanes ? StepsOf(group) : 0);
        Unsafe.WriteUnaligned(to + Groups, (ushort)Pairs);
        for (int rank = 0; rank < rows; rank++) ranks[_order[rank]] = (byte)rank;
        for (int group = 0; group < rows / Lanes; group++)
        {
            for (int s = 0; s < StepsOf(group); s++)
            {
                int lanes = 0;
                while (lanes < Lanes && PairsOf(_order[(group * Lanes) + lanes]) > s) lanes++;
                *step++ = (byte)lanes;
                for (int lane = 0; lane < lanes; lane++)
                {
                    int row = _order[(group * Lanes) + lane], first = _first[row] + (2 * s);
                    bool isPair = first + 1 < _first[row + 1];
                    float a = values[_places[first].Entry], b = isPair ? values[_places[first + 1].Entry] : 0;
                    *column++ = (byte)_places[first].Column;
                    *column++ = (byte)_places[isPair ? first + 1 : first].Column;
                    if (precision == WeightPrecision.Float32)
                    {
                        Unsafe.WriteUnaligned(value + (lane * sizeof(float)), a);
                        Unsafe.WriteUnaligned(value + ((lanes + lane) * sizeof(float)), b);
                    }
                    else
                    {
                        Unsafe.WriteUnaligned(value + (2 * lane * sizeof(ushort)), WeightRounding.ToBFloat16(a));
                        Unsafe.WriteUnaligned(value + (((2 * lane) + 1) * sizeof(ushort)), WeightRounding.ToBFloat16(b));
                    }
                }

                value += 2 * lanes * PackedPositions.SizeOf(precision);
            }
        }

        return value;
    }

    private int CountOf(int row) => _first[row + 1] - _first[row];

    private int PairsOf(int row) => (CountOf(row) + 1) / 2;

    private int StepsOf(int group) => PairsOf(_order[group * Lanes]);
}
