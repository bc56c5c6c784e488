using System.Text;

namespace RbeMl.Fuzz.Mutation;

/// <summary>Changes text by lines and words, or writes it in another encoding.</summary>
internal static class TextMutator
{
    private static readonly string[] Words =
        ["", "-1", "0", "2147483648", "99999999999999999999", "1.5", "NaN", "a\0b", "\u001b[2J", "é", "\u2028", "#version", "\uFFFD", "!!!",
            "====", "\t", "a a a a", "\u00A0"];

    /// <summary>Changes one to three places.</summary>
    public static byte[] Mutate(byte[] bytes, Dice dice)
    {
        if (dice.Once(8)) return Recode(Encoding.UTF8.GetString(bytes), dice);
        if (dice.Once(4)) return ByteMutator.Mutate(bytes, dice);
        List<string> lines = [.. Encoding.UTF8.GetString(bytes).Split('\n')];
        for (int changes = 1 + dice.Below(3); changes > 0; changes--) Change(lines, dice);
        return Encoding.UTF8.GetBytes(string.Join(dice.Once(8) ? "\r\n" : "\n", lines));
    }

    private static void Change(List<string> lines, Dice dice)
    {
        int line = dice.Below(lines.Count), other = dice.Below(lines.Count);
        switch (dice.Below(7))
        {
            case 0:
                lines.Insert(other, lines[line]);
                break;
            case 1:
                (lines[line], lines[other]) = (lines[other], lines[line]);
                break;
            case 2 when lines.Count > 1:
                lines.RemoveAt(line);
                break;
            case 3:
                if (lines[line].Length < 1000) lines[line] = string.Concat(Enumerable.Repeat(lines[line] + " ", 1 << dice.Below(10)));
                break;
            case 4:
                lines.Insert(line, dice.Pick(Words));
                break;
            default:
                string[] words = lines[line].Split(' ');
                words[dice.Below(words.Length)] = dice.Once(2) ? dice.Pick(Words) : dice.Pick(lines[other].Split(' '));
                lines[line] = string.Join(' ', words);
                break;
        }
    }

    private static byte[] Recode(string text, Dice dice) => dice.Below(6) switch
    {
        0 => [.. "\uFEFF"u8, .. Encoding.UTF8.GetBytes(text)],
        1 => [0xFF, 0xFE, .. Encoding.Unicode.GetBytes(text)],
        2 => Encoding.Unicode.GetBytes(text),
        3 => [0xFE, 0xFF, .. Encoding.BigEndianUnicode.GetBytes(text)],
        4 => Encoding.Latin1.GetBytes(text + "é"),
        _ => [.. Encoding.UTF8.GetBytes(text), 0xF0, 0x9F, 0x98],
    };
}
