namespace RbeMl.Codec;

/// <content>Fits in a transform that is not orthonormal, where the least error of the coefficients is not the least error of the cells.</content>
internal sealed partial class TileFitter
{
    private readonly double[] _norms;
    private readonly double[] _weighted;
    private bool _byCells;

    // Two choices of places: the largest coefficients, and those that move the cells most. The better is kept and its values (and alphas) become the least
    // squares of the cells. The plain choice is among the candidates, so the fit is never worse than that.
    private void FitInCells(ReadOnlySpan<double> cells, bool whole)
    {
        double best = double.PositiveInfinity;
        foreach (bool byCells in (ReadOnlySpan<bool>)[false, true])
        {
            if (byCells && !SupportSelector.NeedsWeights(_plan, _tile)) break;
            _byCells = byCells;
            Try(frozenAlphas: false, ref best);
        }

        if (!whole) FitRagged(ref best);
        bool exact = whole && _plan.Runs * _plan.RunLength == _area;
        if (_plan.Runs > 0 && !exact) Polish(cells);
    }

    // What coefficients are chosen by: themselves, or how much each moves the cells.
    private double[] Importance()
    {
        if (_orthonormal || !_byCells) return _residual;
        for (int u = 0; u < _tile; u++)
        {
            for (int v = 0; v < _tile; v++) _weighted[u * _tile + v] = _residual[u * _tile + v] * _norms[u] * _norms[v];
        }

        return _weighted;
    }
}
