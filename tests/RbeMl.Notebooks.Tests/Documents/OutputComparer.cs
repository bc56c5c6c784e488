using System.Globalization;
using System.Text.RegularExpressions;

namespace RbeMl.Notebooks.Tests.Documents;

/// <summary>
/// Whether the outputs in the file are what running gives. Kinds, mime types and all text must be equal, and so must whole numbers. A
/// number with a decimal point may differ by one unit of its last printed digit or by a two-hundredth of itself, whichever is more: other
/// vector widths add up in another order, and training carries that on. A number after ≈ (times, memory, speed) may be anything. Spaces
/// before a number do not count, as they align columns.
/// </summary>
public static partial class OutputComparer
{
    public const double RelativeTolerance = 1.0 / 200;

    [GeneratedRegex(@"(?<free>≈)?[ ]*(?<number>[-+]?[0-9]+(\.(?<digits>[0-9]+))?([eE](?<exponent>[-+]?[0-9]+))?)", RegexOptions.CultureInvariant)]
    private static partial Regex Number();

    /// <summary>The first difference of a cell's outputs, or null.</summary>
    public static string? Difference(IReadOnlyList<NotebookOutput> committed, IReadOnlyList<NotebookOutput> ran)
    {
        if (committed.Count != ran.Count) return $"the file has {committed.Count} outputs, running gives {ran.Count}";
        for (int i = 0; i < committed.Count; i++)
        {
            (NotebookOutput old, NotebookOutput now) = (committed[i], ran[i]);
            string place = $"output {i + 1}";
            if (old.Kind != now.Kind || old.Name != now.Name) return $"{place} is {old.Kind} {old.Name} in the file, {now.Kind} {now.Name} when run";
            if (!old.Data.Keys.Order(StringComparer.Ordinal).SequenceEqual(now.Data.Keys.Order(StringComparer.Ordinal), StringComparer.Ordinal))
            {
                return $"{place} has {string.Join(", ", old.Data.Keys)} in the file, {string.Join(", ", now.Data.Keys)} when run";
            }

            foreach ((string type, string text) in old.Data)
            {
                if (Difference(text, now.Data[type]) is { } difference) return $"{place}, {type}: {difference}";
            }
        }

        return null;
    }

    /// <summary>The first difference of two texts by the rule above, or null.</summary>
    public static string? Difference(string committed, string ran)
    {
        if (committed == ran) return null;
        MatchCollection old = Number().Matches(committed), now = Number().Matches(ran);
        int oldEnd = 0, nowEnd = 0;
        for (int i = 0; i <= Math.Max(old.Count, now.Count); i++)
        {
            Match? a = i < old.Count ? old[i] : null, b = i < now.Count ? now[i] : null;
            string oldText = committed[oldEnd..(a?.Index ?? committed.Length)], nowText = ran[nowEnd..(b?.Index ?? ran.Length)];
            if (oldText != nowText) return $"the file has '{Excerpt(committed, oldEnd)}', running gives '{Excerpt(ran, nowEnd)}'";
            if (a is null || b is null)
            {
                if (a is null && b is null) break;
                return $"the file has '{Excerpt(committed, oldEnd)}', running gives '{Excerpt(ran, nowEnd)}'";
            }

            if (!Agrees(a, b)) return $"the file has '{Excerpt(committed, a.Index)}', running gives '{Excerpt(ran, b.Index)}'";
            (oldEnd, nowEnd) = (a.Index + a.Length, b.Index + b.Length);
        }

        return null;
    }

    private static bool Agrees(Match a, Match b)
    {
        bool free = a.Groups["free"].Success;
        if (free != b.Groups["free"].Success) return false;
        if (free) return true;
        string x = a.Groups["number"].Value, y = b.Groups["number"].Value;
        if (x == y) return true;
        if (IsWhole(a) || IsWhole(b)) return false;
        double p = double.Parse(x, CultureInfo.InvariantCulture), q = double.Parse(y, CultureInfo.InvariantCulture);
        // A millionth more, for the rounding of the two parsed numbers and of their difference.
        return Math.Abs(p - q) <= 1.000001 * Math.Max(Math.Max(Unit(a), Unit(b)), RelativeTolerance * Math.Abs(p));
    }

    private static bool IsWhole(Match number) => !number.Groups["digits"].Success && !number.Groups["exponent"].Success;

    /// <summary>One of the last printed digit.</summary>
    private static double Unit(Match number)
    {
        int exponent = number.Groups["exponent"].Success ? int.Parse(number.Groups["exponent"].Value, CultureInfo.InvariantCulture) : 0;
        return Math.Pow(10, exponent - number.Groups["digits"].Length);
    }

    private static string Excerpt(string text, int from)
    {
        string part = text[Math.Max(0, from - 20)..Math.Min(text.Length, from + 60)];
        return part.Replace("\n", "⏎", StringComparison.Ordinal);
    }
}
