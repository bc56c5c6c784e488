using System.Text.Json;
using System.Text.Json.Nodes;
using RbeMl.Layers;
using RbeMl.Models;
using RbeMl.Storage;

namespace RbeMl.Files;

/// <summary>
/// What sentence-transformers writes beside a model: <c>modules.json</c> with the steps, <c>1_Pooling/config.json</c>,
/// <c>sentence_bert_config.json</c> with the
/// length, <c>config_sentence_transformers.json</c> with the prompts. Each may be missing. Steps that are not computed here are refused: vectors without
/// them would mean nothing.
/// </summary>
internal static class SentenceTransformerFiles
{
    private const string ModulesName = "modules.json", SentenceName = "sentence_bert_config.json", PromptsName = "config_sentence_transformers.json",
        PoolingFolder = "1_Pooling", NormalizeFolder = "2_Normalize", Wanted = "settings of sentence-transformers", LongTextsKey = "rbeml_long_texts";

    private const int Limit = 1 << 24;

    private static readonly (string Key, Pooling Pooling)[] Poolings =
    [
        ("pooling_mode_cls_token", Pooling.First), ("pooling_mode_mean_tokens", Pooling.Mean), ("pooling_mode_max_tokens", Pooling.Max),
        ("pooling_mode_lasttoken", Pooling.Last),
    ];

    private static readonly string[] OtherPoolings = ["pooling_mode_mean_sqrt_len_tokens", "pooling_mode_weightedmean_tokens"];

    /// <summary>What <see cref="Save"/> writes.</summary>
    public static IReadOnlyList<string> OwnNames { get; } = [ModulesName, SentenceName, PromptsName, PoolingFolder, NormalizeFolder];

    /// <summary>How the encoder of a folder makes a vector of a text; the mean over the tokens, of length 1, where no file says anything.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="config">The model's shapes.</param>
    /// <exception cref="RbeFileException">A file is damaged, or asks for what is not computed here.</exception>
    public static EncoderSettings Read(string folder, TransformerConfig config)
    {
        (string? pooling, bool normalize) = Steps(folder);
        EncoderSettings settings = new()
        {
            Pooling = pooling is null ? Pooling.Mean : ReadPooling(pooling, config),
            Normalize = normalize,
            MaxTokens = Longest(folder, config),
        };
        string prompts = Path.Combine(folder, PromptsName);
        bool named = File.Exists(prompts);
        if (named)
        {
            ConfigFields fields = ConfigFields.Read(prompts, Wanted);
            settings = settings with
            {
                Prompts = fields.Texts("prompts"),
                DefaultPrompt = fields.Has("default_prompt_name") ? fields.Text("default_prompt_name", null) : null,
                LongTexts = fields.Has(LongTextsKey) ? fields.Name<LongTexts>(LongTextsKey) : LongTexts.Cut,
            };
        }

        try
        {
            return settings.Validate(config);
        }
        catch (InvalidSettingException error)
        {
            throw new RbeFileException(named ? prompts : folder, $"does not fit the model: {error.Message} Correct it.", error);
        }
    }

    /// <summary>Writes the files of an encoder.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="settings">How it makes a vector of a text.</param>
    /// <param name="config">The model's shapes.</param>
    /// <exception cref="RbeFileException">A file cannot be written.</exception>
    public static void Save(string folder, EncoderSettings settings, TransformerConfig config)
    {
        JsonArray modules = [Module(0, "", "Transformer"), Module(1, PoolingFolder, "Pooling")];
        if (settings.Normalize) modules.Add(Module(2, NormalizeFolder, "Normalize"));
        AtomicFile.WriteText(Path.Combine(folder, ModulesName), modules.ToJsonString(JsonFile.Indented) + "\n");
        JsonObject pooling = new() { ["word_embedding_dimension"] = config.Width };
        foreach ((string key, Pooling kind) in Poolings) pooling[key] = kind == settings.Pooling;
        foreach (string key in OtherPoolings) pooling[key] = false;
        Directory.CreateDirectory(Path.Combine(folder, PoolingFolder));
        AtomicFile.WriteText(Path.Combine(folder, PoolingFolder, Gpt2ConfigJson.FileName), pooling.ToJsonString(JsonFile.Indented) + "\n");
        JsonObject sentence = new() { ["max_seq_length"] = settings.MaxTokens ?? config.MaxSequenceLength, ["do_lower_case"] = false };
        AtomicFile.WriteText(Path.Combine(folder, SentenceName), sentence.ToJsonString(JsonFile.Indented) + "\n");
        JsonObject prompts = new()
        {
            ["prompts"] = new JsonObject(settings.Prompts.OrderBy(prompt => prompt.Key, StringComparer.Ordinal)
                .Select(prompt => KeyValuePair.Create(prompt.Key, (JsonNode?)prompt.Value))),
            ["default_prompt_name"] = settings.DefaultPrompt,
            ["similarity_fn_name"] = "cosine",
        };
        if (settings.LongTexts != LongTexts.Cut) prompts[LongTextsKey] = settings.LongTexts.ToString();
        AtomicFile.WriteText(Path.Combine(folder, PromptsName), prompts.ToJsonString(JsonFile.Indented) + "\n");
    }

