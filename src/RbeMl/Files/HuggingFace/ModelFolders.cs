using RbeMl.Layers;
using RbeMl.Models;
using RbeMl.Text;

namespace RbeMl.Files;

/// <summary>A kind of model that folders of Hugging Face are read and written of.</summary>
/// <param name="ModelType">Its <c>model_type</c>, and the key of its architecture in a <c>.rbe</c> file.</param>
/// <param name="Name">What it is called.</param>
/// <param name="Architecture">What the names of its architectures begin with.</param>
/// <param name="Holds">Whether it has models of a configuration.</param>
/// <param name="IsNamed">Whether tensors have its names.</param>
/// <param name="Open">Opens a folder.</param>
/// <param name="Sources">All tensors under their Hugging Face names, each decoded when it is written.</param>
/// <param name="KeepsTokenizer">Why its folders cannot hold a tokenizer, empty where only the kind is wrong; null where they can.</param>
/// <param name="Save">Writes a folder.</param>
internal sealed record ModelFolderKind(
    string ModelType, string Name, string Architecture, Func<TransformerConfig, bool> Holds, Func<SafetensorsSet, bool> IsNamed,
    Func<string, IModelFolder> Open, Func<TransformerWeights, SafetensorsElement, List<SafetensorsSource>> Sources, Func<ITokenizer, string?> KeepsTokenizer,
    Action<string, TransformerWeights, ITokenizer?, SafetensorsElement, CancellationToken> Save);

/// <summary>The kinds of models that folders of Hugging Face are read and written of, in one place; a new one is a row here.</summary>
internal static class ModelFolders
{
    /// <summary>The kinds.</summary>
    public static IReadOnlyList<ModelFolderKind> Kinds { get; } =
    [
        new(Gpt2ConfigJson.ModelType, "GPT-2", "GPT2", config => config is { Order: BlockOrder.PreNorm, Causal: true }, Gpt2TensorNames.AreGpt2,
            Gpt2Directory.Open, Gpt2Directory.Sources, Gpt2TokenizerFiles.KeepsTokenizer, Gpt2Directory.Save),
        new(BertConfigJson.ModelType, "BERT", "Bert", config => config is { Order: BlockOrder.PostNorm, Causal: false }, BertTensorNames.AreBert,
            BertDirectory.Open, BertDirectory.Sources, BertTokenizerFiles.KeepsTokenizer, BertDirectory.Save),
    ];

    /// <summary>The name that a compressed model has in the folder that it was trained into.</summary>
    public const string CompressedName = "model.rbe";

    /// <summary>The compressed model of such a folder; null for any other folder or a file.</summary>
    public static string? CompressedIn(string path)
    {
        string file = Path.Combine(path, CompressedName);
        return Directory.Exists(path) && File.Exists(file) && !File.Exists(Path.Combine(path, Gpt2ConfigJson.FileName)) ? file : null;
    }

    /// <summary>The kind that a model of a configuration is of.</summary>
    /// <exception cref="InvalidSettingException">There is none.</exception>
    public static ModelFolderKind Of(TransformerConfig config) => Kinds.FirstOrDefault(kind => kind.Holds(config))
        ?? throw new InvalidSettingException(nameof(config.Order), $"{config.Order}, causal: {config.Causal}",
            $"folders hold GPT-2s (pre-LN and causal) and BERTs (post-LN and not causal); this is {config.Describe()}.");

    /// <summary>Opens a folder by the kind that its configuration, or else its tensors, say; or an ONNX file.</summary>
    /// <param name="path">The folder or file.</param>
    /// <exception cref="RbeFileException">It is no model, of a kind that is not read, or what its kind refuses.</exception>
    public static IModelFolder Open(string path)
    {
        if (OnnxModelFile.IsNamed(path)) return OnnxModelFile.Open(path);
        string configuration = ConfigurationOf(path);
        if (TypeOf(configuration) is { } type)
        {
            return (Kinds.FirstOrDefault(kind => kind.ModelType == type) ?? throw Foreign(configuration, type)).Open(path);
        }

        ModelFolderKind? named;
        using (SafetensorsSet tensors = SafetensorsSet.Open(path, Gpt2TensorNames.MayBeShared)) named = Kinds.FirstOrDefault(kind => kind.IsNamed(tensors));
        return (named ?? throw new RbeFileException(configuration,
            $"has no model_type, and its tensors have not the names of {Either(kind => $"a {kind.Name}'s")}. {Mend}")).Open(path);
    }

    /// <summary>The configuration of a folder.</summary>
    /// <exception cref="RbeFileException">The folder is none of a model with dense weights; the message says what it holds.</exception>
    public static string ConfigurationOf(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        if (!Directory.Exists(path)) throw new RbeFileException(path, $"is no folder. Give {ForeignFolder.Needed}.");
        if (CompressedIn(path) is { } file)
        {
            throw new RbeFileException(path,
                $"holds a compressed model, {Path.GetFileName(file)}, and no dense weights. Give that file where a compressed model is read.");
        }

        string configuration = Path.Combine(path, Gpt2ConfigJson.FileName);
        return File.Exists(configuration) ? configuration : throw new RbeFileException(path, ForeignFolder.Describe(path)
            ?? $"holds no {Gpt2ConfigJson.FileName}, so it is no model. Give {ForeignFolder.Needed}, or a .rbe file.");
    }

    /// <summary>The <c>model_type</c> that a configuration states, or that of its architecture; null where it says neither.</summary>
    /// <exception cref="RbeFileException">It says that of a kind that is not read.</exception>
    public static string? TypeOf(string configuration)
    {
        ConfigFields fields = ConfigFields.Read(configuration, "the configuration of a Hugging Face model");
        if (fields.Has("model_type")) return fields.Text("model_type", null);
        string[] names = fields.Names("architectures");
        if (names.Length == 0) return null;
        return Kinds.FirstOrDefault(kind => names.Any(name => name.StartsWith(kind.Architecture, StringComparison.Ordinal)))?.ModelType
            ?? throw new RbeFileException(configuration,
                $"is of a model with the architecture \"{names[0]}\"; those of {Either(kind => $"a {kind.Name}")} can be read. {Mend}");
    }

    /// <summary>The error for the configuration of another kind of model.</summary>
    /// <param name="configuration">The file.</param>
    /// <param name="type">Its <c>model_type</c>.</param>
    /// <param name="wanted">The kind that is needed; null for any.</param>
    public static RbeFileException Foreign(string configuration, string type, string? wanted = null)
    {
        string known = wanted is null ? Either(kind => $"\"{kind.ModelType}\"") : $"\"{wanted}\"";
        string mend = wanted is null ? Mend : $"Give the folder of a {Kinds.First(kind => kind.ModelType == wanted).Name}.";
        return new RbeFileException(configuration, $"is of a model of type \"{type}\"; {known} can be read{(wanted is null ? "" : " here")}. {mend}");
    }

    private static string Mend => $"Give the folder of {Either(kind => $"a {kind.Name}")}.";

    private static string Either(Func<ModelFolderKind, string> name) => string.Join(" or ", Kinds.Select(name));
}
