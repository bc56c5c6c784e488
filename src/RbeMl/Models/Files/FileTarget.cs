using System.Runtime.InteropServices;
using System.Text;

namespace RbeMl.Models.Files;

/// <summary>Where a path to be written leads after its links, and whether that is a file or a stream (device, pipe, open descriptor).</summary>
/// <param name="FullName">Full path after links.</param>
/// <param name="IsStream">Whether it is written in place, because renaming a file over it would destroy it.</param>
internal readonly record struct FileTarget(string FullName, bool IsStream)
{
    private const int MostLinks = 40;

    /// <summary>Follows a path.</summary>
    /// <exception cref="IOException">The links run in a circle.</exception>
    public static FileTarget Of(string path)
    {
        string target = Path.GetFullPath(path);
        for (int links = 0; links <= MostLinks; links++)
        {
            if (IsDescriptor(target)) return new FileTarget(target, true);
            FileInfo file = new(target);
            if (file.LinkTarget is null) return new FileTarget(target, !OperatingSystem.IsWindows() && IsDeviceOrPipe(target));
            target = file.ResolveLinkTarget(returnFinalTarget: false)!.FullName;
        }

        throw new IOException("its links run in a circle");
    }

    /// <summary>Whether two paths name one file.</summary>
    public bool Equals(FileTarget other) => string.Equals(FullName, other.FullName, Comparison);

    /// <inheritdoc/>
    public override int GetHashCode() => FullName.GetHashCode(Comparison);

    private static StringComparison Comparison => OperatingSystem.IsLinux() ? StringComparison.Ordinal : StringComparison.OrdinalIgnoreCase;

    // Links of an open descriptor may lead to a pipe without a name, or to the file that standard output goes to.
    private static bool IsDescriptor(string path) => !OperatingSystem.IsWindows() &&
        (path.StartsWith("/dev/fd/", StringComparison.Ordinal) || (path.StartsWith("/proc/", StringComparison.Ordinal) && path.Contains("/fd/", StringComparison.Ordinal)));

    private static bool IsDeviceOrPipe(string path)
    {
        if (OperatingSystem.IsLinux())
        {
            try
            {
                return KindOf(path) is not (0 or Kinds.Regular or Kinds.Folder);
            }
            catch (EntryPointNotFoundException)
            {
                // A C library without statx: judge by the place.
            }
        }

        return path.StartsWith("/dev/", StringComparison.Ordinal) && !path.StartsWith("/dev/shm/", StringComparison.Ordinal) && File.Exists(path);
    }

    // The kind bits of a path's mode; 0 when there is nothing.
    private static unsafe int KindOf(string path)
    {
        byte* status = stackalloc byte[StatusBytes];
        fixed (byte* name = Encoding.UTF8.GetBytes(path + "\0"))
        {
            return Status(WorkingFolder, name, 0, TypeWanted, status) == 0 ? *(ushort*)(status + ModeOffset) & Kinds.Mask : 0;
        }
    }

    // struct statx has one layout on all of Linux: 256 bytes, with the mode (u16) at byte 28.
    private const int StatusBytes = 256, ModeOffset = 28, WorkingFolder = -100, TypeWanted = 1;

    [DllImport("libc", EntryPoint = "statx")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern unsafe int Status(int folder, byte* path, int flags, uint wanted, byte* status);

    private static class Kinds
    {
        public const int Mask = 0xF000, Regular = 0x8000, Folder = 0x4000;
    }
}
