using System.Globalization;
using System.Text;
using RbeMl.Cli.Output;

namespace RbeMl.Cli.Inspect;

/// <summary>
/// A file as one HTML page with everything inside: a table of the matrices, then every tile's error, norm and alpha share as pictures, a
/// quantity a section with one scale, the matrices of a block side by side, and the numbers of a tile under the pointer. Pictures are drawn
/// from compact lists of numbers, and only for the sections that are unfolded, so that pages of large models stay usable.
/// </summary>
internal static class TilePage
{
    private const int OpenTiles = 4096;

    /// <summary>The page.</summary>
    public static string Html(InspectRecord record, IReadOnlyList<MatrixFigures> matrices)
    {
        StringBuilder page = new();
        string name = Page.Text(Path.GetFileName(record.File));
        page.Append(CultureInfo.InvariantCulture,
            $"<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, "
            + $"initial-scale=1\"><title>{name}: tiles</title>\n<style>\n")
            .Append(TilePageParts.Style).Append("\n</style></head><body><main>\n");
        page.Append(CultureInfo.InvariantCulture, $"<h1>{name}</h1>\n<p class=\"lead\">");
        string content = InspectTables.Content(record);
        page.Append(Page.Text(record.Config is { } config ? $"{content}: {InspectTables.Describe(config, record)}" : content))
            .Append("</p>\n<section class=\"figures\">");
        Figure(page, Format.Bytes(record.Bytes), "file");
        if (record.BitsPerWeight is { } bits)
        {
            Figure(page, Format.Figure(bits), "bits a weight, all matrices");
            Figure(page, Format.Percent(record.SavedFraction!.Value), "of fp32 saved");
        }

        if (record.RelativeError is { } error) Figure(page, Format.Figure(error), "relative error, all matrices");
        if (record.AlphaShare is { } share) Figure(page, InspectTables.Percent(share), "of the energy in the alphas");
        page.Append("</section>\n");
        Table(page, "Matrices: what each kind costs and loses", InspectTables.Matrices(record, all: false));
        Table(page, "Parts of the file: what takes the bytes", InspectTables.Parts(record));
        bool small = matrices.Sum(m => m.Matrix.TileCount) <= OpenTiles, first = true;
        foreach (TileQuantity quantity in TileQuantity.All.Where(q => matrices.Any(q.Has)))
        {
            TileMaps.Write(page, quantity, record.Tensors, matrices, open: small || first);
            first = false;
        }

        return page.Append("<div id=\"tip\" hidden></div>\n<script>\n").Append(TilePageParts.Script).Append("\n</script></main></body></html>\n").ToString();
    }

    private static void Table(StringBuilder page, string title, FigureTable table)
    {
        page.Append(CultureInfo.InvariantCulture, $"<section><h2>{Page.Text(title)}</h2><div class=\"wide\">");
        table.Html(page);
        page.Append("</div></section>\n");
    }

    private static void Figure(StringBuilder page, string value, string label) =>
        page.Append(CultureInfo.InvariantCulture, $"<div><b>{Page.Text(value)}</b><span>{Page.Text(label)}</span></div>");
}
