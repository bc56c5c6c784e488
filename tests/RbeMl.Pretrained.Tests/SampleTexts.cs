using RbeMl.Text;

namespace RbeMl.Pretrained.Tests;

/// <summary>300 different sentences of the SDK's documentation: English that is on every machine, in an order fixed by a seed.</summary>
internal static class SampleTexts
{
    public const int Count = 300;

    private static readonly Lazy<SplitText> Text = new(() => SdkDocumentation.Load(400_000, validationFraction: 0.2));

    /// <summary>The texts to compare on; none of them is in what models are calibrated with.</summary>
    public static IReadOnlyList<string> All { get; } =
        [.. Text.Value.Validation.Split('\n', StringSplitOptions.RemoveEmptyEntries).Distinct(StringComparer.Ordinal).Take(Count)];

    /// <summary>Texts that tokenizers stumble over.</summary>
    public static IReadOnlyList<string> Odd { get; } =
    [
        "", " ", "\t\n", "A", "Ünïcödé café naïve", "ÀÉÎÕÜ", "日本語のテキスト", "你好,世界", "한국어 문장", "Привет, мир", "مرحبا بالعالم",
            "😀 emoji 👩‍👩‍👧", "a\u0000b",
        "x = y + z; // C#", "e\u0301 and \u00e9", "supercalifragilisticexpialidocious", new string('a', 101), "don't stop",
            "$1,234.56 (50%)", "[CLS] [MASK]",
        "ﬁne ﬂour", "tab\tseparated\r\nlines", "\u200bzero\u200bwidth", "ı ß", "100\u00a0km",
    ];
}
