using System.Text.Json;
using RbeMl.Models;
using RbeMl.Tests.Files;
using RbeMl.Training;

namespace RbeMl.Tests.Cli;

/// <summary>What finetune and compress say of a model beside the one that it was made of.</summary>
public sealed class QualityTests : IDisposable
{
    private const string Other = "snow fell all night on the hills and the town. ";
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private JsonElement Metrics(string folder) => JsonDocument.Parse(File.ReadAllText(Path.Combine(_folder.File(folder), "metrics.json"))).RootElement;

    private static string[] Continue(string model, string text, string rate, params string[] more) => ["finetune", "--model", model, "--text", text, "--steps",
        "12", "--batch", "4", "--context", "16", "--threads", "1", "--learning-rate", rate, .. more];

    [Fact]
    public void Of_a_model_that_is_given_the_report_says_how_far_it_moved()
    {
        TinyJob.Run(_folder, "--steps", "60", "--learning-rate", "1e-2", "--text", _folder.Write("first.txt", string.Concat(
            Enumerable.Repeat(TinyJob.Text + Other, 20))));
        Assert.False(Metrics("out").TryGetProperty("quality", out JsonElement none) && none.ValueKind != JsonValueKind.Null);
        string model = _folder.File("out/model.rbe"), text = _folder.Write("more.txt", string.Concat(Enumerable.Repeat(Other, 60)));
        CommandRun run = CommandRun.Of(Continue(model, text, "1e-2", "--out", _folder.File("more")));
        run.Succeeds();
        JsonElement metrics = Metrics("more"), quality = metrics.GetProperty("quality");
        double[] validation = [.. metrics.GetProperty("validation").EnumerateArray().Select(v => v.GetProperty("loss").GetDouble())];
        Assert.Equal(validation[0], quality.GetProperty("referenceLoss").GetDouble(), 1e-5);
        Assert.Equal(validation[^1], quality.GetProperty("loss").GetDouble(), 1e-5);
        Assert.Equal(metrics.GetProperty("bitsPerByte").GetDouble(), quality.GetProperty("bitsPerByte").GetDouble(), 1e-5);
        Assert.True(quality.GetProperty("kl").GetDouble() > 1e-4);
        Assert.InRange(quality.GetProperty("top1Agreement").GetDouble(), 0, 1);
        Assert.Contains("KL(before || after), nats a token", run.Out, StringComparison.Ordinal);
        Assert.Contains("its likeliest token is that of the model before", run.Out.ReplaceLineEndings(" "), StringComparison.Ordinal);
        Assert.Contains("How far the model moved", File.ReadAllText(_folder.File("more/report.html")), StringComparison.Ordinal);

        // A step that is next to nothing moves it next to nowhere; one in its own place is compared with the file that is kept.
        CommandRun still = CommandRun.Of(Continue(model, text, "1e-9", "--out", _folder.File("out")));
        still.Succeeds();
        JsonElement unmoved = Metrics("out").GetProperty("quality");
        Assert.InRange(unmoved.GetProperty("kl").GetDouble(), -1e-9, 1e-6);
        Assert.Equal(1, unmoved.GetProperty("top1Agreement").GetDouble());
        Assert.Contains("It predicts nearly as before", still.Out.ReplaceLineEndings(" "), StringComparison.Ordinal);

        // Nobody can compare with what was replaced.
        CommandRun replaced = CommandRun.Of(Continue(model, text, "1e-2", "--out", _folder.File("out"), "--overwrite"));
        replaced.Succeeds();
        Assert.Contains("Left out how far the model moved", replaced.Out, StringComparison.Ordinal);
        Assert.False(Metrics("out").TryGetProperty("quality", out JsonElement gone) && gone.ValueKind != JsonValueKind.Null);
    }

