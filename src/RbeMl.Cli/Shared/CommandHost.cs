using RbeMl.Training;

namespace RbeMl.Cli;

/// <summary>What a verb sees of the outside world, so that tests can run verbs in-process.</summary>
/// <param name="Out">Results.</param>
/// <param name="Error">One line for each error.</param>
internal sealed record CommandHost(TextWriter Out, TextWriter Error)
{
    private const int LeastColumns = 20, UsualColumns = 80;

    /// <summary>The width of the console as it is now; null where <see cref="Out"/> goes elsewhere. Terminals that do not know theirs say 0.</summary>
    public static int? ConsoleWidth() => Console.IsOutputRedirected ? null : TerminalWidth();

    /// <summary>The same for <see cref="Error"/>.</summary>
    public static int? ErrorConsoleWidth() => Console.IsErrorRedirected ? null : TerminalWidth();

    /// <summary>
    /// <see cref="Out"/> without what keeps control characters off the screen: for what draws on a terminal, of texts that are plain already, and for
    /// <see cref="Generated"/>.
    /// </summary>
    public TextWriter Raw { get; private init; } = Out;

    /// <summary>
    /// Where text that a model made goes: plain on a terminal; as it is, control characters and all, in a file or pipe, because it is the result.
    /// </summary>
    public TextWriter Generated => Interactive ? Out : Raw;

    /// <summary>Whether <see cref="Out"/> is a terminal that can redraw.</summary>
    public bool Interactive { get; init; }

    /// <summary>What <c>--prompt -</c> reads.</summary>
    public Stream In { get; init; } = Stream.Null;

    /// <summary>Width of the terminal, where there is one; tests set it.</summary>
    public Func<int?> Width { get; init; } = static () => null;

    /// <summary>Cells of a line, or null where lines may be of any length: in files and pipes.</summary>
    public int? Columns => Width() is { } width ? Math.Max(LeastColumns, width) : null;

    /// <summary>Writes a paragraph, broken between words where the terminal is narrower.</summary>
    /// <param name="text">The text.</param>
    /// <param name="hanging">Spaces in front of every line but the first.</param>
    public void Say(string text, int hanging = 2)
    {
        foreach (string line in Wrap.Lines(text, Columns ?? int.MaxValue, hanging)) Out.WriteLine(line);
    }

    /// <summary>Width of the terminal that shows errors, where there is one.</summary>
    public Func<int?> ErrorWidth { get; init; } = static () => null;

    /// <summary>
    /// Writes a line to <see cref="Error"/>, broken between words where that is a terminal that is narrower; in files and pipes it is one
    /// line. Where nobody takes it, the work goes on and the exit code says it.
    /// </summary>
    public void Complain(string line)
    {
        ForgivingWriter error = new(Error);
        foreach (string part in Wrap.Lines(line, ErrorWidth() is { } width ? Math.Max(LeastColumns, width) : int.MaxValue, hanging: 2)) error.WriteLine(part);
    }

    /// <summary>The words that start this program, in front of every command line that is printed to be used.</summary>
    public string Program { get; init; } = StartedAs.Command;

    /// <summary>Asks the verb to finish its step, save and return <see cref="ExitCode.Cancelled"/>.</summary>
    public CancellationToken Cancel { get; init; }

    /// <summary>What else is known about stopping; null in tests.</summary>
    public Stopping? Stopping { get; init; }

    /// <summary>The ranks that a test gives this one; null for those that a launcher started.</summary>
    public ICollective? Collective { get; init; }

    /// <summary>Whether errors show their stack trace.</summary>
    public bool Debug { get; init; }

    /// <summary>The same host, whose <see cref="Out"/> and <see cref="Error"/> let no control characters of names and models through.</summary>
    public CommandHost Plain() => this with { Raw = Out, Out = new PlainWriter(Out), Error = new PlainWriter(Error) };

    private static int TerminalWidth()
    {
        try
        {
            return Console.WindowWidth is > 0 and int width ? width : UsualColumns;
        }
        catch (IOException)
        {
            return UsualColumns;
        }
    }
}

/// <summary>Exit codes of the command; 141, as of a program that the system ended for it, when nobody reads standard output any more.</summary>
internal static class ExitCode
{
    public const int Done = 0, Failed = 1, Usage = 2, Cancelled = 130, PipeClosed = 141;
}

/// <summary>Options that contradict each other; ends the command with <see cref="ExitCode.Usage"/>.</summary>
internal sealed class UsageException(string message) : Exception(message);
