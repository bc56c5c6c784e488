using System.Globalization;
using System.Text;
using RbeMl.Cli.Output;
using RbeMl.Models.Files;

namespace RbeMl.Cli.Inspect;

/// <summary>
/// A file as one HTML page with everything inside: every tile's error, norm and alpha share as a picture, with its numbers under the pointer. Pictures are
/// drawn from compact lists of numbers, and only for the matrices that are unfolded, so that pages of large models stay usable.
/// </summary>
internal static class TilePage
{
    private const int OpenTiles = 4096;

    /// <summary>The page.</summary>
    public static string Html(InspectRecord record, IReadOnlyList<MatrixFigures> matrices)
    {
        StringBuilder page = new();
        page.Append("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>RbeMl tiles</title>\n<style>\n")
            .Append(TilePageParts.Style).Append("\n</style></head><body><main>\n");
        page.Append(CultureInfo.InvariantCulture, $"<h1>{Page.Text(Path.GetFileName(record.File))}</h1>\n<p class=\"lead\">");
        page.Append(Page.Text(record.Config is { } config ? InspectTables.Describe(config, record.Tokenizer) : record.Kind == RbeMatrixSet.Kind ? $"a set of {record.Tensors.Count} compressed matrices" : record.Kind)).Append("</p>\n<section class=\"figures\">");
        Figure(page, Format.Bytes(record.Bytes), "file");
        if (record.BitsPerWeight is { } bits)
        {
            Figure(page, Format.Figure(bits), "bits a weight, all matrices");
            Figure(page, Format.Percent(record.SavedFraction!.Value), "of fp32 saved");
        }

        if (record.RelativeError is { } error) Figure(page, Format.Figure(error), "relative error, all matrices");
        if (record.AlphaShare is { } share) Figure(page, InspectTables.Percent(share), "of the energy in the alphas");
        page.Append("</section>\n<section class=\"key\"><p>A square is a tile; rows and columns are those of the matrix. Each picture has its own scale, from its least value <span class=\"bar\"></span> to its largest. The pointer shows a tile's numbers.</p>");
        page.Append(record.Tensors.Any(t => t.RelativeError is not null)
            ? "<p><b>error</b>: ‖W − Ŵ‖ / ‖W‖ of the tile. <b>norm</b>: ‖Ŵ‖, the root of its energy. <b>alphas</b>: the basis functions' own share of the energy; above 100 % where coefficients take some of it away.</p></section>\n"
            : "<p><b>norm</b>: ‖Ŵ‖ of the tile, the root of its energy. <b>alphas</b>: the basis functions' own share of the energy; above 100 % where coefficients take some of it away. The file has no errors; <code>--reference</code> measures them.</p></section>\n");
        int drawn = 0;
        for (int i = 0; i < matrices.Count; i++)
        {
            Matrix(page, record.Tensors[i], matrices[i], drawn == 0 || drawn + matrices[i].Matrix.TileCount <= OpenTiles);
            drawn += matrices[i].Matrix.TileCount;
        }

        page.Append("<section><h2>Parts of the file</h2><table><tr><th></th><th>tensors</th><th>bytes</th><th>share</th></tr>");
        foreach (PartRecord part in record.Parts) page.Append(CultureInfo.InvariantCulture, $"<tr><td>{Page.Text(part.Part)}</td><td>{(part.Tensors == 0 ? "" : Format.Count(part.Tensors))}</td><td>{Format.Bytes(part.Bytes)}</td><td>{Format.Percent(part.Share)}</td></tr>");
        return page.Append("</table></section>\n<div id=\"tip\" hidden></div>\n<script>\n").Append(TilePageParts.Script).Append("\n</script></main></body></html>\n").ToString();
    }

    private static void Matrix(StringBuilder page, MatrixRecord record, MatrixFigures figures, bool open)
    {
        string error = record.RelativeError is { } e ? $"error {Format.Figure(e)} (floor {Format.Figure(record.ShannonFloor)}), " : "";
        page.Append(CultureInfo.InvariantCulture, $"<details{(open ? " open" : "")}><summary><b>{Page.Text(record.Name)}</b> <span>{record.Rows} x {record.Columns}, {Page.Text($"{record.Format}: {record.Storage}")}, {Format.Figure(record.BitsPerWeight)} bits a weight, ");
        page.Append(CultureInfo.InvariantCulture, $"{error}alphas {InspectTables.Percent(record.AlphaShare)}, {Format.Bytes(record.Bytes)}</span></summary><div class=\"maps\">");
        if (figures.TileErrors is { } errors) Map(page, "error", "", figures, t => errors[t]);
        Map(page, "norm", "", figures, figures.Tiles.NormOf);
        Map(page, "alphas", "%", figures, t => 100 * figures.Tiles.AlphaShareOf(t));
        page.Append("</div></details>\n");
    }

    private static void Map(StringBuilder page, string name, string unit, MatrixFigures figures, Func<int, double> value)
    {
        int rows = figures.Matrix.TileRows, columns = figures.Matrix.TileColumns;
        page.Append(CultureInfo.InvariantCulture, $"<figure><figcaption>{name}</figcaption><canvas role=\"img\" aria-label=\"{name} of {rows} x {columns} tiles\" data-name=\"{name}\" data-unit=\"{unit}\" data-rows=\"{rows}\" data-columns=\"{columns}\" data-values=\"");
        for (int t = 0; t < figures.Matrix.TileCount; t++)
        {
            if (t > 0) page.Append(' ');
            page.Append(value(t).ToString("G4", CultureInfo.InvariantCulture));
        }

        page.Append("\"></canvas><div class=\"scale\"></div></figure>");
    }

    private static void Figure(StringBuilder page, string value, string label) => page.Append(CultureInfo.InvariantCulture, $"<div><b>{Page.Text(value)}</b><span>{Page.Text(label)}</span></div>");
}
