using RbeMl.Notebooks.Tests.Documents;

namespace RbeMl.Notebooks.Tests;

/// <summary>What the pages promise: README fits on a screen or two, and every link leads somewhere.</summary>
public sealed class PageTests
{
    private const int MostOfReadme = 7168;

    public static TheoryData<string> Pages => [.. Page.All];

    [Fact]
    public void Readme_is_short() => Assert.InRange(new FileInfo(Path.Combine(Page.Root, "README.md")).Length, 1024, MostOfReadme);

    [Theory]
    [InlineData("src/RbeMl/README.md")]
    [InlineData("src/RbeMl/Codec/README.md")]
    [InlineData("src/RbeMl.MLNet/README.md")]
    [InlineData("src/RbeMl.Cli/README.md")]
    [InlineData("src/RbeMl.Extensions.AI/README.md")]
    [InlineData("tests/RbeMl.Benchmarks/README.md")]
    [InlineData("CONTRIBUTING.md")]
    [InlineData("notebooks/README.md")]
    public void Readme_leads_to(string page) => Assert.Contains(page, Page.Links("README.md").Select(link => link.Split('#')[0]));

    [Theory]
    [MemberData(nameof(Pages))]
    public void Links_lead_somewhere(string page)
    {
        string folder = Path.GetDirectoryName(Path.Combine(Page.Root, page))!;
        foreach (string link in Page.Links(page))
        {
            string[] parts = link.Split('#');
            string target = parts[0].Length == 0 ? Path.Combine(Page.Root, page) : Path.GetFullPath(parts[0], folder);
            Assert.True(File.Exists(target) || Directory.Exists(target), $"{page}: {link} leads nowhere.");
            if (parts.Length == 1) continue;
            Assert.True(
                Page.Anchors(Path.GetRelativePath(Page.Root, target)).Contains(parts[1]),
                $"{page}: {link} leads to no heading of {parts[0]}.");
        }
    }

    /// <summary>Files and folders that pages name in code, such as `Layers/Blocks`, seen from the page, from the core or from the repository.</summary>
    [Theory]
    [MemberData(nameof(Pages))]
    public void Paths_in_code_exist(string page)
    {
        string[] seenFrom = [Path.GetDirectoryName(page)!, "src/RbeMl", ""];
        foreach (string path in Page.Paths(page))
        {
            Assert.True(
                seenFrom.Select(folder => Path.Combine(Page.Root, folder, path)).Any(full => File.Exists(full) || Directory.Exists(full)),
                $"{page}: there is no {path}.");
        }
    }
}
