using System.Runtime.InteropServices;
using System.Text;

namespace RbeMl.Storage;

/// <summary>What a path leads to, links followed.</summary>
internal enum FileKind
{
    /// <summary>Nothing, or nothing that can be asked.</summary>
    Missing,

    /// <summary>A file with contents of its own.</summary>
    Plain,

    /// <summary>A folder.</summary>
    Folder,

    /// <summary>A pipe or socket, which is read or written once, in order.</summary>
    Pipe,

    /// <summary>A device: a terminal, a disk, an endless source.</summary>
    Device,
}

/// <summary>Asks the system for the kind of a path.</summary>
internal static class FileKinds
{
    // struct statx has one layout on all of Linux: 256 bytes, with the mode (u16) at byte 28.
    private const int StatusBytes = 256, ModeOffset = 28, WorkingFolder = -100, TypeWanted = 1;
    private const int Mask = 0xF000, Regular = 0x8000, Folder = 0x4000, Fifo = 0x1000, Socket = 0xC000;

    /// <summary>The kind of a path.</summary>
    public static FileKind Of(string path)
    {
        if (OperatingSystem.IsLinux())
        {
            try
            {
                return ModeOf(path) switch
                {
                    0 => FileKind.Missing,
                    Regular => FileKind.Plain,
                    Folder => FileKind.Folder,
                    Fifo or Socket => FileKind.Pipe,
                    _ => FileKind.Device
                };
            }
            catch (EntryPointNotFoundException)
            {
                // A C library without statx: judge by the place.
            }
        }

        if (Directory.Exists(path)) return FileKind.Folder;
        if (!File.Exists(path)) return FileKind.Missing;
        string full = Path.GetFullPath(path);
        if (OperatingSystem.IsWindows())
        {
            return full.StartsWith(@"\\.\pipe\", StringComparison.OrdinalIgnoreCase) ? FileKind.Pipe
                : full.StartsWith(@"\\.\", StringComparison.Ordinal) ? FileKind.Device : FileKind.Plain;
        }

        if (full is "/dev/stdin" or "/dev/stdout" or "/dev/stderr" || full.StartsWith("/dev/fd/", StringComparison.Ordinal)) return FileKind.Pipe;
        return full.StartsWith("/dev/", StringComparison.Ordinal) ? FileKind.Device : FileKind.Plain;
    }

    // The kind bits of a path's mode; 0 when there is nothing.
    private static unsafe int ModeOf(string path)
    {
        byte* status = stackalloc byte[StatusBytes];
        fixed (byte* name = Encoding.UTF8.GetBytes(path + "\0"))
        {
            return Status(WorkingFolder, name, 0, TypeWanted, status) == 0 ? *(ushort*)(status + ModeOffset) & Mask : 0;
        }
    }

    [DllImport("libc", EntryPoint = "statx")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern unsafe int Status(int folder, byte* path, int flags, uint wanted, byte* status);
}
