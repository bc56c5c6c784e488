namespace RbeMl.Codec;

/// <summary>Everything that decides how a matrix is compressed.</summary>
public sealed record RbeOptions
{
    /// <summary>No compression: every weight is a coefficient, and comes back bit for bit. For measuring against, and for models to be trained whole.</summary>
    public static RbeOptions Dense { get; } = new() { Tile = 64, Transform = TileTransform.None, Format = RbeFormat.Sparse(64 * 64), Alphas = false };

    /// <summary>Tile edge B: 32, 64 or 128.</summary>
    public int Tile { get; init; } = 64;

    /// <summary>Transform of the residual.</summary>
    public TileTransform Transform { get; init; } = TileTransform.Dct;

    /// <summary>Storage of the residual.</summary>
    public RbeFormat Format { get; init; } = RbeFormat.Sparse(300);

    /// <summary>Whether a tile has its eight alphas. A format that keeps all B² sparse coefficients never has them.</summary>
    public bool Alphas { get; init; } = true;
}
