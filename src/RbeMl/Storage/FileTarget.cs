namespace RbeMl.Storage;

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
            if (file.LinkTarget is null)
            {
                return new FileTarget(target, !OperatingSystem.IsWindows() && FileKinds.Of(target) is FileKind.Pipe or FileKind.Device);
            }

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
        (path.StartsWith("/dev/fd/", StringComparison.Ordinal)
            || (path.StartsWith("/proc/", StringComparison.Ordinal) && path.Contains("/fd/", StringComparison.Ordinal)));
}
