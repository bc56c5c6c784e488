using System.Text.Json.Nodes;
using RbeMl.Files;
using RbeMl.Models;
using RbeMl.Tests.Models;
using RbeMl.Text;

namespace RbeMl.Tests.Files;

public sealed class EndTokenFileTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("5", null, new[] { 5 })]
    [InlineData("[5, 7, 5]", null, new[] { 5, 7 })]
    [InlineData("5", "8", new[] { 8 })] // the settings of generation come first
    [InlineData("5", "[8, 9]", new[] { 8, 9 })]
    [InlineData("5", "null", new[] { 5 })]
    [InlineData("5", "", new[] { 5 })]
    [InlineData("null", null, null)]
    [InlineData("-1", null, null)]
    [InlineData("50256", null, null)] // of 30 ids
    [InlineData("[50256, 4]", null, new[] { 4 })]
    [InlineData("\"end\"", null, null, "config.json: its eos_token_id is \"end\"")]
    [InlineData("[1.5]", null, null, "config.json: its eos_token_id is 1.5")]
    [InlineData("{}", null, null, "config.json: its eos_token_id is {}")]
    [InlineData("5", "[[1]]", null, "generation_config.json: its eos_token_id is [1]")]
    public void A_folder_says_which_ids_end_a_text(string config, string? generation, int[]? expected, string? error = null)
    {
        HuggingFaceModel model = new(8, 16);
        model.Config["eos_token_id"] = JsonNode.Parse(config);
        string folder = model.Write(_folder.File("model"));
        if (generation is not null)
        {
            File.WriteAllText(Path.Combine(folder, "generation_config.json"), generation.Length == 0 ? "{}" : $"{{\"eos_token_id\": {generation}}}");
        }

        if (error is not null)
        {
            Assert.Contains(error, Assert.Throws<RbeFileException>(() => Gpt2Directory.Open(folder)).Message);
            return;
        }

        using Gpt2Directory directory = Gpt2Directory.Open(folder);
        Assert.Equal(expected, directory.Tokens.EndTokens);
        using ModelBundle bundle = directory.LoadDense();
        Assert.Equal(expected, bundle.Model.Tokens.EndTokens);
    }

    [Theory]
    [InlineData("tokenizer_config.json", "{\"eos_token\": \"<|im_end|>\"}", 257)]
    [InlineData("tokenizer_config.json", "{\"eos_token\": {\"content\": \"<|im_end|>\"}}", 257)]
    [InlineData("special_tokens_map.json", "{\"eos_token\": \"<|im_end|>\"}", 257)]
    [InlineData("tokenizer_config.json", "{\"eos_token\": \"<|none|>\"}", 256)]
    [InlineData("tokenizer_config.json", "broken", 256)]
    [InlineData("notes.json", "{}", 256)]
    public void Else_the_tokenizer_names_it(string file, string json, int expected)
    {
        string folder = Folder(ScriptedModel.Bytes(Gpt2Tokenizer.EndOfText, "<|im_end|>"), 320);
        File.WriteAllText(Path.Combine(folder, file), json);
        using ModelBundle bundle = ModelSource.Load(folder);
        Assert.Equal([expected], bundle.Model.Tokens.EndTokens);
        Assert.Equal(Enumerable.Range(258, 62), bundle.Model.Tokens.Unused);
    }

    [Theory]
    [InlineData("<|endoftext|>", 256)]
    [InlineData("</s>", 256)]
    [InlineData("<eos>", 256)]
    [InlineData("<pad>", null)]
    public void Else_its_own_special_token_is_known_by_name(string name, int? expected) => Assert.Equal(expected, ScriptedModel.Bytes(name).EndToken);

    [Fact]
    public void End_tokens_go_with_the_model_through_every_file_and_copy()
    {
        int[] ends = [7, 300];
        using TransformerModel<float> model = new(ScriptedModel.Create(320).GetWeights() with { Tokens = new ModelTokens { EndTokens = ends } });
        using (TransformerModel<float> copy = model.ToInference()) Assert.Equal(ends, copy.Tokens.EndTokens);
        using (TransformerModel<float> copy =
            new(model.GetWeights()
                .Recompress(new RbeMl.Codec.RbeOptions { Tile = 32, Format = RbeMl.Codec.RbeFormat.Quantized(8) }))) Assert.Equal(ends, copy.Tokens.EndTokens);
        foreach (ITokenizer? tokenizer in new ITokenizer?[] { null, ScriptedModel.Bytes(Gpt2Tokenizer.EndOfText) })
        {
            string file = ScriptedModel.Save(_folder.File("model.rbe"), model, tokenizer), folder = _folder.File("dense"), single = _folder.File("again.rbe");
            Check(file);
            DenseExport.Write(file, folder);
            Check(folder);
            Assert.Equal(ends, ((JsonArray)JsonNode.Parse(File.ReadAllText(Path.Combine(folder, "config.json")))!["eos_token_id"]!).Select(n => (int)n!));
            Assert.Equal(0, Cli.CommandRun.Of("compress", folder, "-o", single).Code);
            Check(single);
        }

        void Check(string path)
        {
            using ModelBundle bundle = ModelSource.Load(path);
            Assert.Equal(ends, bundle.Model.Tokens.EndTokens);
        }
    }

    [Fact]
    public void The_key_is_written_only_where_it_says_something()
    {
        Gpt2Tokenizer tokenizer = ScriptedModel.Bytes(Gpt2Tokenizer.EndOfText);
        Assert.Null(Saved(null, tokenizer)); // not said: the tokenizer does, when the file is read
        Assert.Null(Saved([256], tokenizer));
        Assert.Equal("[]", Saved([], tokenizer));
        Assert.Equal("[3]", Saved([3], tokenizer));
        Assert.Null(Saved([], null));
        Assert.Equal("[3]", Saved([3], null));

        string? Saved(int[]? ends, ITokenizer? tokenizer)
        {
            using TransformerModel<float> model = new(ScriptedModel.Create(257).GetWeights() with { Tokens = new ModelTokens { EndTokens = ends } });
            string file = ScriptedModel.Save(_folder.File("key.rbe"), model, tokenizer);
            using (ModelBundle bundle = ModelFile.Load(file)) Assert.Equal(ends ?? [256], bundle.Model.Tokens.EndTokens ?? []);
            using RbeContainer container = RbeContainer.Open(file);
            return container.Metadata.TryGetProperty("endTokens", out System.Text.Json.JsonElement value) ? value.GetRawText() : null;
        }
    }

    [Theory]
    [InlineData("5")]
    [InlineData("[\"5\"]")]
    [InlineData("[257]")]
    [InlineData("[-1]")]
    public void Damaged_end_tokens_are_refused(string value)
    {
        using TransformerModel<float> model = ScriptedModel.Create(257);
        (JsonObject metadata, List<RbeTensor> tensors) = ModelFile.Content(model, null, null);
        metadata["endTokens"] = JsonNode.Parse(value);
        string file = _folder.File("bad.rbe");
        RbeContainerWriter.Write(file, metadata, tensors);
        Assert.Contains("endTokens", Assert.Throws<RbeFileException>(() => ModelFile.Load(file)).Message);
    }

    private string Folder(Gpt2Tokenizer tokenizer, int vocabulary)
    {
        using TransformerModel<float> model = ScriptedModel.Create(vocabulary);
        string folder = _folder.File("folder");
        Gpt2Directory.Save(folder, model, tokenizer);
        JsonObject config = JsonNode.Parse(File.ReadAllText(Path.Combine(folder, "config.json")))!.AsObject();
        config.Remove("eos_token_id");
        File.WriteAllText(Path.Combine(folder, "config.json"), config.ToJsonString());
        return folder;
    }
}
