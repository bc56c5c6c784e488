using System.Text.RegularExpressions;

namespace RbeMl.Notebooks.Tests.Running;

/// <summary>
/// The <c>#r</c> lines of a notebook. <c>#r "nuget: Id, Version"</c> is a package that the test project was built with, in that version; <c>#r "../src/X/bin/Release/net10.0/X.dll"</c>
/// is one of the repository's projects at the place where its build leaves it. A notebook sees no other assemblies but the framework's, so what runs here has said all that
/// it needs.
/// </summary>
public sealed partial class NotebookReferences(string folder)
{
    private readonly HashSet<Package> _packages = [];
    private readonly HashSet<Package> _projects = [];

    [GeneratedRegex("""^[ \t]*#r[ \t]+(?<what>[^\r\n]*)$""", RegexOptions.Multiline)]
    private static partial Regex Reference();

    [GeneratedRegex("""^"nuget:[ ]*(?<id>[^,"\s]+)[ ]*(,[ ]*(?<version>[^"\s]+)[ ]*)?"$""")]
    private static partial Regex NuGet();

    [GeneratedRegex("""^"(?<path>[^":]+\.dll)"$""")]
    private static partial Regex AssemblyPath();

    /// <summary>Assemblies that the lines so far bring in.</summary>
    public IEnumerable<string> Assemblies => PackageGraph.Instance.Closure(_packages).Concat(_projects).SelectMany(p => p.Assemblies).Distinct(StringComparer.Ordinal);

    /// <summary>Takes a cell's lines out (their places stay, so that line numbers do) and remembers them.</summary>
    /// <exception cref="FormatException">A line names something that is not there, or another version of it.</exception>
    public string Take(string source)
    {
        string rest = Reference().Replace(source, match =>
        {
            Add(match.Groups["what"].Value.Trim());
            return "";
        });
        foreach (Package project in _projects)
        {
            HashSet<Package> given = [.. PackageGraph.Instance.Closure(_packages), .. _projects];
            foreach (Package needed in PackageGraph.Instance.Closure(project.Dependencies.Select(d => PackageGraph.Instance.Find(d)!)).Where(n => !given.Contains(n)))
            {
                string line = needed.IsProject ? PathOf(needed) : $"nuget: {needed.Name}, {needed.Version}";
                throw new FormatException($"{project.Name}.dll brings no packages along, and needs {needed.Name}: add #r \"{line}\" to the same cell.");
            }
        }

        return rest;
    }

    private void Add(string what)
    {
        if (NuGet().Match(what) is { Success: true } nuget)
        {
            string id = nuget.Groups["id"].Value, version = nuget.Groups["version"].Value;
            Package package = PackageGraph.Instance.Find(id)
                ?? throw new FormatException($"the package {id} is not referenced by the notebooks' test project. Reference it there, or do without.");
            if (version != package.Version)
            {
                throw new FormatException($"the package {id} is asked for in version '{version}', the repository uses {package.Version}. Write #r \"nuget: {package.Name}, {package.Version}\".");
            }

            _packages.Add(package);
            return;
        }

        if (AssemblyPath().Match(what) is not { Success: true } match) throw new FormatException($"#r {what} is neither \"nuget: Id, Version\" nor a relative path of an assembly.");
        string path = match.Groups["path"].Value;
        Package? project = PackageGraph.Instance.Find(Path.GetFileNameWithoutExtension(path));
        if (project is not { IsProject: true }) throw new FormatException($"{path} is no assembly of the repository.");
        if (Path.GetFullPath(path, folder) != Path.GetFullPath(PathOf(project), folder)) throw new FormatException($"{path} is not where a build leaves it. Write #r \"{PathOf(project)}\".");
        _projects.Add(project);
    }

    private static string PathOf(Package project) => $"../src/{project.Name}/bin/Release/{PackageGraph.Instance.TargetFramework}/{project.Name}.dll";
}
