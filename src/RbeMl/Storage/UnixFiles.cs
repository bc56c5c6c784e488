using System.Runtime.InteropServices;
using System.Text;

namespace RbeMl.Storage;

/// <summary>What .NET has no call for, on Linux and macOS: folders as open files, locks on them, exchanging names, second names.</summary>
internal static class UnixFiles
{
    // Of Linux and macOS alike, but for O_CLOEXEC and how names are exchanged.
    private const int LockExclusiveNow = 2 | 4, WorkingFolder = -100, LinuxExchange = 2, MacSwap = 2;

    private static int CloseOnExec => OperatingSystem.IsMacOS() ? 0x1000000 : 0x80000;

    /// <summary>Opens a file or folder to be synced or locked; negative when that fails.</summary>
    public static int Open(string path) => OpenFile(Text(path), CloseOnExec, 0);

    public static void Close(int descriptor) => _ = CloseFile(descriptor);

    /// <summary>Locks an open folder without waiting.</summary>
    /// <param name="descriptor">The folder.</param>
    /// <param name="taken">Whether another has the lock; when it is not given otherwise, the file system has none.</param>
    public static bool TryLock(int descriptor, out bool taken)
    {
        bool locked = LockFile(descriptor, LockExclusiveNow) == 0;
        taken = !locked && Marshal.GetLastPInvokeError() == (OperatingSystem.IsMacOS() ? 35 : 11); // EWOULDBLOCK
        return locked;
    }

    /// <summary>Waits until a file or folder is on the disk.</summary>
    /// <returns>Whether the system could; some file systems refuse it for folders.</returns>
    public static bool Sync(string path)
    {
        int descriptor = Open(path);
        if (descriptor < 0) return false;
        bool done = SyncFile(descriptor) == 0;
        Close(descriptor);
        return done;
    }

    /// <summary>Exchanges two names at once: at every moment each is there.</summary>
    /// <returns>False where the system or the file system cannot.</returns>
    public static bool TryExchange(string first, string second)
    {
        try
        {
            return OperatingSystem.IsLinux() ? RenameAt(WorkingFolder, Text(first), WorkingFolder, Text(second), LinuxExchange) == 0
                : OperatingSystem.IsMacOS() && RenameMac(Text(first), Text(second), MacSwap) == 0;
        }
        catch (EntryPointNotFoundException)
        {
            return false; // a C library without it
        }
    }

    /// <summary>Gives a file a second name.</summary>
    /// <returns>False where the file system cannot.</returns>
    public static bool TryLink(string path, string to) => LinkFile(Text(path), Text(to)) == 0;

    private static byte[] Text(string path) => Encoding.UTF8.GetBytes(path + "\0");

    [DllImport("libc", EntryPoint = "open")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int OpenFile(byte[] path, int flags, int mode);

    [DllImport("libc", EntryPoint = "close")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int CloseFile(int descriptor);

    [DllImport("libc", EntryPoint = "fsync")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int SyncFile(int descriptor);

    [DllImport("libc", EntryPoint = "flock", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int LockFile(int descriptor, int operation);

    [DllImport("libc", EntryPoint = "renameat2")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int RenameAt(int fromFolder, byte[] from, int toFolder, byte[] to, uint flags);

    [DllImport("libc", EntryPoint = "renamex_np")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int RenameMac(byte[] from, byte[] to, uint flags);

    [DllImport("libc", EntryPoint = "link")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int LinkFile(byte[] path, byte[] to);
}
