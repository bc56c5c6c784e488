using System.Buffers.Text;
using System.Globalization;
using System.Text;

namespace RbeMl.Text;

/// <summary>
/// Vocabularies of tiktoken: tokens as bytes, each with a rank that is its id and says how early it is merged. A token's two halves are what its own bytes
/// come to when only earlier ranks are merged.
/// </summary>
internal static class TiktokenRanks
{
    private const int MostTokens = 1 << 20, LongestLine = 4096;

    /// <summary>Reads a file of lines <c>base64 rank</c>.</summary>
    /// <param name="reader">The text.</param>
    /// <param name="special">Special tokens by name, such as <see cref="Gpt2Tokenizer.EndOfText"/>; null for none.</param>
    /// <exception cref="TokenException">A line is no token and rank, or the ranks are no byte-pair vocabulary.</exception>
    public static Gpt2Tokenizer Parse(TextReader reader, IReadOnlyDictionary<string, int>? special = null)
    {
        ArgumentNullException.ThrowIfNull(reader);
        List<KeyValuePair<ReadOnlyMemory<byte>, int>> ranks = [];
        for (int number = 1; reader.ReadLine() is { } line; number++)
        {
            if (line.Length == 0) continue;
            int space = line.IndexOf(' ');
            if (space <= 0 || line.Length > LongestLine || ranks.Count == MostTokens
                || !int.TryParse(line.AsSpan(space + 1), NumberStyles.None, CultureInfo.InvariantCulture, out int rank))
            {
                throw new TokenException($"Line {number} is no base64 token and rank. Give a vocabulary file as tiktoken has it.");
            }

            byte[] bytes = Encoding.ASCII.GetBytes(line[..space]);
            if (Base64.DecodeFromUtf8InPlace(bytes, out int length) != System.Buffers.OperationStatus.Done || length == 0)
            {
                throw new TokenException($"The token of line {number} is no base64. Give a vocabulary file as tiktoken has it.");
            }

            ranks.Add(new(bytes.AsMemory(0, length), rank));
        }

        return Create(ranks, special);
    }

    /// <summary>The tokenizer of a vocabulary.</summary>
    /// <param name="ranks">Tokens and their ranks.</param>
    /// <param name="special">Special tokens by name; null for none.</param>
    /// <exception cref="TokenException">A byte has no rank, or a token occurs twice or cannot be put together from earlier ones.</exception>
    public static Gpt2Tokenizer Create(IEnumerable<KeyValuePair<ReadOnlyMemory<byte>, int>> ranks, IReadOnlyDictionary<string, int>? special = null)
    {
        ArgumentNullException.ThrowIfNull(ranks);
        int[] byteIds = new int[256];
        Array.Fill(byteIds, -1);
        Dictionary<string, int> idOf = new(StringComparer.Ordinal); // a char a byte
        foreach ((ReadOnlyMemory<byte> bytes, int rank) in ranks)
        {
            if (bytes.Length is 0 or > Gpt2Tokenizer.LongestToken)
            {
                throw new TokenException(
                    $"The token of rank {rank} has {Amount.Of(bytes.Length, "byte")}; 1 to {Gpt2Tokenizer.LongestToken} are possible. Give a "
                        + $"vocabulary file as tiktoken has it.");
            }

            if (!idOf.TryAdd(Encoding.Latin1.GetString(bytes.Span), rank))
            {
                throw new TokenException($"The token of rank {rank} is listed twice. List each once.");
            }

            if (bytes.Length == 1) byteIds[bytes.Span[0]] = rank;
        }

        if (Array.IndexOf(byteIds, -1) is >= 0 and var missing) throw new TokenException($"Byte {missing} has no rank. Give a byte-level vocabulary.");
        List<TokenMerge> merges = [];
        foreach ((string token, int rank) in idOf.Where(e => e.Key.Length > 1).OrderBy(e => e.Value))
        {
            (int left, int right) = Halves(token, rank, idOf);
            merges.Add(new TokenMerge(left, right, rank));
        }

        return new Gpt2Tokenizer(byteIds, merges, special ?? new Dictionary<string, int>());
    }

    // Merges the earliest pair, leftmost first, until two parts are left.
    private static (int Left, int Right) Halves(string token, int rank, Dictionary<string, int> idOf)
    {
        List<string> parts = [.. token.Select(c => c.ToString())];
        while (parts.Count > 2)
        {
            int best = -1, bestRank = rank;
            for (int i = 0; i + 1 < parts.Count; i++)
            {
                if (idOf.TryGetValue(parts[i] + parts[i + 1], out int found) && found < bestRank) (best, bestRank) = (i, found);
            }

            if (best < 0) throw new TokenException($"The token of rank {rank} cannot be put together from tokens of lower rank. Give a byte-pair vocabulary.");
            parts[best] += parts[best + 1];
            parts.RemoveAt(best + 1);
        }

        return (idOf[parts[0]], idOf[parts[1]]);
    }
}
