using System.Text.Json;
using System.Text.Json.Nodes;
using RbeMl.Files;
using RbeMl.Models;
using RbeMl.Tests.Files;
using RbeMl.Text;

namespace RbeMl.Tests.Cli;

/// <summary>Weights that come with no tokenizer, with one that cannot be read, or with one of more ids than the model.</summary>
public sealed class TokenizerlessTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    // A model folder whose tokenizer is in some state; the second part is what the messages must hold, null for a tokenizer that is not there.
    private (string Folder, string? Problem) Model(string state)
    {
        string folder = new HuggingFaceModel(8, 16).Write(_folder.File("model"));
        string vocabulary = Path.Combine(folder, "vocab.json"), merges = Path.Combine(folder, "merges.txt");
        Gpt2TokenizerFiles.Save(folder, BytePairTokenizer.Train("the cat sat on the mat, the cat", 262));
        switch (state)
        {
            case "missing":
                File.Delete(vocabulary);
                File.Delete(merges);
                foreach (string other in Directory.GetFiles(folder, "tokenizer*.json")) File.Delete(other);
                return (folder, null);
            case "no merges":
                File.Delete(merges);
                foreach (string other in Directory.GetFiles(folder, "tokenizer*.json")) File.Delete(other);
                return (folder, "merges.txt");
            case "no JSON":
                foreach (string other in Directory.GetFiles(folder, "tokenizer*.json")) File.Delete(other);
                File.WriteAllText(vocabulary, "{");
                return (folder, "vocab.json");
            case "unknown":
                File.WriteAllText(Path.Combine(folder, "tokenizer.json"), "{\"model\":{\"type\":\"WordPiece\",\"vocab\":{}}}");
                return (folder, "WordPiece");
            default:
                throw new ArgumentOutOfRangeException(nameof(state), state, null);
        }
    }

    public static TheoryData<string> States => ["missing", "no merges", "no JSON", "unknown"];

    [Theory]
    [MemberData(nameof(States))]
    public void Every_verb_works_on_the_weights_and_says_why_it_cannot_read_text(string state)
    {
        (string folder, string? problem) = Model(state);
        string text = _folder.Write("text.txt", "the cat sat"), ids = _folder.Write("ids.txt", "1 2 3 4 5 6 7"), file = _folder.File("model.rbe");

        CommandRun compressed = CommandRun.Of("compress", folder, "-o", file, "--json");
        compressed.Succeeds();
        string? said = JsonDocument.Parse(compressed.Out).RootElement.TryGetProperty("tokenizerProblem", out JsonElement value) ? value.GetString() : null;
        if (problem is null) Assert.Null(said);
        else Assert.Contains(problem, said);
        string table = CommandRun.Of("compress", folder, "-o", file).Out;
        Assert.Equal(problem is not null, table.Contains("Without a tokenizer: the model's cannot be read", StringComparison.Ordinal));
        CommandRun.Of("compress", folder, "-o", file, "--calibration", ids, "--calibration-ids").Succeeds();
        Fails(CommandRun.Of("compress", folder, "-o", file, "--calibration", text), "--calibration-ids");
        using (ModelBundle bundle = ModelSource.Load(file)) Assert.Equal((null, null), (bundle.Tokenizer, bundle.TokenizerProblem));
        CommandRun.Of("inspect", file, "--reference", folder).Succeeds();
        CommandRun.Of("decompress", file, "-o", _folder.File("dense")).Succeeds();

        CommandRun.Of("eval", "--model", folder, "--tokens", ids).Succeeds();
        CommandRun.Of("eval", "--model", file, "--reference", folder, "--tokens", ids).Succeeds();
        Fails(CommandRun.Of("eval", "--model", folder, "--text", text), "--tokens");
        CommandRun.Of("generate", "--model", folder, "--tokens", "--prompt", "1 2", "--max-tokens", "3").Succeeds();
        Fails(CommandRun.Of("generate", "--model", folder, "--prompt", "the"), "--tokens");
        Fails(CommandRun.Of("finetune", "--model", folder, "--text", text, "--out", _folder.File("out")), "--tokens");

        void Fails(CommandRun run, string mend)
        {
            run.Fails(1, problem is null ? "has no tokenizer" : "has a tokenizer that cannot be read");
            Assert.Contains(mend, run.Error);
            if (problem is not null) Assert.Contains(problem, run.Error);
        }
    }

    [Fact]
    public void A_tokenizer_inside_a_file_that_is_of_another_version_is_no_condition_of_its_weights()
    {
        string file = _folder.File("model.rbe"), dense = _folder.File("dense");
        using (ModelBundle bundle = ModelSource.Load(new HuggingFaceModel(8, 16).Write(_folder.File("model"))))
        {
            (JsonObject metadata, List<RbeTensor> tensors) = ModelFile.Content(bundle.Model, CharacterTokenizer.FromText("abc"), null);
            metadata["tokenizer"]!["kind"] = "tomorrow";
            RbeContainerWriter.Write(file, metadata, tensors);
        }

        using (ModelBundle bundle = ModelSource.Load(file)) Assert.Contains("tomorrow", bundle.TokenizerProblem);
        CommandRun run = CommandRun.Of("generate", "--model", file, "--prompt", "a").Fails(1, "tokenizer that cannot be read");
        Assert.Contains("Tokenizer kind \"tomorrow\" is unknown", run.Error);
        CommandRun.Of("generate", "--model", file, "--tokens", "--prompt", "1", "--max-tokens", "2").Succeeds();
        Assert.Contains("tomorrow", CommandRun.Of("inspect", file).Out);
        CommandRun written = CommandRun.Of("decompress", file, "-o", dense);
        written.Succeeds();
        Assert.Contains("Without a tokenizer", written.Out);
        Assert.Equal(["config.json", "model.safetensors"], Directory.GetFiles(dense).Select(Path.GetFileName).Order(StringComparer.Ordinal));
    }

    [Fact]
    public void A_tokenizer_of_more_ids_than_the_model_is_used_up_to_the_first_id_it_lacks()
    {
        string folder = new HuggingFaceModel(8, 16).Write(_folder.File("model")), file = _folder.File("model.rbe");
        // the model knows 30 ids, all of them control characters
        Gpt2TokenizerFiles.Save(folder, BytePairTokenizer.Train("the cat sat on the mat, the cat", 262));
        CommandRun.Of("compress", folder, "-o", file).Succeeds();
        using ModelBundle bundle = ModelSource.Load(file);
        Assert.Equal(262, bundle.Tokenizer!.Vocabulary);
        foreach (string model in (string[])[folder, file])
        {
            CommandRun.Of("generate", "--model", model, "--prompt", "\u0001\u0002", "--max-tokens", "2").Succeeds();
            CommandRun.Of("generate", "--model", model, "--prompt", "\u0001a", "--max-tokens", "2").Fails(1, "but the model has ids 0 .. 29 only");
            CommandRun.Of("eval", "--model", model, "--text", _folder.Write("text.txt", "the cat")).Fails(1, "but the model has ids 0 .. 29 only");
        }

        CommandRun.Of("decompress", file, "-o", _folder.File("dense")).Succeeds();
        using ModelBundle again = ModelSource.Load(_folder.File("dense"));
        Assert.Equal(bundle.Tokenizer.Encode("the cat"), again.Tokenizer!.Encode("the cat"));
    }
}
