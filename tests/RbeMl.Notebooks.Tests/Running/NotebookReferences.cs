using System.Text.RegularExpressions;
using System.Xml.Linq;

namespace RbeMl.Notebooks.Tests.Running;

/// <summary>
/// The rules for <c>#r</c> lines, so that readers run what the repository is built with: <c>#r "nuget: Id, Version"</c> in the version of
/// Directory.Packages.props,
/// <c>#r "../src/X/bin/Release/net10.0/X.dll"</c> where a build leaves a project's assembly.
/// </summary>
public static partial class NotebookReferences
{
    private static readonly Lazy<Dictionary<string, string>> s_versions = new(() => XDocument.Load(Path.Combine(NotebookTests.Root, "Directory.Packages.props"))
        .Descendants("PackageVersion")
            .ToDictionary(p => (string)p.Attribute("Include")!, p => (string)p.Attribute("Version")!, StringComparer.OrdinalIgnoreCase));

    [GeneratedRegex("""^[ \t]*#(?<word>[!ri])[ \t]*(?<what>[^\r\n]*)$""", RegexOptions.Multiline)]
    private static partial Regex Directive();

    [GeneratedRegex("""^"nuget:[ ]*(?<id>[^,"\s]+)[ ]*(,[ ]*(?<version>[^"\s]+)[ ]*)?"$""")]
    private static partial Regex NuGet();

    /// <summary>The versions of the repository's packages.</summary>
    public static IReadOnlyDictionary<string, string> Versions => s_versions.Value;

    /// <summary>Where a build leaves a project's assembly, from the notebooks' folder.</summary>
    public static string PathOf(string project) => $"../src/{project}/bin/Release/net10.0/{project}.dll";

    /// <summary>What is wrong with the directives of a cell; empty when nothing is.</summary>
    public static IEnumerable<string> Check(string source)
    {
        foreach (Match directive in Directive().Matches(source))
        {
            string what = directive.Groups["what"].Value.Trim();
            if (directive.Groups["word"].Value != "r")
            {
                yield return $"'{directive.Value.Trim()}' is a command that not every front end knows. Do without it.";
            }
            else if (NuGet().Match(what) is { Success: true } nuget)
            {
                string id = nuget.Groups["id"].Value, version = nuget.Groups["version"].Value;
                if (!Versions.TryGetValue(id,
                    out string? ours)) yield return $"the package {id} is none of Directory.Packages.props. Add it there, or do without.";
                else if (ours != version) yield return $"the package {id} is asked for in version '{version}', the repository uses {ours}. Write #r "
                    + $"\"nuget: {id}, {ours}\".";
            }
            else
            {
                string path = what.Trim('"'), project = Path.GetFileNameWithoutExtension(path);
                if (path != PathOf(project))
                {
                    yield return $"{what} is neither \"nuget: Id, Version\" nor where a build leaves an assembly, such as \"{PathOf("RbeMl")}\".";
                }
            }
        }
    }
}
