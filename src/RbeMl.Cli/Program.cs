using System.Runtime.InteropServices;
using System.Text;

namespace RbeMl.Cli;

/// <summary>Entry point of the <c>rbeml</c> command.</summary>
internal static class Program
{
    private static int Main(string[] args)
    {
        // Both standard output and standard error, whatever the locale says; without a mark.
        Console.OutputEncoding = new UTF8Encoding(encoderShouldEmitUTF8Identifier: false);
        using CancellationTokenSource cancel = new();

        // The first Ctrl-C lets the current step finish and saves; a second one ends the process at once.
        void Stop(PosixSignalContext context)
        {
            context.Cancel = !cancel.IsCancellationRequested;
            cancel.Cancel();
        }

        using PosixSignalRegistration interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
        using PosixSignalRegistration terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
        return Commands.Run(args, new CommandHost(Console.Out, Console.Error)
        {
            In = Console.OpenStandardInput(),
            Interactive = !Console.IsOutputRedirected,
            Width = CommandHost.ConsoleWidth,
            Cancel = cancel.Token,
            Debug = Environment.GetEnvironmentVariable("RBEML_DEBUG") is { Length: > 0 },
        });
    }
}
