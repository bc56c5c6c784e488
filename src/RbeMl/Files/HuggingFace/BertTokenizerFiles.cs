using System.Text.Json;
using System.Text.Json.Nodes;
using RbeMl.Storage;
using RbeMl.Text;

namespace RbeMl.Files;

/// <summary>
/// Tokenizer files of BERT models: <c>tokenizer.json</c>, or <c>vocab.txt</c>; how texts are taken apart is said by <c>tokenizer_config.json</c>, where it is
/// there, else by <c>tokenizer.json</c>.
/// </summary>
internal static class BertTokenizerFiles
{
    /// <summary>Name of the vocabulary.</summary>
    public const string VocabularyName = "vocab.txt";

    private const string ConfigName = "tokenizer_config.json", MapName = "special_tokens_map.json", SentenceName = "sentence_bert_config.json";
    private const int Limit = 1 << 26, MostPadding = 1023;

    /// <summary>What <see cref="Save"/> writes.</summary>
    public static IReadOnlyList<string> OwnNames { get; } = [VocabularyName, ConfigName];

    /// <summary>Reads a vocabulary alone.</summary>
    /// <param name="path">A <c>vocab.txt</c>.</param>
    /// <param name="rules">How texts are taken apart; null takes those of uncased BERT models.</param>
    /// <exception cref="RbeFileException">The file is unreadable, or no vocabulary.</exception>
    public static WordPieceTokenizer LoadVocabulary(string path, WordPieceRules? rules = null)
    {
        byte[] bytes = FileReading.Bytes(path, "a vocabulary of word pieces", Limit);
        return Named(path, () => WordPieceTokenizer.FromVocabulary(bytes, rules));
    }

    /// <summary>The tokenizer of a folder; null when it has none.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="vocabulary">Ids of the model. It may have some more than tokens: vocabularies are padded to whole tiles of processors.</param>
    /// <exception cref="RbeFileException">The tokenizer is damaged, of a kind that is not read here, or lacks more tokens than padding is.</exception>
    public static WordPieceTokenizer? LoadFolder(string folder, int vocabulary)
    {
        WordPieceTokenizer? tokenizer = LoadFolder(folder);
        if (tokenizer is null || vocabulary - tokenizer.Vocabulary <= MostPadding) return tokenizer;
        string file = Path.Combine(folder, File.Exists(Path.Combine(folder, Gpt2TokenizerFiles.JsonName)) ? Gpt2TokenizerFiles.JsonName : VocabularyName);
        throw new RbeFileException(file, $"has {tokenizer.Vocabulary} tokens, the model {vocabulary}: it is cut, or of another model. Download it again.");
    }

    private static WordPieceTokenizer? LoadFolder(string folder)
    {
        string json = Path.Combine(folder, Gpt2TokenizerFiles.JsonName), vocabulary = Path.Combine(folder, VocabularyName);
        if (File.Exists(json))
        {
            JsonElement root = JsonFile.Object(json, "a tokenizer", Limit);
            (IReadOnlyList<string> tokens, WordPieceRules rules) = Named(json, () => WordPieceFastJson.Parse(root));
            return Named(json, () => new WordPieceTokenizer(tokens, Rules(folder, rules)));
        }

        return File.Exists(vocabulary) ? LoadVocabulary(vocabulary, Rules(folder, new WordPieceRules())) : null;
    }

    /// <summary>Why a folder cannot hold a tokenizer; empty where only its kind is wrong, null where it can.</summary>
    public static string? KeepsTokenizer(ITokenizer tokenizer)
    {
        if (tokenizer is not WordPieceTokenizer pieces) return "";
        WordPieceRules usual = new();
        bool fits = pieces.Rules.Prefix == usual.Prefix && pieces.Rules.MaxWordLength == usual.MaxWordLength
            && pieces.Tokens.All(token => token.AsSpan().IndexOfAny('\r', '\n') < 0);
        return fits ? null : $"{VocabularyName} has no place for another prefix or longest word than BERT's, or for line ends in tokens";
    }

