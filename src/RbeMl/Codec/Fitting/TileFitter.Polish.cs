namespace RbeMl.Codec;

/// <content>Conjugate gradients on the cells inside the matrix.</content>
internal sealed partial class TileFitter
{
    private const int MaxPolishSteps = 100;
    private const double PolishTolerance = 1e-12;

    // Neighbouring frequencies are nearly the same function on a part of a tile. Without damping they grow a thousandfold to cancel each other inside, for
    // hardly any gain, and no longer survive being rounded. With it, a direction whose energy inside is below this times the share of cells inside counts
    // less. A whole tile's directions are far enough apart.
    private const double PolishDamping = 3e-2;

    // Damped least squares of alphas (unless a quantised base rests on them) and coefficients at the chosen places over the cells inside, by CGLS from
    // the best fit so far. Alphas are scaled to functions of unit norm. The result is taken only if it is better after rounding to fp32.
    private void Polish(ReadOnlySpan<double> cells)
    {
        bool withAlphas = _plan.Alphas && _plan.Bits == 0 && !_plan.Literal;
        int first = withAlphas ? BasisFunctions.Count : 0, count = first + _best.Coefficients.Length;
        double[] step = new double[count], gradient = new double[count], total = new double[count], error = new double[_area];
        double inside = _mask.Sum() / _area, damping = inside < 1 ? PolishDamping * inside : 0;
        Decode(_best, _decoded);
        for (int e = 0; e < _area; e++) error[e] = _mask[e] != 0 ? cells[e] - _decoded[e] : 0;
        double start = MaskedEnergy(error);
        PullBack(error, first, gradient);
        gradient.CopyTo(step, 0);
        double gamma = Dot(gradient, gradient), stop = gamma * PolishTolerance;
        for (int n = 0; n < MaxPolishSteps && gamma > stop && gamma > 0; n++)
        {
            PushForward(step, first, _decoded);
            double curvature = MaskedEnergy(_decoded) + (damping * Dot(step, step));
            if (curvature <= 0) break;
            double length = gamma / curvature;
            for (int e = 0; e < _area; e++) error[e] -= length * _decoded[e] * _mask[e];
            for (int p = 0; p < count; p++) total[p] += length * step[p];
            PullBack(error, first, gradient);
            for (int p = 0; p < count; p++) gradient[p] -= damping * total[p];
            double next = Dot(gradient, gradient);
            for (int p = 0; p < count; p++) step[p] = gradient[p] + next / gamma * step[p];
            gamma = next;
        }

        _best.CopyTo(_current);
        for (int k = 0; k < first; k++) _current.Alphas[k] = (float)(_current.Alphas[k] + total[k] / Norm(k));
        for (int e = 0; e < _current.Coefficients.Length; e++) _current.Coefficients[e] = (float)(_current.Coefficients[e] + total[first + e]);
        Decode(_current, _decoded);
        for (int e = 0; e < _area; e++) error[e] = _mask[e] != 0 ? cells[e] - _decoded[e] : 0;
        if (MaskedEnergy(error) < start) _current.CopyTo(_best);
    }

    private double Norm(int k) => Math.Sqrt(_basis.Gram[k * BasisFunctions.Count + k]);

    // cells = the tile that parameters p alone make.
    private void PushForward(double[] p, int first, double[] cells)
    {
        Array.Clear(cells);
        for (int r = 0; r < _plan.Runs; r++)
        {
            for (int o = 0; o < _plan.RunLength; o++) cells[_best.Starts[r] + o * _tile] = p[first + r * _plan.RunLength + o];
        }

        for (int k = 0; k < first; k++) AlphaSolver.AddScaled(cells, _basis.TransformedFunctions[k], p[k] / Norm(k));
        _transformer.Inverse(cells, cells);
    }

    // The adjoint of PushForward; cells are zero outside.
    private void PullBack(double[] cells, int first, double[] p)
    {
        _transformer.Adjoint(cells, _image);
        for (int k = 0; k < first; k++) p[k] = AlphaSolver.MaskedDot(_basis.TransformedFunctions[k], _image, _ones) / Norm(k);
        for (int r = 0; r < _plan.Runs; r++)
        {
            for (int o = 0; o < _plan.RunLength; o++) p[first + r * _plan.RunLength + o] = _image[_best.Starts[r] + o * _tile];
        }
    }

    private static double Dot(double[] x, double[] y)
    {
        double sum = 0;
        for (int i = 0; i < x.Length; i++) sum += x[i] * y[i];
        return sum;
    }
}
