using System.Text.Json.Nodes;
using RbeMl.Kernels;
using RbeMl.Layers;

namespace RbeMl.Files;

/// <summary>
/// The <c>config.json</c> of a Hugging Face BERT. What changes the result and is not computed here is refused. Defaults are those of Hugging Face's BertConfig.
/// </summary>
internal static class BertConfigJson
{
    /// <summary>The <c>model_type</c>.</summary>
    public const string ModelType = "bert";

    /// <summary>Token types at most.</summary>
    public const int MostTypes = 1 << 10;

    private const double UsualDropout = 0.1;
    private const int LargestWidth = 1 << 16, LargestVocabulary = 1 << 24, LargestLength = 1 << 24, MostLayers = 1 << 12;

    /// <summary>Reads and checks a configuration.</summary>
    /// <returns>Shapes, and the number of token types.</returns>
    public static (TransformerConfig Config, int Types) Read(string path)
    {
        ConfigFields fields = ConfigFields.Read(path, "the configuration of a Hugging Face BERT");
        fields.Refuse("is_decoder", true);
        fields.Refuse("add_cross_attention", true);
        fields.RefuseContent("pruned_heads");
        fields.RefuseContent("quantization_config");
        string positions = fields.Text("position_embedding_type", "absolute");
        if (positions != "absolute")
        {
            throw new RbeFileException(path, $"has the position_embedding_type \"{positions}\"; \"absolute\" can be computed. Use a model with it.");
        }

        float dropout = (float)fields.Real("hidden_dropout_prob", UsualDropout), attention = (float)fields.Real("attention_probs_dropout_prob", UsualDropout);
        TransformerConfig config = new()
        {
            Width = fields.Whole("hidden_size", 1, LargestWidth),
            FeedForwardWidth = fields.Whole("intermediate_size", 1, 4 * LargestWidth),
            Heads = fields.Whole("num_attention_heads", 1, LargestWidth),
            Layers = fields.Whole("num_hidden_layers", 1, MostLayers),
            Vocabulary = fields.Whole("vocab_size", 1, LargestVocabulary),
            MaxSequenceLength = fields.Whole("max_position_embeddings", 1, LargestLength),
            LayerNormEpsilon = fields.Real("layer_norm_eps", 1e-12),
            Gelu = Gpt2ConfigJson.ReadGelu(path, "hidden_act", fields.Text("hidden_act", "gelu")),
            Order = BlockOrder.PostNorm,
            Causal = false,
            Dropout = dropout,
            AttentionDropout = attention == dropout ? null : attention,
        };
        return (fields.Checked(config), fields.Whole("type_vocab_size", 1, MostTypes, 2));
    }

    /// <summary>The configuration of a model.</summary>
    public static JsonObject Write(TransformerConfig config, int types, int? pad) => new()
    {
        ["architectures"] = new JsonArray("BertModel"),
        ["model_type"] = ModelType,
        ["hidden_act"] = config.Gelu == GeluKind.Tanh ? "gelu_new" : "gelu",
        ["vocab_size"] = config.Vocabulary,
        ["max_position_embeddings"] = config.MaxSequenceLength,
        ["type_vocab_size"] = types,
        ["hidden_size"] = config.Width,
        ["num_hidden_layers"] = config.Layers,
        ["num_attention_heads"] = config.Heads,
        ["intermediate_size"] = config.HiddenWidth,
        ["layer_norm_eps"] = config.LayerNormEpsilon,
        ["hidden_dropout_prob"] = config.Dropout,
        ["attention_probs_dropout_prob"] = config.AttentionDropout ?? config.Dropout,
        ["position_embedding_type"] = "absolute",
        ["pad_token_id"] = pad ?? 0,
        ["torch_dtype"] = "float32",
        [Gpt2ConfigJson.WriterKey] = true,
    };
}
