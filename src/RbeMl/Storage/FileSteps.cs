namespace RbeMl.Storage;

/// <summary>
/// The steps in which files and folders get their final names, in one place for all writers: content is on the disk before a rename, and the rename before
/// the next step. A process that ends between two steps leaves the old or the new, whole.
/// </summary>
internal static class FileSteps
{
    /// <summary>Told the name of each step before it is taken: a test ends its process there.</summary>
    internal static Action<string>? Before { get; set; }

    /// <summary>Told each step that was taken: its name, what it worked on, and whether the system did it.</summary>
    internal static Action<string, string, bool>? After { get; set; }

    /// <summary>Whether names may be exchanged at once; a test says no, as some file systems do.</summary>
    internal static bool MayExchange { get; set; } = true;

    /// <summary>Waits until what was written is on the disk.</summary>
    public static void Sync(FileStream file) => Take("sync a file", file.Name, () => file.Flush(flushToDisk: true));

    /// <summary>Waits until all files of a folder, and their names, are on the disk.</summary>
    public static void SyncTree(string folder)
    {
        foreach (string file in Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories))
        {
            if (!OperatingSystem.IsWindows())
            {
                Take("sync a file", file, () => UnixFiles.Sync(file));
                continue;
            }

            using FileStream stream = new(file, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite | FileShare.Delete);
            Sync(stream);
        }

        foreach (string inner in Directory.EnumerateDirectories(folder, "*", SearchOption.AllDirectories)) SyncFolder(inner);
        SyncFolder(folder);
    }

    /// <summary>Gives a temporary file its name, replacing what is there.</summary>
    public static void Publish(string temporary, string target) => Final(target, () =>
    {
        Take("rename a file", target, () => File.Move(temporary, target, overwrite: true));
        TemporaryNames.Release(temporary);
    });

    /// <summary>Gives a temporary folder its name; what was there before is deleted.</summary>
    public static void PublishFolder(string temporary, string target)
    {
        string? old = null;
        Final(target, () =>
        {
            if (!Directory.Exists(target))
            {
                Take("rename a folder", target, () => Directory.Move(temporary, target));
                TemporaryNames.Release(temporary);
                return;
            }

            if (Take("exchange folders", target, () => MayExchange && !OperatingSystem.IsWindows() && UnixFiles.TryExchange(temporary, target)))
            {
                old = temporary;
                return;
            }

            // Where names cannot be exchanged there is a moment without the folder; the next write of it finds what it was, see AtomicFolder.
            string kept = TemporaryNames.NewReplaced(Path.GetDirectoryName(target)!, Path.GetFileName(target));
            Take("rename the old folder", target, () => Directory.Move(target, kept));
            old = kept;
            try
            {
                Take("rename a folder to a name that is gone", target, () => Directory.Move(temporary, target));
                TemporaryNames.Release(temporary);
            }
            catch
            {
                Directory.Move(kept, target);
                throw;
            }
        });
        if (old is { } replaced) Take("delete the old folder", replaced, () => TemporaryNames.Discard(replaced));
    }

    /// <summary>Renames a file or folder within its folder; nothing is replaced.</summary>
    public static void Rename(string path, string to) => Final(to, () => Take("rename", to, () =>
    {
        if (Directory.Exists(path)) Directory.Move(path, to);
        else File.Move(path, to);
    }));

    /// <summary>Gives a file a second name in its folder.</summary>
    /// <returns>False where the file system cannot.</returns>
    public static bool TryLink(string path, string to)
    {
        bool done = false;
        Final(to, () => done = Take("link", to, () => !OperatingSystem.IsWindows() && UnixFiles.TryLink(path, to)));
        return done;
    }

    // A name counts when its folder is on the disk. A process that is ending has deleted its temporaries: none may get a name any more.
    private static void Final(string target, Action step)
    {
        lock (TemporaryNames.Gate)
        {
            if (TemporaryNames.Exiting) Thread.Sleep(Timeout.Infinite);
            step();
        }

        SyncFolder(Path.GetDirectoryName(target)!);
    }

    // Some file systems refuse it, and Windows has no such call.
    private static void SyncFolder(string folder) => Take("sync a folder", folder, () => !OperatingSystem.IsWindows() && UnixFiles.Sync(folder));

    // Every step is taken here and nowhere else: none is told of that is not taken, none is taken that is not told of.
    private static bool Take(string step, string path, Func<bool> act)
    {
        Before?.Invoke(step);
        bool done = act();
        After?.Invoke(step, path, done);
        return done;
    }

    private static void Take(string step, string path, Action act) => Take(step, path, () =>
    {
        act();
        return true;
    });
}
