using System.Diagnostics;
using System.Globalization;

namespace RbeMl.Cli;

/// <summary>The most memory this process has had.</summary>
internal static class PeakMemory
{
    private const string Status = "/proc/self/status", Key = "VmHWM:";

    /// <summary>Peak resident set in bytes: the kernel's high-water mark on Linux, the peak working set elsewhere.</summary>
    public static long Bytes()
    {
        if (File.Exists(Status) && File.ReadLines(Status).FirstOrDefault(line => line.StartsWith(Key, StringComparison.Ordinal)) is { } line)
        {
            return long.Parse(line.AsSpan(Key.Length).Trim().TrimEnd(" kB"), CultureInfo.InvariantCulture) * 1024;
        }

        using Process self = Process.GetCurrentProcess();
        return self.PeakWorkingSet64;
    }
}
