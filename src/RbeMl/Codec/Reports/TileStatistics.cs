namespace RbeMl.Codec;

/// <summary>What the tiles of a matrix carry, over their cells inside the matrix. Tiles are row-major.</summary>
/// <param name="Energies">Squared norm of each decoded tile.</param>
/// <param name="AlphaEnergies">Squared norm of what the alphas alone decode to, <c>sum_k alpha_k phi_k</c>; zeros without alphas.</param>
internal sealed record TileStatistics(IReadOnlyList<double> Energies, IReadOnlyList<double> AlphaEnergies)
{
    /// <summary>Squared norm of the decoded matrix.</summary>
    public double Energy => Energies.Sum();

    /// <summary>
    /// Share of the energy that the alphas carry: <c>‖sum alpha_k phi_k‖² / ‖Ŵ‖²</c> over the matrix. It can be above 1, where coefficients take away part
    /// of what the alphas add; 0 for a matrix of zeros.
    /// </summary>
    public double AlphaShare => Share(AlphaEnergies.Sum(), Energy);

    /// <summary>Norm of a decoded tile.</summary>
    public double NormOf(int tile) => Math.Sqrt(Energies[tile]);

    /// <summary><see cref="AlphaShare"/> of one tile.</summary>
    public double AlphaShareOf(int tile) => Share(AlphaEnergies[tile], Energies[tile]);

    /// <summary>Computes them tile by tile, on all processors; the matrix is never dense as a whole.</summary>
    /// <param name="matrix">The matrix.</param>
    public static TileStatistics Of(RbeMatrix matrix)
    {
        ArgumentNullException.ThrowIfNull(matrix);
        int area = matrix.Tile * matrix.Tile;
        double[] energies = new double[matrix.TileCount], alphas = new double[matrix.TileCount];
        Parallel.For(
            0,
            matrix.TileCount,
            () => (Transformer: new TileTransformer(matrix.Transform, matrix.Tile), Image: new double[area]),
            (t, _, scratch) =>
            {
                matrix.DecodeTileCoefficients(t, scratch.Image);
                energies[t] = EnergyInside(matrix, t, scratch.Image, scratch.Transformer);
                if (!matrix.HasAlphas) return scratch;
                AlphaImage(matrix, t, scratch.Image);
                alphas[t] = EnergyInside(matrix, t, scratch.Image, scratch.Transformer);
                return scratch;
            },
            static _ => { });
        return new TileStatistics(energies, alphas);
    }

    private static double Share(double part, double whole) => whole == 0 ? 0 : part / whole;

    // The alphas' part of a tile in the transform's domain.
    private static void AlphaImage(RbeMatrix matrix, int tile, double[] image)
    {
        Array.Clear(image);
        double[][] functions = BasisFunctions.Get(matrix.Transform, matrix.Tile).TransformedFunctions;
        for (int k = 0; k < BasisFunctions.Count; k++) AlphaSolver.AddScaled(image, functions[k], matrix.Alphas[tile * BasisFunctions.Count + k]);
    }

    // The transform keeps norms, so only ragged tiles are taken back to cells.
    private static double EnergyInside(RbeMatrix matrix, int tile, double[] image, TileTransformer transformer)
    {
        (_, _, int rows, int columns) = matrix.BoundsOf(tile);
        if (rows < matrix.Tile || columns < matrix.Tile) transformer.Inverse(image, image);
        double sum = 0;
        for (int i = 0; i < rows; i++)
        {
            foreach (double value in image.AsSpan(i * matrix.Tile, columns)) sum += value * value;
        }

        return sum;
    }
}
