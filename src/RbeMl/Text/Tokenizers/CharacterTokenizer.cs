using System.Globalization;
using System.Text;

namespace RbeMl.Text;

/// <summary>One token a Unicode character of a sample text, in code point order.</summary>
public sealed class CharacterTokenizer : ITokenizer
{
    private readonly byte[][] _bytes;
    private readonly Dictionary<Rune, int> _ids = [];

    /// <summary>Creates a tokenizer from its characters.</summary>
    /// <param name="characters">The characters, each once, in ascending order.</param>
    /// <exception cref="TokenException">There are none, or they do not ascend.</exception>
    public CharacterTokenizer(IReadOnlyList<Rune> characters)
    {
        ArgumentNullException.ThrowIfNull(characters);
        if (characters.Count == 0) throw new TokenException("The text has no characters to make a vocabulary of. Give a text that is not empty.");
        Characters = characters;
        _bytes = new byte[characters.Count][];
        for (int i = 0; i < characters.Count; i++)
        {
            if (i > 0 && characters[i].Value <= characters[i - 1].Value)
            {
                throw new TokenException(
                    $"Character {Name(characters[i])} of the vocabulary is not after {Name(characters[i - 1])}. List each once, ascending.");
            }

            _bytes[i] = Encoding.UTF8.GetBytes(characters[i].ToString());
            _ids.Add(characters[i], i);
        }
    }

    /// <summary>The characters; the index is the id.</summary>
    public IReadOnlyList<Rune> Characters { get; }

    /// <inheritdoc/>
    public int Vocabulary => _bytes.Length;

    /// <summary>The tokenizer of all characters of a text.</summary>
    /// <exception cref="TokenException">The text is empty.</exception>
    public static CharacterTokenizer FromText(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        SortedSet<Rune> characters = [];
        foreach (Rune rune in text.EnumerateRunes()) characters.Add(rune);
        return new CharacterTokenizer([.. characters]);
    }

    /// <inheritdoc/>
    public int[] Encode(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        List<int> ids = new(text.Length);
        foreach (Rune rune in text.EnumerateRunes())
        {
            ids.Add(_ids.TryGetValue(rune, out int id)
                ? id
                : throw new TokenException(
                    $"Character {Name(rune)} at place {ids.Count} is not among the tokenizer's {Vocabulary}. Remove it, or use a "
                    + $"tokenizer of bytes or bpe, which know every text."));
        }

        return [.. ids];
    }

    /// <inheritdoc/>
    public int SafeCut(ReadOnlySpan<char> text, bool special = false) => WordSplitter.WholeCharacters(text);

    /// <inheritdoc/>
    public ReadOnlySpan<byte> Bytes(int token) => _bytes[TokenIds.Check(token, Vocabulary)];

    /// <summary>A character for messages.</summary>
    internal static string Name(Rune rune)
    {
        string code = "U+" + rune.Value.ToString("X4", CultureInfo.InvariantCulture);
        return Rune.IsControl(rune) || Rune.IsWhiteSpace(rune) ? code : $"'{rune}' ({code})";
    }
}
