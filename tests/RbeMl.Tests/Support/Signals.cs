using System.Globalization;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace RbeMl.Tests.Support;

/// <summary>
/// Signals of Linux and macOS to child processes. A child inherits which of them are ignored: under nohup hang-ups, in the background of a script
/// interrupts. The tests send them, so that on Linux this process stops ignoring them before the first test.
/// </summary>
internal static class Signals
{
    public const int Hangup = 1, Interrupt = 2, Quit = 3, Terminate = 15;

    private const string IgnoredSignals = "SigIgn:";

    /// <summary>Sends a signal to a process; 0 for success.</summary>
    [DllImport("libc", EntryPoint = "kill")]
    public static extern int Send(int process, int signal);

    /// <summary>Whether this process ignores a signal, and so whether its children do. Linux.</summary>
    public static bool Ignored(int signal) =>
        (ulong.Parse(File.ReadLines("/proc/self/status").Single(line => line.StartsWith(IgnoredSignals, StringComparison.Ordinal))[IgnoredSignals.Length..],
            NumberStyles.AllowHexSpecifier | NumberStyles.AllowLeadingWhite, CultureInfo.InvariantCulture) >> (signal - 1) & 1) == 1;

    [ModuleInitializer]
    internal static void Heed()
    {
        if (!OperatingSystem.IsLinux()) return;
        foreach (int signal in (int[])[Hangup, Interrupt, Quit, Terminate])
        {
            if (Ignored(signal)) SetHandler(signal, handler: 0); // the default one
        }
    }

    [DllImport("libc", EntryPoint = "signal")]
    private static extern nint SetHandler(int signal, nint handler);
}
