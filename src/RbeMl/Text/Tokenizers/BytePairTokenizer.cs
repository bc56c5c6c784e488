using System.Text;

namespace RbeMl.Text;

/// <summary>One merge: two neighbouring tokens that become one.</summary>
/// <param name="Left">First token.</param>
/// <param name="Right">Second token.</param>
public readonly record struct TokenPair(int Left, int Right);

/// <summary>
/// Byte-level byte pair encoding (Sennrich et al. 2016, in GPT-2's form): ids 0 .. 255 are bytes, id 256 + i is the result of merge i.
/// Text is first cut into words with their leading space; within a word the earliest merge goes first. Every text can be encoded.
/// </summary>
public sealed class BytePairTokenizer : ITokenizer
{
    /// <summary>Longest token in bytes: a word of the splitter.</summary>
    internal const int LongestToken = 3 * WordSplitter.Longest;

    private const int CachedWords = 1 << 16;
    private readonly byte[][] _bytes;
    private readonly Dictionary<long, int> _merged = [];

    /// <summary>Creates a tokenizer from its merges.</summary>
    /// <param name="merges">The merges in order.</param>
    /// <exception cref="TokenException">A merge names a token that does not exist yet, occurs twice, or makes a token that is too long.</exception>
    public BytePairTokenizer(IReadOnlyList<TokenPair> merges)
    {
        ArgumentNullException.ThrowIfNull(merges);
        Merges = merges;
        _bytes = new byte[256 + merges.Count][];
        for (int b = 0; b < 256; b++) _bytes[b] = [(byte)b];
        long total = 0;
        for (int i = 0; i < merges.Count; i++)
        {
            (int left, int right) = merges[i];
            int id = 256 + i;
            if ((uint)left >= (uint)id || (uint)right >= (uint)id)
            {
                throw new TokenException($"Merge {i} joins {left} and {right}, of which only 0 .. {id - 1} exist. List merges in the order they were made.");
            }

            if (!_merged.TryAdd(Key(left, right), id)) throw new TokenException($"Merge {i} joins {left} and {right}, as an earlier one does. List each once.");
            if (_bytes[left].Length + _bytes[right].Length > LongestToken)
            {
                throw new TokenException(
                    $"Merge {i} makes a token of {Amount.Of(_bytes[left].Length + _bytes[right].Length, "byte")}, more than {LongestToken}. Leave it out.");
            }

            total = TokenBytes.Add(total, _bytes[left].Length + _bytes[right].Length, merges.Count);
            _bytes[id] = [.. _bytes[left], .. _bytes[right]];
        }
    }

    /// <summary>The merges in order.</summary>
    public IReadOnlyList<TokenPair> Merges { get; }

    /// <inheritdoc/>
    public int Vocabulary => _bytes.Length;

    /// <summary>Learns merges from a text: always the most frequent pair, of equals the lowest ids. The same text gives the same tokenizer.</summary>
    /// <param name="text">The sample.</param>
    /// <param name="vocabulary">Ids wanted, 256 .. 65,536; fewer when no pair occurs twice any more.</param>
    /// <exception cref="InvalidSettingException">The vocabulary is out of range.</exception>
    public static BytePairTokenizer Train(string text, int vocabulary)
    {
        ArgumentNullException.ThrowIfNull(text);
        if (vocabulary is < 256 or > 65536) throw new InvalidSettingException("vocabulary", vocabulary, "byte pairs need 256 (the bytes) up to 65536 ids.");
        return new BytePairTokenizer(new BytePairLearner(text).Learn(vocabulary - 256));
    }

    /// <inheritdoc/>
    public int[] Encode(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        List<int> ids = new(text.Length / 2 + 1);
        Dictionary<string, int[]> cache = new(StringComparer.Ordinal);
        var lookup = cache.GetAlternateLookup<ReadOnlySpan<char>>();
        Span<byte> bytes = stackalloc byte[LongestToken];
        Span<int> word = stackalloc int[LongestToken];
        WordSplitter words = new(text);
        while (words.MoveNext())
        {
            if (lookup.TryGetValue(words.Current, out int[]? known))
            {
                ids.AddRange(known);
                continue;
            }

            int count = Encoding.UTF8.GetBytes(words.Current, bytes);
            for (int i = 0; i < count; i++) word[i] = bytes[i];
            count = Merge(word, count);
            if (cache.Count < CachedWords) lookup[words.Current] = word[..count].ToArray();
            ids.AddRange(word[..count]);
        }

        return [.. ids];
    }

    /// <inheritdoc/>
    public int SafeCut(ReadOnlySpan<char> text, bool special = false) => WordSplitter.SafeCut(text);

    /// <inheritdoc/>
    public ReadOnlySpan<byte> Bytes(int token) => _bytes[TokenIds.Check(token, Vocabulary)];

    internal static long Key(int left, int right) => (long)left << 32 | (uint)right;

    // Joins neighbours in place, the earliest merge first, until none applies.
    private int Merge(Span<int> word, int count)
    {
        while (count > 1)
        {
            int best = int.MaxValue;
            for (int i = 0; i + 1 < count; i++)
            {
                if (_merged.TryGetValue(Key(word[i], word[i + 1]), out int id) && id < best) best = id;
            }

            if (best == int.MaxValue) break;
            count = Replace(word[..count], Merges[best - 256], best);
        }

        return count;
    }

    /// <summary>Replaces a pair from left to right.</summary>
    /// <returns>The new length.</returns>
    internal static int Replace(Span<int> word, TokenPair pair, int id)
    {
        int to = 0;
        for (int from = 0; from < word.Length; from++)
        {
            if (from + 1 < word.Length && word[from] == pair.Left && word[from + 1] == pair.Right)
            {
                word[to++] = id;
                from++;
            }
            else
            {
                word[to++] = word[from];
            }
        }

        return to;
    }
}
