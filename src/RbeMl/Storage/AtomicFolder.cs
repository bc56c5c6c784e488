namespace RbeMl.Storage;

/// <summary>
/// Writes whole folders or nothing: to a temporary sibling, flushed to disk, then renamed. When anything fails, what was there before stays as it was. A folder
/// that is replaced exchanges its name with the new one at once, on Linux and macOS. Elsewhere, and on file systems that cannot, there is a moment in which
/// neither has the name: a process killed just then leaves the old one as <c>.NAME.rbeml-*.old</c>, and the next write of that folder renames it back first.
/// </summary>
internal static class AtomicFolder
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
            Recover(parent, target);
            if (File.Exists(target)) throw new RbeFileException(path, "is a file where a folder is to be written. Remove it, or choose another name.");
            if (Directory.Exists(target) && !mayReplace(target))
            {
                throw new RbeFileException(path, "is a folder that holds other files. Choose a new folder, or empty this one.");
            }

            AtomicFile.CheckFolder(parent);
            temporary = TemporaryNames.New(parent, Path.GetFileName(target), TemporaryNames.Temporary);
            Directory.CreateDirectory(temporary);
            using FolderLock? own = FolderLock.TryTake(temporary);
            write(temporary);
            FileSteps.SyncTree(temporary);
            if (!OperatingSystem.IsWindows() && Directory.Exists(target)) File.SetUnixFileMode(temporary, File.GetUnixFileMode(target));
            FileSteps.PublishFolder(temporary, target);
            temporary = null;
        }
        catch (Exception error) when (IoReason.Is(error))
        {
            throw new RbeFileException(path, $"cannot be written ({IoReason.Of(error)}). Choose a folder you may write to, with space left.", error);
        }
        catch (RbeFileException error) when (temporary is not null && error.Path.StartsWith(temporary, StringComparison.Ordinal)
            && error.InnerException is { } cause && IoReason.Is(cause))
        {
            // A file of the folder, whose temporary name tells nobody anything.
            throw new RbeFileException(path, $"cannot be written ({IoReason.Of(cause)}). Choose a folder you may write to, with space left.", error);
        }
        finally
        {
            if (temporary is not null) TemporaryNames.Discard(temporary);
        }
    }

    // What a process that was killed while it replaced the folder left: the folder itself when its name is gone, else something to delete.
    private static void Recover(string parent, string target)
    {
        if (!Directory.Exists(parent)) return;
        foreach (string old in TemporaryNames.ReplacedBy(parent, Path.GetFileName(target)))
        {
            if (Path.Exists(target)) TemporaryNames.Delete(old);
            else FileSteps.Rename(old, target);
        }
    }
}
