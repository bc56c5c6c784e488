namespace RbeMl.Storage;

/// <summary>
/// A lock on a folder that other processes which ask for it respect, until it is disposed or the process ends. Windows has none for
/// folders: it is always given there.
/// </summary>
internal sealed class FolderLock : IDisposable
{
    private int _descriptor;

    private FolderLock(int descriptor) => _descriptor = descriptor;

    /// <summary>Takes the lock; null when another process has it, or where the file system has none.</summary>
    public static FolderLock? TryTake(string folder) => TryTake(folder, out _);

    /// <summary>Takes a lock that keeps a second writer away; one that holds nothing on Windows, and where the file system has none.</summary>
    /// <exception cref="RbeFileException">Another has it.</exception>
    public static FolderLock Take(string folder)
    {
        if (TryTake(folder, out bool taken) is { } own) return own;
        return taken ? throw new RbeFileException(folder, "is a folder that another run is writing to. Wait for it, or use another folder.")
            : new FolderLock(-1);
    }

    /// <summary>Gives it back.</summary>
    public void Dispose()
    {
        if (_descriptor >= 0) UnixFiles.Close(_descriptor);
        _descriptor = -1;
    }

    private static FolderLock? TryTake(string folder, out bool taken)
    {
        taken = false;
        if (OperatingSystem.IsWindows()) return new FolderLock(-1);
        int descriptor = UnixFiles.Open(folder);
        if (descriptor < 0) return null;
        if (UnixFiles.TryLock(descriptor, out taken)) return new FolderLock(descriptor);
        UnixFiles.Close(descriptor);
        return null;
    }
}
