namespace RbeMl.Codec;

/// <summary>Takes one tile after another of a dense matrix to coefficients, less what its alphas hold. Holds scratch, so every thread needs its own.</summary>
internal sealed unsafe class CoefficientLoader
{
    private readonly TileTransformer _transformer;
    private readonly BasisFunctions? _basis;
    private readonly double[] _image;
    private readonly double[] _ones;
    private readonly double[] _alphas = new double[BasisFunctions.Count];

    public CoefficientLoader(TileTransform transform, int tile, bool alphas)
    {
        _transformer = new TileTransformer(transform, tile);
        _basis = alphas ? BasisFunctions.Get(transform, tile) : null;
        _image = new double[tile * tile];
        _ones = new double[tile * tile];
        Array.Fill(_ones, 1);
    }

    /// <summary>Loads a tile; cells outside the matrix count as zero.</summary>
    /// <param name="weights"><c>[rows, columns]</c>.</param>
    /// <param name="rows">Rows of the matrix.</param>
    /// <param name="columns">Columns of the matrix.</param>
    /// <param name="tileRow">Tile row.</param>
    /// <param name="tileColumn">Tile column.</param>
    /// <param name="alphas"><c>[8]</c>, written; empty without alphas.</param>
    /// <param name="coefficients"><c>[B columns][B rows]</c>, written.</param>
    public void Load(float* weights, int rows, int columns, int tileRow, int tileColumn, Span<float> alphas, Span<float> coefficients)
    {
        int tile = _transformer.Tile, top = tileRow * tile, left = tileColumn * tile, inside = Math.Min(tile, columns - left);
        Array.Clear(_image);
        for (int i = 0; i < Math.Min(tile, rows - top); i++)
        {
            float* row = weights + ((long)(top + i) * columns) + left;
            for (int j = 0; j < inside; j++) _image[i * tile + j] = row[j];
        }

        _transformer.Forward(_image, _image);
        if (_basis is not null)
        {
            AlphaSolver.Solve(_basis.TransformedFunctions, _image, _ones, _basis.Gram, _alphas);
            AlphaSolver.Subtract(_basis.TransformedFunctions, _alphas, _image);
            for (int k = 0; k < _alphas.Length; k++) alphas[k] = (float)_alphas[k];
        }

        for (int i = 0; i < tile; i++)
        {
            for (int j = 0; j < tile; j++) coefficients[j * tile + i] = (float)_image[i * tile + j];
        }
    }
}
