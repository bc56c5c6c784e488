namespace RbeMl.Codec;

/// <summary>
/// Fits one tile after another to a plan; holds scratch, so every thread needs its own. The result lies in <see cref="Fitted"/> until the next fit.
/// Cells outside the matrix have no say: they are filled with what the fit makes of them and the fit is repeated (expectation-maximisation: the
/// error inside never rises) until that changes nothing; sparse coefficients are then polished by conjugate gradients on the cells inside.
/// </summary>
internal sealed partial class TileFitter
{
    private const int MaxFills = 24; // of a tile without codes
    private const double FillTolerance = 1e-3;
    private readonly FormatPlan _plan;
    private readonly int _tile;
    private readonly int _area;
    private readonly TileTransformer _transformer;
    private readonly BasisFunctions _basis;
    private readonly bool _orthonormal;
    private readonly ushort[] _allowed;
    private readonly ushort[] _shuffled;
    private readonly double[] _energies;
    private readonly double[] _energyScratch;
    private readonly double[] _ones;
    private readonly double[] _mask;
    private readonly double[] _outside;
    private readonly double[] _filled;
    private readonly double[] _image;
    private readonly double[] _residual;
    private readonly double[] _decoded;
    private readonly double[] _base;
    private readonly float[] _single;
    private readonly TileCoder? _coder;
    private readonly FitDecoder _decoder;
    private readonly TileFit _current;
    private readonly TileFit _previous;
    private readonly TileFit _best;
    private CellPolisher? _polisher;

    public TileFitter(FormatPlan plan, TileTransform transform, int tile)
    {
        _plan = plan;
        _tile = tile;
        _area = tile * tile;
        _transformer = new TileTransformer(transform, tile);
        _basis = BasisFunctions.Get(transform, tile);
        _orthonormal = TransformMatrix.IsOrthonormal(transform);
        _norms = _orthonormal ? [] : TransformMatrix.SynthesisNorms(transform, tile);
        _weighted = _orthonormal ? [] : new double[_area];
        _allowed = plan.Runs == 0 ? [] : SupportSelector.Candidates(plan, tile);
        _shuffled = new ushort[_allowed.Length];
        _energies = new double[_allowed.Length];
        _energyScratch = new double[_allowed.Length];
        _ones = new double[_area];
        Array.Fill(_ones, 1);
        _mask = new double[_area];
        _outside = new double[_area];
        _filled = new double[_area];
        _image = new double[_area];
        _residual = new double[_area];
        _decoded = new double[_area];
        _base = new double[_area];
        _single = new float[_area];
        _coder = plan.Base?.CreateCoder(tile);
        _decoder = new FitDecoder(plan, tile, _transformer, _basis, _coder);
        _current = new TileFit(plan, tile);
        _previous = new TileFit(plan, tile);
        _best = new TileFit(plan, tile);
    }

    /// <summary>The tile fitted last.</summary>
    public TileFit Fitted => _best;

    /// <summary>Fits a tile.</summary>
    /// <param name="cells"><c>[B * B]</c>; what lies outside the matrix is not read.</param>
    /// <param name="rows">Rows inside the matrix, 1 .. B.</param>
    /// <param name="columns">Columns inside the matrix, 1 .. B.</param>
    /// <param name="tileIndex">Index of the tile, for rules that use a seed.</param>
    /// <param name="fill">Whether cells outside are filled and fitted again; without, they are held at zero (for comparison).</param>
    public void Fit(ReadOnlySpan<double> cells, int rows, int columns, int tileIndex, bool fill = true)
    {
        bool whole = rows == _tile && columns == _tile;
        SetMask(rows, columns);
        for (int e = 0; e < _area; e++) _filled[e] = _mask[e] != 0 ? cells[e] : 0;
        if (_plan.Runs > 0 && !SupportSelector.NeedsWeights(_plan, _tile))
        {
            SupportSelector.ByRule(_plan, tileIndex, _allowed, _shuffled, _current.Starts);
        }

        if (!_orthonormal)
        {
            FitInCells(cells, whole || !fill);
            return;
        }

        if (whole || !fill)
        {
            FitWhole(frozenAlphas: false);
            _current.CopyTo(_best);
            return;
        }

        // Codes depend on chance: the plain fit of the tile with zeros outside may happen to be the best, and is kept if it is.
        double best = double.PositiveInfinity;
        if (_plan.Bits > 0) Try(frozenAlphas: false, ref best);
        FitRagged(ref best);
        if (_plan.Runs > 0) Polish(cells);
    }

    private void FitRagged(ref double best)
    {
        bool frozenAlphas = _plan is { Alphas: true, Bits: > 0 };
        double energy = MaskedEnergy(_filled);
        if (_plan.Alphas) FillFromAlphas();
        double previous = double.PositiveInfinity;
        for (int f = 0; f < (_plan.Base?.MostFills ?? MaxFills); f++)
        {
            double error = Try(frozenAlphas, ref best);
            if (error <= 1e-14 * energy || error >= previous * (1 - FillTolerance)) break;
            previous = error;
            for (int e = 0; e < _area; e++)
            {
                if (_mask[e] == 0) _filled[e] = _decoded[e];
            }
        }
    }

