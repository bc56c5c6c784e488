using System.Text;

namespace RbeMl.Text;

/// <summary>A merge of byte pairs and the token it makes.</summary>
/// <param name="Left">First token.</param>
/// <param name="Right">Second token.</param>
/// <param name="Result">The token of both.</param>
public readonly record struct TokenMerge(int Left, int Right, int Result);

/// <summary>
/// GPT-2's byte-level byte pair encoding with a vocabulary that numbers its tokens as it likes (Radford et al. 2019; Sennrich et al. 2016). Text is cut into
/// pieces as GPT-2 does, of any length; within a piece the earliest merge goes first, all its occurrences from left to right. Special tokens such as
/// <c>&lt;|endoftext|&gt;</c> have an id and decode to their name, but no text is encoded to them: their name in a text is plain text.
/// </summary>
public sealed class Gpt2Tokenizer : ITokenizer
{
    /// <summary>GPT-2's special token between documents.</summary>
    public const string EndOfText = "<|endoftext|>";

    internal const int LongestToken = 1024;
    private const int CachedPieces = 1 << 16, LongestCached = 64;
    private readonly byte[][] _bytes;
    private readonly Dictionary<long, int> _rankOf;

    /// <summary>Creates a tokenizer.</summary>
    /// <param name="byteIds">[256]: the id of each byte.</param>
    /// <param name="merges">The merges in order; two may make the same token.</param>
    /// <param name="special">Special tokens by name. Together with bytes and merges they take each of the ids 0 .. n - 1.</param>
    /// <exception cref="TokenException">An id is missing, taken twice or out of range, a merge joins tokens that do not exist yet or occurs twice, or a token is too long.</exception>
    public Gpt2Tokenizer(IReadOnlyList<int> byteIds, IReadOnlyList<TokenMerge> merges, IReadOnlyDictionary<string, int> special)
    {
        ArgumentNullException.ThrowIfNull(byteIds);
        ArgumentNullException.ThrowIfNull(merges);
        ArgumentNullException.ThrowIfNull(special);
        if (byteIds.Count != 256) throw new TokenException($"The vocabulary has ids for {byteIds.Count} bytes. Give one to each of the 256.");
        ByteIds = byteIds;
        Merges = merges;
        Special = special;
        byte[]?[] bytes = new byte[]?[256 + merges.Count + special.Count];
        _rankOf = new Dictionary<long, int>(merges.Count);
        for (int b = 0; b < 256; b++) Place(bytes, byteIds[b], [(byte)b], $"Byte {b}");
        for (int i = 0; i < merges.Count; i++) AddMerge(bytes, i, merges[i]);
        foreach ((string name, int id) in special) Place(bytes, id, Encoding.UTF8.GetBytes(name), $"The special token \"{name}\"");
        int count = Array.FindLastIndex(bytes, b => b is not null) + 1, gap = Array.IndexOf(bytes, null, 0, count);
        _bytes = gap < 0 ? [.. bytes.Take(count).Select(b => b!)] : throw new TokenException($"Id {gap} of the vocabulary of {count} belongs to no byte, merge or special token. Number the tokens without gaps.");
    }

    /// <inheritdoc/>
    public int Vocabulary => _bytes.Length;

    /// <summary>[256]: the id of each byte.</summary>
    public IReadOnlyList<int> ByteIds { get; }

    /// <summary>The merges in order.</summary>
    public IReadOnlyList<TokenMerge> Merges { get; }

    /// <summary>Special tokens: id by name.</summary>
    public IReadOnlyDictionary<string, int> Special { get; }

    /// <inheritdoc/>
    public int[] Encode(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        List<int> ids = new((text.Length / 3) + 1);
        Dictionary<string, int[]> cache = new(StringComparer.Ordinal);
        var lookup = cache.GetAlternateLookup<ReadOnlySpan<char>>();
        WordSplitter pieces = new(text, int.MaxValue);
        while (pieces.MoveNext())
        {
            if (lookup.TryGetValue(pieces.Current, out int[]? known))
            {
                ids.AddRange(known);
                continue;
            }

            int[] piece = EncodePiece(pieces.Current);
            if (cache.Count < CachedPieces && pieces.Current.Length <= LongestCached) lookup[pieces.Current] = piece;
            ids.AddRange(piece);
        }

        return [.. ids];
    }

    /// <inheritdoc/>
    public ReadOnlySpan<byte> Bytes(int token) => _bytes[TokenIds.Check(token, Vocabulary)];

    private int[] EncodePiece(ReadOnlySpan<char> piece)
    {
        byte[] bytes = new byte[Encoding.UTF8.GetByteCount(piece)];
        Encoding.UTF8.GetBytes(piece, bytes);
        MergeList list = new(Array.ConvertAll(bytes, b => ByteIds[b]));
        return list.Merge(Merges, _rankOf);
    }

    private void AddMerge(byte[]?[] bytes, int index, TokenMerge merge)
    {
        byte[] left = Part(bytes, index, merge.Left), right = Part(bytes, index, merge.Right);
        if (left.Length + right.Length > LongestToken) throw new TokenException($"Merge {index} makes a token of {left.Length + right.Length} bytes, more than {LongestToken}. Leave it out.");
        if (!_rankOf.TryAdd(BytePairTokenizer.Key(merge.Left, merge.Right), index)) throw new TokenException($"Merge {index} joins {merge.Left} and {merge.Right}, as an earlier one does. List each once.");
        byte[] joined = [.. left, .. right];
        bool again = (uint)merge.Result < (uint)bytes.Length && bytes[merge.Result] is { } old && old.AsSpan().SequenceEqual(joined);
        if (!again) Place(bytes, merge.Result, joined, $"Merge {index}");
    }

    private static byte[] Part(byte[]?[] bytes, int index, int id) => (uint)id < (uint)bytes.Length && bytes[id] is { } part
        ? part
        : throw new TokenException($"Merge {index} joins token {id}, which no byte or earlier merge makes. List merges in the order they were made.");

    private static void Place(byte[]?[] bytes, int id, byte[] value, string what)
    {
        if ((uint)id >= (uint)bytes.Length) throw new TokenException($"{what} has the id {id}, outside 0 .. {bytes.Length - 1}. Number the tokens without gaps.");
        if (bytes[id] is not null) throw new TokenException($"{what} has the id {id}, which another token has. Give each its own.");
        bytes[id] = value;
    }
}
