using System.Runtime.InteropServices;
using System.Text.RegularExpressions;
using System.Xml.Linq;
using RbeMl.Text;

namespace RbeMl.Benchmarks.MlNet;

/// <summary>A text and its class.</summary>
internal sealed record LabelledText(string Class, string Text);

/// <summary>Labelled texts, and their split by a seed.</summary>
internal sealed partial class TextSet
{
    private const int FewestOfAClass = 100, Most = 20_000, ShortestSentence = 20;
    private const double TestShare = 0.2;

    private TextSet(string name, IEnumerable<LabelledText> texts, int seed)
    {
        Name = name;
        LabelledText[] all = [.. texts.DistinctBy(t => t.Text)]; // none of the test is in the training
        new Random(seed).Shuffle(all);
        all = all[..Math.Min(all.Length, Most)];
        int test = (int)(TestShare * all.Length);
        (Test, Train) = (all[..test], all[test..]);
    }

    /// <summary>What it is.</summary>
    public string Name { get; }

    /// <summary>To train on.</summary>
    public LabelledText[] Train { get; }

    /// <summary>To measure on.</summary>
    public LabelledText[] Test { get; }

    /// <summary>A file of lines "class TAB text", or with null the documentation of the installed SDK.</summary>
    /// <exception cref="InvalidDataException">A line has no tab, or nothing is there.</exception>
    public static TextSet Load(string? file, int seed) => file is null ? Documentation(seed) : new(Path.GetFileName(file), Lines(file), seed);

    private static IEnumerable<LabelledText> Lines(string file)
    {
        int number = 0;
        foreach (string line in TextFile.ReadLines(file))
        {
            number++;
            int tab = line.IndexOf('\t', StringComparison.Ordinal);
            if (tab < 1) throw new InvalidDataException($"{file}, line {number}: expected \"class TAB text\".");
            yield return new LabelledText(line[..tab], line[(tab + 1)..]);
        }
    }

    // Summaries, and the first two parts of the namespace that they stand in. A summary that stands in several tells nothing.
    private static TextSet Documentation(int seed)
    {
        string packs = Path.GetFullPath(Path.Combine(RuntimeEnvironment.GetRuntimeDirectory(), "..", "..", "..", "packs", "Microsoft.NETCore.App.Ref"));
        string folder = Directory.Exists(packs) ? Directory.GetDirectories(packs).Order(StringComparer.Ordinal).Last()
            : throw new InvalidDataException($"{packs} is not there. Install the .NET SDK, or give --data.");
        string[] files = [.. Directory.GetFiles(folder, "*.xml", SearchOption.AllDirectories).Order(StringComparer.Ordinal)];
        XElement[] members = [.. files.SelectMany(f => XDocument.Load(f).Descendants("member"))];
        HashSet<string> types = [.. members.Select(Name).Where(n => n.StartsWith("T:", StringComparison.Ordinal)).Select(n => n[2..])];
        Dictionary<string, string?> classes = new(StringComparer.Ordinal);
        foreach (XElement member in members)
        {
            if (member.Element("summary") is not { } summary || Namespace(Name(member), types) is not { } space) continue;
            string text = Sentence(summary);
            if (text.Length >= ShortestSentence) classes[text] = classes.TryGetValue(text, out string? before) && before != space ? null : space;
        }

        IEnumerable<LabelledText> texts = classes.Where(c => c.Value is not null).GroupBy(c => c.Value!).Where(g => g.Count() >= FewestOfAClass)
            .OrderBy(g => g.Key, StringComparer.Ordinal)
                .SelectMany(g => g.Select(c => new LabelledText(g.Key, c.Key)).OrderBy(t => t.Text, StringComparer.Ordinal));
        return new TextSet("SDK documentation, by namespace", texts, seed);

        static string Name(XElement member) => member.Attribute("name")?.Value ?? "";
    }

    private static string? Namespace(string member, HashSet<string> types)
    {
        string[] parts = member[Math.Min(2, member.Length)..].Split('(')[0].Split('.');
        for (int count = 2; count <= parts.Length; count++)
        {
            if (types.Contains(string.Join('.', parts[..count]))) return string.Join('.', parts[..Math.Min(2, count - 1)]);
        }

        return null;
    }

    private static string Sentence(XElement summary)
    {
        foreach (XElement see in summary.Descendants().Where(e => !e.HasElements && e.Value.Length == 0).ToArray())
        {
            string reference = (see.Attribute("cref") ?? see.Attribute("name") ?? see.Attribute("langword"))?.Value ?? "";
            see.ReplaceWith(reference.Split('(')[0].Split('.', ':')[^1]);
        }

        return Space().Replace(summary.Value, " ").Trim();
    }

    [GeneratedRegex(@"\s+")]
    private static partial Regex Space();
}
