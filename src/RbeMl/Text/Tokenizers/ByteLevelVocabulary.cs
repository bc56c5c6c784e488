namespace RbeMl.Text;

/// <summary>
/// A byte-level vocabulary as files have it: tokens by name, bytes written in <see cref="ByteAlphabet"/>. Every token must be a byte, be made by a merge, or be
/// a special or added one: else the list of merges is damaged, and texts would silently become other ids.
/// </summary>
internal sealed record ByteLevelVocabulary
{
    /// <summary>Id by token.</summary>
    public required IReadOnlyDictionary<string, int> Ids { get; init; }

    /// <summary>The merges in order. Of a repeated one the last counts, as in the libraries that wrote them.</summary>
    public required IReadOnlyList<(string Left, string Right)> Merges { get; init; }

    /// <summary>Tokens that other files say are special: id by name. Those that look so (in angle or square brackets) need not be here.</summary>
    public IReadOnlyDictionary<string, int> Special { get; init; } = new Dictionary<string, int>();

    /// <summary>Added tokens that are not special: id by name.</summary>
    public IReadOnlyDictionary<string, int> Added { get; init; } = new Dictionary<string, int>();

    /// <summary>Name of the token for bytes that have none, or null.</summary>
    public string? Unknown { get; init; }

    /// <summary>The tokenizer.</summary>
    /// <exception cref="TokenException">The parts do not belong together.</exception>
    public Gpt2Tokenizer Create()
    {
        int[] byteIds = new int[256];
        HashSet<string> made = new(StringComparer.Ordinal);
        for (int b = 0; b < 256; b++)
        {
            string name = ByteAlphabet.Write([(byte)b]);
            byteIds[b] = Ids.GetValueOrDefault(name, -1);
            made.Add(name);
        }

        foreach ((string name, int id) in Special.Concat(Added))
        {
            if (Ids.TryGetValue(name, out int other) && other != id)
            {
                throw new TokenException(
                    $"The token \"{name}\" has the id {other} in the vocabulary and {id} where it is added. Use the files of one tokenizer.");
            }
        }

        Dictionary<(string, string), int> last = [];
        for (int i = 0; i < Merges.Count; i++) last[Merges[i]] = i;
        List<TokenMerge> merges = new(last.Count);
        for (int i = 0; i < Merges.Count; i++)
        {
            if (last[Merges[i]] != i) continue;
            (string left, string right) = Merges[i];
            merges.Add(new TokenMerge(Find(left, i), Find(right, i), Find(left + right, i)));
            made.Add(left + right);
        }

        Dictionary<string, int> special = new(Special, StringComparer.Ordinal);
        List<string> unmade = [];
        foreach ((string token, int id) in Ids)
        {
            if (made.Contains(token) || special.ContainsKey(token) || Added.ContainsKey(token)) continue;
            if (LooksSpecial(token)) special.Add(token, id);
            else unmade.Add(token);
        }

        if (unmade.Count > 0)
        {
            string others = unmade.Count == 1 ? "" : $", nor {unmade.Count - 1} others";
            throw new TokenException(
                $"No merge makes the token \"{unmade[0]}\" (id {Ids[unmade[0]]}) of the vocabulary{others}: the list of merges is cut, "
                + $"or of another vocabulary. Use vocabulary and merges of the same tokenizer.");
        }

        int? unknown = null;
        if (Unknown is not null && byteIds.Contains(-1))
        {
            unknown = Ids.TryGetValue(Unknown, out int known) || special.TryGetValue(Unknown, out known) || Added.TryGetValue(Unknown, out known)
                ? known
                : throw new TokenException($"The token \"{Unknown}\" for what is unknown is not in the vocabulary. Use the files of one tokenizer.");
        }

        return new Gpt2Tokenizer(byteIds, merges, special, Added, unknown);

        int Find(string token, int merge) =>
            Ids.TryGetValue(token, out int id) ? id
                : throw new TokenException($"The token \"{token}\" of merge {merge} is not in the vocabulary. Use vocabulary and merges "
                    + $"of the same tokenizer.");
    }

    // No merge can make what is not written in the byte alphabet.
    private static bool LooksSpecial(string token) =>
        (token.StartsWith('<') && token.EndsWith('>')) || (token.StartsWith('[') && token.EndsWith(']')) || token.Length == 0
            || ByteAlphabet.Read(token) is null;
}
