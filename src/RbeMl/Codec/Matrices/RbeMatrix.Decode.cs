using System.Numerics;

namespace RbeMl.Codec;

/// <content>Decoding, exact in double, and its adjoint.</content>
public sealed partial class RbeMatrix
{
    /// <summary>The dense matrix, <c>[Rows * Columns]</c> row-major, decoded in double and rounded once.</summary>
    public float[] ToDense()
    {
        float[] dense = new float[checked(Rows * Columns)];
        Decode(null, null, dense);
        return dense;
    }

    /// <summary>The dense matrix in double: the reference of gradient checks.</summary>
    public double[] ToDenseDouble()
    {
        double[] dense = new double[checked(Rows * Columns)];
        Decode(null, null, dense);
        return dense;
    }

    /// <summary>The dense matrix in double with other parameter values at the places of <paramref name="structure"/>.</summary>
    /// <param name="structure">Shape, places and frozen base.</param>
    /// <param name="alphas"><c>[tile][8]</c>, or empty without alphas.</param>
    /// <param name="coefficients"><c>[tile][K]</c>, or empty without a support.</param>
    /// <exception cref="ShapeMismatchException">The parameters do not fit the structure.</exception>
    public static double[] ToDenseDouble(RbeMatrix structure, ReadOnlySpan<double> alphas, ReadOnlySpan<double> coefficients)
    {
        ArgumentNullException.ThrowIfNull(structure);
        structure.CheckParameters(alphas.Length, coefficients.Length);
        double[] dense = new double[checked(structure.Rows * structure.Columns)];
        structure.Decode(alphas.ToArray(), coefficients.ToArray(), dense);
        return dense;
    }

    /// <summary>The cells of one tile, <c>[B * B]</c> row-major, those outside the matrix included.</summary>
    /// <exception cref="ShapeMismatchException">The span does not hold B² values.</exception>
    public void DecodeTile(int tileIndex, Span<float> cells)
    {
        CheckTile(tileIndex, cells.Length);
        double[] image = new double[Tile * Tile];
        DecodeTileCoefficients(tileIndex, image);
        new TileTransformer(Transform, Tile).Inverse(image, image);
        for (int e = 0; e < image.Length; e++) cells[e] = (float)image[e];
    }

    /// <summary>Everything a tile is, in the transform's domain: alphas, frozen base and coefficients; <c>[B * B]</c>, row = output frequency.</summary>
    /// <exception cref="ShapeMismatchException">The span does not hold B² values.</exception>
    public void DecodeTileCoefficients(int tileIndex, Span<double> coefficients)
    {
        CheckTile(tileIndex, coefficients.Length);
        DecodeImage(tileIndex, Widen(AlphasOf<float>(Alphas, tileIndex)), Widen(CoefficientsOf<float>(Coefficients, tileIndex)),
            new float[Tile * Tile], coefficients);
    }

    /// <summary>
    /// The gradient of the parameters from the gradient G of the dense matrix: d alpha_k = sum of phi_k G over a tile's cells inside the
    /// matrix, dC = S' G S at the kept places. The adjoint of <see cref="ToDenseDouble(RbeMatrix, ReadOnlySpan{double}, ReadOnlySpan{double})"/>.
    /// </summary>
    /// <param name="structure">Shape and places.</param>
    /// <param name="denseGradient"><c>[Rows * Columns]</c>.</param>
    /// <param name="alphaGradient"><c>[tile][8]</c>, written; or empty.</param>
    /// <param name="coefficientGradient"><c>[tile][K]</c>, written; or empty.</param>
    /// <exception cref="ShapeMismatchException">A span does not fit the structure.</exception>
    public static void PullBack(RbeMatrix structure, ReadOnlySpan<double> denseGradient, Span<double> alphaGradient, Span<double> coefficientGradient)
    {
        ArgumentNullException.ThrowIfNull(structure);
        structure.CheckParameters(alphaGradient.Length, coefficientGradient.Length);
        structure.CheckDense("gradient", denseGradient.Length);
        int tile = structure.Tile, area = tile * tile;
        TileTransformer transformer = new(structure.Transform, tile);
        BasisFunctions basis = BasisFunctions.Get(structure.Transform, tile);
        double[] image = new double[area], everywhere = new double[area];
        Array.Fill(everywhere, 1);
        for (int t = 0; t < structure.TileCount; t++)
        {
            (int top, int left, int rows, int columns) = structure.BoundsOf(t);
            Array.Clear(image);
            for (int i = 0; i < rows; i++) denseGradient.Slice((top + i) * structure.Columns + left, columns).CopyTo(image.AsSpan(i * tile));
            transformer.Adjoint(image, image);
            for (int k = 0; k < BasisFunctions.Count && structure.HasAlphas; k++)
            {
                alphaGradient[t * BasisFunctions.Count + k] = AlphaSolver.MaskedDot(basis.TransformedFunctions[k], image, everywhere);
            }

            if (structure.Support is not { } support) continue;
            for (int e = 0; e < support.CoefficientsPerTile; e++) coefficientGradient[t * support.CoefficientsPerTile + e] = image[support.PositionOf(t, e)];
        }
    }

    /// <summary>Place and size of the part of a tile that lies inside the matrix.</summary>
    internal (int Top, int Left, int Rows, int Columns) BoundsOf(int tileIndex)
    {
        int top = tileIndex / TileColumns * Tile, left = tileIndex % TileColumns * Tile;
        return (top, left, Math.Min(Tile, Rows - top), Math.Min(Tile, Columns - left));
    }

    internal static double[] Widen(ReadOnlySpan<float> values)
    {
        double[] wide = new double[values.Length];
        Widen(values, wide);
        return wide;
    }

