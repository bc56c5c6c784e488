using System.Text.Json;
using RbeMl.Codec;
using RbeMl.Files;
using RbeMl.Layers;
using RbeMl.Models;
using RbeMl.Tests.Files;

namespace RbeMl.Tests.Cli;

/// <summary>Every option reaches what it is for: changing one alone changes the result.</summary>
public sealed class OptionEffectTests : IDisposable
{
    private static readonly string[] Quantized = ["--format", "quantized"];
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    // The trained embedding, not the whole file: its header repeats some options, whether they have an effect or not.
    private float[] Train(params string[] options)
    {
        TinyJob.Run(_folder, [.. TinyJob.Override(["--dropout", "0", "--seed", "3", "--warmup", "1"], options), .. options]);
        using RbeContainer file = RbeContainer.Open(_folder.File("out/model.rbe"));
        return file.Read<float>("embedding.tokens");
    }

    [Theory]
    [InlineData("--learning-rate", "2e-3")]
    [InlineData("--coefficient-learning-rate", "1e-4")]
    [InlineData("--precondition-alphas", "off")]
    [InlineData("--optimizer", "sgd")]
    [InlineData("--optimizer", "lion")]
    [InlineData("--optimizer", "muon")]
    [InlineData("--optimizer", "adamw8")]
    [InlineData("--warmup", "4")]
    [InlineData("--schedule", "linear")]
    [InlineData("--schedule", "constant")]
    [InlineData("--final-rate", "0")]
    [InlineData("--cycles", "2")]
    [InlineData("--group", "embedding.*:rate=0.5")]
    [InlineData("--group", "*.coefficients:decay=2")]
    [InlineData("--group", "*.coefficients:frozen")]
    [InlineData("--weight-decay", "0.5")]
    [InlineData("--clip", "0.01")]
    [InlineData("--average-horizon", "0")]
    [InlineData("--dropout", "0.2")]
    [InlineData("--accumulate", "2")]
    [InlineData("--batch", "3")]
    [InlineData("--context", "12")]
    [InlineData("--steps", "5")]
    [InlineData("--seed", "4")]
    [InlineData("--coefficients", "128")]
    [InlineData("--tile", "64")]
    [InlineData("--transform", "hadamard")]
    [InlineData("--transform", "haar")]
    [InlineData("--transform", "cdf97")]
    [InlineData("--transform", "none")]
    [InlineData("--support", "random")]
    [InlineData("--support", "lowfrequency")]
    [InlineData("--support", "runs4")]
    [InlineData("--support", "runs8")]
    [InlineData("--format", "quantized")]
    [InlineData("--format", "trellis")]
    [InlineData("--preset", "small")]
    public void An_option_changes_the_training(string option, string value)
    {
        float[] plain = Train(), changed = Train(option, value);
        Assert.Equal(plain.Length, changed.Length);
        Assert.NotEqual(plain, changed);
    }

    [Fact]
    public void Bits_change_the_training() => Assert.NotEqual(Train([.. Quantized, "--bits", "4"]), Train([.. Quantized, "--bits", "7"]));

    [Fact]
    public void Bits_and_outliers_change_the_training_of_a_trellis()
    {
        float[][] runs = [Train("--format", "trellis"), Train("--format", "trellis", "--bits", "2"), Train("--format", "trellis", "--outliers", "0")];
        Assert.NotEqual(runs[0], runs[1]);
        Assert.NotEqual(runs[0], runs[2]);
    }

