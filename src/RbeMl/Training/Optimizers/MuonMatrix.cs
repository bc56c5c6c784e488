using System.Numerics;
using RbeMl.Codec;
using RbeMl.Kernels;
using RbeMl.Layers;

namespace RbeMl.Training;

/// <summary>
/// The coefficients of a matrix as Muon makes them orthogonal: the whole matrix at once where most coefficients are kept, else each tile by
/// itself, whose kept places are filled with zeros for that. Transforms of tiles are orthonormal, so that what is orthogonal for the
/// coefficients is so for the weights.
/// </summary>
internal sealed unsafe class MuonMatrix
{
    // Of all coefficients, in percent. Below it tiles gain as much in half of the time.
    private const int WholeFrom = 50;

    private readonly CoefficientSupport _support;
    private readonly int _tileColumns, _tiles;
    private readonly int _tall, _narrow; // edges of what is made orthogonal
    private readonly bool _rowsAreTall;

    private MuonMatrix(RbeStructure matrix, CoefficientSupport support)
    {
        _support = support;
        bool whole = support.CoefficientsPerTile * 100L >= (long)matrix.Tile * matrix.Tile * WholeFrom;
        _tiles = whole ? support.TileCount : 1;
        Items = whole ? 1 : support.TileCount;
        _tileColumns = whole ? matrix.TileColumns : 1;
        int rows = _tiles / _tileColumns * matrix.Tile, columns = _tileColumns * matrix.Tile;
        _rowsAreTall = rows > columns;
        (_tall, _narrow) = _rowsAreTall ? (rows, columns) : (columns, rows);
    }

    /// <summary>Parts that are made orthogonal, each by itself: 1, or the tiles.</summary>
    public int Items { get; }

    /// <summary>Coefficients of a part.</summary>
    public int Coefficients => _tiles * _support.CoefficientsPerTile;

    /// <summary>Scratch elements that a part takes.</summary>
    public long ScratchElements => (2L * _tall * _narrow) + OrthogonalKernel.ScratchElements(_narrow);

    /// <summary>That of a slice; null where it holds no matrix that maps activations.</summary>
    public static MuonMatrix? Of(ParameterSlice slice) => slice.Matrix is { Support: { } support } matrix ? new MuonMatrix(matrix, support) : null;

    /// <summary>The first coefficient of a part among the slice's.</summary>
    public long FirstOf(int item) => (long)item * Coefficients;

    /// <summary>Replaces a direction by what is orthogonal next to it, at the kept places.</summary>
    /// <param name="item">The part.</param>
    /// <param name="direction">Its coefficients, changed.</param>
    /// <param name="scratch"><see cref="ScratchElements"/>.</param>
    /// <returns>Sum of the new squares; 0 where there was nothing.</returns>
    public double Orthogonalise<T>(int item, T* direction, T* scratch)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        double squares = OptimizerKernel.SumOfSquares(direction, Coefficients);
        T factor = T.CreateTruncating(1 / Math.Sqrt(squares / Coefficients));
        if (!T.IsFinite(factor)) return 0; // nothing, or so little that a float cannot hold its inverse
        long size = (long)_tall * _narrow;
        T* x = scratch, orthogonal = x + size;
        new Span<T>(x, checked((int)size)).Clear();
        Move<T, Gather>(item, direction, x, factor);
        OrthogonalKernel.Orthogonalise(_tall, _narrow, x, orthogonal, orthogonal + size);
        Move<T, Scatter>(item, direction, orthogonal, T.One);
        return OptimizerKernel.SumOfSquares(direction, Coefficients);
    }

    // Between the coefficients, one after the other, and their places in [tall][narrow]; at the places times the factor.
    private void Move<T, TWay>(int item, T* values, T* places, T factor)
        where T : unmanaged, IFloatingPointIeee754<T>
        where TWay : struct
    {
        int tile = _support.Tile, run = _support.RunLength;
        long rowStride = _rowsAreTall ? _narrow : 1, columnStride = _rowsAreTall ? 1 : _narrow;
        for (int t = 0; t < _tiles; t++)
        {
            T* corner = places + (t / _tileColumns * tile * rowStride) + (t % _tileColumns * tile * columnStride);
            foreach (ushort start in _support.StartsOf((item * _tiles) + t))
            {
                (int row, int column) = Math.DivRem(start, tile);
                T* at = corner + (row * rowStride) + (column * columnStride);
                for (int i = 0; i < run; i++, at += rowStride, values++)
                {
                    if (typeof(TWay) == typeof(Gather)) *at = *values * factor;
                    else *values = *at;
                }
            }
        }
    }

    private readonly struct Gather;

    private readonly struct Scatter;
}
