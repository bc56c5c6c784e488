using System.Text;

namespace RbeMl.Storage;

/// <summary>
/// Writes whole files or nothing: to a temporary name in the same folder, flushed to disk, then renamed over the target, then the folder is flushed. When
/// anything fails, what was there before stays as it was and the temporary file is removed; that of a process that was killed is removed by the next one
/// to write into the folder.
/// </summary>
internal static partial class AtomicFile
{
    private const long Mib1 = 1 << 20;
    private const int LongestName = 255; // bytes, in the file systems of Linux, macOS and Windows

    /// <summary>Writes a file.</summary>
    /// <param name="path">The file; an existing one is replaced, a link is followed. What cannot be replaced (a device, a pipe) is written to as it is.</param>
    /// <param name="write">Writes the content. Its errors pass through unchanged, except failures of input and output.</param>
    /// <exception cref="RbeFileException">The file cannot be written.</exception>
    public static void Write(string path, Action<Stream> write)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        ArgumentNullException.ThrowIfNull(write);
        string? temporary = null;
        try
        {
            (string target, bool stream) = FileTarget.Of(path);
            if (stream)
            {
                using FileStream device = new(target, FileMode.Open, FileAccess.Write, FileShare.ReadWrite);
                if (device.CanSeek) device.Seek(0, SeekOrigin.End); // standard output that goes to a file: after what is there
                write(device);
                return;
            }

            if (Directory.Exists(target)) throw new IOException("it is a folder");
            string folder = Path.GetDirectoryName(target)!;
            TemporaryNames.DeleteLeftovers(folder);
            temporary = TemporaryNames.New(folder, Path.GetFileName(target), TemporaryNames.Temporary);
            using (FileStream file = new(temporary, FileMode.CreateNew, FileAccess.ReadWrite, FileShare.None, 1 << 16))
            {
                write(file);
                FileSteps.Sync(file);
            }

            if (!OperatingSystem.IsWindows() && File.Exists(target)) File.SetUnixFileMode(temporary, File.GetUnixFileMode(target));
            FileSteps.Publish(temporary, target);
            temporary = null;
        }
        catch (Exception error) when (IoReason.Is(error))
        {
            throw new RbeFileException(path, $"cannot be written ({IoReason.Of(error)}). {Mend(path)}", error);
        }
        finally
        {
            if (temporary is not null) TemporaryNames.Discard(temporary);
        }
    }

    /// <summary>Writes UTF-8 text without a byte order mark.</summary>
    /// <param name="path">The file.</param>
    /// <param name="text">Its whole content.</param>
    /// <exception cref="RbeFileException">The file cannot be written.</exception>
    public static void WriteText(string path, string text) => Write(path, stream => stream.Write(Encoding.UTF8.GetBytes(text)));

    /// <summary>
    /// Creates a folder where it is missing, makes sure that files can be written there, and removes temporary files of processes that were
    /// killed.
    /// </summary>
    /// <param name="folder">The folder.</param>
    /// <exception cref="RbeFileException">The folder cannot be made or written to.</exception>
    public static void CheckFolder(string folder)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        try
        {
            Directory.CreateDirectory(folder);
            folder = Path.GetFullPath(folder);
            TemporaryNames.DeleteLeftovers(folder);
            string probe = TemporaryNames.New(folder, "probe", TemporaryNames.Temporary);
            using (FileStream stream =
                new(probe, FileMode.CreateNew, FileAccess.Write, FileShare.None, 1, FileOptions.DeleteOnClose)) TemporaryNames.Release(probe);
        }
        catch (Exception error) when (IoReason.Is(error))
        {
            throw new RbeFileException(folder, $"cannot write to this folder ({IoReason.Of(error)}). Choose one you may write to.", error);
        }
    }

    /// <summary>Makes sure, before any work, that <see cref="Write"/> can write this file: creates its folder where it is missing.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="RbeFileException">The path is a folder, or its folder cannot be made or written to.</exception>
    public static void CheckFile(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        (string target, bool stream) = Follow(path);
        if (stream) return;
        if (Directory.Exists(target)) throw new RbeFileException(path, "is a folder where a file is to be written. Remove it, or choose another name.");
        int bytes = Encoding.UTF8.GetByteCount(Path.GetFileName(target));
        if (bytes > LongestName)
        {
            throw new RbeFileException(path, $"has a name of {Amount.Of(bytes, "byte")}, at most {LongestName} fit. Choose a shorter one.");
        }

        CheckFolder(Path.GetDirectoryName(target) ?? target);
    }

    /// <summary>Makes sure, before any work, that a folder's disk has room.</summary>
    /// <param name="folder">The folder, which is there.</param>
    /// <param name="bytes">What is to be written.</param>
    /// <param name="what">What that is, in words.</param>
    /// <exception cref="RbeFileException">There is less.</exception>
    public static void CheckSpace(string folder, long bytes, string what)
    {
        long free;
        try
        {
            string full = Path.GetFullPath(folder);
            free = new DriveInfo(OperatingSystem.IsWindows() ? Path.GetPathRoot(full)! : full).AvailableFreeSpace;
        }
        catch (Exception error) when (IoReason.Is(error) || error is ArgumentException)
        {
            return; // a file system that does not say
        }

        if (free < bytes)
        {
            throw new RbeFileException(folder, $"has {Mib(free)} MiB of space left, {what} take {Mib(bytes + Mib1 - 1)} MiB. Make room, or choose a folder on "
                + $"another disk.");
        }

        static long Mib(long bytes) => bytes / Mib1;
    }

    /// <summary>Whether two paths lead to one file, links followed; devices and pipes are never the same.</summary>
    /// <param name="first">A path.</param>
    /// <param name="second">Another path.</param>
    /// <exception cref="RbeFileException">The links of a path run in a circle.</exception>
    public static bool IsSame(string first, string second)
    {
        FileTarget a = Follow(first);
        return !a.IsStream && a.Equals(Follow(second));
    }

    private static FileTarget Follow(string path)
    {
        try
        {
            return FileTarget.Of(path);
        }
        catch (Exception error) when (IoReason.Is(error))
        {
            throw new RbeFileException(path, $"leads nowhere ({IoReason.Of(error)}). Choose another name.", error);
        }
    }

    // Windows lets nobody replace a file that is mapped, as that of a loaded model may be.
    private static string Mend(string path) => OperatingSystem.IsWindows() && File.Exists(path)
        ? "If a model loaded from it with Map = true is in use, load it with Map = false or save under another name; else choose a "
            + "folder you may write to, with space left."
        : "Choose a folder you may write to, with space left.";
}
