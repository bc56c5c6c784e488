using System.CommandLine;

namespace RbeMl.Cli;

/// <summary>Command lines as people type them.</summary>
internal static class CommandLine
{
    /// <summary>A word that starts with @ is that word, such as a prompt's, and no name of a file with more of them.</summary>
    public static readonly ParserConfiguration AsTheyStand = new() { ResponseFileTokenReplacer = null };

    private const string Plain = "-_./\\:=,+@%";

    /// <summary>A command with its words.</summary>
    /// <param name="program">The words that start the program, see <see cref="StartedAs"/>.</param>
    /// <param name="args">The others, as they are meant.</param>
    public static string Of(string program, IEnumerable<string> args) => string.Join(' ', args.Select(Quote).Prepend(program));

    /// <summary>The names of a command: its group's, if it is in one, and its own; none of the root.</summary>
    public static IEnumerable<string> PathOf(Command command) =>
        command is RootCommand ? [] : command.Parents.OfType<Command>().SelectMany(PathOf).Append(command.Name);

    /// <summary>A word, in quotes where a shell would make something else of it.</summary>
    public static string Quote(string word)
    {
        if (word.Length > 0 && word.All(c => char.IsAsciiLetterOrDigit(c) || Plain.Contains(c, StringComparison.Ordinal))) return word;
        return OperatingSystem.IsWindows() ? $"\"{word.Replace("\"", "\\\"", StringComparison.Ordinal)}\""
            : $"'{word.Replace("'", "'\\''", StringComparison.Ordinal)}'";
    }
}
