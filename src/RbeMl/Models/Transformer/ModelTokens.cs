using RbeMl.Text;

namespace RbeMl.Models;

/// <summary>What a model's token ids are to generation: which end a text, and which stand for nothing.</summary>
public sealed record ModelTokens
{
    /// <summary>Nothing is said of any id: each may be drawn, none ends a text.</summary>
    public static ModelTokens Unknown { get; } = new();

    /// <summary>Ids that end a text; null as long as nobody said, empty for none.</summary>
    public IReadOnlyList<int>? EndTokens { get; init; }

    /// <summary>
    /// Ids that stand for nothing, ascending: those that the tokenizer does not have, as in a vocabulary padded to a multiple of 64, and gaps of its numbering.
    /// They have weights but no meaning, are never drawn and decode to nothing.
    /// </summary>
    public IReadOnlyList<int> Unused { get; init; } = [];

    /// <summary>The same with what a tokenizer says where nobody did: its end of text, and the ids it does not have.</summary>
    /// <param name="tokenizer">The model's tokenizer; null says nothing.</param>
    /// <param name="vocabulary">Ids of the model.</param>
    public ModelTokens With(ITokenizer? tokenizer, int vocabulary)
    {
        if (tokenizer is null) return this;
        IReadOnlyList<int>? ends = EndTokens ?? (tokenizer.EndToken is { } end ? end < vocabulary ? [end] : [] : null);
        List<int> unused = [.. Unused];
        if (unused.Count == 0)
        {
            for (int id = 0; id < vocabulary; id++)
            {
                if (!tokenizer.IsToken(id)) unused.Add(id);
            }

            if (unused.Count == vocabulary) unused.Clear(); // the tokenizer of another model says nothing of this one's ids
        }

        return (ends, unused.Count) == (EndTokens, Unused.Count) ? this : new ModelTokens { EndTokens = ends, Unused = unused };
    }

    /// <summary>Checks the ids against a model's.</summary>
    /// <exception cref="InvalidSettingException">An id is not the model's, <see cref="Unused"/> does not ascend, or no id is left to draw.</exception>
    internal void Check(int vocabulary)
    {
        string range = $"the model's ids are 0 .. {vocabulary - 1}.";
        foreach (int end in EndTokens ?? [])
        {
            if ((uint)end >= (uint)vocabulary) throw new InvalidSettingException(nameof(EndTokens), end, range);
        }

        int before = -1;
        foreach (int id in Unused)
        {
            if (id <= before || id >= vocabulary) throw new InvalidSettingException(nameof(Unused), id, $"list each id once, ascending; {range}");
            before = id;
        }

        if (Unused.Count == vocabulary)
        {
            throw new InvalidSettingException(nameof(Unused), $"all {vocabulary} ids", "none is left to draw. Use the model's own tokenizer.");
        }
    }

    /// <summary>The ids that may be drawn, ascending; null for all of a vocabulary.</summary>
    internal int[]? Drawable(int vocabulary)
    {
        if (Unused.Count == 0) return null;
        HashSet<int> unused = [.. Unused];
        return [.. Enumerable.Range(0, vocabulary).Where(id => !unused.Contains(id))];
    }
}
