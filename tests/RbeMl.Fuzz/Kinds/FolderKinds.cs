using RbeMl.Files;
using RbeMl.Fuzz.Mutation;
using RbeMl.Models;
using RbeMl.Text;

namespace RbeMl.Fuzz.Kinds;

/// <summary>A Hugging Face folder: configuration, weights and tokenizer.</summary>
internal sealed class ModelFolderKind : FuzzKind
{
    private readonly Lazy<(string Name, byte[] Bytes)[]> _sample = new(Sample);

    public override string Name => "model-folder";

    public override IReadOnlyList<(string Name, byte[] Bytes)> Make(Dice dice)
    {
        (string Name, byte[] Bytes)[] files = [.. _sample.Value];
        int index = dice.Below(files.Length);
        byte[] bytes = files[index].Bytes;
        files[index].Bytes = Path.GetExtension(files[index].Name) switch
        {
            ".json" => dice.Once(10) ? ByteMutator.Mutate(bytes, dice) : JsonMutator.Mutate(bytes, dice),
            ".txt" => TextMutator.Mutate(bytes, dice),
            _ => SafetensorsParts.Mutate(bytes, dice, bytes),
        };
        if (dice.Once(3)) return [.. files.Where(file => file.Name != Gpt2TokenizerFiles.JsonName)];
        return dice.Once(8) ? [.. files.Where((_, i) => i != index)] : files;
    }

    public override object Load(CaseFiles files, Dice dice) => ModelSource.Load(files.Written());

    public override void Use(object loaded, Dice dice)
    {
        ModelBundle bundle = (ModelBundle)loaded;
        Samples.Use(bundle.Model, bundle.Tokenizer, dice);
    }

    private static (string Name, byte[] Bytes)[] Sample()
    {
        string folder = Path.Combine(Directory.CreateTempSubdirectory("rbeml-sample-").FullName, "model");
        try
        {
            using TransformerModel<float> model = Samples.Model(0, 270);
            Gpt2Directory.Save(folder, model, Samples.Tokenizers[3]);
            (string, byte[]) generation =
                ("generation_config.json",
                    Samples.Utf8("{\"_from_model_config\": true, \"bos_token_id\": 256, \"eos_token_id\": [256, 3], \"transformers_version\": \"4.40.0\"}"));
            return [.. Directory.EnumerateFiles(folder).Order(StringComparer.Ordinal)
                .Select(file => (Path.GetFileName(file), File.ReadAllBytes(file))), generation];
        }
        finally
        {
            Directory.Delete(Path.GetDirectoryName(folder)!, recursive: true);
        }
    }
}

/// <summary>Tokenizer files of a folder: tokenizer.json, or vocab.json and merges.txt with what others say of added tokens.</summary>
internal sealed class TokenizerFilesKind : FuzzKind
{
    private readonly Lazy<(string Name, byte[] Bytes)[]> _sample = new(() =>
    {
        (string vocabulary, string merges) = Gpt2Vocabulary.Format(Samples.Tokenizers[3]);
        return
        [
            (Gpt2TokenizerFiles.JsonName, Samples.Utf8(Gpt2Vocabulary.FormatJson(Samples.Tokenizers[3]))),
            (Gpt2TokenizerFiles.VocabularyName, Samples.Utf8(vocabulary)), (Gpt2TokenizerFiles.MergesName, Samples.Utf8(merges)),
            ("added_tokens.json", Samples.Utf8("{\"<pad>\": 300}")),
                ("special_tokens_map.json", Samples.Utf8("{\"eos_token\": \"<|endoftext|>\", \"pad_token\": {\"content\": \"<pad>\", \"lstrip\": false}}")),
            ("tokenizer_config.json",
                Samples.Utf8("{\"tokenizer_class\": \"GPT2Tokenizer\", \"add_prefix_space\": false, \"added_tokens_decoder\": {\"300\": "
                    + "{\"content\": \"<pad>\", \"special\": true, \"rstrip\": false}}}")),
        ];
    });

    public override string Name => "tokenizer-files";

    public override IReadOnlyList<(string Name, byte[] Bytes)> Make(Dice dice)
    {
        (string Name, byte[] Bytes)[] files = dice.Once(2) ? _sample.Value[..1] : _sample.Value[1..];
        int index = dice.Below(files.Length);
        byte[] bytes = files[index].Bytes;
        files[index].Bytes = files[index].Name.EndsWith(".txt", StringComparison.Ordinal) ? TextMutator.Mutate(bytes, dice) : dice.Once(10)
            ? ByteMutator.Mutate(bytes, dice) : JsonMutator.Mutate(bytes, dice);
        return files;
    }

    public override object? Load(CaseFiles files, Dice dice) => Gpt2TokenizerFiles.LoadFolder(files.Written());

    public override void Use(object loaded, Dice dice) => Samples.Use((ITokenizer)loaded);
}

/// <summary>A vocabulary of tiktoken.</summary>
internal sealed class TiktokenKind()
    : SingleFileKind(() =>
        [Samples.Utf8(string.Join('\n',
            Enumerable.Range(0, Samples.Tokenizers[2].Vocabulary).Select(id => $"{Convert.ToBase64String(Samples.Tokenizers[2].Bytes(id))} {id}")))])
{
    public override string Name => "tiktoken";

    public override object Load(CaseFiles files, Dice dice) => MLNet.Tokens.RbeTokenizers.FromTiktoken(files.WrittenFile());

    public override void Use(object loaded, Dice dice) => Samples.Use((ITokenizer)loaded);

    protected override byte[] Mutate(byte[] sample, Dice dice, byte[] other) => TextMutator.Mutate(sample, dice);
}

/// <summary>A tokenizer as it travels in a model file.</summary>
internal sealed class TokenizerJsonKind()
    : SingleFileKind(() => [.. Samples.Tokenizers.Select(tokenizer => Samples.Utf8(TokenizerJson.Save(tokenizer).ToJsonString()))])
{
    public override string Name => "tokenizer-json";

    public override bool IsPromised(Exception error) => error is RbeException or System.Text.Json.JsonException;

    public override object Load(CaseFiles files, Dice dice)
    {
        using System.Text.Json.JsonDocument json = System.Text.Json.JsonDocument.Parse(files.Bytes);
        return TokenizerJson.Load(json.RootElement);
    }

    public override void Use(object loaded, Dice dice) => Samples.Use((ITokenizer)loaded);

    protected override byte[] Mutate(byte[] sample, Dice dice, byte[] other) => JsonMutator.Mutate(sample, dice);
}
