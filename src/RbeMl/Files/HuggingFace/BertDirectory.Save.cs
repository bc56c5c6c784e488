using System.Text.Json.Nodes;
using RbeMl.Codec;
using RbeMl.Layers;
using RbeMl.Models;
using RbeMl.Numerics;
using RbeMl.Storage;
using RbeMl.Text;

namespace RbeMl.Files;

/// <content>Writing.</content>
public sealed partial class BertDirectory
{
    private static readonly string[] OwnNames =
        [Gpt2ConfigJson.FileName, SafetensorsSet.SingleName, .. BertTokenizerFiles.OwnNames, .. SentenceTransformerFiles.OwnNames];

    /// <summary>
    /// Writes an encoder as a Hugging Face BERT with dense float weights, one matrix decoded at a time, and as sentence-transformers wants it. The folder
    /// appears as a whole or not at all. One that is already there is replaced if it is empty or was written by this method and holds nothing else.
    /// </summary>
    /// <param name="folder">The folder.</param>
    /// <param name="weights">The weights.</param>
    /// <param name="tokenizer">A <see cref="WordPieceTokenizer"/> to write too; null for none.</param>
    /// <param name="element">F32, F16 or BF16.</param>
    /// <param name="cancel">Ends the work.</param>
    /// <exception cref="RbeFileException">The folder holds other files, or cannot be written.</exception>
    /// <exception cref="NonFiniteException">A weight is NaN or infinite; nothing is written.</exception>
    /// <exception cref="InvalidSettingException">The model is causal or not post-LN, its attention is scaled in another way than BERT's, or the tokenizer is of
    /// another kind.</exception>
    /// <exception cref="ShapeMismatchException">A weight does not fit the configuration.</exception>
    /// <exception cref="OperationCanceledException">Cancelled; nothing is written.</exception>
    public static void Save(
        string folder, TransformerWeights weights, ITokenizer? tokenizer = null, SafetensorsElement element = SafetensorsElement.F32,
        CancellationToken cancel = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        ArgumentNullException.ThrowIfNull(weights);
        TransformerConfig config = weights.Config;
        if (config.Order != BlockOrder.PostNorm || config.Causal)
        {
            throw new InvalidSettingException(nameof(config.Order), config.Order, $"a BERT is post-LN and not causal: this is {config.Describe()}.");
        }

        if (!config.HasUsualAttentionScale)
        {
            throw new InvalidSettingException(nameof(config.ScaleAttention), config.ScaleAttention, "a BERT divides scores by sqrt(D / H) only.");
        }

        if (!config.TiedHead) throw new InvalidSettingException(nameof(config.TiedHead), false, "a BERT as it is written here has no head of its own.");
        WordPieceTokenizer? pieces = tokenizer is null ? null : tokenizer as WordPieceTokenizer
            ?? throw new InvalidSettingException("tokenizer", tokenizer.GetType().Name, "a BERT has word pieces; pass null to write it without its tokenizer.");
        if (pieces is not null && BertTokenizerFiles.KeepsTokenizer(pieces) is { } lost)
        {
            throw new InvalidSettingException("tokenizer", nameof(WordPieceTokenizer), $"{lost}; pass null to write the model without it.");
        }

        FiniteWeights.Check(weights);
        List<SafetensorsSource> sources = Sources(weights, element);
        JsonObject json = BertConfigJson.Write(config, Types(weights), pieces?.PadToken);
        json["torch_dtype"] = element switch { SafetensorsElement.F16 => "float16", SafetensorsElement.BF16 => "bfloat16", _ => "float32" };
        AtomicFolder.Write(folder, MayReplace, target =>
        {
            AtomicFile.WriteText(System.IO.Path.Combine(target, Gpt2ConfigJson.FileName), json.ToJsonString(JsonFile.Indented) + "\n");
            EncoderSettings settings = weights.Encoder ?? new EncoderSettings();
            if (pieces is not null) BertTokenizerFiles.Save(target, pieces, settings.MaxTokens ?? config.MaxSequenceLength);
            SentenceTransformerFiles.Save(target, settings, config);
            SafetensorsWriter.Write(System.IO.Path.Combine(target, SafetensorsSet.SingleName), sources,
                new Dictionary<string, string> { ["format"] = "pt" }, cancel);
        });
    }

    /// <summary>All tensors under their Hugging Face names, each decoded when it is written.</summary>
    internal static List<SafetensorsSource> Sources(TransformerWeights weights, SafetensorsElement element)
    {
        TransformerConfig config = weights.Config;
        Dictionary<string, long[]> shapes = BertTensorNames.All(config, Types(weights)).ToDictionary(t => t.Name, t => t.Shape);
        List<SafetensorsSource> sources = [];
        Add(BertTensorNames.TokenEmbedding, () => weights.TokenEmbedding.Dense ?? weights.TokenEmbedding.Compressed!.ToDense());
        Add(BertTensorNames.PositionEmbedding, () => BertWeights.WithoutType(weights.PositionEmbedding, weights.TokenTypes, config.Width));
        Add(BertTensorNames.TokenTypes, () => weights.TokenTypes ?? new float[config.Width]);
        for (int l = 0; l < config.Layers; l++)
        {
            BlockWeights block = weights.Blocks[l];
            BlockVectors v = block.Vectors;
            Norm(BertTensorNames.FirstNorm(l), v.Gamma1, v.Beta1, v.Norms);
            Norm(BertTensorNames.SecondNorm(l), v.Gamma2, v.Beta2, v.Norms);
            foreach (BlockMatrix m in Enum.GetValues<BlockMatrix>())
            {
                RbeMatrix matrix = block.MatrixAt(m);
                Add(BertTensorNames.Matrix(l, m) + ".weight", matrix.ToDense);
                Add(BertTensorNames.Matrix(l, m) + ".bias", () => v.BiasOf(m));
            }
        }

        Norm(BertTensorNames.FirstNorm(config.Layers), weights.FinalGamma, weights.FinalBeta, weights.Norms);
        return sources;

        void Add(string name, Func<float[]> make) => sources.Add(SafetensorsSource.From(name, () => FiniteSearch.Require(name, make()), shapes[name], element));

        // As a model that keeps the vectors so computes with them.
        void Norm(string name, float[] gamma, float[] beta, LayerNormStorage given)
        {
            foreach ((string part, float[] values) in ((string, float[])[])[(name + ".weight", gamma), (name + ".bias", beta)])
            {
                Add(part, () => NormTerms.Values(config.LayerNorm, NormTerms.Of(part, config.LayerNorm, values, given), config.Width));
            }
        }
    }

    private static int Types(TransformerWeights weights) => weights.TokenTypes is { } types ? types.Length / weights.Config.Width : 1;

    private static bool MayReplace(string folder)
    {
        string[] names = [.. Directory.EnumerateFileSystemEntries(folder).Select(entry => System.IO.Path.GetFileName(entry)!)];
        if (names.Length == 0) return true;
        return names.All(name => OwnNames.Contains(name)) && names.Contains(Gpt2ConfigJson.FileName)
            && Gpt2ConfigJson.IsOurs(System.IO.Path.Combine(folder, Gpt2ConfigJson.FileName))
            && Directory.EnumerateDirectories(folder).All(inner => Directory.EnumerateFileSystemEntries(inner)
                .All(entry => System.IO.Path.GetFileName(entry) == Gpt2ConfigJson.FileName));
    }
}
