using System.Text;

namespace RbeMl.Text;

/// <summary>
/// BERT's tokenizer: words, and where the vocabulary does not have a word, the longest pieces of it from left to right. Any text can be encoded: what no pieces
/// make is the unknown token. Texts become what they were when the model was trained, line breaks, symbols and emoji included.
/// </summary>
public sealed class WordPieceTokenizer : ITokenizer
{
    private readonly Dictionary<string, int> _ids = new(StringComparer.Ordinal);
    private readonly Dictionary<string, int>.AlternateLookup<ReadOnlySpan<char>> _words, _inner;
    private readonly NamedTokens _special;
    private readonly byte[][] _bytes;
    private readonly int _longest;

    /// <summary>Creates a tokenizer from its tokens.</summary>
    /// <param name="tokens">The tokens; the index is the id.</param>
    /// <param name="rules">How texts are taken apart; null takes those of uncased BERT models.</param>
    /// <exception cref="TokenException">
    /// There are none, one occurs twice or is empty, or the tokens that begin and end a sequence or stand for what is unknown are not among them.
    /// </exception>
    public WordPieceTokenizer(IReadOnlyList<string> tokens, WordPieceRules? rules = null)
    {
        Items.Require(tokens, nameof(tokens));
        Rules = rules ?? new WordPieceRules();
        if (Rules.MaxWordLength < 1) throw new InvalidSettingException(nameof(Rules.MaxWordLength), Rules.MaxWordLength, "use a positive number.");
        Tokens = [.. tokens];
        Dictionary<string, int> inner = new(StringComparer.Ordinal);
        _bytes = new byte[Tokens.Count][];
        for (int id = 0; id < Tokens.Count; id++)
        {
            string token = Tokens[id];
            if (token.Length == 0) throw new TokenException($"Token {id} of the vocabulary is empty. Give one token a line.");
            if (!_ids.TryAdd(token, id))
            {
                throw new TokenException($"Token \"{token}\" is in the vocabulary twice, as {_ids[token]} and as {id}. List each once.");
            }

            bool within = Rules.Prefix.Length > 0 && token.Length > Rules.Prefix.Length && token.StartsWith(Rules.Prefix, StringComparison.Ordinal);
            if (within) inner.Add(token[Rules.Prefix.Length..], id);
            _bytes[id] = Encoding.UTF8.GetBytes(within ? token[Rules.Prefix.Length..] : " " + token);
            _longest = Math.Max(_longest, token.Length);
        }

        _words = _ids.GetAlternateLookup<ReadOnlySpan<char>>();
        _inner = (Rules.Prefix.Length > 0 ? inner : _ids).GetAlternateLookup<ReadOnlySpan<char>>();
        (ClassifyToken, SeparatorToken, UnknownToken) = (Required(Rules.Classify), Required(Rules.Separator), Required(Rules.Unknown));
        (PadToken, MaskToken) = (Find(Rules.Pad), Find(Rules.Mask));
        Special = new[] { Rules.Classify, Rules.Separator, Rules.Unknown, Rules.Pad, Rules.Mask }.Distinct().Where(_ids.ContainsKey)
            .ToDictionary(name => name, name => _ids[name]);
        _special = new NamedTokens(Special);
    }

    /// <summary>The tokens; the index is the id.</summary>
    public IReadOnlyList<string> Tokens { get; }

    /// <summary>How texts are taken apart.</summary>
    public WordPieceRules Rules { get; }

    /// <summary>The special tokens that the vocabulary has, by name.</summary>
    public IReadOnlyDictionary<string, int> Special { get; }

    /// <summary>Id that begins a sequence.</summary>
    public int ClassifyToken { get; }

    /// <summary>Id that ends a sequence.</summary>
    public int SeparatorToken { get; }

    /// <summary>Id of words that no pieces make.</summary>
    public int UnknownToken { get; }

    /// <summary>Id that fills up; null where there is none.</summary>
    public int? PadToken { get; }

    /// <summary>Id that hides a word; null where there is none.</summary>
    public int? MaskToken { get; }

    /// <inheritdoc/>
    public int Vocabulary => Tokens.Count;

    /// <summary>The tokenizer of a <c>vocab.txt</c>: one token a line, line ends of any kind, a byte order mark or none.</summary>
    /// <param name="utf8">The file's bytes.</param>
    /// <param name="rules">How texts are taken apart; null takes those of uncased BERT models.</param>
    /// <exception cref="TokenException">The bytes are no UTF-8, or the tokens are wrong as the constructor says.</exception>
    public static WordPieceTokenizer FromVocabulary(ReadOnlySpan<byte> utf8, WordPieceRules? rules = null)
    {
        string text;
        try
        {
            text = new UTF8Encoding(false, true).GetString(utf8.StartsWith("\uFEFF"u8) ? utf8[3..] : utf8);
        }
        catch (DecoderFallbackException error)
        {
            throw new TokenException($"The vocabulary is not UTF-8: {error.Message} Write it again.");
        }

        string[] lines = text.Split('\n');
        for (int i = 0; i < lines.Length; i++) lines[i] = lines[i].TrimEnd('\r');
        return new WordPieceTokenizer(lines.Length > 0 && lines[^1].Length == 0 ? lines[..^1] : lines, rules);
    }

