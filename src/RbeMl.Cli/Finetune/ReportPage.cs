using System.Globalization;
using System.Text;
using RbeMl.Cli.Output;

namespace RbeMl.Cli.Finetune;

/// <summary>A run as one HTML page with everything inside: loss curve (SVG), memory, samples.</summary>
internal static class ReportPage
{
    private const string Style = """
        :root { color-scheme: light dark; --ink: #1d2433; --soft: #667085; --line: #d9dee8; --back: #f6f7fa; --card: #fff; --train: #7a94d8; --valid: #d9542b; }
        @media (prefers-color-scheme: dark) { :root { --ink: #e8ebf2; --soft: #98a2b3; --line: #333b4d; --back: #12161f; --card: #1a202c;
            --train: #7a94d8; --valid: #ff8a5c; } }
        body { font: 15px/1.55 system-ui, sans-serif; color: var(--ink); background: var(--back); margin: 0; padding: 2rem 1rem; }
        main { max-width: 60rem; margin: auto; }
        h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.05rem; margin: 0 0 .8rem; } p.lead { color: var(--soft); margin: .2rem 0 1.5rem; }
        section { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 1.2rem 1.4rem; margin-bottom: 1.2rem; }
        .figures { display: flex; flex-wrap: wrap; gap: 1rem 2.5rem; } .figures b { display: block; font-size: 1.5rem; font-weight: 600; }
        .figures span { color: var(--soft); font-size: .85rem; }
        table { border-collapse: collapse; width: 100%; } th, td { text-align: right; padding: .35rem .6rem; border-bottom: 1px solid var(--line);
            font-variant-numeric: tabular-nums; }
        td { white-space: nowrap; } th:first-child, td:first-child { text-align: left; } th { color: var(--soft); font-weight: 500; }
        svg { width: 100%; height: auto; display: block; } svg text { fill: var(--soft); font: 11px system-ui, sans-serif; }
        blockquote { margin: 0 0 1rem; padding: .1rem 0 .1rem 1rem; border-left: 3px solid var(--line); white-space: pre-wrap;
            overflow-wrap: anywhere; } blockquote b { color: var(--valid); font-weight: 600; }
        section { overflow-x: auto; } pre { white-space: pre-wrap; overflow-wrap: anywhere; margin: 0 0 1rem; font: .9rem/1.5 ui-monospace, monospace; }
        .settings { display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; margin: 0 0 1rem; font-size: .9rem; }
        .settings b { font-weight: 500; color: var(--soft); } .losses { margin: .8rem 0 0; font-variant-numeric: tabular-nums; }
        @media (max-width: 40rem) { body { padding: 1rem .5rem; } section { padding: .8rem; } th, td { padding: .3rem .4rem; font-size: .85rem; }
        svg text { font-size: 20px; } svg circle.step { r: 3.5px; } svg polyline { stroke-width: 2.5; } }
        .key { font-size: .85rem; color: var(--soft); } .key span { display: inline-block; }
        .key i { display: inline-block; width: 1.4em; height: 3px; vertical-align: middle; margin: 0 .4em 0 1em; }
        """;

