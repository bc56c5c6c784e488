using System.Text.Json;
using RbeMl.Files;
using RbeMl.Models;
using RbeMl.Tests.Files;

namespace RbeMl.Tests.Cli;

/// <summary>Verbs on encoders: those for any model work, those for language models say what it is.</summary>
public sealed class EncoderVerbTests : IDisposable
{
    private static readonly string[] s_texts = ["the cat sat on the mat", "dogs running .", ""];
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private string Model() => new BertModel(width: 32, hidden: 64).Write(_folder.File("model"));

    private string Text() => _folder.Write("text.txt", string.Concat(Enumerable.Repeat("the cat sat on the mat . dogs running : a query\n", 60)));

    private static double LeastCosine(string expected, string actual)
    {
        using SentenceEncoder a = ModelSource.LoadEncoder(expected), b = ModelSource.LoadEncoder(actual);
        return s_texts.Min(text =>
        {
            float[] x = a.Embed(text), y = b.Embed(text);
            double dot = x.Zip(y, (p, q) => (double)p * q).Sum();
            return dot / Math.Sqrt(x.Sum(p => (double)p * p) * y.Sum(q => (double)q * q));
        });
    }

    [Theory]
    [InlineData("sparse", 0.95, "--coefficients", "512")]
    [InlineData("quantized", 0.9999, "--bits", "8")]
    [InlineData("trellis", 0.98, "--bits", "5")]
    [InlineData("auto", 0.999, "--target-bits", "8")]
    [InlineData("auto", 0.999, "--target-error", "0.02")]
    public void An_encoder_is_compressed_in_every_format(string format, double least, string option, string value)
    {
        string model = Model(), file = _folder.File("model.rbe"), dense = _folder.File("dense");
        CommandRun run = CommandRun.Of("compress", model, "-o", file, "--format", format, option, value, "--tile", "32", "--calibration", Text(), "--json");
        run.Succeeds();
        JsonElement vectors = JsonDocument.Parse(run.Out).RootElement.GetProperty("vectors");
        Assert.InRange(vectors.GetProperty("meanCosine").GetDouble(), least, 1 + 1e-9);
        Assert.InRange(LeastCosine(model, file), least - 0.02, 1 + 1e-6);
        if (option == "--target-error") Assert.InRange(vectors.GetProperty("relativeError").GetDouble(), 0, 0.025);
        CommandRun.Of("decompress", file, "-o", dense).Succeeds();
        Assert.InRange(LeastCosine(file, dense), 1 - 1e-6, 1 + 1e-6);
    }

    [Fact]
    public void Words_are_compressed_too_and_a_file_saved_again_keeps_every_bit()
    {
        string model = Model(), file = _folder.File("model.rbe"), again = _folder.File("again.rbe");
        CommandRun run = CommandRun.Of(
            "compress", model, "-o", file, "--bits", "8", "--tile", "32", "--embeddings", "quantized", "--embedding-bits", "8", "--calibration", Text());
        run.Succeeds();
        Assert.Contains("of the calibration, beside the dense model's: cosine ", run.Out, StringComparison.Ordinal);
        Assert.InRange(LeastCosine(model, file), 0.999, 1 + 1e-6);
        using (ModelBundle bundle = ModelSource.Load(file)) ModelFile.Save(again, bundle.Model, bundle.Tokenizer);
        using SentenceEncoder first = ModelSource.LoadEncoder(file), second = ModelSource.LoadEncoder(again);
        foreach (string text in s_texts) Assert.Equal(first.Embed(text), second.Embed(text));
        Assert.Equal(first.Model.TokenTypes, second.Model.TokenTypes);
    }

    [Fact]
    public void Without_a_calibration_formats_are_chosen_on_random_sequences()
    {
        string file = _folder.File("model.rbe");
        CommandRun.Of("compress", Model(), "-o", file, "--format", "auto", "--target-bits", "8", "--tile", "32").Succeeds();
        CommandRun shown = CommandRun.Of("inspect", file);
        shown.Succeeds();
        Assert.Contains($"{file}: an encoder, a BERT, ", shown.Out, StringComparison.Ordinal);
        Assert.Contains("2 blocks, width 32", shown.Out, StringComparison.Ordinal);
        Assert.Contains("vectors by mean", shown.Out, StringComparison.Ordinal);
        string json = CommandRun.Of("inspect", file, "--json").Out, page = _folder.File("page.html");
        CommandRun.Of("inspect", file, "--html", page).Succeeds();
        Assert.Contains("\"pooling\": \"mean\"", json, StringComparison.Ordinal);
        Assert.Contains("\"architecture\": \"bert\"", json, StringComparison.Ordinal);
        Assert.All([shown.Out, json, File.ReadAllText(page)], text => Assert.DoesNotContain("gpt", text, StringComparison.OrdinalIgnoreCase));
        Assert.Contains("\"architecture\": \"bert\"", CommandRun.Of("decompress", file, "-o", _folder.File("dense"), "--json").Out, StringComparison.Ordinal);
        CommandRun.Of("inspect", file, "--reference", _folder.File("model")).Succeeds();
    }

    [Fact]
    public void Verbs_of_language_models_say_that_it_is_an_encoder()
    {
        string model = Model(), file = _folder.File("model.rbe"), text = Text();
        using (ModelBundle bundle = ModelSource.Load(model)) ModelFile.Save(file, bundle.Model, bundle.Tokenizer);
        foreach (string path in new[] { model, file })
        {
            foreach (string[] verb in new string[][]
            {
                ["generate", "--model", path, "--prompt", "the"], ["eval", "--model", path, "--text", text],
                ["finetune", "--model", path, "--text", text, "--steps", "1", "--out", _folder.File("out")],
            })
            {
                CommandRun.Of(verb).Fails(1, "is an encoder, a BERT, which makes vectors of texts and predicts no tokens");
            }
        }
    }
}
