using System.Text.Json.Nodes;
using RbeMl.Codec;
using RbeMl.Files;
using RbeMl.Layers;
using RbeMl.Models;
using RbeMl.Storage;

namespace RbeMl.Training;

/// <summary>
/// A delta without its model, in a <c>.rbe</c> container of the kind <c>rbeml-delta</c>: what was trained of a <see cref="DeltaModel"/>, and
/// the checksum of the model that it belongs to. Several deltas can be used on one model; each gives the bits that it was trained to.
/// </summary>
public static class DeltaFile
{
    /// <summary>The kind in the container's metadata.</summary>
    public const string Kind = ContentKind.Delta;

    private const string BaseKey = "base", ChecksumKey = "checksum", ShapeKey = "shape", MatricesKey = "matrices", VectorsKey = "vectors";
    private const string PlacesPart = "places", CoefficientsPart = "coefficients";

    /// <summary>Saves what was trained, as a whole or not at all.</summary>
    /// <param name="path">The file.</param>
    /// <param name="delta">The model with its delta.</param>
    /// <exception cref="RbeFileException">The file cannot be written.</exception>
    /// <exception cref="NonFiniteException">A value is NaN or infinite; nothing is written.</exception>
    public static void Save(string path, DeltaModel delta)
    {
        ArgumentNullException.ThrowIfNull(delta);
        BaseMark basis = delta.Base ?? throw new InvalidSettingException("delta", path, "the model that it belongs to is not known any more.");
        FiniteWeights.Check(delta.Model.Parameters);
        Dictionary<string, RbeMatrix> matrices = delta.Model.Matrices.ToDictionary(matrix => matrix.Name, matrix => matrix.Matrix);
        JsonArray entries = [], vectors = [];
        List<RbeTensor> tensors = [];
        foreach (string name in delta.Trained)
        {
            ParameterSlice slice = delta.Model.Parameters.Find(name);
            if (slice.Kind != ParameterKind.Coefficient)
            {
                vectors.Add((JsonNode)name);
                tensors.Add(RbeTensor.From(delta.Model.Parameters, slice));
                continue;
            }

            string owner = name[..name.LastIndexOf('.')];
            RbeMatrix matrix = matrices[owner];
            CoefficientSupport support = matrix.Support!;
            entries.Add((JsonNode)new JsonObject
            {
                ["name"] = owner,
                ["format"] = ((FrozenFormat)matrix.Format).Delta!.Describe(),
                ["runs"] = support.RunsPerTile,
                ["runLength"] = support.RunLength,
            });
            tensors.Add(RbeTensor.From($"{owner}.{PlacesPart}", support.Starts.ToArray(), support.TileCount, support.RunsPerTile));
            tensors.Add(RbeTensor.From($"{owner}.{CoefficientsPart}", matrix.Coefficients, support.TileCount, support.CoefficientsPerTile));
        }

        RbeContainerWriter.Write(path, new JsonObject
        {
            ["kind"] = Kind,
            [BaseKey] = new JsonObject { [ChecksumKey] = basis.Checksum, [ShapeKey] = basis.Description },
            [MatricesKey] = entries,
            [VectorsKey] = vectors,
        }, tensors);
    }

