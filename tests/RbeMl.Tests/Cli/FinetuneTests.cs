using System.Text.Json;
using RbeMl.Files;
using RbeMl.Models;
using RbeMl.Tests.Files;
using RbeMl.Text;

namespace RbeMl.Tests.Cli;

public sealed class FinetuneTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private string Out(string name) => _folder.File(Path.Combine("out", name));

    private JsonElement Metrics() => JsonDocument.Parse(File.ReadAllText(Out("metrics.json"))).RootElement;

    [Fact]
    public void A_run_writes_model_metrics_and_report_and_says_so()
    {
        CommandRun run = TinyJob.Run(_folder, "--steps", "20", "--learning-rate", "1e-2");
        Assert.Equal("", run.Error);
        Assert.All(["Validation loss", "step 20/20", "weights", "dense fp32", "before", "after", Out("model.rbe"), Out("model.zip")],
            part => Assert.Contains(part, run.Out));
        using ModelBundle bundle = ModelFile.Load(Out("model.rbe"));
        Assert.Equal((1, 32, 2, 16), (bundle.Model.Config.Layers, bundle.Model.Config.Width, bundle.Model.Config.Heads, bundle.Model.Config.MaxSequenceLength));
        Assert.IsType<CharacterTokenizer>(bundle.Tokenizer);
        Assert.Equal(6, Directory.GetFiles(_folder.File("out")).Length);

        JsonElement metrics = Metrics();
        Assert.Equal(Enumerable.Range(1, 20), metrics.GetProperty("steps").EnumerateArray().Select(s => s.GetProperty("step").GetInt32()));
        foreach (JsonElement step in metrics.GetProperty("steps").EnumerateArray())
        {
            foreach (string key in new[] { "loss", "learningRate", "gradientNorm", "tokensPerSecond", "residentBytes", "tokens" })
            {
                Assert.True(step.GetProperty(key).GetDouble() > 0, key);
            }
        }

        JsonElement[] validation = [.. metrics.GetProperty("validation").EnumerateArray()];
        Assert.Equal((0, 20), (validation[0].GetProperty("step").GetInt32(), validation[^1].GetProperty("step").GetInt32()));
        Assert.True(validation[^1].GetProperty("loss").GetDouble() < validation[0].GetProperty("loss").GetDouble() - 0.3, "the loss did not fall");
        foreach (string key in new[] { "weights", "gradients", "optimizer", "activations" })
        {
            Assert.True(metrics.GetProperty("bytes").GetProperty(key).GetInt64() > 0, key);
        }

        Assert.False(metrics.GetProperty("cancelled").GetBoolean());
    }

    [Fact]
    public void The_report_is_one_page_with_everything_inside()
    {
        TinyJob.Run(_folder);
        string page = File.ReadAllText(Out("report.html"));
        Assert.All(["<!DOCTYPE html>", "<svg", "<polyline", "dense fp32", "Samples after training"], part => Assert.Contains(part, page));
        Assert.Contains("Data: text.txt.", page);
        int command = page.IndexOf("<h2>Command</h2>", StringComparison.Ordinal), machine = page.IndexOf("<h2>Machine</h2>", StringComparison.Ordinal);
        Assert.DoesNotContain(_folder.Path, page.Remove(command, machine - command)); // command and settings name files as they were given
        Assert.All(["http:", "https:", "<script", "src=", "<link"], part => Assert.DoesNotContain(part, page));
        System.Xml.Linq.XElement svg =
            System.Xml.Linq.XElement.Parse(page[page.IndexOf("<svg", StringComparison.Ordinal)..(page.IndexOf("</svg>", StringComparison.Ordinal) + 6)]);
        Assert.Equal(2, svg.Elements("polyline").Count());
        Assert.DoesNotContain("NaN", svg.ToString());
    }

    [Fact]
    public void The_same_seed_gives_the_same_model_on_any_number_of_threads()
    {
        TinyJob.Run(_folder, "--seed", "5", "--dropout", "0.1");
        byte[] first = File.ReadAllBytes(Out("model.rbe"));
        TinyJob.Run(_folder, "--seed", "5", "--dropout", "0.1", "--threads", "3");
        Assert.Equal(first, File.ReadAllBytes(Out("model.rbe")));
        TinyJob.Run(_folder, "--seed", "6", "--dropout", "0.1");
        Assert.NotEqual(first, File.ReadAllBytes(Out("model.rbe")));
    }

    [Fact]
    public void Checkpointing_changes_no_bit()
    {
        TinyJob.Run(_folder, "--checkpointing", "none");
        byte[] first = File.ReadAllBytes(Out("model.rbe"));
        foreach (string policy in new[] { "selective", "full" })
        {
            TinyJob.Run(_folder, "--checkpointing", policy);
            Assert.Equal(first, File.ReadAllBytes(Out("model.rbe")));
        }
    }

    [Theory]
    [InlineData("bytes")]
    [InlineData("bpe", "--vocabulary", "280")]
    [InlineData("characters", "--support", "random", "--transform", "haar")]
    [InlineData("characters", "--format", "quantized", "--bits", "5", "--coefficients", "64")]
    [InlineData("characters", "--format", "trellis", "--bits", "3", "--outliers", "4", "--coefficients", "64")]
    [InlineData("characters", "--accumulate", "2", "--clip", "0", "--weight-decay", "0", "--warmup", "0")]
    [InlineData("characters", "--tile", "64", "--support", "lowfrequency")]
    public void Every_kind_of_model_trains_saves_and_generates(string tokenizer, params string[] more)
    {
        TinyJob.Run(_folder, ["--tokenizer", tokenizer, "--steps", "3", .. more]);
        CommandRun run = CommandRun.Of("generate", "--model", Out("model.rbe"), "--prompt", "the cat", "--max-tokens", "5", "--threads", "1");
        Assert.Equal((0, ""), (run.Code, run.Error));
        Assert.StartsWith("the cat", run.Out);
    }

    [Fact]
    public void A_model_is_continued_from_where_it_was()
    {
        TinyJob.Run(_folder, "--steps", "40", "--learning-rate", "1e-2");
        double reached = Metrics().GetProperty("validation").EnumerateArray().Last().GetProperty("loss").GetDouble();
        string model = _folder.File("first.rbe");
        File.Copy(Out("model.rbe"), model);
        CommandRun run =
            CommandRun.Of("finetune", "--model", model, "--text", _folder.File("text.txt"), "--steps", "4", "--batch", "4", "--out",
                _folder.File("out"), "--threads", "1");
        Assert.Equal((0, ""), (run.Code, run.Error));
        Assert.Equal(reached, Metrics().GetProperty("validation")[0].GetProperty("loss").GetDouble());
    }

    [Fact]
    public void A_model_is_compressed_anew_when_a_format_is_given()
    {
        TinyJob.Run(_folder);
        string model = _folder.File("first.rbe");
        File.Copy(Out("model.rbe"), model);
        CommandRun run =
            CommandRun.Of("finetune", "--model", model, "--text", _folder.File("text.txt"), "--steps", "2", "--batch", "4", "--out",
                _folder.File("out"), "--threads", "1",
            "--format", "quantized", "--bits", "6", "--coefficients", "32", "--tile", "32", "--support", "topk");
        Assert.Equal((0, ""), (run.Code, run.Error));
        using ModelBundle bundle = ModelFile.Load(Out("model.rbe"));
        Assert.All(bundle.Model.Matrices, m => Assert.Equal((6, 32), (m.Matrix.Base!.Bits, m.Matrix.Support!.CoefficientsPerTile)));
    }

    [Fact]
    public void Token_ids_train_a_model_without_a_tokenizer()
    {
        string ids = _folder.Write("ids.txt",
            string.Join('\n', Enumerable.Range(0, 30).Select(i => string.Join(' ', Enumerable.Range(i % 3, 12).Select(t => t % 9)))));
        CommandRun run = CommandRun.Of(["finetune", "--tokens", ids, "--vocabulary", "11", "--steps", "3", "--out", _folder.File("out"), .. TinyJob.Shape]);
        Assert.Equal((0, ""), (run.Code, run.Error));
        CommandRun generated = CommandRun.Of("generate", "--model", Out("model.rbe"), "--tokens", "--prompt", "1 2 3", "--max-tokens", "6");
        Assert.Equal(0, generated.Code);
        Assert.All(generated.Out.Split(' ', '\n').Where(w => w.Length > 0),
            word => Assert.InRange(int.Parse(word, System.Globalization.CultureInfo.InvariantCulture), 0, 10));
        CommandRun.Of("generate", "--model", Out("model.rbe"), "--prompt", "text").Fails(1, "has no tokenizer");
        CommandRun.Of("finetune", "--model", Out("model.rbe"), "--out", _folder.File("out")).Fails(1, "--tokens");
    }

    [Fact]
    public void The_last_of_a_few_sequences_is_a_sequence_not_a_stream()
    {
        string ids = _folder.Write("ids.txt", string.Concat(Enumerable.Repeat("1 2 3 4 5\n", 10))), held = _folder.Write("held.txt", "1 2 3\n");
        foreach (string[] validation in new string[][] { [], ["--validation", held] })
        {
            CommandRun run = CommandRun.Of(["finetune", "--tokens", ids, .. validation, "--steps", "2", "--out", _folder.File("out"), .. TinyJob.Shape]);
            Assert.Equal((0, ""), (run.Code, run.Error));
            Assert.Equal(validation.Length == 0 ? (45, 5)
                : (50, 3), (Metrics().GetProperty("trainTokens").GetInt32(), Metrics().GetProperty("validationTokens").GetInt32()));
        }
    }

    [Fact]
    public void Json_on_standard_output_is_one_document_and_nothing_else()
    {
        CommandRun run = TinyJob.Run(_folder, "--json");
        Assert.Equal(File.ReadAllText(Out("metrics.json")).Trim(), run.Out.Trim());
        Assert.Equal(6, JsonDocument.Parse(run.Out).RootElement.GetProperty("steps").GetArrayLength());
        string file = _folder.File("result.json");
        Assert.Contains("Validation loss", TinyJob.Run(_folder, "--json", file).Out);
        Assert.Equal(6, JsonDocument.Parse(File.ReadAllText(file)).RootElement.GetProperty("steps").GetArrayLength());
    }

    [Fact]
    public void A_time_limit_ends_a_run()
    {
        CommandRun run = CommandRun.Of([.. TinyJob.Args(_folder).Where(a => a is not ("--steps" or "6")), "--seconds", "0.5"]);
        Assert.Equal((0, ""), (run.Code, run.Error));
        Assert.True(Metrics().GetProperty("steps").GetArrayLength() >= 1);
        JsonElement last = Metrics().GetProperty("steps")[Metrics().GetProperty("steps").GetArrayLength() - 1];
        Assert.True(last.GetProperty("learningRate").GetDouble() > 0);
    }

    [Fact]
    public void A_validation_does_not_depend_on_the_batch()
    {
        string held = _folder.Write("held.txt", string.Concat(Enumerable.Repeat(TinyJob.Text, 7)));
        double[] losses = [.. new[] { "1", "2", "4", "8" }.Select(batch =>
        {
            TinyJob.Run(_folder, "--steps", "1", "--batch", batch, "--validation", held, "--overwrite");
            return Metrics().GetProperty("validation")[0].GetProperty("loss").GetDouble();
        })];
        Assert.All(losses, loss => Assert.Equal(losses[0], loss));
    }

    [Fact]
    public void A_cancelled_run_saves_its_work_and_returns_130()
    {
        CommandRun run = CommandRun.Until("step ", TinyJob.Args(_folder, "--steps", "1000000"));
        Assert.Equal((130, ""), (run.Code, run.Error));
        Assert.Contains("the work so far is saved", run.Out);
        Assert.True(Metrics().GetProperty("cancelled").GetBoolean());
        ModelFile.Load(Out("model.rbe")).Dispose();
    }

    [Fact]
    public void A_dry_run_tells_memory_and_time_and_writes_nothing()
    {
        CommandRun run = CommandRun.Of(TinyJob.Args(_folder, "--steps", "500", "--dry-run", "--json"));
        run.Succeeds();
        JsonElement json = JsonDocument.Parse(run.Out).RootElement;
        Assert.Equal((true, 500), (json.GetProperty("dryRun").GetBoolean(), json.GetProperty("steps").GetInt32()));
        Assert.True(json.GetProperty("peakBytes").GetInt64() > json.GetProperty("bytes").GetInt64() && json.GetProperty("bytes").GetInt64() > 0);
        Assert.Equal(500 * json.GetProperty("secondsPerStep").GetDouble(), json.GetProperty("seconds").GetDouble(), 1e-6);
        Assert.False(Path.Exists(_folder.File("out")));
        CommandRun told = CommandRun.Of(TinyJob.Args(_folder, "--seconds", "0.001", "--dry-run", "--offload", "spill"));
        told.Succeeds();
        Assert.Contains("Nothing was written.", told.Out, StringComparison.Ordinal);
        Assert.False(Path.Exists(_folder.File("out")));
        File.WriteAllText(Path.Combine(Directory.CreateDirectory(_folder.File("out")).FullName, "model.rbe"), "earlier");
        Assert.DoesNotContain("kept", CommandRun.Of(TinyJob.Args(_folder, "--seconds", "0.001", "--dry-run")).Out, StringComparison.Ordinal);
        Assert.Equal("earlier", File.ReadAllText(Assert.Single(Directory.GetFileSystemEntries(_folder.File("out")))));
    }
}