    private static void Widen(ReadOnlySpan<float> values, Span<double> wide)
    {
        for (int i = 0; i < wide.Length; i++) wide[i] = values[i];
    }

    private ReadOnlySpan<T> AlphasOf<T>(ReadOnlySpan<T> alphas, int tileIndex) => HasAlphas
        ? alphas.Slice(tileIndex * BasisFunctions.Count, BasisFunctions.Count) : [];

    private ReadOnlySpan<T> CoefficientsOf<T>(ReadOnlySpan<T> coefficients, int tileIndex)
    {
        int k = Support?.CoefficientsPerTile ?? 0;
        return coefficients.Slice(tileIndex * k, k);
    }

    /// <summary>Squared error and squared norm of every tile against <paramref name="original"/>, cells rounded to fp32; without a dense copy.</summary>
    internal unsafe (double[] Errors, double[] Norms) MeasureTiles(ReadOnlySpan<float> original, ParallelOptions? parallel = null)
    {
        double[] errors = new double[TileCount], norms = new double[TileCount];
        fixed (float* pinned = original)
        {
            nint address = (nint)pinned;
            ForEachTile(
                null,
                null,
                (t, cells) =>
                {
                    (int top, int left, int rows, int columns) = BoundsOf(t);
                    double error = 0, norm = 0;
                    for (int i = 0; i < rows; i++)
                    {
                        float* row = (float*)address + (long)(top + i) * Columns + left;
                        for (int j = 0; j < columns; j++)
                        {
                            double difference = (double)row[j] - (float)cells[i * Tile + j];
                            error += difference * difference;
                            norm += (double)row[j] * row[j];
                        }
                    }

                    (errors[t], norms[t]) = (error, norm);
                },
                parallel);
        }

        return (errors, norms);
    }

    private void Decode<T>(double[]? alphas, double[]? coefficients, T[] dense)
        where T : unmanaged, IFloatingPointIeee754<T> =>
        ForEachTile(
            alphas,
            coefficients,
            (t, cells) =>
            {
                (int top, int left, int rows, int columns) = BoundsOf(t);
                for (int i = 0; i < rows; i++)
                {
                    for (int j = 0; j < columns; j++) dense[(top + i) * Columns + left + j] = T.CreateTruncating(cells[i * Tile + j]);
                }
            });

    // Decodes tiles, on all processors unless told otherwise; each is independent of the others. Null parameters are the matrix's own, widened tile by tile.
    private void ForEachTile(double[]? alphas, double[]? coefficients, Action<int, double[]> use, ParallelOptions? parallel = null) =>
        Parallel.For(
            0,
            TileCount,
            parallel ?? new ParallelOptions(),
            () => (Transformer: new TileTransformer(Transform, Tile), Image: new double[Tile * Tile], Base: new float[Tile * Tile],
            Alphas: new double[HasAlphas ? BasisFunctions.Count : 0], Coefficients: new double[Support?.CoefficientsPerTile ?? 0]),
            (t, _, scratch) =>
            {
                if (alphas is null) Widen(AlphasOf<float>(Alphas, t), scratch.Alphas);
                if (coefficients is null) Widen(CoefficientsOf<float>(Coefficients, t), scratch.Coefficients);
                ReadOnlySpan<double> a = alphas is null ? scratch.Alphas : AlphasOf<double>(alphas, t), c = coefficients is null
                    ? scratch.Coefficients : CoefficientsOf<double>(coefficients, t);
                DecodeImage(t, a, c, scratch.Base, scratch.Image);
                scratch.Transformer.Inverse(scratch.Image, scratch.Image);
                use(t, scratch.Image);
                return scratch;
            },
            static _ => { });

    // alphas [8] or [0] and coefficients [K] or [0] of this tile.
    private void DecodeImage(int tileIndex, ReadOnlySpan<double> alphas, ReadOnlySpan<double> coefficients, float[] scratch, Span<double> image)
    {
        image.Clear();
        if (Base is { } frozen)
        {
            frozen.Dequantize(tileIndex, scratch);
            for (int e = 0; e < image.Length; e++) image[e] = scratch[e];
        }

        if (Support is { } support)
        {
            // Adding to a zero would lose the sign of -0.
            bool alone = Base is null;
            for (int e = 0; e < coefficients.Length; e++)
            {
                ref double place = ref image[support.PositionOf(tileIndex, e)];
                place = alone ? coefficients[e] : place + coefficients[e];
            }
        }

        if (alphas.Length == 0) return;
        double[][] functions = BasisFunctions.Get(Transform, Tile).TransformedFunctions;
        for (int k = 0; k < BasisFunctions.Count; k++) AlphaSolver.AddScaled(image, functions[k], alphas[k]);
    }

    private void CheckTile(int tileIndex, int length)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(tileIndex);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(tileIndex, TileCount);
        if (length != Tile * Tile)
        {
            throw new ShapeMismatchException("tile buffer", $"{Tile} x {Tile} = {Tile * Tile} values", $"{length}", "Pass a buffer of exactly that length.");
        }
    }

    private void CheckParameters(int alphas, int coefficients)
    {
        if (alphas != Alphas.Length)
        {
            throw new ShapeMismatchException("alphas", $"{Alphas.Length}", $"{alphas}", "Give eight a tile, or none for a matrix without alphas.");
        }

        if (coefficients != Coefficients.Length)
        {
            throw new ShapeMismatchException("coefficients", $"{Coefficients.Length}", $"{coefficients}", "Give one value for each place of the support.");
        }
    }

    private void CheckDense(string what, int length)
    {
        if (length != (long)Rows * Columns)
        {
            throw new ShapeMismatchException(what, $"{Rows} x {Columns} = {(long)Rows * Columns} values", $"{length}", "Pass the dense matrix row by row.");
        }
    }
}
