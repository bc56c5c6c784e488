using System.Text.RegularExpressions;

namespace RbeMl.Notebooks.Tests.Documents;

/// <summary>A block of code of a page.</summary>
/// <param name="Page">The page's path from the repository's folder.</param>
/// <param name="Language">What stands behind the opening fence; empty for commands of a shell.</param>
/// <param name="Text">Its lines.</param>
internal sealed record CodeBlock(string Page, string Language, string Text);

/// <summary>The Markdown pages of the repository.</summary>
internal static partial class Page
{
    private const string Fence = "```";

    /// <summary>The repository's folder.</summary>
    public static string Root
    {
        get
        {
            DirectoryInfo? folder = new(AppContext.BaseDirectory);
            while (folder is not null && !File.Exists(System.IO.Path.Combine(folder.FullName, "RbeMl.sln"))) folder = folder.Parent;
            return folder?.FullName ?? throw new InvalidOperationException("The tests run outside of the repository.");
        }
    }

    /// <summary>Their paths from the repository's folder, with slashes; not those that a build copies.</summary>
    public static IReadOnlyList<string> All =>
    [
        .. Directory.EnumerateFiles(Root, "*.md", SearchOption.AllDirectories)
            .Select(file => System.IO.Path.GetRelativePath(Root, file).Replace('\\', '/'))
            .Where(file => !file.Split('/').Any(part => part is "bin" or "obj" or ".git" or "rbeml-out"))
            .Order(StringComparer.Ordinal),
    ];

    [GeneratedRegex("""\]\((?<target>[^)\s]+)\)|<img [^>]*src="(?<target>[^"]+)""")]
    private static partial Regex Link();

    [GeneratedRegex("""[^\p{L}\p{N}\- ]""")]
    private static partial Regex NotOfAnchor();

    [GeneratedRegex("""`(?<path>(src|tests|notebooks|\.ci|[A-Z][A-Za-z0-9.]*)(/[A-Za-z0-9_.]+)+)/?`""")]
    private static partial Regex PathInCode();

    /// <summary>A page's text with line feeds alone.</summary>
    public static string Read(string page) => File.ReadAllText(System.IO.Path.Combine(Root, page)).ReplaceLineEndings("\n");

    /// <summary>Its blocks of code.</summary>
    public static IReadOnlyList<CodeBlock> Blocks(string page)
    {
        List<CodeBlock> blocks = [];
        string? language = null;
        List<string> lines = [];
        foreach (string line in Read(page).Split('\n'))
        {
            if (!line.StartsWith(Fence, StringComparison.Ordinal))
            {
                if (language is not null) lines.Add(line);
            }
            else if (language is null)
            {
                language = line[Fence.Length..].Trim();
            }
            else
            {
                blocks.Add(new CodeBlock(page, language, string.Join('\n', lines)));
                language = null;
                lines.Clear();
            }
        }

        return language is null ? blocks : throw new FormatException($"{page}: a block of code has no end.");
    }

    /// <summary>Where its links and pictures point, those to other sites left out.</summary>
    public static IReadOnlyList<string> Links(string page) =>
    [
        .. Link().Matches(Prose(page)).Select(link => link.Groups["target"].Value).Where(target => !target.Contains("://", StringComparison.Ordinal)),
    ];

    /// <summary>The anchors of its headings, as GitHub makes them.</summary>
    public static IReadOnlyList<string> Anchors(string page) =>
    [
        .. Prose(page).Split('\n').Where(line => line.StartsWith('#'))
            .Select(line => NotOfAnchor().Replace(line.TrimStart('#').Trim(), "").ToLowerInvariant().Replace(' ', '-')),
    ];

    /// <summary>The words in code that look like paths: they begin as a folder of this repository does.</summary>
    public static IReadOnlyList<string> Paths(string page) => [.. PathInCode().Matches(Prose(page)).Select(path => path.Groups["path"].Value)];

    private static string Prose(string page)
    {
        string[] parts = $"\n{Read(page)}".Split($"\n{Fence}");
        return string.Join('\n', parts.Where((_, i) => i % 2 == 0));
    }
}
