using System.Text.Json;

namespace RbeMl.Files;

/// <summary>
/// The tensors of one safetensors file or of several that an index (<c>model.safetensors.index.json</c>) joins. Opening checks all headers, and that
/// index and files agree: every tensor is in exactly the file the index names.
/// </summary>
internal sealed class SafetensorsSet : IDisposable
{
    /// <summary>Name of a model's only file.</summary>
    public const string SingleName = "model.safetensors";

    /// <summary>Name of the index of a model of several files.</summary>
    public const string IndexName = "model.safetensors.index.json";

    private const int IndexLimit = (int)SafetensorsHeader.Limit;
    private readonly List<SafetensorsFile> _files;
    private readonly Dictionary<string, SafetensorsFile> _fileOf = new(StringComparer.Ordinal);

    private SafetensorsSet(string path, List<SafetensorsFile> files)
    {
        Path = path;
        _files = files;
        foreach (SafetensorsFile file in files)
        {
            foreach (SafetensorsTensor tensor in file.Tensors) _fileOf[tensor.Name] = file;
        }

        Tensors = [.. files.SelectMany(f => f.Tensors)];
    }

    /// <summary>The file, or the index.</summary>
    public string Path { get; }

    /// <summary>All tensors, file by file in order of the files' names, in the order of their data.</summary>
    public IReadOnlyList<SafetensorsTensor> Tensors { get; }

    /// <summary>The files.</summary>
    public IReadOnlyList<string> Files => [.. _files.Select(f => f.Path)];

    /// <summary>Opens one file, an index with its files, or what a folder holds of the two (a single file is preferred).</summary>
    /// <param name="path">A <c>.safetensors</c> file, an index (<c>.json</c>), or a folder.</param>
    /// <exception cref="RbeFileException">Nothing is there, a header is wrong, a file of the index is missing, or a tensor is in none or in two.</exception>
    public static SafetensorsSet Open(string path) => Open(path, _ => false);

    /// <summary>The same, where an index may list names that its files do not hold, since these are kept under another one.</summary>
    internal static SafetensorsSet Open(string path, Func<string, bool> mayBeShared)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        string file = Directory.Exists(path) ? Choose(path) : path;
        return file.EndsWith(".json", StringComparison.OrdinalIgnoreCase) ? OpenIndex(file, mayBeShared)
            : new SafetensorsSet(file, [SafetensorsFile.Open(file)]);
    }

    /// <summary>Names that were left out of a file since their tensor is there under another: the name, and that other.</summary>
    internal IEnumerable<KeyValuePair<string, string>> Aliases =>
        _files.SelectMany(f => f.Metadata).Where(entry => !Contains(entry.Key) && Contains(entry.Value));

    /// <summary>Whether there is a tensor of that name.</summary>
    public bool Contains(string name) => _fileOf.ContainsKey(name);

    /// <summary>The file that holds a tensor.</summary>
    /// <exception cref="RbeFileException">None does.</exception>
    public SafetensorsFile FileOf(string name) =>
        _fileOf.TryGetValue(name, out SafetensorsFile? file) ? file
            : throw new RbeFileException(Path, $"holds no tensor \"{name}\". Ask for one of its {Amount.Of(Tensors.Count, "tensor")}.");

    /// <summary>The entry of a tensor.</summary>
    /// <exception cref="RbeFileException">There is none of that name.</exception>
    public SafetensorsTensor Find(string name) => FileOf(name).Find(name);

    /// <inheritdoc cref="SafetensorsFile.Read"/>
    public void Read(string name, Span<float> destination) => FileOf(name).Read(name, destination);

    /// <inheritdoc cref="SafetensorsFile.ReadFloats"/>
    public float[] ReadFloats(string name) => FileOf(name).ReadFloats(name);

    /// <inheritdoc cref="SafetensorsFile.CopyTo"/>
    public void CopyTo(string name, Stream destination) => FileOf(name).CopyTo(name, destination);

    /// <inheritdoc/>
    public void Dispose() => _files.ForEach(f => f.Dispose());

    private static string Choose(string folder)
    {
        string single = System.IO.Path.Combine(folder, SingleName), index = System.IO.Path.Combine(folder, IndexName);
        if (File.Exists(single)) return single;
        if (File.Exists(index)) return index;
        throw new RbeFileException(folder,
            $"holds neither {SingleName} nor {IndexName}{(ForeignFolder.Describe(folder) is { } found ? $"; it {found}" : $". Give {ForeignFolder.Needed}.")}");
    }

    private static SafetensorsSet OpenIndex(string path, Func<string, bool> mayBeShared)
    {
        JsonElement root = JsonFile.Object(path, "an index of safetensors files", IndexLimit);
        if (!root.TryGetProperty("weight_map", out JsonElement map) || map.ValueKind != JsonValueKind.Object)
        {
            throw new RbeFileException(path,
                "has no weight_map of tensors and their files, so it is no index of a model's files. Give the model's folder or a .safetensors file.");
        }

        Dictionary<string, string> wanted = new(StringComparer.Ordinal);
        foreach (JsonProperty entry in map.EnumerateObject())
        {
            string? name = entry.Value.ValueKind == JsonValueKind.String ? entry.Value.GetString() : null;
            wanted.Add(entry.Name, IsPlainName(name) ? name!
                : throw new RbeFileException(path, $"its weight_map gives tensor \"{entry.Name}\" no plain file name of its own folder. Write it again."));
        }

        string folder = System.IO.Path.GetDirectoryName(System.IO.Path.GetFullPath(path))!;
        List<SafetensorsFile> files = [];
        try
        {
            Dictionary<string, SafetensorsFile> byName = new(StringComparer.Ordinal);
            foreach (string name in wanted.Values.Distinct().Order(StringComparer.Ordinal))
            {
                string file = System.IO.Path.Combine(folder, name);
                if (!File.Exists(file)) throw new RbeFileException(path, $"names the file {name}, which is not there. Download it too.");
                files.Add(SafetensorsFile.Open(file));
                byName.Add(name, files[^1]);
            }

            Check(path, wanted, byName, mayBeShared);
            return new SafetensorsSet(path, files);
        }
        catch
        {
            files.ForEach(f => f.Dispose());
            throw;
        }
    }

    private static void Check(string path, Dictionary<string, string> wanted, Dictionary<string, SafetensorsFile> files, Func<string, bool> mayBeShared)
    {
        foreach ((string tensor, string file) in wanted)
        {
            if (!files[file].Contains(tensor) && !mayBeShared(tensor))
            {
                throw new RbeFileException(path,
                    $"places tensor \"{tensor}\" in {file}, which does not hold it. Files and index are of different models; copy them again.");
            }
        }

        foreach ((string name, SafetensorsFile file) in files)
        {
            foreach (SafetensorsTensor tensor in file.Tensors)
            {
                if (!wanted.TryGetValue(tensor.Name, out string? home))
                {
                    throw new RbeFileException(path,
                        $"does not list tensor \"{tensor.Name}\" of {name}. Files and index are of different models; copy them again.");
                }

                if (home != name)
                {
                    throw new RbeFileException(path,
                        $"tensor \"{tensor.Name}\" is in two files, {home} and {name}. Files and index are of different models; copy them again.");
                }
            }
        }
    }

    private static bool IsPlainName(string? name) => !string.IsNullOrEmpty(name) && name is not ("." or "..") && name.AsSpan().IndexOfAny("/\\:\0") < 0;
}
