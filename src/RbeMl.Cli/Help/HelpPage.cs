using System.CommandLine;
using System.CommandLine.Invocation;
using System.Globalization;

namespace RbeMl.Cli.Help;

/// <summary>The page that <c>--help</c> prints: as wide as the terminal, options in groups. A word that is wider stays whole.</summary>
internal sealed class HelpPage(CommandHost host) : SynchronousCommandLineAction
{
    private const int Usual = 80, Most = 100, LabelWidth = 26, StackedBelow = 64, Indent = 2;

    private int Width => Math.Min(host.Columns ?? Usual, Most);

    /// <inheritdoc/>
    public override int Invoke(ParseResult parseResult)
    {
        Command command = parseResult.CommandResult.Command;
        Describe(command);
        Usage(command);
        if (command.Subcommands.Any()) Section("Commands", command.Subcommands.Select(verb => (verb.Name, FirstSentence(verb.Description!))));
        if (command.Arguments.Any()) Section("Arguments", command.Arguments.Select(argument => ($"<{argument.Name}>", argument.Description ?? "")));
        IEnumerable<(string Title, Option[] Options)> groups = command is Verb verb ? verb.Groups : [("Options", [.. command.Options])];
        foreach ((string title, Option[] options) in groups.Where(group => group.Options.Length > 0)) Section(title,
            options.Select(option => (Label(option), Text(option))));
        return ExitCode.Done;
    }

    /// <summary>Names, value and whether it must be given.</summary>
    private static string Label(Option option)
    {
        IEnumerable<string> names = new[] { option.Name }.Concat(option.Aliases).Where(name => !name.Contains('?', StringComparison.Ordinal) && name[0] != '/');
        string value = option.HelpName is { } help ? option.Arity.MinimumNumberOfValues == 0 ? $" [{help}]" : $" <{help}>" : "";
        return $"{string.Join(", ", names.OrderBy(name => name.Length))}{value}{(option.Required ? " (required)" : "")}";
    }

    private static string FirstSentence(string text)
    {
        string line = text.Split('\n')[0].Trim();
        int end = line.IndexOf(". ", StringComparison.Ordinal);
        return end < 0 ? line : line[..(end + 1)];
    }

    private static string Text(Option option)
    {
        string text = option.Description ?? "";
        return option is { HasDefaultValue: true, ValueType.IsArray: false } && option.GetDefaultValue() is { } value and not false
            ? $"{text} [default: {Convert.ToString(value, CultureInfo.InvariantCulture)}]"
            : text;
    }

    // Paragraphs are wrapped; lines that are set in, such as examples, stay as they are.
    private void Describe(Command command)
    {
        foreach (string line in Paragraphs(command.Description!.ReplaceLineEndings("\n").Split('\n')))
        {
            foreach (string part in line.StartsWith("  rbeml ", StringComparison.Ordinal) ? CommandLine(line)
                : Wrap.Lines(line, Width, line.Length - line.TrimStart().Length)) host.Out.WriteLine(part);
        }

        host.Out.WriteLine();
    }

    // Lines that are not set in are one paragraph up to an empty line.
    private static IEnumerable<string> Paragraphs(string[] lines)
    {
        string paragraph = "";
        foreach (string line in lines)
        {
            bool text = line.Length > 0 && line[0] != ' ';
            if (paragraph.Length > 0 && !text) yield return paragraph;
            paragraph = !text ? "" : paragraph.Length > 0 ? $"{paragraph} {line}" : line;
            if (!text) yield return line;
        }

        if (paragraph.Length > 0) yield return paragraph;
    }

    // A command may go on in the next line after a backslash.
    private IEnumerable<string> CommandLine(string line)
    {
        string[] parts = [.. Wrap.Lines(line, Width - 2, 2 * Indent)];
        return parts.Select((part, i) => i < parts.Length - 1 ? $"{part} \\" : part);
    }

    private void Usage(Command command)
    {
        string arguments = string.Concat(command.Arguments.Select(argument => $" <{argument.Name}>"));
        string required = string.Concat(command.Options.Where(option => option.Required).Select(option => $" {option.Name} <{option.HelpName}>"));
        string name = string.Join(' ', RbeMl.Cli.CommandLine.PathOf(command).Prepend(StartedAs.Command));
        string usage = command.Subcommands.Any() ? $"Usage: {name} <command> [options]" : $"Usage: {name}{arguments}{required} [options]";
        foreach (string line in Wrap.Lines(usage, Width, 2 * Indent)) host.Out.WriteLine(line);
        if (host.Program != StartedAs.Command) host.Say($"Here {StartedAs.Command} stands for: {host.Program}", 2 * Indent);
    }

    private void Section(string title, IEnumerable<(string Label, string Text)> rows)
    {
        bool stacked = Width < StackedBelow;
        int column = stacked ? 2 * Indent : Indent + LabelWidth + Indent;
        string indent = new(' ', column);
        host.Out.WriteLine();
        foreach (string line in Wrap.Lines($"{title}:", Width)) host.Out.WriteLine(line);
        foreach ((string label, string text) in rows)
        {
            string start = new string(' ', Indent) + label;
            bool beside = !stacked && Wrap.Cells(label) <= LabelWidth;
            if (!beside)
            {
                // A long list of words may break between them.
                foreach (string part in Wrap.Lines(start.Replace("|", " |", StringComparison.Ordinal), Width, 2 * Indent))
                {
                    host.Out.WriteLine(part.Replace(" |", "|", StringComparison.Ordinal));
                }
            }

            string first = beside ? start.PadRight(column) : indent;
            foreach (string line in Wrap.Lines(text, Width - column))
            {
                host.Out.WriteLine(first + line);
                first = indent;
            }
        }
    }
}