    /// <summary>The report says what the optimiser took by default, and the momentum only where there is one.</summary>
    [Fact]
    public void Momentum_is_of_two_and_what_an_optimizer_takes_is_reported()
    {
        Assert.NotEqual(Train("--optimizer", "sgd"), Train("--optimizer", "sgd", "--momentum", "0.5"));
        Assert.NotEqual(Train("--optimizer", "muon"), Train("--optimizer", "muon", "--momentum", "0.5"));
        (string Optimizer, string Rate, string Decay, string? Momentum, double Vectors)[] runs =
        [
            .. new[] { "adamw", "sgd", "lion", "muon", "sgd --momentum 0" }.Select(words =>
            {
                TinyJob.Run(_folder, ["--optimizer", .. words.Split(' ')]);
                JsonElement metrics = JsonDocument.Parse(File.ReadAllText(_folder.File("out/metrics.json"))).RootElement,
                    settings = metrics.GetProperty("settings"), bytes = metrics.GetProperty("bytes");
                return (
                    settings.GetProperty("--optimizer").GetString()!, settings.GetProperty("--learning-rate").GetString()!,
                        settings.GetProperty("--weight-decay").GetString()! is { Length: > 4 } digits ? digits[..4]
                            : settings.GetProperty("--weight-decay").GetString()!,
                    settings.TryGetProperty("--momentum", out JsonElement momentum) ? momentum.GetString() : null,
                    bytes.GetProperty("optimizer").GetDouble() / bytes.GetProperty("gradients").GetDouble());
            }),
        ];
        // with one vector more for the average
        Assert.Equal([("adamw", "0.003", "0.1", null, 3), ("sgd", "0.09", "0.00", "0.9", 2), ("lion", "0.00075", "0.4", null, 2),
            ("muon", "0.003", "0.1", "0.95", 3),
            ("sgd", "0.09", "0.00", "0", 1)], runs);
        CommandRun.Of("finetune", "--optimizer", "lion", "--momentum", "0.5").Fails(2, "--momentum is for sgd and muon");
        CommandRun.Of("finetune", "--optimizer", "adam").Fails(2, "use one of adamw, sgd, lion, muon, adamw8");
    }

    /// <summary>What is trained is saved at its bits, and goes on from there.</summary>
    [Fact]
    public void Matrices_are_trained_and_saved_at_few_bits()
    {
        string[] data = ["--text", _folder.Write("text.txt", string.Concat(Enumerable.Repeat(TinyJob.Text, 40))), "--out", _folder.File("out")];
        string[] all = [.. data, "--batch", "4", "--context", "16", "--threads", "1", "--optimizer", "muon"];
        string file = _folder.File("out/model.rbe");
        CommandRun.Of(["finetune", .. all, "--layers", "1", "--width", "64", "--heads", "2", "--tokenizer", "characters", "--steps", "6",
            "--train-bits", "4", "--save-minutes", "0.0001"]).Succeeds();
        using (ModelBundle bundle = ModelFile.Load(file))
        {
            Assert.Equal(new QuantizedFormat(4), bundle.Model.GetWeights().Blocks[0].Query.Format);
        }

        JsonElement metrics = JsonDocument.Parse(File.ReadAllText(_folder.File("out/metrics.json"))).RootElement;
        Assert.Equal("4", metrics.GetProperty("settings").GetProperty("--train-bits").GetString());
        Assert.False(metrics.GetProperty("settings").TryGetProperty("--format", out _));
        CommandRun.Of("finetune", "--train-bits", "4", "--format", "trellis").Fails(2, "--format is for other formats");
        CommandRun.Of("finetune", "--group", "*:bits=3").Fails(2, "--group *:bits=3 is for --train-bits");
        CommandRun.Of("finetune", "--train-bits", "2", "--group", "*:bits=9").Fails(2, "bits=3");
        CommandRun.Of("finetune", "--train-bits", "1").Fails(2, "--train-bits");
        Assert.Equal(12 * 64 * 64 * (8 - 3) / 8, Bytes("8") - Bytes("3")); // of the block's matrices
        Assert.Equal(4 * 64 * 64 * (3 - 2) / 8, Bytes("2", "--group", "*.attention.*:bits=3") - Bytes("2")); // four of them are the attention's
        double Bytes(string bits, params string[] more)
        {
            CommandRun told = CommandRun.Of(["finetune", .. data, "--layers", "1", "--width", "64", "--heads", "2", "--tokenizer", "characters",
                "--context", "16", "--batch", "4", "--threads", "1", "--steps", "6", "--train-bits", bits, "--dry-run", "--json", .. more]);
            told.Succeeds();
            return JsonDocument.Parse(told.Out).RootElement.GetProperty("bytes").GetDouble();
        }

        CommandRun.Of(["finetune", .. all, "--model", file, "--train-bits", "6", "--steps", "1"]).Succeeds();
        using ModelBundle again = ModelFile.Load(file);
        Assert.Equal(new QuantizedFormat(6), again.Model.GetWeights().Blocks[0].Query.Format);
    }

