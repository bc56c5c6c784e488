using System.IO.Hashing;
using System.Runtime.InteropServices;
using System.Security;
using System.Text;
using System.Xml;

namespace RbeMl.Text;

/// <summary>A text in two parts that share no sentence.</summary>
/// <param name="Train">Text to train on.</param>
/// <param name="Validation">Text to measure on.</param>
/// <param name="Source">Where it comes from, for people.</param>
public sealed record SplitText(string Train, string Validation, string Source);

/// <summary>
/// Real English that is on every machine with a .NET SDK: the sentences of its XML documentation (<c>packs/*/*/ref/net*/*.xml</c>), each
/// once, in an order fixed by the seed. A sentence's hash decides whether it is for training or validation.
/// </summary>
public static class SdkDocumentation
{
    private const string Pack = "Microsoft.NETCore.App.Ref";

    /// <summary>Loads sentences.</summary>
    /// <param name="characters">Largest size of both parts together.</param>
    /// <param name="validationFraction">Fraction for validation, above 0 and below 1.</param>
    /// <param name="seed">Seed of order and split.</param>
    /// <param name="root">The SDK's folder (the one with <c>packs</c>); found from the running host when null.</param>
    /// <exception cref="RbeFileException">No documentation was found.</exception>
    /// <exception cref="InvalidSettingException">A size or fraction is out of range.</exception>
    public static SplitText Load(int characters, double validationFraction = 0.05, ulong seed = 1337, string? root = null)
    {
        if (characters < 1) throw new InvalidSettingException(nameof(characters), characters, "use a positive number.");
        if (!(validationFraction > 0 && validationFraction < 1))
        {
            throw new InvalidSettingException(nameof(validationFraction), validationFraction, "use a fraction between 0 and 1.");
        }

        (string folder, string[] files) = Find(root is null ? Roots() : [root]);
        HashSet<string> sentences = new(StringComparer.Ordinal);
        foreach (string file in files) ReadSentences(file, sentences);

        (ulong Key, string Sentence)[] order = [.. sentences.Select(s => (Hash(s, seed), s))];
        Array.Sort(order, (a, b) => a.Key != b.Key ? a.Key.CompareTo(b.Key) : string.CompareOrdinal(a.Sentence, b.Sentence));
        StringBuilder train = new(), validation = new();
        foreach ((ulong key, string sentence) in order)
        {
            if (train.Length + validation.Length + sentence.Length + 1 > characters) break;

            // The low bits decide the part, the high bits the order, so the two are independent.
            (((uint)key / 4294967296.0) < validationFraction ? validation : train).Append(sentence).Append('\n');
        }

        if (train.Length == 0 || validation.Length == 0)
        {
            throw new RbeFileException(folder, $"its XML documentation holds too few sentences for {characters} characters. Pass text files with --text.");
        }

        return new SplitText(train.ToString(), validation.ToString(), $"the XML documentation of {Pack} {Path.GetFileName(Path.GetDirectoryName(folder))}");
    }

    private static ulong Hash(string sentence, ulong seed) => XxHash3.HashToUInt64(MemoryMarshal.AsBytes(sentence.AsSpan()), (long)seed);

    /// <summary>Folders that may hold a .NET SDK.</summary>
    private static string[] Roots()
    {
        List<string> roots = [];
        void Add(string? folder)
        {
            if (!string.IsNullOrEmpty(folder) && !roots.Contains(folder)) roots.Add(folder);
        }

        Add(Environment.GetEnvironmentVariable("DOTNET_ROOT"));
        if (Environment.ProcessPath is { } host && Path.GetFileNameWithoutExtension(host) == "dotnet") Add(Path.GetDirectoryName(Resolve(host)));
        Add(Path.GetFullPath(Path.Combine(RuntimeEnvironment.GetRuntimeDirectory(), "..", "..", "..")));
        string name = OperatingSystem.IsWindows() ? "dotnet.exe" : "dotnet";
        foreach (string folder in (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries))
        {
            string candidate = Path.Combine(folder, name);
            if (File.Exists(candidate)) Add(Path.GetDirectoryName(Resolve(candidate)));
        }

        return [.. roots];
    }

    private static string Resolve(string path) => new FileInfo(path).ResolveLinkTarget(returnFinalTarget: true)?.FullName ?? path;

    private static (string Folder, string[] Files) Find(string[] roots)
    {
        foreach (string root in roots)
        {
            try
            {
                string pack = Path.Combine(root, "packs", Pack);
                if (!Directory.Exists(pack)) continue;
                foreach (string version in Directory.GetDirectories(pack).OrderByDescending(v => VersionOf(Path.GetFileName(v)))
                    .ThenByDescending(v => v, StringComparer.Ordinal))
                {
                    string reference = Path.Combine(version, "ref");
                    if (!Directory.Exists(reference)) continue;
                    string[] files = Directory.GetFiles(reference, "*.xml", SearchOption.AllDirectories);
                    if (files.Length == 0) continue;
                    Array.Sort(files, StringComparer.Ordinal);
                    return (reference, files);
                }
            }
            catch (Exception error) when (error is IOException or UnauthorizedAccessException or SecurityException)
            {
                throw new RbeFileException(root, $"the SDK's documentation cannot be read ({IoReason.Of(error)}). Pass text files with --text.", error);
            }
        }

        string wanted = Path.Combine("packs", Pack, "<version>", "ref", "net10.0", "*.xml");
        throw new RbeFileException(
            roots.Length == 0 ? wanted : Path.Combine(roots[0], wanted),
            $"no XML documentation of the .NET SDK found (looked below {string.Join(", ", roots)}). Install the .NET SDK, set "
            + $"DOTNET_ROOT to it, or pass text files with --text.");
    }

    private static Version VersionOf(string name) => Version.TryParse(name.Split('-')[0], out Version? version) ? version : new Version(0, 0);

    private static void ReadSentences(string file, HashSet<string> sentences)
    {
        XmlReaderSettings settings = new() { DtdProcessing = DtdProcessing.Prohibit, XmlResolver = null, IgnoreComments = true };
        try
        {
            using XmlReader reader = XmlReader.Create(file, settings);
            StringBuilder text = new();
            while (reader.Read())
            {
                if (reader.NodeType == XmlNodeType.Element && reader.Name is "summary" or "remarks" or "returns" or "param" && !reader.IsEmptyElement)
                {
                    text.Clear();
                    DocumentationText.Read(reader, text);
                    DocumentationText.Sentences(text, sentences);
                }
            }
        }
        catch (XmlException error)
        {
            throw new RbeFileException(file, $"is no well-formed XML ({error.Message.TrimEnd('.')}). Repair the SDK, or pass text files with --text.", error);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new RbeFileException(file, $"cannot be read ({IoReason.Of(error)}). Pass text files with --text.", error);
        }
    }
}
