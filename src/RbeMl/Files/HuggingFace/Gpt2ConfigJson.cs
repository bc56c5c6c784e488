using System.Text.Json;
using System.Text.Json.Nodes;
using RbeMl.Kernels;
using RbeMl.Layers;

namespace RbeMl.Files;

/// <summary>
/// The <c>config.json</c> of a Hugging Face GPT-2. What changes the result and is not computed here is refused; keys that matter to training or to the
/// library that wrote it are ignored (<c>reorder_and_upcast_attn</c>, too: it changes rounding only). Defaults are those of Hugging Face's GPT2Config.
/// </summary>
internal static class Gpt2ConfigJson
{
    public const string FileName = "config.json";

    /// <summary>The <c>model_type</c>.</summary>
    public const string ModelType = "gpt2";

    /// <summary>Key by which a folder written here is known again.</summary>
    public const string WriterKey = "rbeml_export";

    private const double UsualDropout = 0.1;
    private const int Limit = 1 << 24, LargestWidth = 1 << 16, LargestVocabulary = 1 << 24, LargestLength = 1 << 24, MostLayers = 1 << 12;

    /// <summary>Reads and checks a configuration.</summary>
    public static TransformerConfig Read(string path)
    {
        ConfigFields fields = ConfigFields.Read(path, "the configuration of a Hugging Face GPT-2");
        fields.Refuse("add_cross_attention", true);
        fields.RefuseContent("pruned_heads");
        fields.RefuseContent("quantization_config");
        float residual = (float)fields.Real("resid_pdrop", UsualDropout), attention = (float)fields.Real("attn_pdrop", UsualDropout),
            embedding = (float)fields.Real("embd_pdrop", UsualDropout);
        TransformerConfig config = new()
        {
            Width = fields.Whole("n_embd", 1, LargestWidth),
            FeedForwardWidth = fields.Whole("n_inner", 1, 4 * LargestWidth, 0),
            Heads = fields.Whole("n_head", 1, LargestWidth),
            Layers = fields.Whole("n_layer", 1, MostLayers),
            Vocabulary = fields.Whole("vocab_size", 1, LargestVocabulary),
            MaxSequenceLength = fields.Has("n_positions") ? fields.Whole("n_positions", 1, LargestLength) : fields.Whole("n_ctx", 1, LargestLength),
            LayerNormEpsilon = fields.Real("layer_norm_epsilon", 1e-5),
            Gelu = ReadGelu(path, "activation_function", fields.Text("activation_function", "gelu_new")),
            TiedHead = fields.Flag("tie_word_embeddings", true),
            Dropout = residual,
            AttentionDropout = attention == residual ? null : attention,
            EmbeddingDropout = embedding == residual ? null : embedding,
            ScaleAttention = fields.Flag("scale_attn_weights", true),
            ScaleAttentionByLayer = fields.Flag("scale_attn_by_inverse_layer_idx", false),
        };
        return fields.Checked(config);
    }

    /// <summary>Whether a configuration was written by <see cref="Write"/>.</summary>
    public static bool IsOurs(string path)
    {
        try
        {
            return JsonFile.Object(path, "a configuration", Limit).TryGetProperty(WriterKey, out JsonElement mark) && mark.ValueKind == JsonValueKind.True;
        }
        catch (RbeFileException)
        {
            return false;
        }
    }

    /// <summary>The configuration of a model.</summary>
    public static JsonObject Write(TransformerConfig config) => new()
    {
        ["architectures"] = new JsonArray("GPT2LMHeadModel"),
        ["model_type"] = ModelType,
        ["activation_function"] = config.Gelu == GeluKind.Tanh ? "gelu_new" : "gelu",
        ["vocab_size"] = config.Vocabulary,
        ["n_positions"] = config.MaxSequenceLength,
        ["n_ctx"] = config.MaxSequenceLength,
        ["n_embd"] = config.Width,
        ["n_layer"] = config.Layers,
        ["n_head"] = config.Heads,
        ["n_inner"] = config.FeedForwardWidth == 0 ? null : config.FeedForwardWidth,
        ["layer_norm_epsilon"] = config.LayerNormEpsilon,
        ["tie_word_embeddings"] = config.TiedHead,
        ["attn_pdrop"] = config.AttentionDropout ?? config.Dropout,
        ["embd_pdrop"] = config.EmbeddingDropout ?? config.Dropout,
        ["resid_pdrop"] = config.Dropout,
        ["scale_attn_weights"] = config.ScaleAttention,
        ["scale_attn_by_inverse_layer_idx"] = config.ScaleAttentionByLayer,
        ["torch_dtype"] = "float32",
        [WriterKey] = true,
    };

    /// <summary>The activation of a name.</summary>
    internal static GeluKind ReadGelu(string path, string key, string name) => name switch
    {
        "gelu_new" or "gelu_pytorch_tanh" or "gelu_fast" => GeluKind.Tanh, // one formula, written in three ways
        "gelu" or "gelu_python" => GeluKind.Erf,
        _ => throw new RbeFileException(path,
            $"has the {key} \"{name}\"; gelu_new, gelu_fast, gelu_pytorch_tanh and gelu can be computed. Use a model with one of them."),
    };
}
