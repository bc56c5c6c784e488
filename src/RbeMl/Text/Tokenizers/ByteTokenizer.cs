using System.Text;

namespace RbeMl.Text;

/// <summary>One token a UTF-8 byte: 256 ids, no unknown text.</summary>
public sealed class ByteTokenizer : ITokenizer
{
    private static readonly byte[] All = [.. Enumerable.Range(0, 256).Select(b => (byte)b)];

    /// <inheritdoc/>
    public int Vocabulary => All.Length;

    /// <inheritdoc/>
    public int[] Encode(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        return Array.ConvertAll(Encoding.UTF8.GetBytes(text), b => (int)b);
    }

    /// <inheritdoc/>
    public int SafeCut(ReadOnlySpan<char> text, bool special = false) => WordSplitter.WholeCharacters(text);

    /// <inheritdoc/>
    public ReadOnlySpan<byte> Bytes(int token) => All.AsSpan(TokenIds.Check(token, Vocabulary), 1);
}

/// <summary>Shared check of ids.</summary>
internal static class TokenIds
{
    public static int Check(int token, int vocabulary) => (uint)token < (uint)vocabulary
        ? token
        : throw new TokenException($"Token id {token} is outside the vocabulary 0 .. {vocabulary - 1}. Use ids of this tokenizer.");
}
