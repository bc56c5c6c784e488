using RbeMl.Storage;

namespace RbeMl.Files;

/// <summary>How the codes of a file's matrices, nearly all of its bytes, get into memory.</summary>
public sealed record RbeLoadOptions
{
    /// <summary>
    /// Whether the checksums of codes are checked when they are loaded (the default: nothing damaged gets in). Without, mapped codes are read from the
    /// disk only where and when they are used, and damage to them shows as wrong numbers;
    /// <see cref="RbeContainer.Verify(CancellationToken)"/> finds it at any time. Everything else, and codes that are not mapped, is always checked.
    /// </summary>
    public bool Verify { get; init; } = true;

    /// <summary>
    /// Whether codes stay in the file, mapped read-only, in place of a copy in memory: opening is quick, and processes share the pages. The default
    /// everywhere but on Windows, which lets nobody replace a file while it is mapped. Elsewhere a file may be replaced by renaming another over it, as
    /// <see cref="AtomicFile"/> does; the mapping goes on showing the old one. Whoever shortens or overwrites a mapped file in place ends the process
    /// (SIGBUS) or changes its weights: use false where files are changed that way.
    /// </summary>
    public bool Map { get; init; } = !OperatingSystem.IsWindows();
}
