using System.Text.Json.Nodes;
using RbeMl.Codec;
using RbeMl.Layers;
using RbeMl.Models;
using RbeMl.Numerics;
using RbeMl.Storage;
using RbeMl.Text;

namespace RbeMl.Files;

/// <content>Writing.</content>
public sealed partial class Gpt2Directory
{
    private static readonly string[] OwnNames =
        [Gpt2ConfigJson.FileName, SafetensorsSet.SingleName, Gpt2TokenizerFiles.VocabularyName, Gpt2TokenizerFiles.MergesName, Gpt2TokenizerFiles.JsonName];

    /// <summary>
    /// Writes a model as a Hugging Face GPT-2 with dense float weights, one matrix decoded at a time; a LayerNorm kept as a series or a scalar is written as
    /// its values. The folder appears as a whole or not at all. One that is already there is replaced if it is empty or was written by this method (its
    /// config.json says so) and holds nothing else; any other is refused.
    /// </summary>
    /// <param name="folder">The folder.</param>
    /// <param name="model">The model.</param>
    /// <param name="tokenizer">A <see cref="Gpt2Tokenizer"/> or <see cref="BytePairTokenizer"/> to write too; null for none.</param>
    /// <param name="element">F32, F16 or BF16.</param>
    /// <param name="cancel">Ends the work.</param>
    /// <exception cref="RbeFileException">The folder holds other files, or cannot be written.</exception>
    /// <exception cref="NonFiniteException">A weight is NaN or infinite; nothing is written.</exception>
    /// <exception cref="InvalidSettingException">The model is not causal or not pre-LN, or the tokenizer is of another kind.</exception>
    /// <exception cref="OperationCanceledException">Cancelled; nothing is written.</exception>
    public static void Save(
        string folder, TransformerModel<float> model, ITokenizer? tokenizer = null, SafetensorsElement element = SafetensorsElement.F32,
        CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(model);
        FiniteWeights.Check(model.Parameters);
        // their values, not fitted again
        Save(folder, model.GetWeights() with { Config = model.Config with { LayerNorm = LayerNormStorage.Dense } }, tokenizer, element, cancel);
    }

    /// <summary>Writes weights as a Hugging Face GPT-2; no model is made of them.</summary>
    /// <inheritdoc cref="Save(string, TransformerModel{float}, ITokenizer?, SafetensorsElement, CancellationToken)"/>
    /// <param name="folder">The folder.</param>
    /// <param name="weights">The weights.</param>
    /// <param name="tokenizer">A <see cref="Gpt2Tokenizer"/> or <see cref="BytePairTokenizer"/> to write too; null for none.</param>
    /// <param name="element">F32, F16 or BF16.</param>
    /// <param name="cancel">Ends the work.</param>
    /// <exception cref="ShapeMismatchException">A weight does not fit the configuration.</exception>
    public static void Save(
        string folder, TransformerWeights weights, ITokenizer? tokenizer = null, SafetensorsElement element = SafetensorsElement.F32,
        CancellationToken cancel = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        ArgumentNullException.ThrowIfNull(weights);
        TransformerConfig config = weights.Config;
        if (config.Order != BlockOrder.PreNorm)
        {
            throw new InvalidSettingException(
                nameof(config.Order), config.Order, "a GPT-2 has its LayerNorms before the halves of a block: this model cannot be written as one.");
        }

        if (!config.Causal) throw new InvalidSettingException(nameof(config.Causal), config.Causal, "a GPT-2 is causal: this model cannot be written as one.");
        if (3L * config.Width * config.Width > Array.MaxLength)
        {
            throw new InvalidSettingException(nameof(config.Width), config.Width,
                $"c_attn would have more than {Array.MaxLength} values: too large for this version.");
        }

        if (tokenizer is not (null or Gpt2Tokenizer or BytePairTokenizer))
        {
            throw new InvalidSettingException("tokenizer", tokenizer.GetType().Name,
                "vocab.json and merges.txt hold byte pairs; pass null to write the model without its tokenizer.");
        }

        FiniteWeights.Check(weights);
        List<SafetensorsSource> sources = Sources(weights, element);
        JsonObject json = Gpt2ConfigJson.Write(config);
        if (weights.Tokens.With(tokenizer, config.Vocabulary).EndTokens is { Count: > 0 } ends) json[EndTokenFiles.Key] = EndTokenFiles.Write(ends);
        json["torch_dtype"] = element switch { SafetensorsElement.F16 => "float16", SafetensorsElement.BF16 => "bfloat16", _ => "float32" };
        AtomicFolder.Write(folder, MayReplace, target =>
        {
            AtomicFile.WriteText(System.IO.Path.Combine(target, Gpt2ConfigJson.FileName), json.ToJsonString(JsonFile.Indented) + "\n");
            if (tokenizer is not null) Gpt2TokenizerFiles.Save(target, tokenizer);
            SafetensorsWriter.Write(System.IO.Path.Combine(target, SafetensorsSet.SingleName), sources,
                new Dictionary<string, string> { ["format"] = "pt" }, cancel);
        });
    }

