using System.Text;

namespace RbeMl.Text;

/// <summary>
/// GPT-2's way to write bytes as text: a byte that prints in Latin-1 is that character, the other 68 are U+0100 onwards in their order, so that a
/// space is U+0120. Source: https://github.com/openai/gpt-2, encoder.py.
/// </summary>
internal static class ByteAlphabet
{
    private static readonly char[] Characters = MakeCharacters();
    private static readonly short[] ByteOf = MakeBytes();

    /// <summary>The text of some bytes, one character each.</summary>
    public static string Write(ReadOnlySpan<byte> bytes)
    {
        StringBuilder text = new(bytes.Length);
        foreach (byte value in bytes) text.Append(Characters[value]);
        return text.ToString();
    }

    /// <summary>The bytes of a text; null when it has other characters.</summary>
    public static byte[]? Read(ReadOnlySpan<char> text)
    {
        byte[] bytes = new byte[text.Length];
        for (int i = 0; i < text.Length; i++)
        {
            if (text[i] >= ByteOf.Length || ByteOf[text[i]] < 0) return null;
            bytes[i] = (byte)ByteOf[text[i]];
        }

        return bytes;
    }

    private static char[] MakeCharacters()
    {
        char[] characters = new char[256];
        char next = '\u0100';
        for (int b = 0; b < 256; b++) characters[b] = b is (>= '!' and <= '~') or (>= 0xA1 and <= 0xAC) or >= 0xAE ? (char)b : next++;
        return characters;
    }

    private static short[] MakeBytes()
    {
        short[] bytes = new short[Characters.Max() + 1];
        Array.Fill(bytes, (short)-1);
        for (int b = 0; b < 256; b++) bytes[Characters[b]] = (short)b;
        return bytes;
    }
}
