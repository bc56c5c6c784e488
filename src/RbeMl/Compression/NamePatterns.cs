namespace RbeMl.Compression;

/// <summary>
/// Which of several names are meant: those that match a pattern to include (all, without one) and none to exclude. In a pattern <c>*</c> stands for any
/// characters, none included, and <c>?</c> for one; everything else for itself, capital or small.
/// </summary>
/// <param name="Include">Patterns; empty for all names.</param>
/// <param name="Exclude">Patterns; they win over those to include.</param>
public sealed record NamePatterns(IReadOnlyList<string> Include, IReadOnlyList<string> Exclude)
{
    /// <inheritdoc cref="NamePatterns" path="/param[@name='Include']"/>
    public IReadOnlyList<string> Include { get; init; } = Items.Checked(Include, nameof(Include));

    /// <inheritdoc cref="NamePatterns" path="/param[@name='Exclude']"/>
    public IReadOnlyList<string> Exclude { get; init; } = Items.Checked(Exclude, nameof(Exclude));

    /// <summary>All names.</summary>
    public static NamePatterns All { get; } = new([], []);

    /// <summary>Whether nothing is left out.</summary>
    public bool IsAll => Include.Count + Exclude.Count == 0;

    /// <summary>Whether a name is meant.</summary>
    public bool Selects(string name) => (Include.Count == 0 || Include.Any(p => Matches(p, name))) && !Exclude.Any(p => Matches(p, name));

    /// <summary>Fails where a pattern fits none of the names, as a mistyped one does.</summary>
    /// <param name="names">All names there are.</param>
    /// <exception cref="InvalidSettingException">One fits none.</exception>
    public void RequireMatches(IReadOnlyCollection<string> names)
    {
        Items.Require(names, nameof(names));
        foreach ((string what, IReadOnlyList<string> patterns) in new[] { ("include", Include), ("exclude", Exclude) })
        {
            if (patterns.FirstOrDefault(p => !names.Any(name => Matches(p, name))) is { } idle)
            {
                string some = string.Join(", ", names.Take(4)) + (names.Count > 4 ? ", ..." : "");
                throw new InvalidSettingException(what, $"\"{idle}\"",
                    $"it matches none of the {names.Count} names ({some}). Correct it; * stands for any characters.");
            }
        }
    }

    /// <summary>Whether a whole name fits a pattern; takes time in proportion to the product of their lengths at most.</summary>
    public static bool Matches(string pattern, string name)
    {
        ArgumentNullException.ThrowIfNull(pattern);
        ArgumentNullException.ThrowIfNull(name);
        int p = 0, n = 0, star = -1, resume = 0;
        while (n < name.Length)
        {
            if (p < pattern.Length && pattern[p] == '*')
            {
                (star, resume) = (p++, n);
            }
            else if (p < pattern.Length && (pattern[p] == '?' || pattern[p] == name[n]))
            {
                (p, n) = (p + 1, n + 1);
            }
            else if (star >= 0)
            {
                (p, n) = (star + 1, ++resume); // the last star takes one character more
            }
            else
            {
                return false;
            }
        }

        return pattern.AsSpan(p).IndexOfAnyExcept('*') < 0;
    }
}
