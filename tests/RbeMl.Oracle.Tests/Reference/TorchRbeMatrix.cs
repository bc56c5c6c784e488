using RbeMl.Codec;
using RbeMl.Oracle.Tests.Support;
using static TorchSharp.torch;

namespace RbeMl.Oracle.Tests.Reference;

/// <summary>
/// A compressed matrix as a function of torch leaves: tile by tile W = sum_k alpha_k phi_k + S C S', C having the coefficients at the places of the
/// support, on top of the frozen quantised base if there is one. Autograd then gives the gradients of alphas and coefficients with none of
/// the library's adjoints.
/// </summary>
internal sealed class TorchRbeMatrix
{
    private readonly int _rows, _columns, _tile, _tileRows, _tileColumns;
    private readonly Tensor _synthesis, _functions;
    private readonly Tensor? _places, _frozen;

    /// <summary>Makes leaves with the matrix's values.</summary>
    /// <param name="matrix">The compressed matrix.</param>
    /// <param name="type">float32 or float64.</param>
    public TorchRbeMatrix(RbeMatrix matrix, ScalarType type)
    {
        (_rows, _columns, _tile, _tileRows, _tileColumns) = (matrix.Rows, matrix.Columns, matrix.Tile, matrix.TileRows, matrix.TileColumns);
        _synthesis = Tensors.From(TransformMatrix.Synthesis(matrix.Transform, _tile), _tile, _tile).to(type);
        BasisFunctions basis = BasisFunctions.Get(matrix.Transform, _tile);
        _functions = Tensors.From([.. basis.Functions.SelectMany(f => f)], BasisFunctions.Count, (long)_tile * _tile).to(type);
        if (matrix.Base is { } quantized) _frozen = Frozen(quantized).to(type);
        if (matrix.HasAlphas) Alphas = DenseMatrix.Leaf(matrix.Alphas, type, matrix.TileCount, BasisFunctions.Count);
        if (matrix.Support is not { } support) return;

        int count = support.CoefficientsPerTile;
        long[] places = [.. Enumerable.Range(0, matrix.TileCount).SelectMany(t => Enumerable.Range(0, count).Select(e => (long)support.PositionOf(t, e)))];
        _places = tensor(places).reshape(matrix.TileCount, count);
        Coefficients = DenseMatrix.Leaf(matrix.Coefficients, type, matrix.TileCount, count);
    }

    /// <summary>[tiles, 8], or null without alphas.</summary>
    public Tensor? Alphas { get; }

    /// <summary>[tiles, K], or null without coefficients.</summary>
    public Tensor? Coefficients { get; }

    /// <summary>W [rows, columns].</summary>
    public Tensor Decode()
    {
        long tiles = (long)_tileRows * _tileColumns;
        Tensor c = _frozen ?? zeros([tiles, (long)_tile * _tile], _synthesis.dtype);
        if (Coefficients is not null) c = c.scatter_add(1, _places!, Coefficients);
        Tensor decoded = _synthesis.matmul(c.reshape(tiles, _tile, _tile)).matmul(_synthesis.t()).reshape(tiles, -1);
        if (Alphas is not null) decoded += Alphas.matmul(_functions);
        Tensor whole = decoded.reshape(_tileRows, _tileColumns, _tile, _tile).permute(0, 2, 1, 3).reshape((long)_tileRows * _tile, (long)_tileColumns * _tile);
        return whole.narrow(0, 0, _rows).narrow(1, 0, _columns);
    }

    // The values of the frozen codes, [tiles, B²].
    private static Tensor Frozen(FrozenTiles quantized)
    {
        int area = quantized.Tile * quantized.Tile;
        float[] values = new float[quantized.TileCount * area];
        for (int t = 0; t < quantized.TileCount; t++) quantized.Dequantize(t, values.AsSpan(t * area, area));
        return Tensors.From(values, quantized.TileCount, area);
    }
}
