using RbeMl.Codec;

namespace RbeMl.Compression;

/// <summary>
/// The scales of a rounded matrix while they are tuned: with codes q of a group and its scale s, coefficients are s q + what outliers and alphas add, so the
/// gradient of s is the sum of q times those of the group's coefficients. Steps are relative to the scale.
/// </summary>
internal sealed class TunedScales
{
    private const float Beta1 = 0.9f, Beta2 = 0.98f;
    private readonly RbeMatrix _matrix;
    private readonly float[] _codes; // [tile][place of the support]: s q at the scale the matrix was rounded with
    private readonly int[] _groups; // [place of the support]
    private readonly double[] _factors; // of the scales, 1 at first
    private readonly double[] _first;
    private readonly double[] _second;
    private readonly double[] _kept; // factors
    private readonly int _perTile;
    private int _steps;

    /// <summary>Begins with the scales of a matrix.</summary>
    /// <param name="matrix">A rounded matrix.</param>
    /// <param name="all">The places of all of its coefficients as floats.</param>
    public TunedScales(RbeMatrix matrix, CoefficientSupport all)
    {
        _matrix = matrix;
        int area = matrix.Tile * matrix.Tile;
        FrozenTiles tiles = matrix.Base!;
        _perTile = tiles.Scales.Length / matrix.TileCount;
        _codes = new float[matrix.TileCount * area];
        _groups = new int[area];
        int[] places = new int[area];
        for (int i = 0; i < area; i++)
        {
            places[i] = all.PositionOf(0, i);
            _groups[i] = places[i] / (area / _perTile);
        }

        float[] decoded = new float[area];
        for (int t = 0; t < matrix.TileCount; t++)
        {
            tiles.Decode(t, decoded);
            if (tiles.Outliers is { } outliers)
            {
                for (int e = t * outliers.PerTile; e < (t + 1) * outliers.PerTile; e++) decoded[outliers.Places[e]] = 0;
            }

            for (int i = 0; i < area; i++) _codes[(t * area) + i] = decoded[places[i]];
        }

        _factors = new double[tiles.Scales.Length];
        Array.Fill(_factors, 1);
        (_first, _second, _kept) = (new double[_factors.Length], new double[_factors.Length], [.. _factors]);
    }

    /// <summary>Notes the scales.</summary>
    public void Keep() => _factors.CopyTo(_kept, 0);

    /// <summary>Makes them what they were when they were noted.</summary>
    public void Restore() => _kept.CopyTo(_factors, 0);

    /// <summary>A step of Adam.</summary>
    /// <param name="coefficients">[tile][place], changed.</param>
    /// <param name="gradients">Of them.</param>
    /// <param name="rate">Relative step of a scale.</param>
    public void Step(Span<float> coefficients, ReadOnlySpan<float> gradients, double rate)
    {
        _steps++;
        int area = _groups.Length;
        double correction1 = 1 - Math.Pow(Beta1, _steps), correction2 = 1 - Math.Pow(Beta2, _steps);
        double[] sums = new double[_perTile], moves = new double[_perTile];
        for (int t = 0; t < _matrix.TileCount; t++)
        {
            Array.Clear(sums);
            for (int i = 0; i < area; i++) sums[_groups[i]] += (double)gradients[(t * area) + i] * _codes[(t * area) + i];
            for (int s = 0; s < _perTile; s++)
            {
                int at = (t * _perTile) + s;
                _first[at] = (Beta1 * _first[at]) + ((1 - Beta1) * sums[s]);
                _second[at] = (Beta2 * _second[at]) + ((1 - Beta2) * sums[s] * sums[s]);
                moves[s] = -rate * (_first[at] / correction1) / (Math.Sqrt(_second[at] / correction2) + 1e-12);
                if (_factors[at] + moves[s] is < 0.5 or > 2) moves[s] = 0;
                _factors[at] += moves[s];
            }

            for (int i = 0; i < area; i++) coefficients[(t * area) + i] += (float)(moves[_groups[i]] * _codes[(t * area) + i]);
        }
    }

    /// <summary>A matrix with the same codes and these scales; one that fp16 cannot hold stays what it was.</summary>
    public RbeMatrix Apply(RbeMatrix matrix)
    {
        Half[] scales = [.. matrix.Base!.Scales.Select((scale, i) => (Half)((double)scale * _factors[i]) is { } tuned && Half.IsFinite(tuned) ? tuned : scale)];
        return new RbeMatrix(matrix.Rows, matrix.Columns, matrix.Tile, matrix.Transform, matrix.Alphas, matrix.Support, matrix.Coefficients,
            matrix.Base.WithScales(scales), matrix.Format);
    }
}
