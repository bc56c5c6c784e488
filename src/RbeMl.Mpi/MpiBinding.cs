using System.Globalization;

namespace RbeMl.Mpi;

/// <summary>Which processors the launcher lets this process run on.</summary>
internal static class MpiBinding
{
    private const string OnlineFile = "/sys/devices/system/cpu/online", StatusFile = "/proc/self/status", AllowedKey = "Cpus_allowed_list:";

    /// <summary>Processors of this machine; those of this process where it cannot be told.</summary>
    public static int Online { get; } = File.Exists(OnlineFile) ? Count(File.ReadAllText(OnlineFile)) : Environment.ProcessorCount;

    /// <summary>Whether this process may use some of them alone. A limit of its container's time binds it to none.</summary>
    public static bool IsBound => Allowed < Online;

    private static int Allowed { get; } = File.Exists(StatusFile) && File.ReadLines(StatusFile)
        .FirstOrDefault(line => line.StartsWith(AllowedKey, StringComparison.Ordinal)) is { } line && Count(line[AllowedKey.Length..]) is > 0 and int allowed
            ? allowed : Online;

    /// <summary>The processors of a list such as <c>0-3,8</c>; 0 of what is none.</summary>
    internal static int Count(string list)
    {
        int count = 0;
        foreach (string range in list.Trim().Split(','))
        {
            string[] ends = range.Split('-');
            if (!int.TryParse(ends[0], NumberStyles.None, CultureInfo.InvariantCulture, out int first)
                || !int.TryParse(ends[^1], NumberStyles.None, CultureInfo.InvariantCulture, out int last)) return 0;
            count += last - first + 1;
        }

        return count;
    }
}