    [Fact]
    public void Checkpointing_saves_activations_and_changes_no_bit()
    {
        (byte[] Model, long Activations)[] runs = [.. new[] { "none", "selective", "full" }.Select(policy =>
        {
            TinyJob.Run(_folder, "--checkpointing", policy, "--layers", "3");
            JsonElement metrics = JsonDocument.Parse(File.ReadAllText(_folder.File("out/metrics.json"))).RootElement;
            return (File.ReadAllBytes(_folder.File("out/model.rbe")), metrics.GetProperty("bytes").GetProperty("activations").GetInt64());
        })];
        Assert.All(runs, run => Assert.Equal(runs[0].Model, run.Model));
        Assert.True(runs[1].Activations < runs[0].Activations && runs[2].Activations < runs[1].Activations,
            string.Join(" > ", runs.Select(run => run.Activations)) + " expected to fall");
    }

    [Fact]
    public void The_shape_is_the_one_asked_for()
    {
        TinyJob.Run(_folder, "--layers", "2", "--heads", "4", "--width", "48", "--context", "20", "--tokenizer", "bpe", "--vocabulary", "270",
            "--dropout", "0.25", "--steps", "1");
        using ModelBundle bundle = ModelFile.Load(_folder.File("out/model.rbe"));
        TransformerConfig config = bundle.Model.Config;
        Assert.Equal((2, 4, 48, 20, 270, 0.25f), (config.Layers, config.Heads, config.Width, config.MaxSequenceLength, config.Vocabulary, config.Dropout));
    }

    [Fact]
    public void A_validation_file_is_what_is_measured()
    {
        string held = _folder.Write("held.txt", string.Concat(Enumerable.Repeat("log the on sat dog ", 20)));
        TinyJob.Run(_folder, "--validation", held, "--tokenizer", "bytes", "--steps", "1");
        using JsonDocument metrics = JsonDocument.Parse(File.ReadAllText(_folder.File("out/metrics.json")));
        Assert.Equal(380, metrics.RootElement.GetProperty("validationTokens").GetInt32());
        Assert.Equal(TinyJob.Text.Length * 40, metrics.RootElement.GetProperty("trainTokens").GetInt32());
    }

    [Fact]
    public void A_smaller_key_value_cache_takes_less_memory()
    {
        TinyJob.Run(_folder);
        (string Format, long Bytes)[] caches = [.. new[] { "f32", "f16", "int8" }.Select(format =>
        {
            CommandRun run =
                CommandRun.Of("generate", "--model", _folder.File("out/model.rbe"), "--prompt", "the", "--max-tokens", "20", "--threads", "1",
                    "--json", "--kv-cache", format);
            JsonElement result = JsonDocument.Parse(run.Out).RootElement;
            Assert.Equal(20, result.GetProperty("tokens").GetArrayLength());
            return (result.GetProperty("kvCache").GetString()!, result.GetProperty("cacheBytes").GetInt64());
        })];

        // One layer, 16 positions of width 32, keys and values; two heads' scales.
        Assert.Equal([("f32", 2 * 16 * 32 * 4), ("f16", 2 * 16 * 32 * 2), ("int8", 2 * 16 * (32 + (2 * 4)))], caches);
        CommandRun.Of("generate", "--model", _folder.File("out/model.rbe"), "--prompt", "the", "--kv-cache", "f8").Fails(2, "use one of f32, f16, int8");
    }
}
