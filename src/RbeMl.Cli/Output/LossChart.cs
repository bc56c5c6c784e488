using System.Globalization;
using System.Text;

namespace RbeMl.Cli.Output;

/// <summary>A loss curve in characters: two by four dots a character (Braille), so it is sharp in any terminal.</summary>
internal static class LossChart
{
    private const int Blank = 0x2800;
    private static readonly int[,] Dots = { { 0x01, 0x08 }, { 0x02, 0x10 }, { 0x04, 0x20 }, { 0x40, 0x80 } };

    /// <summary>Draws losses by step.</summary>
    /// <param name="losses">
    /// At least one loss, each with the tokens it is a mean over; several steps that fall on a dot become the mean over their tokens.
    /// </param>
    /// <param name="width">Characters across.</param>
    /// <param name="height">Characters up.</param>
    /// <param name="axis">What stands below its left end, middle and right end; null for the steps.</param>
    public static string Draw(IReadOnlyList<(double Loss, long Tokens)> losses, int width = 64, int height = 12,
        (string Left, string Middle, string Right)? axis = null)
    {
        double[] columns = losses.Count > width * 2 ? Columns(losses, width * 2) : Between(losses, width * 2);
        double low = columns.Min(), high = columns.Max();
        if (high - low < 1e-9) high = low + 1e-9;
        int[,] cells = new int[height, width];
        int rows = height * 4, previous = -1;
        for (int c = 0; c < columns.Length; c++)
        {
            int y = (int)Math.Round((high - columns[c]) / (high - low) * (rows - 1));
            int from = previous < 0 ? y : Math.Min(y, previous), to = previous < 0 ? y : Math.Max(y, previous);
            for (int row = from; row <= to; row++) cells[row / 4, c / 2] |= Dots[row % 4, c % 2];
            previous = y;
        }

        StringBuilder text = new();
        for (int row = 0; row < height; row++)
        {
            double value = high - (high - low) * row / (height - 1);
            text.Append(value.ToString("F2", CultureInfo.InvariantCulture).PadLeft(7)).Append(" │");
            for (int x = 0; x < width; x++) text.Append((char)(Blank + cells[row, x]));
            text.Append('\n');
        }

        (string left, string middle, string right) = axis ?? ("1", "step", losses.Count.ToString(CultureInfo.InvariantCulture));
        int half = left.Length + Math.Max(middle.Length, width / 2);
        text.Append("        └").Append('─', width).Append('\n').Append("         ").Append(left).Append(middle.PadLeft(half - left.Length))
            .Append(right.PadLeft(Math.Max(0, width - half))).Append('\n');
        return text.ToString();
    }

    // Values on the straight lines between neighbours.
    private static double[] Between(IReadOnlyList<(double Loss, long Tokens)> values, int count)
    {
        double[] points = new double[count];
        for (int c = 0; c < count; c++)
        {
            double place = (double)c * (values.Count - 1) / (count - 1);
            int left = (int)place, right = Math.Min(left + 1, values.Count - 1);
            points[c] = values[left].Loss + (values[right].Loss - values[left].Loss) * (place - left);
        }

        return points;
    }

    /// <summary>Means over the tokens of <paramref name="count"/> parts of as many steps each.</summary>
    internal static double[] Columns(IReadOnlyList<(double Loss, long Tokens)> values, int count)
    {
        double[] means = new double[count];
        for (int c = 0; c < count; c++)
        {
            int from = (int)((long)c * values.Count / count), to = Math.Max(from + 1, (int)((long)(c + 1) * values.Count / count));
            double sum = 0, tokens = 0;
            for (int i = from; i < to; i++) (sum, tokens) = (sum + (values[i].Loss * values[i].Tokens), tokens + values[i].Tokens);
            means[c] = sum / Math.Max(1, tokens);
        }

        return means;
    }
}
