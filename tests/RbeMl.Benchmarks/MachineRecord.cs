using System.Runtime.InteropServices;
using RbeMl.Numerics;
using TorchSharp;

namespace RbeMl.Benchmarks;

/// <summary>What times depend on.</summary>
internal sealed record MachineRecord(string Processor, int Processors, int VectorBits, string Libtorch, string Runtime)
{
    public static MachineRecord Here { get; } = new(
        ProcessorName(), Environment.ProcessorCount, 32 * Wide.Lanes, torch.__version__, RuntimeInformation.FrameworkDescription);

    private static string ProcessorName()
    {
        const string Info = "/proc/cpuinfo";
        string? line = File.Exists(Info) ? File.ReadLines(Info).FirstOrDefault(l => l.StartsWith("model name", StringComparison.Ordinal)) : null;
        return line?[(line.IndexOf(':', StringComparison.Ordinal) + 1)..].Trim() ?? Environment.GetEnvironmentVariable("PROCESSOR_IDENTIFIER")
            ?? RuntimeInformation.ProcessArchitecture.ToString();
    }
}
