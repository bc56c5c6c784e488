using System.Runtime.InteropServices;

namespace RbeMl.Memory;

/// <summary>
/// Asks Linux to hold a large buffer in pages of 2 MiB. A buffer of 150 MiB is then handed out in 75 pieces and not in 38,000, which takes most of the
/// time that loading a model takes, and reading it misses fewer translations of addresses. Where the system says no, pages stay small.
/// </summary>
internal static unsafe class LargePages
{
    private const int Huge = 14; // MADV_HUGEPAGE
    private const long LeastBytes = 32L << 20; // what allocators take from the system for itself: smaller ones come to lie where others lay

    /// <summary>Says so of memory that was allocated and not yet written.</summary>
    public static void Advise(nint address, long bytes)
    {
        if (bytes < LeastBytes || !OperatingSystem.IsLinux()) return;
        long page = Environment.SystemPageSize, first = (address + page - 1) / page * page;
        try
        {
            _ = Advise((void*)first, (nuint)(address + bytes - first), Huge);
        }
        catch (Exception error) when (error is EntryPointNotFoundException or DllNotFoundException)
        {
            // A C library without it.
        }
    }

    [DllImport("libc", EntryPoint = "madvise")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int Advise(void* address, nuint length, int advice);
}