    private static JsonNode Module(int index, string path, string kind) =>
        new JsonObject { ["idx"] = index, ["name"] = $"{index}", ["path"] = path, ["type"] = $"sentence_transformers.models.{kind}" };

    // The file of the pooling, null where none is named, and whether vectors are normalised: where nobody says what the steps are, they are, so that
    // their dot product is what it is taken for.
    private static (string? Pooling, bool Normalize) Steps(string folder)
    {
        string path = Path.Combine(folder, ModulesName), usual = Path.Combine(folder, PoolingFolder, Gpt2ConfigJson.FileName);
        if (!File.Exists(path)) return (File.Exists(usual) ? usual : null, true);
        string? pooling = null;
        bool normalize = false;
        foreach (JsonElement module in JsonFile.Array(path, Wanted, Limit))
        {
            ConfigFields fields = new(path, module);
            string type = fields.Text("type", null), kind = type[(type.LastIndexOf('.') + 1)..];
            switch (kind)
            {
                case "Transformer":
                    break;
                case "Normalize":
                    normalize = true;
                    break;
                case "Pooling":
                    string part = fields.Text("path", PoolingFolder);
                    if (part.Length == 0 || Path.IsPathRooted(part) || part.Split('/', '\\').Contains(".."))
                    {
                        throw new RbeFileException(path, $"has its pooling in \"{part}\", which is no folder within. Correct it.");
                    }

                    pooling = Path.Combine(folder, part, Gpt2ConfigJson.FileName);
                    break;
                default:
                    throw new RbeFileException(path, $"has a step of the type \"{type}\"; Transformer, Pooling and Normalize are computed. "
                        + "Use a model of these steps.");
            }
        }

        return (pooling, normalize);
    }

    private static Pooling ReadPooling(string path, TransformerConfig config)
    {
        ConfigFields fields = ConfigFields.Read(path, Wanted);
        int width = fields.Whole("word_embedding_dimension", 1, int.MaxValue, config.Width);
        if (width != config.Width)
        {
            throw new RbeFileException(path, $"pools vectors of {width} numbers, the model has {config.Width}. Take both from one model.");
        }

        foreach (string other in OtherPoolings) fields.Refuse(other, true);
        fields.Refuse("include_prompt", false);
        Pooling[] chosen = [.. Poolings.Where(mode => fields.Flag(mode.Key, false)).Select(mode => mode.Pooling)];
        return chosen.Length == 1 ? chosen[0] : throw new RbeFileException(path,
            $"asks for {Amount.Of(chosen.Length, "way")} of pooling ({string.Join(", ", chosen)}); one is computed. Use a model with one.");
    }

    // As sentence-transformers has it: its own file, else the smaller of the positions and what the tokenizer says.
    private static int? Longest(string folder, TransformerConfig config)
    {
        string path = Path.Combine(folder, SentenceName);
        int? tokens = File.Exists(path) && ConfigFields.Read(path, Wanted) is var fields && fields.Has("max_seq_length")
            ? fields.Whole("max_seq_length", 3, int.MaxValue) : BertTokenizerFiles.LongestText(folder);
        return tokens is { } most && most >= 3 && most < config.MaxSequenceLength ? most : null;
    }
}
