
namespace RbeMl.Storage;

/// <content>Other names for files that are there.</content>
internal static partial class AtomicFile
{
    /// <summary>Renames a file or link; one of the new name is never replaced.</summary>
    /// <param name="path">The file.</param>
    /// <param name="to">Its new name in the same folder.</param>
    /// <exception cref="RbeFileException">There is a file of the new name, or it cannot be renamed.</exception>
    public static void Move(string path, string to) => Try(path, to, () =>
    {
        if (Path.Exists(to)) throw new IOException("it is there already");
        FileSteps.Rename(Path.GetFullPath(path), Path.GetFullPath(to));
    });

    /// <summary>
    /// Gives a file a second name, so that writing it anew (<see cref="Write"/>) leaves what it was under that name: there is no moment without the file. Where
    /// the disk cannot do that the file is copied.
    /// </summary>
    /// <param name="path">The file; a link is followed.</param>
    /// <param name="to">The second name; nothing of that name is there.</param>
    /// <exception cref="RbeFileException">There is a file of the second name, or it cannot be made.</exception>
    public static void Link(string path, string to) => Try(path, to, () =>
    {
        if (Path.Exists(to)) throw new IOException("it is there already");
        string target = FileTarget.Of(path).FullName;
        if (FileSteps.TryLink(target, Path.GetFullPath(to))) return;
        Write(to, copy =>
        {
            using FileStream source = new(target, FileMode.Open, FileAccess.Read, FileShare.Read | FileShare.Delete);
            source.CopyTo(copy);
        });
    });

    private static void Try(string path, string to, Action action)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        ArgumentException.ThrowIfNullOrEmpty(to);
        try
        {
            action();
        }
        catch (Exception error) when (IoReason.Is(error))
        {
            throw new RbeFileException(path, $"cannot be kept as {to} ({IoReason.Of(error)}). Move it yourself, or choose another folder.", error);
        }
    }
}
