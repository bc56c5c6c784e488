namespace RbeMl.Codec;

/// <summary>
/// Rounds the tiles of one row of tiles after another with error feedback along the input: columns of coefficients are rounded from left to
/// right, each after it has taken up what the errors of those before it leave to it. Outliers are chosen when their tile begins and stored
/// when their column is reached. Holds scratch, so every thread needs its own.
/// </summary>
internal abstract class FeedbackCoder
{
    private const float LargestHalf = 65504;
    private readonly float[] _tile; // [B²] row-major

    private protected FeedbackCoder(int outliers, FeedbackFactor factor, int tile)
    {
        Tile = tile;
        Rows = new FeedbackRows(factor, tile);
        Places = new ushort[outliers];
        Values = new Half[outliers];
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

    /// <summary>Rounds the tile at tile column <paramref name="j"/>; those left of it have been rounded.</summary>
    /// <param name="j">Tile column.</param>
    /// <param name="scales">Scales of the tile, written.</param>
    /// <param name="packed">Its packed codes, written.</param>
    /// <param name="places">Its outliers' places, written.</param>
    /// <param name="values">Their values, written.</param>
    public void Encode(int j, Span<Half> scales, Span<byte> packed, Span<ushort> places, Span<Half> values)
    {
        Rows.Begin(j * Tile);
        if (Places.Length > 0) ChooseOutliers();
        EncodeTile(scales, packed);
        Places.CopyTo(places);
        Values.CopyTo(values);
    }

    /// <summary>Rounds the tile that was begun.</summary>
    private protected abstract void EncodeTile(Span<Half> scales, Span<byte> packed);

    /// <summary>Stores the outliers of a column whose target is final, and takes them out of it.</summary>
    private protected void TakeOutliers(int column)
    {
        for (int e = 0; e < Places.Length; e++)
        {
            if (Places[e] % Tile != column) continue;
            int at = column * Tile + (Places[e] / Tile);
            Values[e] = (Half)Math.Clamp(Rows.Targets[at], -LargestHalf, LargestHalf);
            Rows.Targets[at] = 0;
        }
    }

    /// <summary>Notes the outliers of a column in the errors, after its codes.</summary>
    private protected void StoreOutliers(int column)
    {
        for (int e = 0; e < Places.Length; e++)
        {
            if (Places[e] % Tile == column) Rows.Store(Places[e] / Tile, column, (float)Values[e]);
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
