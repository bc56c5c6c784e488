using System.CommandLine;

namespace RbeMl.Cli.Help;

/// <summary>A command whose options stand in groups on its help page.</summary>
/// <param name="name">Its name.</param>
/// <param name="description">A first line that says what it is for, then what else helps; examples last.</param>
internal sealed class Verb(string name, string description) : Command(name, description)
{
    private readonly List<(string Title, Option[] Options)> _groups = [];

    /// <summary>The groups in the order of the page; options that are in none come last.</summary>
    public IReadOnlyList<(string Title, Option[] Options)> Groups =>
        [.. _groups, ("Other", [.. Options.Where(option => !_groups.Any(group => group.Options.Contains(option)))])];

    /// <summary>Adds options under a title.</summary>
    public void Add(string title, params Option[] options)
    {
        _groups.Add((title, options));
        foreach (Option option in options) Add(option);
    }
}
