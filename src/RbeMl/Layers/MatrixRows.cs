using System.Numerics;
using RbeMl.Codec;
using RbeMl.Kernels;

namespace RbeMl.Layers;

/// <summary>
/// Rows of a compressed matrix by their numbers, as a table's lookup wants them: of a row's tiles the coefficients are decoded, once for all rows asked for
/// of these tiles, and met by one vector a row. A row does not depend on which others are asked for with it.
/// </summary>
/// <typeparam name="T">Element type.</typeparam>
internal sealed unsafe class MatrixRows<T> : IDisposable
    where T : unmanaged, IFloatingPointIeee754<T>
{
    private readonly ParameterVector<T> _parameters;
    private readonly RbeLinear<T> _linear;
    private readonly RbeStructure _matrix;
    private readonly RowFactors<T> _rows;

    /// <summary>The rows of a layer's matrix, with its values at the time of each call. They live as long as its parameters.</summary>
    /// <param name="parameters">Those that hold the layer's values.</param>
    /// <param name="linear">The layer.</param>
    /// <param name="matrix">Its structure.</param>
    /// <param name="factors">Its factors of the basis functions, or null.</param>
    public MatrixRows(ParameterVector<T> parameters, RbeLinear<T> linear, RbeStructure matrix, AlphaFactors<T>? factors)
    {
        (_parameters, _linear, _matrix) = (parameters, linear, matrix);
        _rows = new RowFactors<T>(matrix.Transform, matrix.Tile, factors);
        parameters.Own(this);
    }

    /// <summary>Bytes of native memory held.</summary>
    public long NativeBytes => _rows.AllocatedBytes;

    /// <summary>Scratch elements that <see cref="Read"/> takes.</summary>
    public long ScratchElements => ScratchArea<T>.Size((long)_rows.Terms * Tile) + ScratchArea<T>.Size((long)Tile * Tile) + ScratchArea<T>.Size(_rows.Terms)
        + ScratchArea<T>.Size(Tile);

    private int Tile => _matrix.Tile;

    /// <summary>x[., lane] = row of rows[lane]: features in whole tiles, those beyond the inputs zero.</summary>
    /// <param name="rows">Numbers of rows, one a lane.</param>
    /// <param name="order">The lanes, those of one row of tiles one after the other.</param>
    /// <param name="x"><c>[TileColumns * Tile][width]</c>; other lanes are to be zero.</param>
    /// <param name="width">Lanes of x.</param>
    /// <param name="scratch">The thread's.</param>
    public void Read(ReadOnlySpan<int> rows, ReadOnlySpan<int> order, T* x, int width, ScratchArea<T> scratch)
    {
        T* matrix = scratch.Take((long)_rows.Terms * Tile), decoded = scratch.Take((long)Tile * Tile), vector = scratch.Take(_rows.Terms),
            coefficients = scratch.Take(Tile);
        _rows.Complete(matrix);
        for (int first = 0, end; first < order.Length; first = end)
        {
            int tileRow = rows[order[first]] / Tile;
            for (end = first + 1; end < order.Length && rows[order[end]] / Tile == tileRow;) end++;
            for (int j = 0; j < _matrix.TileColumns; j++)
            {
                int tileIndex = (tileRow * _matrix.TileColumns) + j;
                Decode(tileIndex, matrix, (float*)decoded);
                T* alphas = _linear.Alphas is { } slice ? _parameters.At(slice) + ((long)tileIndex * BasisFunctions.Count) : null;
                foreach (int lane in order[first..end])
                {
                    _rows.Multiply(rows[lane] % Tile, matrix, alphas, vector, coefficients);
                    T* to = x + ((long)j * Tile * width) + lane;
                    for (int c = 0; c < Tile; c++) to[(long)c * width] = coefficients[c];
                }
            }
        }

        for (int j = 0; j < _matrix.TileColumns; j++)
        {
            T* block = x + ((long)j * Tile * width);
            _linear.FinishColumn(j, block, block, width);
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _rows.Dispose();

    // All coefficients [B][B] of a tile, frozen and trained. Codes decode to floats.
    private void Decode(int tileIndex, T* coefficients, float* decoded)
    {
        int area = Tile * Tile;
        if (_matrix.Base is not { } frozen)
        {
            new Span<T>(coefficients, area).Clear();
        }
        else if (typeof(T) == typeof(float))
        {
            frozen.Dequantize(tileIndex, new Span<float>(coefficients, area));
        }
        else
        {
            frozen.Dequantize(tileIndex, new Span<float>(decoded, area));
            for (int e = 0; e < area; e++) coefficients[e] = T.CreateTruncating(decoded[e]);
        }

        if (_matrix.Support is not { } support) return;
        T* value = _parameters.At(_linear.Coefficients!) + ((long)tileIndex * support.CoefficientsPerTile);
        foreach (ushort start in support.StartsOf(tileIndex))
        {
            T* place = coefficients + start;
            for (int r = 0; r < support.RunLength; r++, place += Tile) *place += *value++;
        }
    }
}
