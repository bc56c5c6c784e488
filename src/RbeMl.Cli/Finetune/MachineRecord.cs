using System.Reflection;
using System.Runtime.InteropServices;
using RbeMl.Numerics;

namespace RbeMl.Cli.Finetune;

/// <summary>The machine of a run.</summary>
internal sealed record MachineRecord(string Processor, int Processors, int VectorBits, string System, string Runtime)
{
    private const string Info = "/proc/cpuinfo", Key = "model name";

    /// <summary>This one.</summary>
    public static MachineRecord Here() => new(
        ProcessorName(), Environment.ProcessorCount, 32 * Wide.Lanes,
        RuntimeInformation.OSDescription, RuntimeInformation.FrameworkDescription);

    /// <summary>Version of this program.</summary>
    public static string Version() => typeof(MachineRecord).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? "";

    private static string ProcessorName()
    {
        string? line = File.Exists(Info) ? File.ReadLines(Info).FirstOrDefault(l => l.StartsWith(Key, StringComparison.Ordinal)) : null;
        return line?[(line.IndexOf(':', StringComparison.Ordinal) + 1)..].Trim() ?? Environment.GetEnvironmentVariable("PROCESSOR_IDENTIFIER")
            ?? RuntimeInformation.ProcessArchitecture.ToString();
    }
}
