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

    /// <summary>Key by which a folder written here is known again.</summary>
    public const string WriterKey = "rbeml_export";

    private const double UsualDropout = 0.1;
    private const int Limit = 1 << 24, LargestWidth = 1 << 16, LargestVocabulary = 1 << 24, LargestLength = 1 << 24, MostLayers = 1 << 12;

    /// <summary>Reads and checks a configuration.</summary>
    public static TransformerConfig Read(string path)
    {
        ConfigFields fields = new(path, JsonFile.Object(path, "the configuration of a Hugging Face GPT-2", Limit));
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
            Gelu = ReadGelu(path, fields.Text("activation_function", "gelu_new")),
            TiedHead = fields.Flag("tie_word_embeddings", true),
            Dropout = residual,
            AttentionDropout = attention == residual ? null : attention,
            EmbeddingDropout = embedding == residual ? null : embedding,
            ScaleAttention = fields.Flag("scale_attn_weights", true),
            ScaleAttentionByLayer = fields.Flag("scale_attn_by_inverse_layer_idx", false),
        };
        try
        {
            return config.Validate();
        }
        catch (InvalidSettingException error)
        {
            throw new RbeFileException(path, $"its configuration is wrong: {error.Message} Correct it, or download the model again.", error);
        }
    }

    /// <summary>Refuses the configuration of another kind of model by its name.</summary>
    /// <returns>Whether it says that it is of a GPT-2; else it says nothing, and the tensors must.</returns>
    public static bool RequireGpt2(string path)
    {
        ConfigFields fields = new(path, JsonFile.Object(path, "the configuration of a Hugging Face GPT-2", Limit));
        if (fields.Has("model_type"))
        {
            string type = fields.Text("model_type", null);
            return type == "gpt2" ? true : throw new RbeFileException(path, $"is of a model of type \"{type}\"; \"gpt2\" can be read. Give a GPT-2 directory.");
        }

        if (!fields.Has("architectures") || fields.Json.GetProperty("architectures") is not { ValueKind: JsonValueKind.Array } list
            || list.GetArrayLength() == 0) return false;
        string[] names = [.. list.EnumerateArray().Select(name => name.ValueKind == JsonValueKind.String ? name.GetString()! : "")];
        return names.Any(name => name.StartsWith("GPT2", StringComparison.Ordinal))
            ? true
            : throw new RbeFileException(path, $"is of a model with the architecture \"{names[0]}\"; that of a GPT-2 can be read. Give a GPT-2 directory.");
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
        ["model_type"] = "gpt2",
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

    private static GeluKind ReadGelu(string path, string name) => name switch
    {
        "gelu_new" or "gelu_pytorch_tanh" or "gelu_fast" => GeluKind.Tanh, // one formula, written in three ways
        "gelu" or "gelu_python" => GeluKind.Erf,
        _ => throw new RbeFileException(path,
            $"has the activation_function \"{name}\"; gelu_new, gelu_fast, gelu_pytorch_tanh and gelu can be computed. Use a model with one of them."),
    };

    /// <summary>Keys with defaults; what is there but wrong is an error that names file, key and value.</summary>
    private readonly record struct ConfigFields(string Path, JsonElement Json)
    {
        public bool Has(string key) => Json.TryGetProperty(key, out JsonElement value) && value.ValueKind != JsonValueKind.Null;

        public int Whole(string key, int least, int most, int? missing = null)
        {
            if (!Has(key) && missing is { } value) return value;
            return Json.TryGetProperty(key, out JsonElement number) && number.ValueKind == JsonValueKind.Number
                && number.TryGetInt32(out int whole) && whole >= least && whole <= most
                ? whole
                : throw Wrong(key, $"a whole number from {least} to {most}");
        }

        public double Real(string key, double missing)
        {
            if (!Has(key)) return missing;
            JsonElement number = Json.GetProperty(key);
            return number.ValueKind == JsonValueKind.Number && number.TryGetDouble(out double real) && double.IsFinite(real) ? real
                : throw Wrong(key, "a number");
        }

        public bool Flag(string key, bool missing)
        {
            if (!Has(key)) return missing;
            JsonElement flag = Json.GetProperty(key);
            return flag.ValueKind is JsonValueKind.True or JsonValueKind.False ? flag.GetBoolean() : throw Wrong(key, "true or false");
        }

        public string Text(string key, string? missing)
        {
            if (!Has(key) && missing is not null) return missing;
            return Json.TryGetProperty(key, out JsonElement text) && text.ValueKind == JsonValueKind.String ? text.GetString()! : throw Wrong(key, "a text");
        }

        public void Refuse(string key, bool refused)
        {
            if (Flag(key, !refused) == refused)
            {
                throw new RbeFileException(Path, $"has {key} = {(refused ? "true" : "false")}, which is not computed here. Use a model without it.");
            }
        }

        public void RefuseContent(string key)
        {
            if (Has(key) && Json.GetProperty(key).GetRawText().AsSpan().IndexOfAnyExcept("[]{} \t\r\n") >= 0)
            {
                throw new RbeFileException(Path, $"has {key}, which is not read here. Use a model without it.");
            }
        }

        private RbeFileException Wrong(string key, string expected) =>
            new(Path, Has(key) ? $"its {key} is {Shorten(Json.GetProperty(key).GetRawText())}, expected {expected}. Correct it."
                : $"has no {key}, {expected}. Add it.");

        private static string Shorten(string text) => text.Length <= 40 ? text : text[..40] + "...";
    }
}
