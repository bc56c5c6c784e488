namespace RbeMl.Codec;

/// <summary>
/// A compressed <c>Rows x Columns</c> (out x in) weight matrix: a grid of B x B tiles, each
/// <c>sum_k alpha_k phi_k + S C S'</c>. Tiles at ragged edges are stored whole; what lies outside the matrix has no effect.
/// Tiles are row-major: tile index = tileRow * TileColumns + tileColumn.
/// </summary>
public sealed partial class RbeMatrix
{
    internal RbeMatrix(int rows, int columns, int tile, TileTransform transform, float[] alphas, CoefficientSupport? support,
        float[] coefficients, FrozenTiles? frozen, RbeFormat format)
    {
        Rows = rows;
        Columns = columns;
        Tile = tile;
        Transform = transform;
        Alphas = alphas;
        Support = support;
        Coefficients = coefficients;
        Base = frozen;
        Format = format;
        if (alphas.Length != 0 && alphas.Length != (long)TileCount * BasisFunctions.Count)
        {
            throw new ShapeMismatchException("alphas", $"{TileCount} x {BasisFunctions.Count}", $"{alphas.Length}", "Give eight a tile, or none.");
        }

        long expected = (long)(support?.CoefficientsPerTile ?? 0) * TileCount;
        if (coefficients.Length != expected)
        {
            throw new ShapeMismatchException("coefficients", $"{expected}", $"{coefficients.Length}", "Give one value for each place of the support.");
        }
    }

    /// <summary>Output features.</summary>
    public int Rows { get; }

    /// <summary>Input features.</summary>
    public int Columns { get; }

    /// <summary>Tile edge B.</summary>
    public int Tile { get; }

    /// <summary>Transform of the residual.</summary>
    public TileTransform Transform { get; }

    /// <summary>Storage format it was made with.</summary>
    public RbeFormat Format { get; }

    /// <summary>Tiles along the output.</summary>
    public int TileRows => ((Rows - 1) / Tile) + 1;

    /// <summary>Tiles along the input.</summary>
    public int TileColumns => ((Columns - 1) / Tile) + 1;

    /// <summary>All tiles.</summary>
    public int TileCount => checked(TileRows * TileColumns);

    /// <summary><c>[tile][8]</c>, or empty when the matrix has no alphas.</summary>
    public float[] Alphas { get; }

    /// <summary>Whether tiles have alphas.</summary>
    public bool HasAlphas => Alphas.Length != 0;

    /// <summary>Places of the trainable coefficients, or null when there are none.</summary>
    public CoefficientSupport? Support { get; }

    /// <summary><c>[tile][K]</c> in the support's order; empty without a support.</summary>
    public float[] Coefficients { get; }

    /// <summary>The frozen base, or null.</summary>
    public FrozenTiles? Base { get; }

    /// <summary>Number of trainable values: alphas and coefficients.</summary>
    public long TrainableCount => (long)Alphas.Length + Coefficients.Length;
}
