using System.Globalization;
using System.Text;
using RbeMl.Cli.Output;

namespace RbeMl.Cli.Finetune;

/// <summary>Training and validation loss as an SVG picture.</summary>
internal static class LossCurve
{
    private const double Width = 720, Height = 480, Left = 62, Right = 20, Top = 14, Bottom = 46;
    private const int MaxPoints = 240, FewPoints = 60;

    /// <summary>The picture.</summary>
    public static string Svg(RunRecord run)
    {
        (double Loss, long Tokens)[] losses = [.. run.Losses];
        double[] means = losses.Length == 0 ? [] : LossChart.Columns(losses, Math.Min(MaxPoints, losses.Length));
        int steps = Math.Max(1, run.Steps.Count);
        double[] all = [.. means, .. run.Validation.Select(v => v.Loss)];
        double low = all.Min(), high = all.Max(), pad = Math.Max(1e-3, 0.04 * (high - low));
        (low, high) = (low - pad, high + pad);
        StringBuilder svg = new();
        svg.Append(CultureInfo.InvariantCulture, $"<svg viewBox=\"0 0 {Width} {Height}\" role=\"img\" aria-label=\"loss by step\">");
        foreach (double tick in Ticks(low, high))
        {
            svg.Append(CultureInfo.InvariantCulture,
                $"<line x1=\"{Left}\" x2=\"{Width - Right}\" y1=\"{Y(tick):F1}\" y2=\"{Y(tick):F1}\" stroke=\"var(--line)\"/><text x=\"{Left - 8}\" "
                    + $"y=\"{Y(tick) + 4:F1}\" text-anchor=\"end\">{tick:0.##}</text>");
        }

        foreach (double tick in Ticks(0, steps))
        {
            svg.Append(CultureInfo.InvariantCulture, $"<text x=\"{X(tick):F1}\" y=\"{Height - Bottom + 18}\" text-anchor=\"middle\">{tick:0}</text>");
        }

        svg.Append(CultureInfo.InvariantCulture, $"<text x=\"{(Left + Width - Right) / 2}\" y=\"{Height - 6}\" text-anchor=\"middle\">optimiser step</text>");
        svg.Append(CultureInfo.InvariantCulture,
            $"<text transform=\"translate(14 {(Top + Height - Bottom) / 2}) rotate(-90)\" text-anchor=\"middle\">loss, nats a token</text>");

        if (means.Length > 0)
        {
            string points = string.Join(' ', means.Select((loss, i) => Point(X((i + 1.0) * steps / means.Length), Y(loss))));
            svg.Append(CultureInfo.InvariantCulture,
                $"<polyline points=\"{points}\" fill=\"none\" stroke=\"var(--train)\" stroke-width=\"1\" stroke-opacity=\".5\" stroke-linejoin=\"round\"/>");
            double radius = means.Length <= FewPoints ? 3 : 1.7;
            for (int i = 0; i < means.Length; i++)
            {
                svg.Append(CultureInfo.InvariantCulture,
                    $"<circle cx=\"{X((i + 1.0) * steps / means.Length):F1}\" cy=\"{Y(means[i]):F1}\" r=\"{radius}\" class=\"step\" fill=\"var(--train)\"/>");
            }
        }

        svg.Append(CultureInfo.InvariantCulture,
            $"<polyline points=\"{string.Join(' ', run.Validation.Select(v => Point(X(v.Step), Y(v.Loss))))}\" fill=\"none\" stroke=\"var(--valid)\" "
                + $"stroke-width=\"1.5\" stroke-linejoin=\"round\"/>");
        foreach (ValidationRecord v in run.Validation)
        {
            svg.Append(CultureInfo.InvariantCulture,
                $"<circle cx=\"{X(v.Step):F1}\" cy=\"{Y(v.Loss):F1}\" r=\"4.5\" fill=\"var(--valid)\"><title>step {v.Step}: "
                    + $"{Format.Loss(v.Loss)}</title></circle>");
        }

        return svg.Append("</svg>").ToString();

        double X(double step) => Left + step / steps * (Width - Left - Right);
        double Y(double loss) => Top + (high - loss) / (high - low) * (Height - Top - Bottom);
    }

    private static string Point(double x, double y) => string.Create(CultureInfo.InvariantCulture, $"{x:F1},{y:F1}");

    // Round numbers, about six.
    private static IEnumerable<double> Ticks(double low, double high)
    {
        double raw = (high - low) / 6, power = Math.Pow(10, Math.Floor(Math.Log10(raw)));
        double unit = (raw / power) switch { < 1.5 => power, < 3.5 => 2 * power, < 7.5 => 5 * power, _ => 10 * power };
        for (double tick = Math.Ceiling(low / unit) * unit; tick <= high; tick += unit) yield return Math.Round(tick, 10);
    }
}
