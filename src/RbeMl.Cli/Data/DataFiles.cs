using System.IO.Enumeration;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace RbeMl.Cli.Data;

/// <summary>The files that words on the command line stand for: a file, all texts of a folder, or those of a pattern such as <c>**/*.jsonl</c>.</summary>
internal static class DataFiles
{
    /// <summary>Files of a folder end in one of these.</summary>
    public static readonly string[] Ends = [".txt", ".text", ".md", ".jsonl", ".ndjson", ".csv", ".tsv"];

    private const int Sniffed = 1 << 16;

    /// <summary>The files, those of a folder or pattern in the order of their names.</summary>
    /// <param name="words">Files, folders and patterns.</param>
    /// <param name="without">A folder whose files are left out: that of the results.</param>
    /// <exception cref="RbeFileException">A folder or pattern has none.</exception>
    public static List<string> Expand(IEnumerable<string> words, string without)
    {
        List<string> files = [];
        foreach (string word in words)
        {
            if (Directory.Exists(word)) files.AddRange(Within(word, without, path => Ends.Contains(Path.GetExtension(path).ToLowerInvariant()), word));
            else if (File.Exists(word) || !IsPattern(word)) files.Add(word);
            else files.AddRange(Matching(word, without));
        }

        return files;
    }

    /// <summary>A file that is there more than once; null where there is none.</summary>
    /// <param name="files">Files of <see cref="Expand"/>.</param>
    public static string? Twice(IEnumerable<string> files) => files.GroupBy(Path.GetFullPath).FirstOrDefault(same => same.Count() > 1)?.First();

    /// <summary>Refuses a text whose first line is a JSON object, which nobody wants to be learnt as it stands.</summary>
    /// <param name="path">Its file.</param>
    /// <param name="start">Its beginning.</param>
    /// <exception cref="RbeFileException">It is one.</exception>
    public static void RefuseJson(string path, ReadOnlyMemory<char> start)
    {
        if (!BeginsWithObject(start)) return;
        throw new RbeFileException(path, "begins with a JSON object, and its name is not that of JSON lines. Read it as these with --data-format jsonl, or "
            + "as a text with --data-format text.");
    }

    /// <summary>The same where a text is read that nothing is learnt of: JSON lines have no other reading there.</summary>
    /// <param name="path">Its file.</param>
    /// <param name="start">Its beginning.</param>
    /// <exception cref="RbeFileException">It is one.</exception>
    public static void RefuseJsonLines(string path, ReadOnlyMemory<char> start)
    {
        if (!BeginsWithObject(start)) return;
        throw new RbeFileException(path, "begins with a JSON object, and a plain text is needed here. Give the texts of its rows, or "
            + "finetune's --validation for prompts and completions.");
    }

    private static bool BeginsWithObject(ReadOnlyMemory<char> start)
    {
        string first = start[..Math.Min(start.Length, Sniffed)].ToString().TrimStart().Split('\n')[0];
        return first.StartsWith('{') && IsObject(first);
    }

    private static bool IsObject(string line)
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(line);
            return document.RootElement.ValueKind == JsonValueKind.Object;
        }
        catch (JsonException)
        {
            return false;
        }
    }

    private static bool IsPattern(string word) => word.AsSpan().IndexOfAny('*', '?') >= 0;

    private static List<string> Matching(string pattern, string without)
    {
        string[] parts = pattern.Replace('\\', '/').Split('/');
        int plain = Array.FindIndex(parts, IsPattern);
        string folder = plain == 0 ? "." : string.Join('/', parts[..plain]) is { Length: > 0 } name ? name : "/";
        string expression = string.Join('/', parts[plain..].Select(part => part == "**" ? "**"
            : Regex.Escape(part).Replace("\\*", "[^/]*").Replace("\\?", "[^/]")));
        Regex names = new($"^{expression.Replace("**/", "(?:.*/)?").Replace("**", ".*")}$", RegexOptions.CultureInvariant | RegexOptions.NonBacktracking);
        List<string> files = Directory.Exists(folder) ? Within(folder, without, names.IsMatch, pattern) : throw None(pattern);
        return plain == 0 ? [.. files.Select(file => Path.GetRelativePath(".", file))] : files;
    }

    // Hidden files and folders are left out, and links to folders, which may lead back.
    private static List<string> Within(string folder, string without, Func<string, bool> wanted, string word)
    {
        string root = Path.TrimEndingDirectorySeparator(Path.GetFullPath(folder)), results = Path.TrimEndingDirectorySeparator(Path.GetFullPath(without));
        FileSystemEnumerable<string> all = new(root, (ref FileSystemEntry entry) => entry.ToFullPath(),
            new EnumerationOptions { RecurseSubdirectories = true, IgnoreInaccessible = false, AttributesToSkip = FileAttributes.Hidden })
        {
            ShouldIncludePredicate = (ref FileSystemEntry entry) => !entry.IsDirectory,
            ShouldRecursePredicate = (ref FileSystemEntry entry) =>
                !entry.Attributes.HasFlag(FileAttributes.ReparsePoint) && (entry.ToFullPath() != results || root == results),
        };
        try
        {
            List<string> names = [.. all.Select(path => Path.GetRelativePath(root, path).Replace('\\', '/')).Where(wanted).Order(StringComparer.Ordinal)];
            return names.Count > 0 ? [.. names.Select(name => Path.Combine(folder, name))] : throw None(word);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new RbeFileException(word, $"cannot be looked through ({error.Message.TrimEnd('.')}). Check its permissions.", error);
        }
    }

    private static RbeFileException None(string word) => new(word, IsPattern(word) && !Directory.Exists(word)
        ? "matches no file. Check the name; * and ? stand for letters of one name, ** for folders."
        : $"is a folder that holds no texts to train on. Names of texts end in {string.Join(", ", Ends)}; give others one by one.");
}
