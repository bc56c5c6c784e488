namespace RbeMl.Codec;

/// <summary>The case without compression: no transform and all B² places, so that coefficients are the weights and nothing needs to be fitted.</summary>
internal static class ExactTiles
{
    /// <summary>Whether a plan keeps every weight as it is.</summary>
    public static bool Keeps(FormatPlan plan, RbeOptions options) =>
        options.Transform == TileTransform.None && plan is { Bits: 0, Alphas: false } && plan.Runs * plan.RunLength == options.Tile * options.Tile;

    /// <summary>The matrix of those weights; cells outside it are 0.</summary>
    /// <param name="weights"><c>[rows * columns]</c>.</param>
    /// <param name="rows">Output features.</param>
    /// <param name="columns">Input features.</param>
    /// <param name="plan">A plan that <see cref="Keeps"/> everything.</param>
    /// <param name="options">What the plan was made of.</param>
    public static RbeMatrix Copy(ReadOnlySpan<float> weights, int rows, int columns, FormatPlan plan, RbeOptions options)
    {
        int tile = options.Tile, area = tile * tile, length = plan.RunLength;
        int tileColumns = (columns + tile - 1) / tile, tiles = (rows + tile - 1) / tile * tileColumns;
        ushort[] starts = new ushort[checked(tiles * plan.Runs)];
        float[] coefficients = new float[checked(tiles * area)];
        for (int i = 0; i < starts.Length; i++) starts[i] = (ushort)((i % plan.Runs / tile * length * tile) + (i % plan.Runs % tile));
        for (int row = 0; row < rows; row++)
        {
            // Within a tile: [band of rows][column][row in the band].
            int place = (row / tile * tileColumns * area) + (row % tile / length * length * tile) + (row % length);
            ReadOnlySpan<float> source = weights.Slice(row * columns, columns);
            for (int column = 0; column < columns; column++) coefficients[place + (column / tile * area) + (column % tile * length)] = source[column];
        }

        return new RbeMatrix(rows, columns, tile, options.Transform, [], new CoefficientSupport(tile, tiles, length, starts), coefficients, null,
            options.Format);
    }
}