    /// <summary>Puts a saved delta on the model that it was trained on.</summary>
    /// <param name="path">The file.</param>
    /// <param name="basis">The model, which stays as it is.</param>
    /// <returns>The model with the delta, which can be used, and trained on.</returns>
    /// <exception cref="DeltaMismatchException">The delta is of another model.</exception>
    /// <exception cref="RbeFileException">The file is missing, no delta, or damaged.</exception>
    /// <exception cref="NonFiniteException">A value is NaN or infinite.</exception>
    public static DeltaModel Apply(string path, TransformerModel<float> basis)
    {
        ArgumentNullException.ThrowIfNull(basis);
        using RbeContainer file = RbeContainer.Open(path);
        JsonFields metadata = MetadataOf(file), saved = metadata.Object(BaseKey);
        BaseMark mark = BaseMark.Of(basis);
        if (saved.Text(ChecksumKey) != mark.Checksum) throw new DeltaMismatchException(path, saved.Text(ShapeKey), mark.Description);
        TransformerWeights weights = basis.GetWeights();
        HashSet<string> read = [], names = [.. DeltaModel.NamesOf(weights)];
        Dictionary<string, JsonFields> entries = [];
        foreach (JsonFields entry in metadata.Objects(MatricesKey))
        {
            string name = entry.Text("name");
            if (names.Contains(name) && entries.TryAdd(name, entry)) continue;
            throw new RbeFileException(path, $"has a delta of \"{name}\", which its model has not, or has it twice. Write it again.");
        }

        TransformerModel<float> model = new(weights.WithMatrices((name, matrix) =>
            entries.TryGetValue(name, out JsonFields entry) ? Read(file, entry, name, matrix, read) : matrix));
        try
        {
            HashSet<string> trained = [.. entries.Keys.Select(name => $"{name}.{CoefficientsPart}")];
            foreach (string name in VectorsOf(metadata))
            {
                ParameterSlice? slice = model.Parameters.Slices.FirstOrDefault(each => each.Name == name && each.Kind != ParameterKind.Coefficient);
                if (slice is null || !trained.Add(name))
                {
                    throw new RbeFileException(path, $"has a vector \"{name}\", which its model has not, or has it twice. Write it again.");
                }

                model.Parameters.Write(slice, RbeMatrixFile.ReadVector(file, name, slice.Length, read));
            }

            string? extra = file.Tensors.FirstOrDefault(tensor => !read.Contains(tensor.Name))?.Name;
            if (extra is not null) throw new RbeFileException(path, $"tensor \"{extra}\" belongs to no part of the delta. Write it again.");
            if (trained.Count == 0) throw new RbeFileException(path, "is a delta of nothing. Write it again.");
            return new DeltaModel(model, mark, [.. model.Parameters.Slices.Select(slice => slice.Name).Where(trained.Contains)]);
        }
        catch
        {
            model.Dispose();
            throw;
        }
    }

    /// <summary>Names of the parameters that a delta has trained.</summary>
    /// <exception cref="RbeFileException">The file is missing, no delta, or damaged.</exception>
    internal static IReadOnlyList<string> TrainedIn(string path)
    {
        using RbeContainer file = RbeContainer.Open(path);
        JsonFields metadata = MetadataOf(file);
        return [.. metadata.Objects(MatricesKey).Select(entry => $"{entry.Text("name")}.{CoefficientsPart}"), .. VectorsOf(metadata)];
    }

    private static JsonFields MetadataOf(RbeContainer file)
    {
        JsonFields metadata = new(file.Path, "metadata", file.Metadata);
        ContentKind.Require(metadata, Kind, "Give what --save-delta of finetune or of classify train wrote.");
        return metadata;
    }

    private static string[] VectorsOf(JsonFields metadata) => metadata.OptionalTexts(VectorsKey)
        ?? throw new RbeFileException(metadata.Path, $"its metadata have no {VectorsKey}. Write it again.");

    // The sides of the tensors follow from the model's matrix, and are compared before anything is allocated.
    private static RbeMatrix Read(RbeContainer file, JsonFields entry, string name, RbeMatrix matrix, HashSet<string> read)
    {
        int runs = entry.Whole("runs", 1, matrix.Tile * matrix.Tile), length = entry.Whole("runLength", 1, 16);
        string places = $"{name}.{PlacesPart}", values = $"{name}.{CoefficientsPart}";
        read.Add(places);
        read.Add(values);
        try
        {
            CoefficientSupport support = new(matrix.Tile, matrix.TileCount, length, file.Read<ushort>(places, matrix.TileCount, runs));
            float[] coefficients = file.Read<float>(values, matrix.TileCount, support.CoefficientsPerTile);
            FiniteWeights.Check(values, coefficients);
            return DeltaModel.WithDelta(name, matrix, SparseFormat.ReadPlaces(entry.Object("format")), support, coefficients);
        }
        catch (Exception error) when (error is InvalidSettingException or ShapeMismatchException)
        {
            throw new RbeFileException(file.Path, $"the delta of \"{name}\" is wrong: {error.Message} Write it again.", error);
        }
    }
}