    /// <summary>The page.</summary>
    public static string Html(RunRecord run)
    {
        ValidationRecord first = run.Validation[0], last = run.Validation[^1];
        StringBuilder page = new();
        page.Append("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
            + "content=\"width=device-width, initial-scale=1\">").Append(RunMixture.Meta(run.RunId, run.WeightsHash))
            .Append("<title>RbeMl training report</title>\n<style>\n")
            .Append(Style).Append("\n</style></head><body><main>\n<h1>Training report</h1>\n");
        ModelRecord? model = run.Model;
        if (model is not null)
        {
            page.Append(CultureInfo.InvariantCulture,
                $"<p class=\"lead\">GPT-2 model of {Format.Count(model.Layers, "block")}, width {model.Width}, {Format.Count(model.Heads, "head")}, "
                    + $"vocabulary {model.Vocabulary} ({Text(model.Tokenizer)}), context {model.Context}. ");
            page.Append(CultureInfo.InvariantCulture,
                $"Weights: {Text(model.Format)}, tiles of {model.Tile}, {Text(model.Transform)}. Data: "
                    + $"{Text(run.Data)}.{(run.Cancelled ? " Stopped by the user." : "")}</p>\n");
        }

        page.Append("<section class=\"figures\">");
        Figure(page, Format.Loss(first.Loss), "validation loss before");
        Figure(page, Format.Loss(last.Loss), run.Measured);
        Figure(page, Math.Exp(last.Loss).ToString("F1", CultureInfo.InvariantCulture), "perplexity");
        if (model is not null) Figure(page, Format.Count(model.TrainableValues), $"trained values of {Format.Count(model.DenseParameters)} dense");
        Figure(page, Format.Seconds(run.TrainingSeconds), "training time");
        if (run.Steps.Count > 0) Figure(page, Format.Count(run.TokensPerSecond), "tokens a second");
        page.Append(CultureInfo.InvariantCulture, $"</section>\n<section>{Text(Verdict.Of(run))}");
        page.Append("</section>\n<section><h2>Loss by step</h2>").Append(LossCurve.Svg(run))
            .Append("<div class=\"key\"><span><i style=\"background:var(--train)\"></i>training, mean of the steps of a dot</span> "
                + "<span><i style=\"background:var(--valid)\"></i>validation, at the step it was measured</span></div>");
        page.Append("<p class=\"settings losses\"><span>Validation loss by step:</span> ")
            .AppendJoin(" ", run.Validation.Select(v => $"<span><b>{Format.Count(v.Step)}:</b> {Format.Loss(v.Loss)}</span>")).Append("</p></section>\n");
        if (run.Quality is { } quality)
        {
            page.Append("<section><h2>How far the model moved</h2>");
            quality.Table("before", "after").Html(page);
            page.Append(CultureInfo.InvariantCulture,
                $"<p class=\"key\">On all {Format.Count(quality.Tokens, "token")} of the {Text(quality.Text)}.</p></section>\n");
        }

        page.Append("<section><h2>Memory</h2><table><tr><th></th><th>this run</th><th>dense fp32</th><th>saved</th></tr>");
        foreach (ByteRow row in ByteRow.Of(run))
        {
            page.Append(CultureInfo.InvariantCulture, $"<tr><td>{row.Name}</td><td>{row.Actual}</td><td>{row.Dense}</td><td>{row.Saved}</td></tr>");
        }

        page.Append("</table></section>\n");
        if (run.Profile is { } profile) Profile(page, profile);
        if (run.Samples.Count > 0)
        {
            page.Append("<section><h2>Samples after training</h2>");
            foreach (SampleRecord sample in run.Samples)
            {
                page.Append(CultureInfo.InvariantCulture, $"<blockquote><b>{Text(sample.Prompt)}</b>{Text(sample.After)}</blockquote>");
            }

            page.Append("<h2>The same before training</h2>");
            foreach (SampleRecord sample in run.Samples)
            {
                page.Append(CultureInfo.InvariantCulture, $"<blockquote><b>{Text(sample.Prompt)}</b>{Text(sample.Before)}</blockquote>");
            }

            page.Append("</section>\n");
        }

        Origin(page, run);
        page.Append(CultureInfo.InvariantCulture,
            $"<p class=\"key\">Seed {run.Seed}, {Format.Count(run.Threads, "thread")}, {Format.Count(run.TrainTokens)} training and "
                + $"{Format.Count(run.ValidationTokens)} validation tokens, {Format.Seconds(run.Seconds)} in all.</p>\n");
        return page.Append("</main></body></html>\n").ToString();
    }

    // How to make it again, and where it was made.
    private static void Origin(StringBuilder page, RunRecord run)
    {
        page.Append(CultureInfo.InvariantCulture, $"<section><h2>Command</h2><pre>{Text(run.Command)}</pre><h2>Settings</h2><p class=\"settings\">");
        foreach ((string name, string value) in run.Settings) page.Append(CultureInfo.InvariantCulture, $"<span><b>{Text(name)}</b> {Text(value)}</span> ");
        page.Append("</p>");
        if (run.Machine is { } machine)
        {
            string vectors = machine.VectorBits == 0 ? "no vectors" : FormattableString.Invariant($"vectors of {machine.VectorBits} bits");
            string text = $"{machine.Processor}, {machine.Processors} logical processors, {vectors}; {machine.System}; {machine.Runtime}; rbeml {run.Version}";
            page.Append(CultureInfo.InvariantCulture, $"<h2>Machine</h2><p>{Text(text)}</p>");
        }

        page.Append("</section>\n");
    }

    private static void Figure(StringBuilder page, string value, string label) =>
        page.Append(CultureInfo.InvariantCulture, $"<div><b>{Text(value)}</b><span>{Text(label)}</span></div>");

    private static void Profile(StringBuilder page, ProfileRecord profile)
    {
        page.Append("<section><h2>Where the time goes</h2><table><tr>");
        foreach (string heading in ProfileRecord.Headings) page.Append(CultureInfo.InvariantCulture, $"<th>{Text(heading)}</th>");
        page.Append("</tr>");
        foreach (string[] row in profile.Rows) page.Append("<tr>").AppendJoin("", row.Select(cell => $"<td>{Text(cell)}</td>")).Append("</tr>");
        page.Append(CultureInfo.InvariantCulture, $"</table><p class=\"key\">{Text(profile.Title)}.</p></section>\n");
    }

    private static string Text(string text) => Page.Text(text);
}
