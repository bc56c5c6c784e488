using RbeMl.Layers;

namespace RbeMl.Files;

/// <summary>
/// A BERT in Hugging Face's layout: <c>config.json</c>, <c>model.safetensors</c> or several files with an index, <c>vocab.txt</c> or <c>tokenizer.json</c>, and
/// what sentence-transformers says of pooling, length and prompts (see <see cref="SentenceTransformerFiles"/>). Opening checks every tensor's name, type and
/// shape against the configuration; data are read when asked for. Heads and the pooler, which no embedding goes through, are left out.
/// </summary>
public sealed partial class BertDirectory : BertModelFolder
{
    private readonly SafetensorsSet _tensors;

    private BertDirectory(string path, SafetensorsSet tensors, TransformerConfig config, int types, Dictionary<string, string> stored)
        : base(path, path, config, types, name => TensorReading.Values(tensors, stored[name])) => _tensors = tensors;

    /// <summary>Opens a folder and checks everything but the values of the weights.</summary>
    /// <param name="path">The folder.</param>
    /// <exception cref="RbeFileException">
    /// A file of the weights is missing or damaged, the configuration asks for something that is not computed here, or tensors are missing, left over, or of
    /// another shape or type than the configuration says.
    /// </exception>
    public static BertDirectory Open(string path)
    {
        string configuration = ModelFolders.ConfigurationOf(path);
        string? type = ModelFolders.TypeOf(configuration);
        if (type is not (null or BertConfigJson.ModelType)) throw ModelFolders.Foreign(configuration, type, BertConfigJson.ModelType);
        SafetensorsSet tensors = SafetensorsSet.Open(path, _ => false);
        try
        {
            if (type is null && !BertTensorNames.AreBert(tensors))
            {
                throw new RbeFileException(configuration, "has no model_type, and its tensors have not the names of a BERT's. Give the folder of a BERT.");
            }

            (TransformerConfig config, int types) = BertConfigJson.Read(configuration);
            return new BertDirectory(path, tensors, config, types, Match(tensors, config, types));
        }
        catch
        {
            tensors.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public override void Dispose() => _tensors.Dispose();

    // What each tensor of a BERT is called in the folder.
    private static Dictionary<string, string> Match(SafetensorsSet tensors, TransformerConfig config, int types)
    {
        Dictionary<string, string> stored = new(StringComparer.Ordinal);
        foreach (SafetensorsTensor tensor in tensors.Tensors)
        {
            string name = BertTensorNames.Plain(tensor.Name);
            if (BertTensorNames.IsUnused(name)) continue;
            if (!stored.TryAdd(name, tensor.Name))
            {
                throw new RbeFileException(tensors.Path,
                    $"holds \"{name}\" twice, as \"{stored[name]}\" and as \"{tensor.Name}\". Take the weights from one model.");
            }
        }

        if (config.Layers > stored.Count)
        {
            throw new RbeFileException(tensors.Path,
                $"has {Amount.Of(stored.Count, "tensor")}, too few for the {Amount.Of(config.Layers, "layer")} of {Gpt2ConfigJson.FileName}. Correct "
                    + "the configuration, or download the model again.");
        }

        Dictionary<string, long[]> wanted = BertTensorNames.All(config, types).ToDictionary(t => t.Name, t => t.Shape, StringComparer.Ordinal);
        string[] missing = [.. wanted.Keys.Where(name => !stored.ContainsKey(name))];
        string[] extra = [.. stored.Where(name => !wanted.ContainsKey(name.Key)).Select(name => name.Value)];
        if (missing.Length + extra.Length > 0)
        {
            throw new RbeFileException(tensors.Path, TensorReading.Difference(missing, extra, $"a BERT of this {Gpt2ConfigJson.FileName}")
                + ". Correct the configuration, or download the model again.");
        }

        foreach ((string name, long[] shape) in wanted) TensorReading.RequireShape(tensors, stored[name], shape);
        return stored;
    }
}