    private static bool MayReplace(string folder)
    {
        string[] names = [.. Directory.EnumerateFileSystemEntries(folder).Select(entry => System.IO.Path.GetFileName(entry)!)];
        return names.Length == 0
            || (names.All(name => OwnNames.Contains(name)) && names.Contains(Gpt2ConfigJson.FileName)
            && Gpt2ConfigJson.IsOurs(System.IO.Path.Combine(folder, Gpt2ConfigJson.FileName)));
    }

    /// <summary>All tensors under their Hugging Face names, each decoded when it is written.</summary>
    internal static List<SafetensorsSource> Sources(TransformerWeights weights, SafetensorsElement element)
    {
        TransformerConfig config = weights.Config;
        Gpt2TensorNames names = new(config, Transposed: true);
        Dictionary<string, long[]> shapes = names.All().ToDictionary(t => Gpt2TensorNames.Usual(t.Name), t => t.Shape);
        List<SafetensorsSource> sources = [];
        Add(Gpt2TensorNames.Usual(Gpt2TensorNames.TokenEmbedding), () => Table(weights.TokenEmbedding));
        Add(Gpt2TensorNames.Usual(Gpt2TensorNames.PositionEmbedding), () => weights.PositionEmbedding);
        for (int l = 0; l < config.Layers; l++)
        {
            BlockWeights block = weights.Blocks[l];
            BlockVectors v = block.Vectors;
            Linear(l, "attn.c_attn", [block.Query, block.Key, block.Value], [v.QueryBias, v.KeyBias, v.ValueBias]);
            Linear(l, "attn.c_proj", [block.Output], [v.OutputBias]);
            Linear(l, "mlp.c_fc", [block.UpProjection], [v.UpProjectionBias]);
            Linear(l, "mlp.c_proj", [block.DownProjection], [v.DownProjectionBias]);
            Norm(Gpt2TensorNames.Part(l, "ln_1"), v.Gamma1, v.Beta1, v.Norms);
            Norm(Gpt2TensorNames.Part(l, "ln_2"), v.Gamma2, v.Beta2, v.Norms);
        }

        Norm(Gpt2TensorNames.FinalNorm, weights.FinalGamma, weights.FinalBeta, weights.Norms);
        if (weights.Head is { } head) Add(Gpt2TensorNames.Head, () => Table(head));
        return sources;

        void Add(string name, Func<float[]> make) => sources.Add(SafetensorsSource.From(name, () => FiniteSearch.Require(name, make()), shapes[name], element));

        void Linear(int layer, string part, RbeMatrix[] matrices, float[][] biases)
        {
            string name = Gpt2TensorNames.Usual(Gpt2TensorNames.Part(layer, part));
            Add(name + ".weight", () => TensorReading.Join(matrices));
            Add(name + ".bias", () => [.. biases.SelectMany(bias => bias)]);
        }

        // As a model that keeps the vectors so computes with them.
        void Norm(string part, float[] gamma, float[] beta, LayerNormStorage given)
        {
            foreach ((string kind, float[] values) in ((string, float[])[])[(".weight", gamma), (".bias", beta)])
            {
                Add(Gpt2TensorNames.Usual(part) + kind,
                    () => NormTerms.Values(config.LayerNorm, NormTerms.Of(part + kind, config.LayerNorm, values, given), config.Width));
            }
        }
    }

    private static float[] Table(TableWeights weights) => weights.Dense ?? weights.Compressed!.ToDense();
}
