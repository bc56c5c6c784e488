using RbeMl.Cli.Output;
using RbeMl.Numerics;

namespace RbeMl.Cli.Classify;

/// <summary>Labelled texts divided, class by class, into those to learn from and those to measure on; what could not be met is noted.</summary>
internal sealed class ClassShares
{
    private const int Named = 8;
    private readonly string[] _labels;
    private readonly ulong _seed;

    /// <summary>Of all texts, of which none is measured on yet.</summary>
    /// <param name="texts">The texts.</param>
    /// <param name="labels">Names of the classes, in their order.</param>
    /// <param name="seed">Seed of all draws.</param>
    public ClassShares(List<LabelledText> texts, string[] labels, ulong seed) => (Learnt, _labels, _seed) = (texts, labels, seed);

    /// <summary>The texts to learn from.</summary>
    public List<LabelledText> Learnt { get; private set; }

    /// <summary>The texts to measure on; null where nobody asked.</summary>
    public List<LabelledText>? Measured { get; set; }

    /// <summary>What could not be met as asked, one sentence each.</summary>
    public List<string> Notes { get; } = [];

    /// <summary>How many texts of each class are learnt from.</summary>
    public int[] LearntOfClass => Count(Learnt);

    /// <summary>Sets a share of each class aside to measure on: of one text none, of more at least one, and never all.</summary>
    public void Measure(double share)
    {
        List<string> unmet = [];
        int[] all = LearntOfClass, wanted = [.. all.Select(n => (int)Math.Round(share * n))];
        int[] measured = [.. all.Zip(wanted, (n, of) => Math.Clamp(of, n > 1 ? 1 : 0, n - 1))];
        (Learnt, Measured) = Draw(c => all[c] - measured[c]);
        for (int c = 0; c < all.Length; c++)
        {
            if (measured[c] != wanted[c] || measured[c] == 0) unmet.Add($"{measured[c]} of {all[c]} \"{_labels[c]}\"");
        }

        if (unmet.Count == 0) return;
        Notes.Add(FormattableString.Invariant($"--test-fraction {share} is not met by small classes: measured on are {Some(unmet)}."));
    }

    /// <summary>Keeps so many texts of each class, or all where there are fewer.</summary>
    public void Keep(int most)
    {
        int[] all = LearntOfClass;
        List<string> unmet = [.. all.Select((n, c) => (n, c)).Where(pair => pair.n < most).Select(pair => $"{pair.n} of \"{_labels[pair.c]}\"")];
        Learnt = Draw(c => Math.Min(all[c], most)).Drawn;
        if (unmet.Count == 0) return;
        Notes.Add(FormattableString.Invariant($"--per-class {most} is more than there are of some classes: learnt from are {Some(unmet)}."));
    }

    /// <summary>Writes the classes with their numbers of texts, and the notes.</summary>
    public void Write(CommandHost host)
    {
        FigureTable table = new FigureTable("class").Column("learnt from");
        int[] learnt = LearntOfClass;
        int[]? measured = Measured is null ? null : Count(Measured);
        if (measured is not null) table.Column("measured on");
        for (int c = 0; c < _labels.Length; c++)
        {
            table.Row(_labels[c], [Format.Count(learnt[c]), .. measured is null ? [] : new[] { Format.Count(measured[c]) }]);
        }

        table.Write(host);
        foreach (string note in Notes) host.Say($"Note: {note}");
        host.Out.WriteLine();
    }

    private int[] Count(List<LabelledText> texts)
    {
        Dictionary<string, int> counts = texts.CountBy(text => text.Label, StringComparer.Ordinal).ToDictionary(StringComparer.Ordinal);
        return [.. _labels.Select(label => counts.GetValueOrDefault(label))];
    }

    private static string Some(List<string> classes) =>
        string.Join(", ", classes.Take(Named)) + (classes.Count > Named ? $" and so on, {classes.Count} classes in all" : "");

    // Of each class so many of its texts, drawn by the seed, in the order of the file; and the others.
    private (List<LabelledText> Drawn, List<LabelledText> Others) Draw(Func<int, int> count)
    {
        HashSet<int> drawn = [];
        ILookup<string, int> ofLabel = Enumerable.Range(0, Learnt.Count).ToLookup(i => Learnt[i].Label, StringComparer.Ordinal);
        for (int c = 0; c < _labels.Length; c++)
        {
            int[] places = [.. ofLabel[_labels[c]]];
            DeterministicRandom random = new(_seed, (ulong)c);
            int wanted = count(c);
            for (int i = 0; i < wanted; i++)
            {
                int other = i + random.NextBelow(places.Length - i);
                (places[i], places[other]) = (places[other], places[i]);
                drawn.Add(places[i]);
            }
        }

        return ([.. Learnt.Where((_, i) => drawn.Contains(i))], [.. Learnt.Where((_, i) => !drawn.Contains(i))]);
    }
}
