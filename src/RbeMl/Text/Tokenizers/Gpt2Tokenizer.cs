using System.Text;

namespace RbeMl.Text;

/// <summary>A merge of byte pairs and the token it makes.</summary>
/// <param name="Left">First token.</param>
/// <param name="Right">Second token.</param>
/// <param name="Result">The token of both.</param>
public readonly record struct TokenMerge(int Left, int Right, int Result);

/// <summary>
/// GPT-2's byte-level byte pair encoding with a vocabulary that numbers its tokens as it likes, gaps included (Radford et al. 2019; Sennrich et al. 2016). Text
/// is cut into pieces as GPT-2 does, of any length; within a piece the earliest merge goes first, all its occurrences from left to right.
/// Special tokens such as
/// <c>&lt;|endoftext|&gt;</c> have an id and decode to their name; their name in a text is plain text, but for <see cref="EncodeWithSpecial"/>.
/// </summary>
public sealed class Gpt2Tokenizer : ITokenizer
{
    /// <summary>GPT-2's special token between documents.</summary>
    public const string EndOfText = "<|endoftext|>";

    /// <summary>Most ids of a vocabulary.</summary>
    public const int MostTokens = 1 << 20;

    internal const int LongestToken = 1024;
    private const int CachedPieces = 1 << 16, LongestCached = 64;
    private static readonly string[] EndNames = [EndOfText, "</s>", "<eos>"];
    private readonly byte[]?[] _bytes;
    private readonly Dictionary<long, int> _rankOf;
    private readonly NamedTokens _added, _named;
    private long _made; // bytes of what merges make

    /// <summary>Creates a tokenizer.</summary>
    /// <param name="byteIds">[256]: the id of each byte, -1 for a byte that has none.</param>
    /// <param name="merges">The merges, the earliest first; two may make the same token.</param>
    /// <param name="special">Special tokens: id by name.</param>
    /// <param name="added">Added tokens, whose names become their ids in every text before it is cut into pieces: id by name; null for none.</param>
    /// <param name="unknown">The token that stands in for bytes without an id; null refuses texts that need one.</param>
    /// <exception cref="TokenException">An id is taken twice or out of range, a merge joins tokens that nothing makes or occurs twice, or a
    /// token is too long.</exception>
    public Gpt2Tokenizer(
        IReadOnlyList<int> byteIds, IReadOnlyList<TokenMerge> merges, IReadOnlyDictionary<string, int> special,
        IReadOnlyDictionary<string, int>? added = null, int? unknown = null)
    {
        ArgumentNullException.ThrowIfNull(byteIds);
        ArgumentNullException.ThrowIfNull(merges);
        ArgumentNullException.ThrowIfNull(special);
        if (byteIds.Count != 256)
        {
            throw new TokenException($"The vocabulary has ids for {Amount.Of(byteIds.Count, "byte")}. Give one to each of the 256, or -1.");
        }

        (ByteIds, Merges, Special, Added, Unknown) = (byteIds, merges, special, added ?? new Dictionary<string, int>(), unknown);
        IEnumerable<int> ids = [.. byteIds.Where(id => id != -1), .. merges.Select(m => m.Result), .. special.Values, .. Added.Values];
        int largest = ids.DefaultIfEmpty(-1).Max();
        if (largest < 0) throw new TokenException("The vocabulary has no tokens. Use a byte-level vocabulary.");
        if (largest >= MostTokens) throw OutOfRange("A token", largest);
        TokenBytes.CheckGaps(largest, ids.Count());
        _bytes = new byte[largest + 1][];
        for (int b = 0; b < 256; b++)
        {
            if (byteIds[b] != -1) Place(byteIds[b], [(byte)b], $"Byte {b}");
        }

        _rankOf = new Dictionary<long, int>(merges.Count);
        for (int i = 0; i < merges.Count; i++)
        {
            if (!_rankOf.TryAdd(BytePairTokenizer.Key(merges[i].Left, merges[i].Right), i))
            {
                throw new TokenException($"Merge {i} joins {merges[i].Left} and {merges[i].Right}, as an earlier one does. List each once.");
            }
        }

        Make(merges);
        foreach ((string name, int id) in special) Place(id, Encoding.UTF8.GetBytes(name), $"The special token \"{name}\"");
        foreach ((string name, int id) in Added) Place(id, Encoding.UTF8.GetBytes(name), $"The added token \"{name}\"");
        if (unknown is { } stand && !IsToken(stand))
        {
            throw new TokenException($"The token for unknown bytes has the id {stand}, which is none of the vocabulary's. Name one of its tokens.");
        }

        _added = new NamedTokens(Added);
        _named = new NamedTokens([.. Added, .. special]);
    }

    /// <inheritdoc/>
    public int Vocabulary => _bytes.Length;

    /// <summary>[256]: the id of each byte, -1 where there is none.</summary>
    public IReadOnlyList<int> ByteIds { get; }

    /// <summary>The merges in order.</summary>
    public IReadOnlyList<TokenMerge> Merges { get; }

    /// <summary>Special tokens: id by name.</summary>
    public IReadOnlyDictionary<string, int> Special { get; }

    /// <summary>The id of the special or added token that ends a text: one named as GPT-2 does, else as others do; null when there is none.</summary>
    public int? EndToken => EndNames.Select(Named).FirstOrDefault(id => id is not null);

