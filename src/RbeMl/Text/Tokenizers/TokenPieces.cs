using System.Globalization;

namespace RbeMl.Text;

/// <summary>
/// Encodes a text piece by piece, to the ids of the whole: it is cut where the tokenizer's rule allows (<see cref="ITokenizer.SafeCut"/>).
/// In memory are the ids, once, and a few million characters, or all where a tokenizer knows no place to cut.
/// </summary>
internal static class TokenPieces
{
    private const int PieceCharacters = 1 << 20, FirstCharacters = 1 << 14;

    /// <summary>The ids of a text.</summary>
    /// <param name="tokenizer">The tokenizer.</param>
    /// <param name="pieces">The text.</param>
    /// <param name="name">What messages call it.</param>
    /// <param name="vocabulary">Ids of the model.</param>
    /// <param name="special">Whether names of special tokens stand for these.</param>
    /// <param name="list">A list that they are added to; null makes one.</param>
    /// <exception cref="TokenException">The text holds something that has no id, or one that the model does not have.</exception>
    /// <exception cref="RbeFileException">There are more ids, or characters that cannot be cut, than can be held.</exception>
    public static TokenList Encode(ITokenizer tokenizer, IEnumerable<ReadOnlyMemory<char>> pieces, string name, int vocabulary, bool special = false,
        TokenList? list = null)
        => Encode(tokenizer, pieces, name, vocabulary, PieceCharacters, special: special, list: list);

    /// <summary>
    /// As <see cref="Encode(ITokenizer, IEnumerable{ReadOnlyMemory{char}}, string, int, bool, TokenList?)"/>, in pieces of about
    /// <paramref name="size"/> characters.
    /// </summary>
    internal static TokenList Encode(ITokenizer tokenizer, IEnumerable<ReadOnlyMemory<char>> pieces, string name, int vocabulary, int size,
        long most = long.MaxValue, bool special = false, TokenList? list = null)
    {
        ArgumentNullException.ThrowIfNull(tokenizer);
        ArgumentNullException.ThrowIfNull(pieces);
        TokenList ids = list ?? new();
        char[] text = new char[Math.Min(size, FirstCharacters)];
        int count = 0, next = size;
        long done = 0;
        foreach (ReadOnlyMemory<char> piece in pieces)
        {
            for (int start = 0; start < piece.Length;)
            {
                if (count == next)
                {
                    int cut = tokenizer.SafeCut(text.AsSpan(0, count), special);
                    Add(cut);
                    text.AsSpan(cut, count - cut).CopyTo(text);
                    (count, done) = (count - cut, done + cut);
                    next = cut > 0 && count < size ? size : (int)Math.Min(2L * count, TextFile.MostCharacters);
                    if (count == next)
                    {
                        throw new RbeFileException(name,
                            string.Create(CultureInfo.InvariantCulture,
                            $"has {count} characters on end that its tokenizer takes as one word, the most that is held. Break it up."));
                    }
                }

                int some = Math.Min(piece.Length - start, next - count);
                if (count + some > text.Length) Array.Resize(ref text, (int)Math.Min(next, Math.Max(2L * text.Length, count + some)));
                piece.Span.Slice(start, some).CopyTo(text.AsSpan(count));
                (start, count) = (start + some, count + some);
            }
        }

        Add(count);
        return ids;

        void Add(int length)
        {
            if (length == 0) return;
            try
            {
                int[] part = tokenizer.EncodeFor(new string(text, 0, length), vocabulary, special);
                long room = Math.Min(most, GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / ids.IdBytes);
                if (ids.Length + part.Length > room)
                {
                    throw new RbeFileException(name,
                        string.Create(CultureInfo.InvariantCulture,
                        $"has more than {ids.Length} tokens, and {room} are the most that can be held. Use a part of it."));
                }

                ids.Add(part);
            }
            catch (TokenException error) when (done > 0)
            {
                throw new TokenException(string.Create(CultureInfo.InvariantCulture, $"{name}, in what follows character {done}: {error.Message}"));
            }
        }
    }
}