    /// <summary>Every token of the held-out data counts once, whatever the batch; what is only read for nothing.</summary>
    [Fact]
    public void The_whole_validation_is_measured_weighted_by_tokens()
    {
        using TransformerModel<float> model = Support.SmallModel.Create(dropout: 0), other = Support.SmallModel.Create(dropout: 0, layers: 1);
        TokenDataset data = TokenDataset.FromDocuments([new TokenDocument([1, 2, 3, 4, 5, 6]), .. Enumerable.Range(0, 30).Select(i =>
            new TokenDocument([.. Enumerable.Range(i, 3 + (i % 9)).Select(t => t % 11)]))], 11, packing: DocumentPacking.Separate);
        TrainerOptions options = new() { Steps = 1, BatchSize = 4, Context = 16, ValidationSequences = int.MaxValue };
        using Trainer trainer = new(model, data, data, options, 1);
        using Trainer others = new(other, data, data, options, 1);
        EvaluationResult[] found = [.. new[] { 1, 7, 64 }.Select(batch =>
        {
            using Evaluator evaluator = new(model, other, new EvaluationOptions { Context = 16, BatchSize = batch }, 2);
            return evaluator.Evaluate(data);
        })];
        Assert.All(found, each => Assert.Equal(trainer.Validate(), each.Nll, 1e-6));
        Assert.All(found, each => Assert.Equal(others.Validate(), each.ReferenceNll!.Value, 1e-6));
        Assert.All(found, each => Assert.Equal(found[0].Tokens, each.Tokens));
        Assert.True(found[0].Kl > 0);
    }

    [Fact]
    public void Compress_measures_a_text_and_says_what_to_try_next()
    {
        string model = new HuggingFaceModel(64, 96).Write(_folder.File("hf"));
        string ids = _folder.Write("held.ids", string.Join('\n', Enumerable.Range(0, 40).Select(
            i => string.Join(' ', Enumerable.Range(0, 9).Select(j => ((i * 7) + (j * j * 3) + (i * j)) % 30)))));
        CommandRun fine = Compress("8"), coarse = Compress("2");
        JsonElement quality = Json("8").GetProperty("quality"), worse = Json("2").GetProperty("quality");
        Assert.Equal(40 * 8, quality.GetProperty("tokens").GetInt64());
        Assert.True(quality.GetProperty("kl").GetDouble() < worse.GetProperty("kl").GetDouble());
        Assert.Equal(quality.GetProperty("referenceLoss").GetDouble(), worse.GetProperty("referenceLoss").GetDouble());
        JsonElement eval = JsonDocument.Parse(CommandRun.Of("eval", "--model", _folder.File("8.rbe"), "--reference", model, "--tokens", ids, "--json").Out)
            .RootElement;
        Assert.Equal(eval.GetProperty("kl").GetDouble(), quality.GetProperty("kl").GetDouble(), 1e-9);
        Assert.Equal(eval.GetProperty("nll").GetDouble(), quality.GetProperty("loss").GetDouble(), 1e-9);
        Assert.Equal(eval.GetProperty("top1Agreement").GetDouble(), quality.GetProperty("top1Agreement").GetDouble());
        Assert.Contains("Only 320 tokens were predicted, which is too few to tell. It predicts as the dense model does.",
            fine.Out.ReplaceLineEndings(" "), StringComparison.Ordinal);
        Assert.Contains("KL(dense || compressed), nats a token", fine.Out, StringComparison.Ordinal);
        Assert.Contains("error of weights", fine.Out, StringComparison.Ordinal);
        Assert.Contains(Json("2").GetProperty("verdict").GetString()![..30], coarse.Out.ReplaceLineEndings(" "), StringComparison.Ordinal);

        CommandRun.Of("compress", model, "-o", _folder.File("a.rbe"), "--measure", ids, "--dry-run").Fails(2, "--measure could measure");
        CommandRun.Of("compress", model, "-o", ids, "--measure", ids).Fails(2, "another file of this command");
        foreach (string setting in (string[])["--measure", "--calibration"])
        {
            CommandRun.Of("compress", model, "-o", _folder.File("b.rbe"), setting, _folder.File("none.txt")).Fails(1, "none.txt");
            CommandRun.Of("compress", model, "-o", _folder.File("b.rbe"), setting, _folder.Write("some.txt", "text")).Fails(1, "has no tokenizer");
        }

        string bert = new BertModel(width: 32, hidden: 64).Write(_folder.File("bert"));
        CommandRun.Of("compress", bert, "-o", _folder.File("b.rbe"), "--measure", ids, "--tile", "32").Fails(1, "predicts no tokens");
        Assert.False(File.Exists(_folder.File("b.rbe")));

        CommandRun Compress(string bits)
        {
            CommandRun run = CommandRun.Of("compress", model, "-o", _folder.File($"{bits}.rbe"), "--format", "quantized", "--bits", bits, "--measure", ids,
                "--json", _folder.File($"{bits}.json"));
            run.Succeeds();
            return run;
        }

        JsonElement Json(string bits) => JsonDocument.Parse(File.ReadAllText(_folder.File($"{bits}.json"))).RootElement;
    }
}
