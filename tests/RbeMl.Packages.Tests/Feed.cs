using System.Xml.Linq;
using RbeMl.Notebooks.Tests.Documents;
using RbeMl.Tests.Files;

namespace RbeMl.Packages.Tests;

/// <summary>
/// The packages of this build in a folder, and beside it an empty place of work: configured so that our packages come from that folder and nowhere
/// else, and go into a packages folder of its own. Others come from the sources of the machine, first from what it has restored before.
/// </summary>
public sealed class Feed : IDisposable
{
    private static readonly string[] Projects = ["RbeMl", "RbeMl.MLNet", "RbeMl.Extensions.AI", "RbeMl.Mpi", "RbeMl.Cli"];
    private readonly TemporaryFolder _folder = new();
    private readonly Lazy<string> _packages;

    /// <summary>Packs when it is first asked for.</summary>
    public Feed() => _packages = new Lazy<string>(Pack);

    /// <summary>The packages' version.</summary>
    public static string Version { get; } =
        XDocument.Load(Path.Combine(Page.Root, "Directory.Build.props")).Descendants("Version").Single().Value;

    /// <summary>The folder of the packages.</summary>
    public string Packages => _packages.Value;

    /// <summary>The place of work, with a configuration of NuGet.</summary>
    public string Work => Path.Combine(_folder.Path, "work");

    /// <summary>A console project of one program that has packages.</summary>
    /// <param name="name">Name of project and folder.</param>
    /// <param name="program">The program.</param>
    /// <param name="references">Id, or id and version with a slash between; without one, of ours.</param>
    /// <param name="properties">More properties of the project.</param>
    /// <returns>The project's folder.</returns>
    internal string Project(string name, string program, string[] references, params (string Name, string Value)[] properties)
    {
        _ = Packages;
        string folder = Directory.CreateDirectory(Path.Combine(Work, name)).FullName;
        (string Name, string Value)[] all =
            [("OutputType", "Exe"), ("TargetFramework", "net10.0"), ("ImplicitUsings", "enable"), ("Nullable", "enable"), .. properties];
        XElement project = new("Project", new XAttribute("Sdk", "Microsoft.NET.Sdk"),
            new XElement("PropertyGroup", all.Select(property => new XElement(property.Name, property.Value))),
            new XElement("ItemGroup", references.Select(reference => new XElement("PackageReference",
                new XAttribute("Include", reference.Split('/')[0]), new XAttribute("Version", reference.Split('/') is [_, var version] ? version : "0.*")))));
        project.Save(Path.Combine(folder, name + ".csproj"));
        File.WriteAllText(Path.Combine(folder, "Program.cs"), program);
        return folder;
    }

    /// <inheritdoc/>
    public void Dispose() => _folder.Dispose();

    private string Pack()
    {
        string packages = Directory.CreateDirectory(Path.Combine(_folder.Path, "packages")).FullName;
        Directory.CreateDirectory(Work);
        foreach (string project in Projects)
        {
            Command.Run(Page.Root, "dotnet", "pack", $"src/{project}", "-c", "Release", "--no-build", "-o", packages, "-v", "q");
        }

        // Not part of the solution: it compresses weights, which takes minutes.
        Command.Run(Page.Root, "dotnet", "pack", "src/RbeMl.Models.MiniLM", "-c", "Release", "-o", packages, "-v", "q");
        List<(string Key, string Place, string[] Patterns)> sources = [("ours", packages, ["RbeMl", "RbeMl.*"])];
        string machine = Environment.GetEnvironmentVariable("NUGET_PACKAGES")
            ?? Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".nuget", "packages");
        if (Directory.Exists(machine)) sources.Add(("machine", machine, ["*"]));
        string[] configured = Command.Run(Page.Root, "dotnet", "nuget", "list", "source", "--format", "short").Split('\n');
        foreach (string line in configured.Where(line => line.StartsWith("E ", StringComparison.Ordinal)))
        {
            sources.Add(($"source{sources.Count}", line[2..].Trim(), ["*"]));
        }

        new XElement("configuration",
            new XElement("config", Add("globalPackagesFolder", Path.Combine(_folder.Path, "restored"))),
            new XElement("packageSources", new XElement("clear"), sources.Select(source => Add(source.Key, source.Place))),
            new XElement("packageSourceMapping", new XElement("clear"), sources.Select(source => new XElement("packageSource",
                new XAttribute("key", source.Key), source.Patterns.Select(pattern => new XElement("package", new XAttribute("pattern", pattern)))))))
            .Save(Path.Combine(Work, "nuget.config"));
        return packages;

        static XElement Add(string key, string value) => new("add", new XAttribute("key", key), new XAttribute("value", value));
    }
}

/// <summary>The packages are made once for all tests.</summary>
[CollectionDefinition(nameof(Feed))]
public sealed class FeedCollection : ICollectionFixture<Feed>;
