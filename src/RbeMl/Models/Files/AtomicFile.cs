using System.Security;
using System.Text;

namespace RbeMl.Models.Files;

/// <summary>
/// Writes whole files or nothing: to a temporary name in the same folder, flushed to disk, then renamed over the target. When anything
/// fails, what was there before stays as it was and the temporary file is removed.
/// </summary>
public static class AtomicFile
{
    /// <summary>Writes a file.</summary>
    /// <param name="path">The file; an existing one is replaced, a link is followed.</param>
    /// <param name="write">Writes the content. Its errors pass through unchanged, except failures of input and output.</param>
    /// <exception cref="RbeFileException">The file cannot be written.</exception>
    public static void Write(string path, Action<Stream> write)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        ArgumentNullException.ThrowIfNull(write);
        string? temporary = null;
        try
        {
            string target = Path.GetFullPath(path);
            if (IsDevice(target))
            {
                using FileStream device = new(target, FileMode.Open, FileAccess.Write, FileShare.ReadWrite);
                write(device);
                return;
            }

            FileInfo link = new(target);
            if (link.LinkTarget is not null && link.ResolveLinkTarget(returnFinalTarget: true) is { } final) target = final.FullName;
            if (Directory.Exists(target)) throw new IOException("it is a folder");
            string name = TemporaryName(target);
            using (FileStream stream = new(name, FileMode.CreateNew, FileAccess.ReadWrite, FileShare.None, 1 << 16))
            {
                temporary = name;
                write(stream);
                stream.Flush(flushToDisk: true);
            }

            if (!OperatingSystem.IsWindows() && File.Exists(target)) File.SetUnixFileMode(temporary, File.GetUnixFileMode(target));
            File.Move(temporary, target, overwrite: true);
            temporary = null;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or SecurityException or NotSupportedException)
        {
            throw new RbeFileException(path, $"cannot be written ({Reason(error)}). Choose a folder you may write to, with space left.", error);
        }
        finally
        {
            if (temporary is not null) TryDelete(temporary);
        }
    }

    /// <summary>Writes UTF-8 text without a byte order mark.</summary>
    /// <param name="path">The file.</param>
    /// <param name="text">Its whole content.</param>
    /// <exception cref="RbeFileException">The file cannot be written.</exception>
    public static void WriteText(string path, string text) => Write(path, stream => stream.Write(Encoding.UTF8.GetBytes(text)));

    /// <summary>Creates a folder where it is missing and makes sure that files can be written there.</summary>
    /// <param name="folder">The folder.</param>
    /// <exception cref="RbeFileException">The folder cannot be made or written to.</exception>
    public static void CheckFolder(string folder)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        try
        {
            Directory.CreateDirectory(folder);
            string probe = TemporaryName(Path.Combine(Path.GetFullPath(folder), "probe"));
            using FileStream stream = new(probe, FileMode.CreateNew, FileAccess.Write, FileShare.None, 1, FileOptions.DeleteOnClose);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or SecurityException or NotSupportedException)
        {
            throw new RbeFileException(folder, $"cannot write to this folder ({Reason(error)}). Choose one you may write to.", error);
        }
    }

    private static string TemporaryName(string target) =>
        Path.Combine(Path.GetDirectoryName(target) ?? ".", $".{Path.GetFileName(target)}.{Path.GetRandomFileName()}.tmp");

    // A device (standard output, the null device) cannot be renamed over.
    private static bool IsDevice(string path) =>
        !OperatingSystem.IsWindows() && (path.StartsWith("/dev/", StringComparison.Ordinal) || path.StartsWith("/proc/", StringComparison.Ordinal)) && File.Exists(path);

    private static string Reason(Exception error) => error switch
    {
        DirectoryNotFoundException => "the folder does not exist",
        UnauthorizedAccessException => "access denied",
        _ => error.Message.TrimEnd('.'),
    };

    private static void TryDelete(string path)
    {
        try
        {
            File.Delete(path);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            // The error that led here is the one to report.
        }
    }
}
