using System.Text.Json;
using System.Text.Json.Nodes;
using RbeMl.Codec;
using RbeMl.Storage;

namespace RbeMl.Files;

/// <summary>A compressed matrix with its name.</summary>
/// <param name="Name">Unique in its file.</param>
/// <param name="Matrix">The matrix.</param>
/// <param name="Report">What compression measured, to travel along; null for none.</param>
public sealed record RbeNamedMatrix(string Name, RbeMatrix Matrix, CompressionReport? Report = null);

/// <summary>
/// Compressed matrices of any origin in a <c>.rbe</c> container, with dense tensors that pass through unchanged: what compressing a weights file that is
/// no known model gives. Safe for reading from several threads.
/// </summary>
public sealed class RbeMatrixSet : IDisposable
{
    /// <summary>What the metadata of such a file calls its content.</summary>
    public const string Kind = ContentKind.Matrices;
    private readonly RbeContainer _file;
    private readonly RbeLoadOptions _options;
    private readonly Dictionary<string, JsonFields> _matrices = [];
    private readonly Dictionary<string, string> _denseTensors = [];

    private RbeMatrixSet(RbeContainer file, RbeLoadOptions options)
    {
        _file = file;
        _options = options;
        JsonFields metadata = new(file.Path, "metadata", file.Metadata);
        ContentKind.Require(metadata, Kind, "Open a model with ModelFile.");
        List<string> names = [];
        foreach (JsonFields entry in metadata.Objects("matrices"))
        {
            names.Add(entry.Text("name"));
            if (!_matrices.TryAdd(names[^1], entry)) throw Twice("matrix", names[^1]);
        }

        List<RbeDenseInfo> dense = [];
        foreach (JsonFields entry in metadata.Objects("dense"))
        {
            (RbeDenseInfo info, string tensor) = RbeDenseInfo.Read(file, entry);
            dense.Add(info);
            if (!_denseTensors.TryAdd(info.Name, tensor)) throw Twice("dense tensor", info.Name);
        }

        Names = names;
        DenseTensors = dense;
        Metadata = metadata.Object("metadata").Json;
    }

    /// <summary>Names of the compressed matrices in the order of the file.</summary>
    public IReadOnlyList<string> Names { get; }

    /// <summary>The dense tensors in the order of the file.</summary>
    internal IReadOnlyList<RbeDenseInfo> DenseTensors { get; }

    /// <summary>The metadata given when the file was saved.</summary>
    public JsonElement Metadata { get; }

    /// <summary>Saves matrices and dense tensors, as a whole or not at all.</summary>
    /// <param name="path">The file.</param>
    /// <param name="matrices">The matrices; names are unique.</param>
    /// <param name="denseTensors">Tensors to carry along; names are unique among them.</param>
    /// <param name="metadata">Anything else, to be had back as <see cref="Metadata"/>; null for nothing.</param>
    /// <exception cref="RbeFileException">The file cannot be written, or a name occurs twice.</exception>
    /// <exception cref="NonFiniteException">A value is NaN or infinite; nothing is written.</exception>
    /// <exception cref="ShapeMismatchException">A report is of another matrix, or the stream of a dense tensor ends early; nothing is written.</exception>
    public static void Save(string path, IEnumerable<RbeNamedMatrix> matrices, IEnumerable<RbeDenseTensor>? denseTensors = null, JsonObject? metadata = null)
    {
        ArgumentNullException.ThrowIfNull(matrices);
        matrices = Items.Checked([.. matrices], nameof(matrices));
        denseTensors = Items.Checked([.. denseTensors ?? []], nameof(denseTensors));
        JsonArray entries = [], dense = [];
        List<RbeTensor> tensors = [];
        HashSet<string> names = [], denseNames = [];
        foreach ((string name, RbeMatrix matrix, CompressionReport? report) in matrices)
        {
            if (!names.Add(name)) throw new RbeFileException(path, $"matrix \"{name}\" is given twice. Give each its own name.");
            FiniteWeights.Check(name, matrix);
            RbeMatrixFile.Add(name, matrix, report, entries, tensors);
        }

        foreach (RbeDenseTensor tensor in denseTensors)
        {
            if (!denseNames.Add(tensor.Info.Name))
            {
                throw new RbeFileException(path, $"dense tensor \"{tensor.Info.Name}\" is given twice. Give each its own name.");
            }

            string stored = $"dense.{dense.Count}"; // parts of matrices end in words, never in numbers
            dense.Add((JsonNode)new JsonObject
            {
                ["name"] = tensor.Info.Name,
                ["type"] = tensor.Info.Type,
                ["shape"] = new JsonArray([.. tensor.Info.Shape.Select(side => (JsonNode)side)]),
                ["tensor"] = stored,
            });
            tensors.Add(tensor.Payload(stored));
        }

        RbeContainerWriter.Write(path,
            new JsonObject { ["kind"] = Kind, ["matrices"] = entries, ["dense"] = dense, ["metadata"] = metadata?.DeepClone() ?? new JsonObject() }, tensors);
    }

    /// <summary>Opens a set; nothing but its table is read.</summary>
    /// <param name="path">The file.</param>
    /// <param name="options">Whether codes are mapped and checked; null for the defaults.</param>
    /// <exception cref="RbeFileException">The file is no set of matrices, or its table is damaged.</exception>
    public static RbeMatrixSet Open(string path, RbeLoadOptions? options = null)
    {
        RbeContainer file = RbeContainer.Open(path);
        try
        {
            return Of(file, options);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>The set of an open file, whose owner it becomes.</summary>
    internal static RbeMatrixSet Of(RbeContainer file, RbeLoadOptions? options = null) => new(file, options ?? new RbeLoadOptions());

    /// <summary>Reads a matrix; it stays valid after <see cref="Dispose"/>.</summary>
    /// <param name="name">One of <see cref="Names"/>.</param>
    /// <exception cref="RbeFileException">There is none of that name, or a part of it is missing, wrong or damaged.</exception>
    /// <exception cref="NonFiniteException">A value is NaN or infinite.</exception>
    public RbeMatrix ReadMatrix(string name) => _matrices.TryGetValue(name, out JsonFields fields)
        ? RbeMatrixFile.Read(_file, fields, new HashSet<string>(), _options).Matrix
        : throw Missing("matrix", name);

    /// <summary>Copies a dense tensor to a stream, part by part; damage shows after the last part.</summary>
    /// <param name="name">One of <see cref="DenseTensors"/>.</param>
    /// <param name="destination">The stream.</param>
    /// <exception cref="RbeFileException">There is none of that name, or it is damaged.</exception>
    public void CopyDense(string name, Stream destination) =>
        _file.CopyTo(_denseTensors.TryGetValue(name, out string? tensor) ? tensor : throw Missing("dense tensor", name), destination);

    /// <summary>Gives the bytes of a dense tensor part by part and checks them; damage shows after the last part.</summary>
    internal void ReadDense(string name, BytesSink sink) =>
        _file.Read(_denseTensors.TryGetValue(name, out string? tensor) ? tensor : throw Missing("dense tensor", name), sink);

    /// <summary>Reads every payload and checks its checksum.</summary>
    /// <exception cref="RbeFileException">A payload is damaged.</exception>
    public void Verify() => _file.Verify();

    /// <summary>Closes the file; matrices that were read stay valid.</summary>
    public void Dispose() => _file.Dispose();

    private RbeFileException Twice(string what, string name) => new(_file.Path, $"{what} \"{name}\" is listed twice. Write the file again.");

    private RbeFileException Missing(string what, string name) => new(_file.Path, $"has no {what} \"{name}\". Check the name.");
}