    /// <summary>Added tokens, which every text is searched for: id by name.</summary>
    public IReadOnlyDictionary<string, int> Added { get; }

    /// <summary>The token for bytes that have none, or null.</summary>
    public int? Unknown { get; }

    /// <summary>The id of a special or added token; null when there is none of the name.</summary>
    internal int? Named(string name) => Special.TryGetValue(name, out int id) || Added.TryGetValue(name, out id) ? id : null;

    /// <inheritdoc/>
    public bool IsToken(int token) => (uint)token < (uint)_bytes.Length && _bytes[token] is not null;

    /// <inheritdoc/>
    public int[] Encode(string text) => Encode(text, _added);

    /// <inheritdoc/>
    public int[] EncodeWithSpecial(string text) => Encode(text, _named);

    /// <inheritdoc/>
    public int SafeCut(ReadOnlySpan<char> text, bool special = false)
    {
        NamedTokens names = special ? _named : _added;
        return names.HoldSpace ? 0 : WordSplitter.SafeCut(text, atSpaces: !names.IsEmpty); // not within a name
    }

    /// <inheritdoc/>
    public ReadOnlySpan<byte> Bytes(int token) => _bytes[TokenIds.Check(token, Vocabulary)];

    private int[] Encode(string text, NamedTokens named)
    {
        ArgumentNullException.ThrowIfNull(text);
        List<int> ids = new((text.Length / 3) + 1);
        Dictionary<string, int[]> cache = new(StringComparer.Ordinal);
        int start = 0;
        while (named.TryFind(text.AsSpan(start), out int place, out int length, out int id))
        {
            Append(text.AsSpan(start, place), ids, cache);
            ids.Add(id);
            start += place + length;
        }

        Append(text.AsSpan(start), ids, cache);
        return [.. ids];
    }

    private void Append(ReadOnlySpan<char> text, List<int> ids, Dictionary<string, int[]> cache)
    {
        var lookup = cache.GetAlternateLookup<ReadOnlySpan<char>>();
        WordSplitter pieces = new(text, int.MaxValue);
        while (pieces.MoveNext())
        {
            if (!lookup.TryGetValue(pieces.Current, out int[]? piece))
            {
                piece = EncodePiece(pieces.Current);
                if (cache.Count < CachedPieces && pieces.Current.Length <= LongestCached) lookup[pieces.Current] = piece;
            }

            ids.AddRange(piece);
        }
    }

    private int[] EncodePiece(ReadOnlySpan<char> piece)
    {
        byte[] bytes = new byte[Encoding.UTF8.GetByteCount(piece)];
        Encoding.UTF8.GetBytes(piece, bytes);
        int[] ids = Array.ConvertAll(bytes, b => ByteIds[b]);
        for (int i = Array.IndexOf(ids, -1); i >= 0; i = Array.IndexOf(ids, -1, i)) ids[i] = Unknown ?? throw NoToken(piece, bytes[i]);
        return new MergeList(ids).Merge(Merges, _rankOf);
    }

    private static TokenException NoToken(ReadOnlySpan<char> piece, byte value)
    {
        Span<byte> bytes = stackalloc byte[4];
        foreach (Rune rune in piece.EnumerateRunes())
        {
            if (!bytes[..rune.EncodeToUtf8(bytes)].Contains(value)) continue;
            return new TokenException($"Character {CharacterTokenizer.Name(rune)} needs byte 0x{value:X2}, which has no token in this "
                + $"vocabulary, nor has it a token for what is unknown. Leave the character out.");
        }

        return new TokenException($"Byte 0x{value:X2} has no token in this vocabulary. Leave it out of the text.");
    }

    // The bytes of what merges make, in whatever order they are listed: a pass for each level of merges of merges, at most as many as a token has bytes.
    private void Make(IReadOnlyList<TokenMerge> merges)
    {
        List<int> open = [.. Enumerable.Range(0, merges.Count)];
        while (open.Count > 0)
        {
            int before = open.Count;
            open.RemoveAll(i => TryMake(i, merges[i]));
            if (open.Count == before)
            {
                throw new TokenException(
                    $"Merge {open[0]} joins tokens {merges[open[0]].Left} and {merges[open[0]].Right}, of which one is made by no byte "
                    + $"and no merge. Use merges that are whole.");
            }
        }
    }

    private bool TryMake(int index, TokenMerge merge)
    {
        if (!IsToken(merge.Left) || !IsToken(merge.Right)) return false;
        byte[] left = _bytes[merge.Left]!, right = _bytes[merge.Right]!;
        if (left.Length + right.Length > LongestToken)
        {
            throw new TokenException(
                $"Merge {index} makes a token of {Amount.Of(left.Length + right.Length, "byte")}, more than {LongestToken}. Leave it out.");
        }

        _made = TokenBytes.Add(_made, left.Length + right.Length, Merges.Count);
        Place(merge.Result, [.. left, .. right], $"Merge {index}");
        return true;
    }

    private void Place(int id, byte[] value, string what)
    {
        if ((uint)id >= (uint)_bytes.Length) throw OutOfRange(what, id);
        if (_bytes[id] is { } old && !old.AsSpan().SequenceEqual(value))
        {
            throw new TokenException($"{what} has the id {id}, which another token has. Give each its own.");
        }

        _bytes[id] = value;
    }

    internal static TokenException OutOfRange(string what, int id) => new($"{what} has the id {id}, outside 0 .. {MostTokens - 1}. Number the tokens from 0.");
}