    // Fits _filled, leaves the decoded tile in _decoded and its error inside as the result, and keeps the fit if it is the best so far.
    private double Try(bool frozenAlphas, ref double best)
    {
        FitWhole(frozenAlphas);
        _decoder.Decode(_current, _decoded);
        double error = 0;
        for (int e = 0; e < _area; e++)
        {
            double difference = (_filled[e] - _decoded[e]) * _mask[e];
            error += difference * difference;
        }

        if (error < best)
        {
            best = error;
            _current.CopyTo(_best);
        }

        return error;
    }

    // Fills the outside with what the alphas say, fitted inside only: a start for the repeated fit.
    private void FillFromAlphas()
    {
        AlphaSolver.Solve(_basis.Functions, _filled, _mask, _basis.Gram, _current.Alphas);
        Array.Clear(_decoded);
        for (int k = 0; k < BasisFunctions.Count; k++) AlphaSolver.AddScaled(_decoded, _basis.Functions[k], _current.Alphas[k]);
        for (int e = 0; e < _area; e++)
        {
            if (_mask[e] == 0) _filled[e] = _decoded[e];
        }
    }

    // Fits _filled as a whole tile.
    private void FitWhole(bool frozenAlphas)
    {
        _transformer.Forward(_filled, _image);
        if (_plan.Bits > 0)
        {
            if (_plan.Alphas && !frozenAlphas) SolveAlphas(_ones);
            Residual();
            QuantizeResidual();
            if (_plan.Runs == 0) return;
            for (int e = 0; e < _area; e++) _residual[e] -= _base[e];
            Select();
            Gather();
        }
        else if (!_plan.Alphas || !_orthonormal)
        {
            if (_plan.Alphas) SolveAlphas(_ones);
            Residual();
            Select();
            Gather();
        }
        else
        {
            FitSparseWithAlphas();
        }
    }

    // Alternates between the places for given alphas and the alphas for given places, which see only what the places do not keep. No step
    // raises the error; the alphas alone come first, so the result is never worse than alphas followed by the residual.
    private void FitSparseWithAlphas()
    {
        const int rounds = 4;
        SolveAlphas(_ones);
        Residual();
        Select();
        double before = OutsideEnergy();
        for (int r = 0; r < rounds && !_plan.Literal; r++)
        {
            _current.CopyTo(_previous);
            SolveAlphas(_outside);
            Residual();
            Select();
            double after = OutsideEnergy();
            if (after > before)
            {
                _previous.CopyTo(_current);
                Residual();
                break;
            }

            if (after >= before * (1 - 1e-6) || _previous.Starts.AsSpan().SequenceEqual(_current.Starts)) break;
            before = after;
        }

        Gather();
    }

    // Over coefficients where that is the same as over cells.
    private void SolveAlphas(double[] mask)
    {
        if (_orthonormal) AlphaSolver.Solve(_basis.TransformedFunctions, _image, mask, _basis.Gram, _current.Alphas);
        else AlphaSolver.Solve(_basis.Functions, _filled, _ones, _basis.Gram, _current.Alphas);
    }

    // _residual = _image without the alphas.
    private void Residual()
    {
        _image.CopyTo(_residual, 0);
        if (_plan.Alphas) AlphaSolver.Subtract(_basis.TransformedFunctions, _current.Alphas, _residual);
    }

    private void Select()
    {
        if (SupportSelector.NeedsWeights(_plan, _tile))
        {
            SupportSelector.ByEnergy(Importance(), _tile, _plan.RunLength, _allowed, _energies, _energyScratch, _current.Starts);
        }
    }

    // Energy of the residual outside the support; leaves the places outside in _outside.
    private double OutsideEnergy()
    {
        _ones.CopyTo(_outside, 0);
        foreach (ushort start in _current.Starts)
        {
            for (int o = 0; o < _plan.RunLength; o++) _outside[start + o * _tile] = 0;
        }

        return AlphaSolver.MaskedDot(_residual, _residual, _outside);
    }

    private void Gather()
    {
        for (int r = 0; r < _plan.Runs; r++)
        {
            for (int o = 0; o < _plan.RunLength; o++) _current.Coefficients[r * _plan.RunLength + o] = (float)_residual[_current.Starts[r] + o * _tile];
        }
    }

    // Codes of _residual in _current, and what they decode to in _base.
    private void QuantizeResidual()
    {
        for (int e = 0; e < _area; e++) _single[e] = (float)_residual[e];
        OutlierSelector.TakeLargest(_single, _current.OutlierPlaces, _current.OutlierValues);
        _coder!.Encode(_single, _current.Scales, _current.Codes);
        _decoder.DecodeBase(_current, _base);
    }

    private void Polish(ReadOnlySpan<double> cells) =>
        (_polisher ??= new CellPolisher(_plan, _tile, _transformer, _basis, _decoder)).Polish(_best, cells, _mask);

    private double MaskedEnergy(double[] cells) => AlphaSolver.MaskedDot(cells, cells, _mask);

    private void SetMask(int rows, int columns)
    {
        Array.Clear(_mask);
        for (int i = 0; i < rows; i++) _mask.AsSpan(i * _tile, columns).Fill(1);
    }
}
