using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.IO.Hashing;
using System.Text;
using Microsoft.Win32.SafeHandles;

namespace RbeMl.Storage;

/// <summary>
/// Names of temporary files and folders: <c>.NAME.rbeml-PROCESS-START-NUMBER.tmp</c>, or <c>.spill</c>. They say which process they are of, so that what a
/// process that was killed left behind is deleted by the next one to use the folder. A living process keeps its own: it has that number and start time,
/// or (on another machine, where the number means nothing) holds a lock. A process that ends by itself deletes its own.
/// </summary>
internal static class TemporaryNames
{
    public const string Temporary = ".tmp", Spill = ".spill", Replaced = ".old";
    private const string Mark = "rbeml-";
    private const int LongestLabel = 150;

    // Start times of one process read by two others differ by the resolution of the system's clock ticks and boot time.
    private static readonly TimeSpan s_clockTolerance = TimeSpan.FromSeconds(10);
    private static readonly ConcurrentDictionary<string, bool> s_own = new();
    private static readonly string s_owner = Owner();
    private static int s_count;

    static TemporaryNames() => AppDomain.CurrentDomain.ProcessExit += (_, _) =>
    {
        lock (Gate)
        {
            Exiting = true;
            foreach (string path in s_own.Keys) Delete(path);
        }
    };

    /// <summary>Held by a step that gives a temporary its final name: the process does not delete it meanwhile.</summary>
    public static Lock Gate { get; } = new();

    /// <summary>Whether the process ends and its temporaries are gone; read it within <see cref="Gate"/>.</summary>
    public static bool Exiting { get; private set; }

    /// <summary>A name for something temporary of this process, which is deleted should the process end before <see cref="Release"/>.</summary>
    /// <param name="folder">Where.</param>
    /// <param name="name">What it stands for; empty for nothing.</param>
    /// <param name="kind"><see cref="Temporary"/> or <see cref="Spill"/>.</param>
    public static string New(string folder, string name, string kind)
    {
        string path = Path.Combine(folder, string.Create(CultureInfo.InvariantCulture, $"{Prefix(name)}{s_owner}-{Interlocked.Increment(ref s_count)}{kind}"));
        s_own[path] = true;
        return path;
    }

    /// <summary>What a folder was renamed to, to be replaced: only the next write of that folder knows whether it is needed again.</summary>
    public static string NewReplaced(string folder, string name)
    {
        string path = New(folder, name, Replaced);
        Release(path);
        return path;
    }

    /// <summary>Says that a temporary is gone, or is one no longer.</summary>
    public static void Release(string path) => s_own.TryRemove(path, out _);

    /// <summary>Deletes a temporary of this process.</summary>
    public static void Discard(string path)
    {
        Delete(path);
        Release(path);
    }

    /// <summary>Deletes what dead processes left in a folder, but not what they were about to replace.</summary>
    /// <exception cref="DirectoryNotFoundException">The folder is not there.</exception>
    public static void DeleteLeftovers(string folder)
    {
        foreach (string path in Marked(folder))
        {
            string name = Path.GetFileName(path);
            if ((IsLeftover(name, Temporary) || IsLeftover(name, Spill)) && IsUnlocked(path)) Delete(path);
        }
    }

    /// <summary>What dead processes renamed a folder to when they replaced it, the latest first.</summary>
    public static IReadOnlyList<string> ReplacedBy(string folder, string name) =>
        [.. Marked(folder)
            .Where(path => Path.GetFileName(path).StartsWith(Prefix(name), StringComparison.Ordinal) && IsLeftover(Path.GetFileName(path), Replaced))
            .OrderByDescending(Directory.GetLastWriteTimeUtc)];

    /// <summary>Deletes a file, or a folder with all it holds; a failure leaves it to the next process.</summary>
    public static void Delete(string path)
    {
        try
        {
            if (Directory.Exists(path)) Directory.Delete(path, recursive: true);
            else File.Delete(path);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            // In use, gone already, or another user's.
        }
    }

    // None of a folder that one may write to and not read.
    private static string[] Marked(string folder)
    {
        try
        {
            return Directory.GetFileSystemEntries(folder, $"*{Mark}*");
        }
        catch (UnauthorizedAccessException)
        {
            return [];
        }
    }

    // Hidden, and short enough for a file system where a name has at most 255 bytes.
    private static string Prefix(string name)
    {
        if (name.Length == 0) return Mark;
        byte[] bytes = Encoding.UTF8.GetBytes(name);
        string label = bytes.Length <= LongestLabel ? name : Convert.ToHexStringLower(XxHash3.Hash(bytes));
        return $".{label}.{Mark}";
    }

    private static string Owner()
    {
        using Process process = Process.GetCurrentProcess();
        return string.Create(CultureInfo.InvariantCulture, $"{process.Id}-{process.StartTime.ToUniversalTime().Ticks}");
    }

    // Whether the name is one of ours, of a process that is gone.
    private static bool IsLeftover(string name, string kind)
    {
        int mark = name.LastIndexOf(Mark, StringComparison.Ordinal);
        if (mark < 0 || !name.EndsWith(kind, StringComparison.Ordinal) || (mark > 0 && name[0] != '.')) return false;
        string[] parts = name[(mark + Mark.Length)..^kind.Length].Split('-');
        if (parts.Length != 3 || !int.TryParse(parts[0], NumberStyles.None, CultureInfo.InvariantCulture, out int id)) return false;
        if (!long.TryParse(parts[1], NumberStyles.None, CultureInfo.InvariantCulture, out long started)) return false;
        if (!int.TryParse(parts[2], NumberStyles.None, CultureInfo.InvariantCulture, out _)) return false;
        try
        {
            using Process process = Process.GetProcessById(id);
            return Math.Abs(process.StartTime.ToUniversalTime().Ticks - started) > s_clockTolerance.Ticks;
        }
        catch (Exception error) when (error is ArgumentException or InvalidOperationException)
        {
            return true; // no such process
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return false; // somebody else's process
        }
    }

    // Opening takes the lock, which fails while a process (of another machine or container, whose number means nothing here) has it open.
    private static bool IsUnlocked(string path)
    {
        if (Directory.Exists(path))
        {
            using FolderLock? folder = FolderLock.TryTake(path);
            return folder is not null;
        }

        try
        {
            using SafeFileHandle file = File.OpenHandle(path, FileMode.Open, FileAccess.ReadWrite, FileShare.Delete);
            return true;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }
}
