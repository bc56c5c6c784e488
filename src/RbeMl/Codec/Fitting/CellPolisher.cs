namespace RbeMl.Codec;

/// <summary>
/// Betters a fit by conjugate gradients on the cells inside the matrix: damped least squares of alphas (unless a frozen base rests on them)
/// and coefficients at the chosen places. Holds scratch, so every thread needs its own.
/// </summary>
internal sealed class CellPolisher
{
    private const int MaxPolishSteps = 100;
    private const double PolishTolerance = 1e-12;

    // Neighbouring frequencies are nearly the same function on a part of a tile. Without damping they grow a thousandfold to cancel each other inside, for
    // hardly any gain, and no longer survive being rounded. With it, a direction whose energy inside is below this times the share of cells inside counts
    // less. A whole tile's directions are far enough apart.
    private const double PolishDamping = 3e-2;

    private readonly FormatPlan _plan;
    private readonly int _tile;
    private readonly int _area;
    private readonly TileTransformer _transformer;
    private readonly BasisFunctions _basis;
    private readonly FitDecoder _decoder;
    private readonly double[] _ones;
    private readonly double[] _image;
    private readonly double[] _decoded;
    private readonly TileFit _trial;

    public CellPolisher(FormatPlan plan, int tile, TileTransformer transformer, BasisFunctions basis, FitDecoder decoder)
    {
        _plan = plan;
        _tile = tile;
        _area = tile * tile;
        _transformer = transformer;
        _basis = basis;
        _decoder = decoder;
        _ones = new double[_area];
        Array.Fill(_ones, 1);
        _image = new double[_area];
        _decoded = new double[_area];
        _trial = new TileFit(plan, tile);
    }

    /// <summary>
    /// Polishes a fit by CGLS. Alphas are scaled to functions of unit norm. The result is taken only if it is better after rounding to fp32.
    /// </summary>
    /// <param name="fit">The best fit so far.</param>
    /// <param name="cells"><c>[B²]</c>; what lies outside the matrix is not read.</param>
    /// <param name="mask"><c>[B²]</c>: 1 inside the matrix, 0 outside.</param>
    public void Polish(TileFit fit, ReadOnlySpan<double> cells, double[] mask)
    {
        bool withAlphas = _plan.Alphas && _plan.Bits == 0 && !_plan.Literal;
        int first = withAlphas ? BasisFunctions.Count : 0, count = first + fit.Coefficients.Length;
        double[] step = new double[count], gradient = new double[count], total = new double[count], error = new double[_area];
        double inside = mask.Sum() / _area, damping = inside < 1 ? PolishDamping * inside : 0;
        _decoder.Decode(fit, _decoded);
        for (int e = 0; e < _area; e++) error[e] = mask[e] != 0 ? cells[e] - _decoded[e] : 0;
        double start = Energy(error, mask);
        PullBack(fit, error, first, gradient);
        gradient.CopyTo(step, 0);
        double gamma = Dot(gradient, gradient), stop = gamma * PolishTolerance;
        for (int n = 0; n < MaxPolishSteps && gamma > stop && gamma > 0; n++)
        {
            PushForward(fit, step, first, _decoded);
            double curvature = Energy(_decoded, mask) + (damping * Dot(step, step));
            if (curvature <= 0) break;
            double length = gamma / curvature;
            for (int e = 0; e < _area; e++) error[e] -= length * _decoded[e] * mask[e];
            for (int p = 0; p < count; p++) total[p] += length * step[p];
            PullBack(fit, error, first, gradient);
            for (int p = 0; p < count; p++) gradient[p] -= damping * total[p];
            double next = Dot(gradient, gradient);
            for (int p = 0; p < count; p++) step[p] = gradient[p] + next / gamma * step[p];
            gamma = next;
        }

        fit.CopyTo(_trial);
        for (int k = 0; k < first; k++) _trial.Alphas[k] = (float)(_trial.Alphas[k] + total[k] / Norm(k));
        for (int e = 0; e < _trial.Coefficients.Length; e++) _trial.Coefficients[e] = (float)(_trial.Coefficients[e] + total[first + e]);
        _decoder.Decode(_trial, _decoded);
        for (int e = 0; e < _area; e++) error[e] = mask[e] != 0 ? cells[e] - _decoded[e] : 0;
        if (Energy(error, mask) < start) _trial.CopyTo(fit);
    }

    private double Norm(int k) => Math.Sqrt(_basis.Gram[k * BasisFunctions.Count + k]);

    // cells = the tile that parameters p alone make.
    private void PushForward(TileFit fit, double[] p, int first, double[] cells)
    {
        Array.Clear(cells);
        for (int r = 0; r < _plan.Runs; r++)
        {
            for (int o = 0; o < _plan.RunLength; o++) cells[fit.Starts[r] + o * _tile] = p[first + r * _plan.RunLength + o];
        }

        for (int k = 0; k < first; k++) AlphaSolver.AddScaled(cells, _basis.TransformedFunctions[k], p[k] / Norm(k));
        _transformer.Inverse(cells, cells);
    }

    // The adjoint of PushForward; cells are zero outside.
    private void PullBack(TileFit fit, double[] cells, int first, double[] p)
    {
        _transformer.Adjoint(cells, _image);
        for (int k = 0; k < first; k++) p[k] = AlphaSolver.MaskedDot(_basis.TransformedFunctions[k], _image, _ones) / Norm(k);
        for (int r = 0; r < _plan.Runs; r++)
        {
            for (int o = 0; o < _plan.RunLength; o++) p[first + r * _plan.RunLength + o] = _image[fit.Starts[r] + o * _tile];
        }
    }

    private static double Energy(double[] cells, double[] mask) => AlphaSolver.MaskedDot(cells, cells, mask);

    private static double Dot(double[] x, double[] y)
    {
        double sum = 0;
        for (int i = 0; i < x.Length; i++) sum += x[i] * y[i];
        return sum;
    }
}
