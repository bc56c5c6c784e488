using System.Security;

namespace RbeMl.Models.Files;

/// <summary>Writes whole folders or nothing: to a temporary sibling, then renamed. When anything fails, what was there before stays as it was.</summary>
public static class AtomicFolder
{
    /// <summary>Writes a folder.</summary>
    /// <param name="path">The folder; a link is followed.</param>
    /// <param name="mayReplace">Whether a folder that is there may be replaced, with all it holds.</param>
    /// <param name="write">Writes the files into the folder it is given. Its errors pass through unchanged, except failures of input and output.</param>
    /// <exception cref="RbeFileException">The folder may not be replaced, or cannot be written.</exception>
    public static void Write(string path, Func<string, bool> mayReplace, Action<string> write)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        ArgumentNullException.ThrowIfNull(mayReplace);
        ArgumentNullException.ThrowIfNull(write);
        string? temporary = null;
        try
        {
            string target = Path.TrimEndingDirectorySeparator(Path.GetFullPath(path));
            if (new DirectoryInfo(target) is { LinkTarget: not null } link) target = link.ResolveLinkTarget(returnFinalTarget: true)!.FullName;
            string parent = Path.GetDirectoryName(target) ?? throw new RbeFileException(path, "is the root of a drive. Choose a folder within.");
            if (File.Exists(target)) throw new RbeFileException(path, "is a file where a folder is to be written. Remove it, or choose another name.");
            if (Directory.Exists(target) && !mayReplace(target)) throw new RbeFileException(path, "is a folder that holds other files. Choose a new folder, or empty this one.");
            AtomicFile.CheckFolder(parent);
            string name = AtomicFile.TemporaryName(target);
            Directory.CreateDirectory(name);
            temporary = name;
            write(name);
            Swap(name, target);
            temporary = null;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or SecurityException or NotSupportedException)
        {
            throw new RbeFileException(path, $"cannot be written ({error.Message.TrimEnd('.')}). Choose a folder you may write to, with space left.", error);
        }
        finally
        {
            if (temporary is not null) TryDelete(temporary);
        }
    }

    private static void Swap(string temporary, string target)
    {
        if (!Directory.Exists(target))
        {
            Directory.Move(temporary, target);
            return;
        }

        if (!OperatingSystem.IsWindows()) File.SetUnixFileMode(temporary, File.GetUnixFileMode(target));
        string old = AtomicFile.TemporaryName(target);
        Directory.Move(target, old);
        try
        {
            Directory.Move(temporary, target);
        }
        catch
        {
            Directory.Move(old, target);
            throw;
        }

        TryDelete(old);
    }

    private static void TryDelete(string folder)
    {
        try
        {
            Directory.Delete(folder, recursive: true);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            // What led here is the error to report; a folder that was replaced is only in the way.
        }
    }
}
