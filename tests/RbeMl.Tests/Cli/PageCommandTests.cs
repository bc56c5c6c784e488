using System.CommandLine;
using System.Text;
using RbeMl.Cli;
using RbeMl.Notebooks.Tests.Documents;

namespace RbeMl.Tests.Cli;

/// <summary>The commands that pages show are commands: verbs and options exist, and so do the projects that are built, run and tested.</summary>
public sealed class PageCommandTests
{
    private const string Tool = "rbeml", Project = "src/RbeMl.Cli";

    public static TheoryData<string> Pages => [.. Page.All.Where(page => Shown(page).Any())];

    [Fact]
    public void Pages_show_commands() =>
        Assert.All(["README.md", "CONTRIBUTING.md", $"{Project}/README.md"], page => Assert.Contains(page, Page.All.Where(p => Shown(p).Any())));

    [Theory]
    [MemberData(nameof(Pages))]
    public void Commands_are_understood(string page)
    {
        foreach (string[] words in Shown(page))
        {
            string line = $"{page}: {string.Join(' ', words)}";
            if (Arguments(words) is { } arguments)
            {
                ParseResult parsed = Commands.Parse(arguments, new CommandHost(TextWriter.Null, TextWriter.Null));
                Assert.True(parsed.Errors.Count == 0, $"{line}: {string.Join(' ', parsed.Errors.Select(error => error.Message))}");
                Assert.NotEqual(parsed.RootCommandResult.Command, parsed.CommandResult.Command);
            }

            foreach (string path in words.TakeWhile(word => word != "--").Where(IsOurs))
            {
                string full = Path.Combine(Page.Root, path);
                Assert.True(File.Exists(full) || Directory.Exists(full), $"{line}: there is no {path}.");
            }
        }
    }

    private static bool IsOurs(string word) => word.EndsWith(".sln", StringComparison.Ordinal) || word.Split('/')[0] is "src" or "tests";

    // What the command of this project gets to see; null for other programs.
    private static string[]? Arguments(string[] words) =>
        words[0] == Tool ? words[1..]
        : words is ["dotnet", "run", ..] && words.Contains(Project) ? words[(Array.IndexOf(words, "--") + 1)..]
        : null;

    // The commands of the blocks without a language: a line each, but a backslash goes on in the next; && begins another, # a remark.
    private static IEnumerable<string[]> Shown(string page) =>
        from block in Page.Blocks(page)
        where block.Language.Length == 0
        from line in block.Text.Replace("\\\n", " ", StringComparison.Ordinal).Split('\n')
        from command in line.Split(" && ")
        let words = Words(command)
        where words.Length > 0
        select words;

    private static string[] Words(string command)
    {
        List<string> words = [];
        StringBuilder word = new();
        char quote = '\0';
        bool any = false;
        foreach (char c in command + " ")
        {
            if (quote == '\0' && c == '#' && !any) break;
            if (quote == '\0' && c is '"' or '\'')
            {
                (quote, any) = (c, true);
            }
            else if (quote != '\0' && c == quote)
            {
                quote = '\0';
            }
            else if (quote == '\0' && c == ' ')
            {
                if (any) words.Add(word.ToString());
                word.Clear();
                any = false;
            }
            else
            {
                word.Append(c);
                any = true;
            }
        }

        return [.. words];
    }
}