    /// <summary>The ids of a text, without those that begin and end a sequence. Names of special tokens in it are words like others.</summary>
    /// <param name="text">The text.</param>
    public int[] Encode(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        List<int> ids = new((text.Length / 4) + 4);
        Add(text, ids);
        return [.. ids];
    }

    /// <inheritdoc/>
    public int[] EncodeWithSpecial(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        List<int> ids = [];
        ReadOnlySpan<char> rest = text;
        while (_special.TryFind(rest, out int place, out int length, out int id))
        {
            Add(rest[..place].ToString(), ids);
            ids.Add(id);
            rest = rest[(place + length)..];
        }

        Add(rest.ToString(), ids);
        return [.. ids];
    }

    /// <summary>The ids of a text between the one that begins and the one that ends a sequence.</summary>
    /// <param name="text">The text.</param>
    /// <param name="maxTokens">Ids at most, those two included: the end of a longer text is cut off. Null takes all.</param>
    /// <exception cref="ArgumentOutOfRangeException">There is no room for the two.</exception>
    public int[] EncodeSequence(string text, int? maxTokens = null)
    {
        int[] ids = Encode(text);
        int room = (maxTokens ?? int.MaxValue) - 2;
        ArgumentOutOfRangeException.ThrowIfNegative(room, nameof(maxTokens));
        return Sequence(ids.AsSpan(0, Math.Min(room, ids.Length)));
    }

    /// <summary>Ids between the one that begins and the one that ends a sequence.</summary>
    /// <param name="ids">The ids.</param>
    public int[] Sequence(ReadOnlySpan<int> ids)
    {
        int[] sequence = new int[ids.Length + 2];
        (sequence[0], sequence[^1]) = (ClassifyToken, SeparatorToken);
        ids.CopyTo(sequence.AsSpan(1));
        return sequence;
    }

    /// <inheritdoc/>
    public int SafeCut(ReadOnlySpan<char> text, bool special = false)
    {
        if (special && _special.HoldSpace) return 0;
        return Math.Max(0, text.LastIndexOfAny(" \t\n\r"));
    }

    /// <summary>The UTF-8 bytes of one token: a piece that begins a word has a space before it.</summary>
    /// <inheritdoc/>
    public ReadOnlySpan<byte> Bytes(int token) => _bytes[TokenIds.Check(token, Vocabulary)];

    /// <summary>The text of some ids: words with a space between two, special tokens by their names.</summary>
    /// <inheritdoc/>
    public string Decode(ReadOnlySpan<int> tokens)
    {
        StringBuilder text = new();
        foreach (int token in tokens) text.Append(Encoding.UTF8.GetString(this.BytesOf(token)));
        return text.Length > 0 && text[0] == ' ' ? text.ToString(1, text.Length - 1) : text.ToString();
    }

    private void Add(string text, List<int> ids)
    {
        ReadOnlySpan<char> words = WordPieceText.Words(text, Rules);
        foreach (Range range in words.Split(' '))
        {
            ReadOnlySpan<char> word = words[range];
            if (!word.IsEmpty) AddWord(word, ids);
        }
    }

    private void AddWord(ReadOnlySpan<char> word, List<int> ids)
    {
        int before = ids.Count;
        bool unknown = word.Length > Rules.MaxWordLength && Characters(word) > Rules.MaxWordLength;
        for (int start = 0; start < word.Length && !unknown;)
        {
            Dictionary<string, int>.AlternateLookup<ReadOnlySpan<char>> lookup = start == 0 ? _words : _inner;
            int end = Math.Min(word.Length, start + _longest), id = -1;
            while (end > start && !lookup.TryGetValue(word[start..end], out id)) end--;
            if (end == start)
            {
                unknown = true; // nothing fits: all of the word is unknown
                break;
            }

            ids.Add(id);
            start = end;
        }

        if (!unknown) return;
        ids.RemoveRange(before, ids.Count - before);
        ids.Add(UnknownToken);
    }

    private static int Characters(ReadOnlySpan<char> word)
    {
        int count = 0;
        foreach (Rune _ in word.EnumerateRunes()) count++;
        return count;
    }

    private int Required(string name) => Find(name)
        ?? throw new TokenException($"The vocabulary of {Amount.Of(Tokens.Count, "token")} has no \"{name}\". "
            + "Use the vocabulary of the model, or name its own.");

    private int? Find(string name) => _ids.TryGetValue(name, out int id) ? id : null;
}
