using RbeMl.Codec;

namespace RbeMl.Cli;

/// <summary>The formats of the library in the words of the command line.</summary>
internal static class FormatWords
{
    /// <summary>Formats that the command line offers.</summary>
    public static IReadOnlyList<RbeFormat> Offered { get; } = [.. RbeFormat.All.Where(format => format.Use is not null)];

    /// <summary>Those of frozen codes.</summary>
    public static IReadOnlyList<FrozenFormat> Frozen { get; } = [.. Offered.OfType<FrozenFormat>()];

    /// <summary>Their words: "quantized or trellis".</summary>
    public static string FrozenWords { get; } = Or(Frozen.Select(format => format.Name));

    /// <summary>Their words and bits.</summary>
    public static string BitWords { get; } = Or(Frozen.Select(format => $"{format.Name} ({BitsOf(format)})"));

    /// <summary>The fewest bits of any.</summary>
    public static int LeastBits { get; } = Frozen.Min(format => format.BitChoices[0]);

    /// <summary>The most bits of any.</summary>
    public static int MostBits { get; } = Frozen.Max(format => format.BitChoices[^1]);

    /// <summary>The frozen format of a word, or null.</summary>
    public static FrozenFormat? FrozenOf(string? word) => Frozen.FirstOrDefault(format => format.Name == word);

    /// <summary>Formats and what they are good for.</summary>
    public static string Uses(IEnumerable<RbeFormat> formats) => string.Join("; ", formats.Select(format => $"{format.Name}: {format.Use}"));

    /// <summary>The bits that a format has: "2 to 6, or 8".</summary>
    public static string BitsOf(FrozenFormat format) => format.BitWords(" to ", ", or ");

    /// <summary>What a format has to say where so many bits were asked of it, or null where it has them.</summary>
    public static string? Refusal(FrozenFormat? format, int bits) =>
        format is null || format.BitChoices.Contains(bits) ? null : $"{format.Name} has {BitsOf(format)}.";

    private static string Or(IEnumerable<string> words)
    {
        string[] all = [.. words];
        return all.Length < 2 ? string.Concat(all) : $"{string.Join(", ", all[..^1])} or {all[^1]}";
    }
}
