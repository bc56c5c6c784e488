namespace RbeMl.Codec;

/// <summary>A matrix without its trainable values: shape, places, frozen base.</summary>
/// <param name="Rows">Output features.</param>
/// <param name="Columns">Input features.</param>
/// <param name="Tile">Tile edge B.</param>
/// <param name="Transform">Transform of the residual.</param>
/// <param name="Support">Places of the coefficients, or null.</param>
/// <param name="Base">Frozen base, or null.</param>
/// <param name="Format">Storage format.</param>
internal sealed record RbeStructure(int Rows, int Columns, int Tile, TileTransform Transform, CoefficientSupport? Support, FrozenTiles? Base, RbeFormat Format)
{
    /// <summary>Tiles along the output.</summary>
    public int TileRows => ((Rows - 1) / Tile) + 1;

    /// <summary>Tiles along the input.</summary>
    public int TileColumns => ((Columns - 1) / Tile) + 1;

    /// <summary>The structure of a matrix.</summary>
    public static RbeStructure Of(RbeMatrix matrix) =>
        new(matrix.Rows, matrix.Columns, matrix.Tile, matrix.Transform, matrix.Support, matrix.Base, matrix.Format);

    /// <summary>The matrix with these values; they are not copied.</summary>
    /// <param name="alphas"><c>[tile][8]</c>, or empty.</param>
    /// <param name="coefficients"><c>[tile][K]</c>, or empty without a support.</param>
    public RbeMatrix With(float[] alphas, float[] coefficients) => new(Rows, Columns, Tile, Transform, alphas, Support, coefficients, Base, Format);
}
