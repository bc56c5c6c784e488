using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;
using RbeMl.Cli.Output;

namespace RbeMl.Cli.Inspect;

/// <summary>A section of the page: one quantity of every tile of every matrix, on one scale.</summary>
internal static partial class TileMaps
{
    // Of the tiles, at either end of the scale: a few far ones would leave all others one colour.
    private const double Outermost = 0.005;
    private const int LegendSteps = 4;

    /// <summary>Writes the section.</summary>
    /// <param name="page">Where to.</param>
    /// <param name="quantity">The quantity.</param>
    /// <param name="records">Figures of the matrices.</param>
    /// <param name="matrices">The matrices, in the same order.</param>
    /// <param name="open">Whether the section is unfolded.</param>
    public static void Write(StringBuilder page, TileQuantity quantity, IReadOnlyList<MatrixRecord> records, IReadOnlyList<MatrixFigures> matrices, bool open)
    {
        int[] shown = [.. Enumerable.Range(0, matrices.Count).Where(i => quantity.Has(matrices[i]))];
        double[] all = [.. shown.SelectMany(i => quantity.Of(matrices[i])).Order()];
        double low = all[(int)(Outermost * (all.Length - 1))], high = all[(int)Math.Ceiling((1 - Outermost) * (all.Length - 1))];
        page.Append(CultureInfo.InvariantCulture,
            $"<details class=\"quantity\"{(open ? " open" : "")} data-low=\"{Number(low)}\" "
                + $"data-high=\"{Number(high)}\"><summary><h2>{Page.Text(quantity.Title)}</h2></summary>");
        page.Append(CultureInfo.InvariantCulture, $"<p class=\"reading\">{Page.Text(quantity.Reading)}</p>");
        Legend(page, quantity.Unit, all, low, high);
        foreach (IGrouping<string, int> block in shown.GroupBy(i => BlockOf(records[i].Name)))
        {
            if (block.Key.Length > 0) page.Append(CultureInfo.InvariantCulture, $"<h3>{Page.Text(block.Key)}</h3>");
            (int wide, int narrow) = TileSizes([.. block.Select(i => matrices[i].Matrix.TileColumns)], block.Max(i => matrices[i].Matrix.TileRows));
            page.Append(CultureInfo.InvariantCulture, $"<div class=\"maps\" style=\"--wide:{wide}px;--narrow:{narrow}px\">");
            foreach (int i in block) Map(page, quantity, i, records[i], matrices[i], records[i].Name[(block.Key.Length == 0 ? 0 : block.Key.Length + 1)..]);
            page.Append("</div>");
        }

        page.Append("</details>\n");
    }

    // One bar for all pictures of the section, with values along it.
    private static void Legend(StringBuilder page, string unit, double[] all, double low, double high)
    {
        string after = unit.Length > 0 ? $" {unit}" : "";
        page.Append("<div class=\"legend\"><div class=\"bar\"></div><div class=\"ticks\">");
        for (int i = 0; i <= LegendSteps; i++)
        {
            page.Append(CultureInfo.InvariantCulture,
                $"<span>{(low + (high - low) * i / LegendSteps).ToString("G3", CultureInfo.InvariantCulture)}{after}</span>");
        }

        page.Append("</div>");
        string ends = all[0] < low || all[^1] > high
            ? $"; the outermost tiles, down to {Format.Figure(all[0])}{after} and up to {Format.Figure(all[^1])}{after}, have the colours of the ends" : "";
        page.Append(CultureInfo.InvariantCulture, $"<p>One scale for all {Format.Count(all.Length, "tile")} of this section{ends}.</p></div>");
    }

    private static void Map(StringBuilder page, TileQuantity quantity, int index, MatrixRecord record, MatrixFigures figures, string name)
    {
        int rows = figures.Matrix.TileRows, columns = figures.Matrix.TileColumns;
        page.Append(CultureInfo.InvariantCulture,
            $"<figure style=\"--c:{columns}\"><figcaption><b>{Page.Text(name).Replace(".", ".<wbr>", StringComparison.Ordinal)}</b>{record.Rows} x "
                + $"{record.Columns}{string.Concat(quantity.Whole(record).Select(line => $"<br>{Page.Text(line)}"))}</figcaption>");
        page.Append(CultureInfo.InvariantCulture,
            $"<canvas role=\"img\" aria-label=\"{quantity.Name} of {rows} x {columns} tiles\" data-matrix=\"{index}\" data-name=\"{quantity.Name}\" "
                + $"data-unit=\"{quantity.Unit}\" data-rows=\"{rows}\" data-columns=\"{columns}\" data-values=\"");
        page.AppendJoin(' ', quantity.Of(figures).Select(Number)).Append("\"></canvas></figure>");
    }

    // Pixels of a tile where there is room for all matrices in a row, and on a telephone. All of a block are drawn alike, so that sizes can be compared.
    private static (int Wide, int Narrow) TileSizes(int[] columns, int rows) =>
        (Math.Clamp(Math.Min(1040 / columns.Sum(), 320 / rows), 1, 28), Math.Clamp(Math.Min(300 / columns.Max(), 320 / rows), 1, 20));

    private static string Number(double value) => value.ToString("G4", CultureInfo.InvariantCulture);

    // What stands before the rest of the name: "blocks.3" of "blocks.3.attention.query"; nothing where there is no number.
    private static string BlockOf(string name) => Block().Match(name).Groups[1].Value;

    [GeneratedRegex("^(.*?\\.[0-9]+)\\.", RegexOptions.CultureInvariant)]
    private static partial Regex Block();
}
