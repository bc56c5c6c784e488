namespace RbeMl.Storage;

/// <summary>
/// A lock on a folder that other processes which ask for it respect, until it is disposed or the process ends. Windows has none for
/// folders: it is always given there.
/// </summary>
internal sealed class FolderLock : IDisposable
{
    private int _descriptor;

    private FolderLock(int descriptor) => _descriptor = descriptor;

    /// <summary>Takes the lock; null when another process has it.</summary>
    public static FolderLock? TryTake(string folder)
    {
        if (OperatingSystem.IsWindows()) return new FolderLock(-1);
        int descriptor = UnixFiles.Open(folder);
        if (descriptor < 0) return null;
        if (UnixFiles.TryLock(descriptor)) return new FolderLock(descriptor);
        UnixFiles.Close(descriptor);
        return null;
    }

    /// <summary>Gives it back.</summary>
    public void Dispose()
    {
        if (_descriptor >= 0) UnixFiles.Close(_descriptor);
        _descriptor = -1;
    }
}
