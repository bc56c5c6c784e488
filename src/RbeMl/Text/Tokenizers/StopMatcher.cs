namespace RbeMl.Text;

/// <summary>
/// Cuts a text that comes in parts before the first of some stop strings to be complete; of those that end at one place, before the longest. What may be the
/// beginning of one is held back until it is known, so that how the text is divided into parts makes no difference.
/// </summary>
/// <param name="stops">The stop strings, none of them empty.</param>
internal sealed class StopMatcher(IReadOnlyList<string> stops)
{
    private string _held = "";

    /// <summary>Whether a stop string came; what follows is dropped.</summary>
    public bool Found { get; private set; }

    /// <summary>What of the text so far is known to be before any stop string; may be empty.</summary>
    public string Push(string part)
    {
        if (Found || part.Length == 0) return "";
        string text = _held + part;
        int end = int.MaxValue, start = text.Length;
        foreach (string stop in stops)
        {
            int at = text.IndexOf(stop, StringComparison.Ordinal);
            if (at < 0 || (at + stop.Length, at).CompareTo((end, start)) >= 0) continue;
            (end, start) = (at + stop.Length, at);
        }

        Found = end < int.MaxValue;
        int given = Found ? start : text.Length - Unfinished(text);
        _held = Found ? "" : text[given..];
        return text[..given];
    }

    /// <summary>What is held back, when no more comes.</summary>
    public string Flush()
    {
        string rest = _held;
        _held = "";
        return rest;
    }

    // Length of the longest end of the text that begins a stop string.
    private int Unfinished(string text)
    {
        int longest = 0;
        foreach (string stop in stops)
        {
            for (int length = Math.Min(stop.Length - 1, text.Length); length > longest; length--)
            {
                if (text.AsSpan(text.Length - length).SequenceEqual(stop.AsSpan(0, length))) longest = length;
            }
        }

        return longest;
    }
}
