using System.Buffers;

namespace RbeMl.Text;

/// <summary>Finds names of tokens in a text: the first place, of several names there the longest.</summary>
internal sealed class NamedTokens
{
    private readonly SearchValues<char> _starts;
    private readonly Dictionary<char, KeyValuePair<string, int>[]> _byStart;

    /// <param name="tokens">Ids by name; a token without a name is never found.</param>
    public NamedTokens(IEnumerable<KeyValuePair<string, int>> tokens)
    {
        _byStart = tokens.Where(t => t.Key.Length > 0).GroupBy(t => t.Key[0])
            .ToDictionary(group => group.Key, group => group.OrderByDescending(t => t.Key.Length).ToArray());
        _starts = SearchValues.Create([.. _byStart.Keys]);
    }

    /// <summary>Whether there are no names.</summary>
    public bool IsEmpty => _byStart.Count == 0;

    /// <summary>Whether a name holds white space.</summary>
    public bool HoldSpace => _byStart.Values.Any(names => names.Any(name => name.Key.Any(char.IsWhiteSpace)));

    /// <summary>The next name in a text.</summary>
    public bool TryFind(ReadOnlySpan<char> text, out int place, out int length, out int id)
    {
        for (int skipped = 0; text[skipped..].IndexOfAny(_starts) is >= 0 and int next; skipped = place + 1)
        {
            place = skipped + next;
            foreach ((string name, int token) in _byStart[text[place]])
            {
                if (!text[place..].StartsWith(name, StringComparison.Ordinal)) continue;
                (length, id) = (name.Length, token);
                return true;
            }
        }

        (place, length, id) = (0, 0, 0);
        return false;
    }
}
