namespace RbeMl.Codec;

/// <summary>
/// Rounds the tiles of one row of tiles after another with error feedback along the input: columns of coefficients are rounded from left to
/// right, each after it has taken up what the errors of those before it leave to it. With an <see cref="OutputFeedback"/> rows also take up what
/// those above them leave. Outliers are chosen when their tile begins and stored when their column is reached. Holds scratch and the row's errors,
/// so every thread needs its own, and with feedback along the output every row of tiles.
/// </summary>
internal abstract class FeedbackCoder
{
    private const float LargestHalf = 65504;
    private readonly float[] _tile; // [B²] row-major
    private readonly float[] _taken; // targets of the outliers
    private OutputFeedback? _output;
    private float[] _part = []; // [B columns][B]: what of the targets is feedback along the output
    private int _tileRow;

    private protected FeedbackCoder(int outliers, FeedbackFactor factor, int tile)
    {
        Tile = tile;
        Rows = new FeedbackRows(factor, tile);
        Places = new ushort[outliers];
        Values = new Half[outliers];
        _taken = new float[outliers];
        _tile = new float[tile * tile];
    }

    private protected int Tile { get; }

    private protected FeedbackRows Rows { get; }

    /// <summary>Outlier places of the tile, ascending.</summary>
    private protected ushort[] Places { get; }

    /// <summary>Their values.</summary>
    private protected Half[] Values { get; }

    /// <summary>
    /// The coefficients of the tile at tile column <paramref name="j"/>, <c>[B columns][B rows]</c>: filled by the caller before the first
    /// tile of a row is encoded.
    /// </summary>
    public Span<float> OriginalOf(int j) => Rows.Original.AsSpan(j * Tile * Tile, Tile * Tile);

    /// <summary>Whether rows take up the errors of those above them.</summary>
    private protected bool PassesDown => _output is not null;

    /// <summary>Lets the rows of a row of tiles take up the errors of those above them.</summary>
    public void PassDown(OutputFeedback output, int tileRow)
    {
        (_output, _tileRow) = (output, tileRow);
        _part = new float[Tile * Tile];
    }

    /// <summary>Rounds the tile at tile column <paramref name="j"/>; those left of it, and above it, have been rounded.</summary>
    /// <param name="j">Tile column.</param>
    /// <param name="scales">Scales of the tile, written.</param>
    /// <param name="packed">Its packed codes, written.</param>
    /// <param name="places">Its outliers' places, written.</param>
    /// <param name="values">Their values, written.</param>
    public void Encode(int j, Span<Half> scales, Span<byte> packed, Span<ushort> places, Span<Half> values)
    {
        Rows.Begin(j * Tile);
        if (_output is not null)
        {
            _output.FromAbove(_tileRow, j * Tile, _part);
            for (int e = 0; e < _part.Length; e++) Rows.Targets[e] += _part[e];
        }

        if (Places.Length > 0) ChooseOutliers();
        EncodeTile(scales, packed);
        Places.CopyTo(places);
        Values.CopyTo(values);
    }

    /// <summary>Rounds the tile that was begun.</summary>
    private protected abstract void EncodeTile(Span<Half> scales, Span<byte> packed);

    /// <summary>Stores the outliers of a column whose target is final, and takes them out of it.</summary>
    private protected void TakeOutliers(int column) => TakeOutliers(column, 0, Tile);

    /// <summary>The same of some rows.</summary>
    private protected void TakeOutliers(int column, int row, int rows)
    {
        for (int e = 0; e < Places.Length; e++)
        {
            int r = Places[e] / Tile;
            if (Places[e] % Tile != column || r < row || r >= row + rows) continue;
            int at = (column * Tile) + r;
            _taken[e] = Rows.Targets[at];
            Values[e] = (Half)Math.Clamp(_taken[e], -LargestHalf, LargestHalf);
            Rows.Targets[at] = 0;
        }
    }

    /// <summary>Notes the outliers of a column in the errors, after its codes.</summary>
    private protected void StoreOutliers(int column) => StoreOutliers(column, 0, Tile);

    /// <summary>The same of some rows, which then pass on what they leave to those below.</summary>
    private protected void StoreOutliers(int column, int row, int rows)
    {
        for (int e = 0; e < Places.Length; e++)
        {
            int r = Places[e] / Tile;
            if (Places[e] % Tile != column || r < row || r >= row + rows) continue;
            Rows.Store(r, column, (float)Values[e]);
            Rows.Targets[(column * Tile) + r] = _taken[e];
        }

        if (_output is null) return;
        Span<float> targets = Rows.Targets.AsSpan(column * Tile, Tile), part = _part.AsSpan(column * Tile, Tile);
        for (int r = row; r < row + rows; r++)
        {
            // What was aimed at without the rows above, less what is stored.
            int at = ((Rows.First + column) * Tile) + r;
            float left = targets[r] - part[r] - (Rows.Original[at] - Rows.Errors[at]);
            _output.Pass(_tileRow, r, Rows.First + column, left, targets, part);
        }
    }

    /// <summary>Whether a coefficient of the tile is an outlier.</summary>
    private protected bool IsOutlier(int row, int column) => Array.BinarySearch(Places, (ushort)(row * Tile + column)) >= 0;

    private void ChooseOutliers()
    {
        for (int r = 0; r < Tile; r++)
        {
            for (int c = 0; c < Tile; c++) _tile[r * Tile + c] = Rows.Target(r, c);
        }

        OutlierSelector.TakeLargest(_tile, Places, Values);
    }
}
