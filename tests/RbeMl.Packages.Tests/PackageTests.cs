using System.Globalization;
using System.IO.Compression;
using System.Text.RegularExpressions;
using System.Xml.Linq;
using RbeMl.Extensions.AI.Tests.Support;
using RbeMl.Notebooks.Tests.Documents;
using Xunit.Abstractions;

namespace RbeMl.Packages.Tests;

/// <summary>What we would publish: packages that say what they are, and that work in an empty project.</summary>
/// <param name="feed">The packages.</param>
/// <param name="output">Shows sizes.</param>
[Collection(nameof(Feed))]
public sealed class PackageTests(Feed feed, ITestOutputHelper output)
{
    [PackagesFact]
    public void Packages_say_what_they_are()
    {
        string[] ids = ["RbeMl", "RbeMl.Extensions.AI", "RbeMl.MLNet", "RbeMl.Models.MiniLM", "RbeMl.Mpi", "RbeMl.Tool"];
        Assert.Equal(ids.SelectMany(id => new[] { $"{id}.{Feed.Version}.nupkg", $"{id}.{Feed.Version}.snupkg" }).Order(StringComparer.Ordinal),
            Directory.EnumerateFiles(feed.Packages).Select(Path.GetFileName).Order(StringComparer.Ordinal));
        foreach (string id in ids)
        {
            string path = Path.Combine(feed.Packages, $"{id}.{Feed.Version}.nupkg");
            output.WriteLine($"{id}: {new FileInfo(path).Length:N0} bytes");
            using ZipArchive package = ZipFile.OpenRead(path);
            XElement metadata = XDocument.Parse(Read(package, $"{id}.nuspec")).Root!.Elements().First();
            Assert.Equal(id == "RbeMl.Models.MiniLM" ? "MIT AND Apache-2.0" : "MIT", Text(metadata, "license"));
            Assert.Equal("README.md", Text(metadata, "readme"));
            Assert.InRange(Text(metadata, "description").Length, 40, 400);
            Assert.Contains("machine-learning", Text(metadata, "tags"), StringComparison.Ordinal);

            // Outside of the repository, only links into the web lead somewhere.
            string page = Read(package, "README.md");
            Assert.DoesNotMatch(@"\]\((?!https?:)", page);
            Assert.DoesNotContain("<img", page, StringComparison.Ordinal);
            using ZipArchive symbols = ZipFile.OpenRead(Path.ChangeExtension(path, ".snupkg"));
            Assert.Contains(symbols.Entries, entry => entry.Name.EndsWith(".pdb", StringComparison.Ordinal));
            if (id == "RbeMl.Tool")
            {
                Assert.Contains("<Command Name=\"rbeml\"", Read(package, "tools/net10.0/any/DotnetToolSettings.xml"), StringComparison.Ordinal);
                Assert.DoesNotContain(package.Entries, entry => entry.Name is "rbeml" or "rbeml.exe");
            }
            else
            {
                Assert.NotNull(package.GetEntry($"lib/net10.0/{id}.dll"));
                Assert.NotNull(package.GetEntry($"lib/net10.0/{id}.xml"));
            }
        }
    }

    [PackagesFact]
    public void The_tool_runs()
    {
        _ = feed.Packages;
        string tools = Path.Combine(feed.Work, "tools");
        Command.Run(feed.Work, "dotnet", "tool", "install", "RbeMl.Tool", "--tool-path", tools, "--configfile", "nuget.config");
        string help = Command.Run(feed.Work, Path.Combine(tools, OperatingSystem.IsWindows() ? "rbeml.exe" : "rbeml"), "--help");
        Assert.Contains("compress", help, StringComparison.Ordinal);
    }

    /// <summary>README's programs and those of the page of Microsoft.Extensions.AI, each in an empty project with the packages that it names.</summary>
    [PackagesFact]
    public void The_pages_programs_run_in_empty_projects()
    {
        string printed = Run("core", ProgramOf("README.md", 0), "RbeMl");
        Assert.Contains("the mat", printed, StringComparison.Ordinal);
        Assert.Equal("warm\ncold\n", Run("pipeline", ProgramOf("README.md", 1), "RbeMl.MLNet"));
        Assert.Contains("the mat",
            Run("chat", ProgramOf("src/RbeMl.Extensions.AI/README.md", 0), "RbeMl.Extensions.AI", "Microsoft.Extensions.DependencyInjection/10.0.15"),
            StringComparison.Ordinal);
        SmallEncoder.Save(Path.Combine(feed.Work, "encoder.rbe"));
        Assert.EndsWith(".\n", Run("embeddings", ProgramOf("src/RbeMl.Extensions.AI/README.md", 1), "RbeMl.Extensions.AI"), StringComparison.Ordinal);
    }

    /// <summary>The program of notebooks/few-labels.cs with the encoder of the package: nothing is downloaded, sixteen messages a kind are enough.</summary>
    [PackagesFact]
    public void The_packed_encoder_learns_from_few_labels()
    {
        string[] parts = Regex.Split(File.ReadAllText(Path.Combine(Page.Root, "notebooks", "few-labels.cs")).ReplaceLineEndings("\n"), @"(?m)^(?=// [0-9]\. )");
        Assert.StartsWith("// 1. The encoder", parts[1], StringComparison.Ordinal);
        parts[0] = Regex.Replace(parts[0], "(?m)^#.*$", "");
        parts[1] = """
            string work = Directory.CreateTempSubdirectory("rbeml-few-labels-").FullName;
            SentenceEncoder encoder = MiniLM.Load();

            """;
        string printed = Run("labels", string.Concat(parts), "RbeMl.MLNet", "RbeMl.Models.MiniLM");
        output.WriteLine(printed);
        foreach (string way in new[] { "frozen", "fine-tuned" })
        {
            Assert.InRange(double.Parse(Regex.Match(printed, $"{way} +accuracy ≈ ([0-9.]+)").Groups[1].Value, CultureInfo.InvariantCulture), 0.7, 1);
        }

        Assert.Contains("account   My login is gone.", printed, StringComparison.Ordinal);
    }

    private string Run(string name, string program, params string[] references)
    {
        string folder = feed.Project(name, program, references);
        Command.Run(folder, "dotnet", "build", "-c", "Release", "-o", "out", "-v", "q");
        string[] files = Directory.GetFiles(Path.Combine(folder, "out"), "*", SearchOption.AllDirectories);
        output.WriteLine($"{name}: {files.Sum(file => new FileInfo(file).Length):N0} bytes in {files.Length} files");
        return Command.Run(feed.Work, "dotnet", Path.Combine(folder, "out", name + ".dll")).ReplaceLineEndings("\n");
    }

    private static string ProgramOf(string page, int index) => Page.Blocks(page).Where(block => block.Language == "csharp").ElementAt(index).Text;

    private static string Text(XElement metadata, string name) => metadata.Elements().Single(element => element.Name.LocalName == name).Value;

    private static string Read(ZipArchive package, string name)
    {
        using StreamReader reader = new(package.GetEntry(name)!.Open());
        return reader.ReadToEnd();
    }
}
