namespace RbeMl.Text;

/// <summary>The bytes at the start of a text that say how it is encoded.</summary>
internal static class ByteOrderMark
{
    /// <summary>Longest mark.</summary>
    public const int Longest = 4;

    /// <summary>The encoding a text's first bytes name, and the length of the mark; null when there is none.</summary>
    public static (string Name, int Length)? Of(ReadOnlySpan<byte> start)
    {
        if (start.StartsWith("\uFEFF"u8)) return ("utf-8", 3);
        if (start.StartsWith((ReadOnlySpan<byte>)[0xFF, 0xFE, 0, 0])) return ("utf-32", 4);
        if (start.StartsWith((ReadOnlySpan<byte>)[0, 0, 0xFE, 0xFF])) return ("utf-32be", 4);
        if (start.StartsWith((ReadOnlySpan<byte>)[0xFF, 0xFE])) return ("utf-16", 2);
        return start.StartsWith((ReadOnlySpan<byte>)[0xFE, 0xFF]) ? ("utf-16be", 2) : null;
    }

    /// <summary>What text without a mark, of which one byte is zero, probably is; null for binary data.</summary>
    /// <param name="bytes">Bytes around the zero.</param>
    /// <param name="offset">Where in the text the bytes start.</param>
    public static string? Guess(ReadOnlySpan<byte> bytes, long offset)
    {
        int even = 0, odd = 0;
        for (int i = 0; i < bytes.Length; i++)
        {
            if (bytes[i] != 0) continue;
            if (((offset + i) & 1) == 0) even++;
            else odd++;
        }

        if (Math.Max(even, odd) < bytes.Length / 4) return null;
        return odd >= 8 * even ? "utf-16le" : even >= 8 * odd ? "utf-16be" : null;
    }
}
