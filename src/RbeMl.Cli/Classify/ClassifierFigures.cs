using RbeMl.Cli.Output;

namespace RbeMl.Cli.Classify;

/// <summary>How well a classifier labels texts whose labels are known.</summary>
/// <param name="Texts">How many.</param>
/// <param name="Accuracy">Share that is labelled rightly.</param>
/// <param name="MacroF1">Mean over the classes that occur, among the labels or the answers, of the harmonic mean of precision and recall.</param>
/// <param name="LogLoss">Mean of -ln of the probability given to the right label, nats.</param>
/// <param name="Confusion">[C][C]: how many of each label (row) were given each answer (column).</param>
internal sealed record ClassifierFigures(int Texts, double Accuracy, double MacroF1, double LogLoss, int[][] Confusion)
{
    // The least probability that is told from none; a float's may be zero.
    private const double LeastProbability = 1e-15;

    /// <summary>Of probabilities and labels.</summary>
    public static ClassifierFigures Of(IEnumerable<float[]> probabilities, IReadOnlyList<int> labels, int classes)
    {
        int[][] confusion = [.. Enumerable.Range(0, classes).Select(_ => new int[classes])];
        double loss = 0;
        int n = 0;
        foreach (float[] row in probabilities)
        {
            loss -= Math.Log(Math.Max(row[labels[n]], LeastProbability));
            confusion[labels[n++]][Best(row)]++;
        }

        double f1 = 0;
        int seen = 0, right = 0;
        for (int c = 0; c < classes; c++)
        {
            int both = confusion[c].Sum() + confusion.Sum(row => row[c]);
            right += confusion[c][c];
            if (both == 0) continue;
            seen++;
            f1 += 2.0 * confusion[c][c] / both;
        }

        return new ClassifierFigures(n, (double)right / n, f1 / seen, loss / n, confusion);
    }

    /// <summary>The likeliest class, of equals the first.</summary>
    public static int Best(ReadOnlySpan<float> row)
    {
        int best = 0;
        for (int c = 1; c < row.Length; c++) best = row[c] > row[best] ? c : best;
        return best;
    }

    /// <summary>Writes the figures and the confusion of the classes.</summary>
    public void Write(CommandHost host, IReadOnlyList<string> labels)
    {
        FigureTable table = new FigureTable("measured").Column("figure");
        table.Row("texts", Format.Count(Texts));
        table.Row("accuracy", Format.Percent(Accuracy));
        table.Row("macro F1", Format.Loss(MacroF1));
        table.Row("log-loss, nats a text", Format.Loss(LogLoss));
        table.Write(host);
        FigureTable counts = new("label \\ answer");
        foreach (string label in labels) counts.Column(label);
        for (int c = 0; c < labels.Count; c++) counts.Row(labels[c], [.. Confusion[c].Select(count => Format.Count(count))]);
        host.Out.WriteLine();
        counts.Write(host);
    }
}