    /// <summary>Tokens of a text at most, as the tokenizer's configuration says; null where it says nothing, or a number that stands for none.</summary>
    public static int? LongestText(string folder)
    {
        string path = Path.Combine(folder, ConfigName);
        if (!File.Exists(path)) return null;
        JsonElement json = JsonFile.Object(path, "settings of a tokenizer", Limit);
        return json.TryGetProperty("model_max_length", out JsonElement most) && most.ValueKind == JsonValueKind.Number && most.TryGetInt32(out int tokens)
            && tokens > 0 ? tokens : null;
    }

    /// <summary>Writes a tokenizer's files to a folder.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="tokenizer">The tokenizer.</param>
    /// <param name="longest">Tokens of a text at most.</param>
    /// <exception cref="RbeFileException">A file cannot be written.</exception>
    public static void Save(string folder, WordPieceTokenizer tokenizer, int longest)
    {
        WordPieceRules rules = tokenizer.Rules;
        AtomicFile.WriteText(Path.Combine(folder, VocabularyName), string.Concat(tokenizer.Tokens.Select(token => token + "\n")));
        JsonObject json = new()
        {
            ["tokenizer_class"] = "BertTokenizer",
            ["do_lower_case"] = rules.LowerCase,
            ["strip_accents"] = rules.StripAccents,
            ["tokenize_chinese_chars"] = rules.SplitIdeographs,
            ["cls_token"] = rules.Classify,
            ["sep_token"] = rules.Separator,
            ["unk_token"] = rules.Unknown,
            ["pad_token"] = rules.Pad,
            ["mask_token"] = rules.Mask,
            ["model_max_length"] = longest,
        };
        AtomicFile.WriteText(Path.Combine(folder, ConfigName), json.ToJsonString(JsonFile.Indented) + "\n");
    }

    // The configuration changes what the tokenizer's own file says, as its library has it; the names of special tokens may be in a file of their own.
    private static WordPieceRules Rules(string folder, WordPieceRules rules)
    {
        foreach (string name in new[] { MapName, ConfigName })
        {
            string path = Path.Combine(folder, name);
            if (!File.Exists(path)) continue;
            ConfigFields fields = ConfigFields.Read(path, "settings of a tokenizer");
            rules = rules with
            {
                Classify = Token(fields, "cls_token") ?? rules.Classify,
                Separator = Token(fields, "sep_token") ?? rules.Separator,
                Unknown = Token(fields, "unk_token") ?? rules.Unknown,
                Pad = Token(fields, "pad_token") ?? rules.Pad,
                Mask = Token(fields, "mask_token") ?? rules.Mask,
            };
            if (name == MapName) continue;
            fields.Refuse("do_basic_tokenize", false);
            rules = rules with
            {
                LowerCase = fields.Flag("do_lower_case", rules.LowerCase),
                StripAccents = fields.Has("strip_accents") ? fields.Flag("strip_accents", false) : rules.StripAccents,
                SplitIdeographs = fields.Flag("tokenize_chinese_chars", rules.SplitIdeographs),
            };
        }

        string sentence = Path.Combine(folder, SentenceName);
        if (!File.Exists(sentence)) return rules;
        bool lower = ConfigFields.Read(sentence, "settings of sentence-transformers").Flag("do_lower_case", false);
        return lower ? rules with { LowerCase = true, StripAccents = rules.Strips } : rules;
    }

    // A name, or an object with one.
    private static string? Token(ConfigFields fields, string key)
    {
        if (!fields.Has(key)) return null;
        JsonElement value = fields.Json.GetProperty(key);
        return value.ValueKind == JsonValueKind.Object ? new ConfigFields(fields.Path, value).Text("content", null) : fields.Text(key, null);
    }

    private static T Named<T>(string path, Func<T> make)
    {
        try
        {
            return make();
        }
        catch (TokenException error)
        {
            throw new RbeFileException(path, error.Message, error);
        }
    }
}
