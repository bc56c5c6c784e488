using RbeMl.Cli;

namespace RbeMl.Tests.Cli;

/// <summary>A command line run in-process.</summary>
internal sealed record CommandRun(int Code, string Out, string Error)
{
    public static CommandRun Of(params string[] args) => Of(CancellationToken.None, args);

    public static CommandRun Of(CancellationToken cancel, params string[] args) => At(null, new StringWriter(), cancel, args);

    /// <summary>Cancelled as soon as a line holds <paramref name="seen"/>.</summary>
    public static CommandRun Until(string seen, params string[] args)
    {
        using CancellationTokenSource cancel = new();
        return At(null, new WatchedWriter(seen, cancel.Cancel), cancel.Token, args);
    }

    /// <summary>On a terminal of so many columns; null for a file.</summary>
    public static CommandRun At(int? columns, params string[] args) => At(columns, new StringWriter(), CancellationToken.None, args);

    private static CommandRun At(int? columns, StringWriter output, CancellationToken cancel, string[] args)
    {
        StringWriter error = new();
        int code = Commands.Run(args, new CommandHost(output, error) { Cancel = cancel, Width = () => columns });
        return new CommandRun(code, output.ToString(), error.ToString());
    }

    /// <summary>Asserts that it succeeds.</summary>
    public void Succeeds() => Assert.True(Code == 0, $"exit code {Code}: {Error}");

    /// <summary>Asserts a failure with one line that holds <paramref name="message"/>.</summary>
    public CommandRun Fails(int code, string message)
    {
        Assert.True(code == Code, $"exit code {Code}, expected {code}: {Error}");
        Assert.Contains(message, Error);
        Assert.Equal(1, Error.Count(c => c == '\n'));
        Assert.StartsWith("rbeml: ", Error);
        return this;
    }

    private sealed class WatchedWriter(string seen, Action act) : StringWriter
    {
        public override void WriteLine(string? value)
        {
            base.WriteLine(value);
            if (value?.Contains(seen, StringComparison.Ordinal) == true) act();
        }
    }
}
