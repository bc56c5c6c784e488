namespace RbeMl.Codec;

/// <summary>What a fit makes of a tile, exactly as the matrix decodes it. Holds scratch, so every thread needs its own.</summary>
internal sealed class FitDecoder(FormatPlan plan, int tile, TileTransformer transformer, BasisFunctions basis, TileCoder? coder)
{
    /// <summary>The coefficients of the frozen base, outliers included.</summary>
    /// <param name="fit">A fit with codes.</param>
    /// <param name="image"><c>[B²]</c>, written.</param>
    public void DecodeBase(TileFit fit, Span<double> image)
    {
        coder!.Decode(fit.Scales, fit.Codes, image);
        for (int e = 0; e < plan.Outliers; e++) image[fit.OutlierPlaces[e]] = (float)fit.OutlierValues[e];
    }

    /// <summary>The cells.</summary>
    /// <param name="fit">The fit.</param>
    /// <param name="cells"><c>[B²]</c>, written.</param>
    public void Decode(TileFit fit, Span<double> cells)
    {
        if (coder is not null) DecodeBase(fit, cells);
        else cells.Clear();
        for (int r = 0; r < plan.Runs; r++)
        {
            for (int o = 0; o < plan.RunLength; o++) cells[fit.Starts[r] + o * tile] += fit.Coefficients[r * plan.RunLength + o];
        }

        if (plan.Alphas)
        {
            for (int k = 0; k < BasisFunctions.Count; k++) AlphaSolver.AddScaled(cells, basis.TransformedFunctions[k], fit.Alphas[k]);
        }

        transformer.Inverse(cells, cells);
    }
}
