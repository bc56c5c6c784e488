using System.Text;

namespace RbeMl.Cli;

/// <summary>Entry point of the <c>rbeml</c> command.</summary>
internal static class Program
{
    private static int Main(string[] args)
    {
        // Both standard output and standard error, whatever the locale says; without a mark.
        Console.OutputEncoding = new UTF8Encoding(encoderShouldEmitUTF8Identifier: false);
        using Stopping stopping = new();
        TextWriter output = Console.Out;
        if (!OperatingSystem.IsWindows())
        {
            output = TextWriter.Synchronized(
                new StreamWriter(new StandardOutput { OnPipeClosed = stopping.OnPipeClosed },
                new UTF8Encoding(encoderShouldEmitUTF8Identifier: false))
                { AutoFlush = true });
            stopping.WatchOutput();
        }

        return Commands.Run(args, new CommandHost(output, Console.Error)
        {
            In = Console.OpenStandardInput(),
            Interactive = !Console.IsOutputRedirected,
            Width = CommandHost.ConsoleWidth,
            ErrorWidth = CommandHost.ErrorConsoleWidth,
            Program = StartedAs.Here(),
            Cancel = stopping.Token,
            Stopping = stopping,
            Debug = Environment.GetEnvironmentVariable("RBEML_DEBUG") is { Length: > 0 },
        });
    }
}
