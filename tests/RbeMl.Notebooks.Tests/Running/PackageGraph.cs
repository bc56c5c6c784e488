using System.Reflection;
using System.Runtime.Versioning;
using System.Text.Json;

namespace RbeMl.Notebooks.Tests.Running;

/// <summary>A package or project that this test project was built with.</summary>
/// <param name="Name">Its id.</param>
/// <param name="Version">The very version, for the repository's own projects that of Directory.Build.props.</param>
/// <param name="IsProject">Whether it is one of the repository's own.</param>
/// <param name="Dependencies">Ids of what it needs itself.</param>
/// <param name="Assemblies">Names of its assemblies.</param>
public sealed record Package(string Name, string Version, bool IsProject, IReadOnlyList<string> Dependencies, IReadOnlyList<string> Assemblies);

/// <summary>All packages and projects behind this test project, as its .deps.json lists them.</summary>
public sealed class PackageGraph
{
    private readonly Dictionary<string, Package> _packages = new(StringComparer.OrdinalIgnoreCase);

    private PackageGraph()
    {
        Assembly self = typeof(PackageGraph).Assembly;
        string name = self.GetName().Name!, file = Path.Combine(AppContext.BaseDirectory, name + ".deps.json");
        using JsonDocument json = JsonDocument.Parse(File.ReadAllText(file));
        JsonElement libraries = json.RootElement.GetProperty("libraries");
        JsonElement target = json.RootElement.GetProperty("targets").GetProperty(json.RootElement.GetProperty("runtimeTarget").GetProperty("name").GetString()!);
        foreach (JsonProperty entry in target.EnumerateObject())
        {
            string[] id = entry.Name.Split('/');
            if (id[0] == name) continue;
            bool isProject = libraries.GetProperty(entry.Name).GetProperty("type").GetString() == "project";
            _packages.Add(id[0], new Package(id[0], id[1], isProject, Names(entry.Value, "dependencies"), [.. Names(entry.Value, "runtime").Select(p => Path.GetFileNameWithoutExtension(p))]));
        }

        FrameworkName framework = new(self.GetCustomAttribute<TargetFrameworkAttribute>()!.FrameworkName);
        TargetFramework = $"net{framework.Version.Major}.{framework.Version.Minor}";
    }

    public static PackageGraph Instance { get; } = new();

    /// <summary>The folder name of builds, such as net10.0.</summary>
    public string TargetFramework { get; }

    public Package? Find(string name) => _packages.GetValueOrDefault(name);

    /// <summary>Packages and all that they need, directly or not.</summary>
    public HashSet<Package> Closure(IEnumerable<Package> packages)
    {
        HashSet<Package> found = [];
        Stack<Package> open = new(packages);
        while (open.TryPop(out Package? package))
        {
            if (!found.Add(package)) continue;
            foreach (string name in package.Dependencies) if (Find(name) is { } needed) open.Push(needed);
        }

        return found;
    }

    private static List<string> Names(JsonElement element, string name) =>
        element.TryGetProperty(name, out JsonElement names) ? [.. names.EnumerateObject().Select(n => n.Name)] : [];
}
