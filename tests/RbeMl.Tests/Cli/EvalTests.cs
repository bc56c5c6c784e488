using System.Text.Json;
using RbeMl.Files;
using RbeMl.Models;
using RbeMl.Tests.Files;
using RbeMl.Training;

namespace RbeMl.Tests.Cli;

public sealed class EvalTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();
    private readonly string _model;
    private readonly string _text;

    public EvalTests()
    {
        TinyJob.Run(_folder, "--steps", "12", "--learning-rate", "1e-2");
        _model = _folder.File("out/model.rbe");
        _text = _folder.Write("held.txt", "the log sat on the cat and the mat sat on the dog. the dog and the log. ");
    }

    public void Dispose() => _folder.Dispose();

    private static JsonElement Eval(params string[] args)
    {
        CommandRun run = CommandRun.Of(["eval", "--json", .. args]);
        Assert.True(run.Code == 0, run.Error);
        return JsonDocument.Parse(run.Out).RootElement;
    }

    private static double Figure(JsonElement json, string key) => json.GetProperty(key).GetDouble();

    private string Other(params string[] more)
    {
        using TemporaryFolder folder = new();
        TinyJob.Run(folder, ["--steps", "2", .. more]);
        string copy = _folder.File("other.rbe");
        File.Copy(folder.File("out/model.rbe"), copy, overwrite: true);
        return copy;
    }

    [Fact]
    public void The_document_has_the_figures_of_the_library()
    {
        JsonElement json = Eval("--model", _model, "--text", _text);
        using ModelBundle bundle = ModelFile.Load(_model);
        using Evaluator evaluator = new(bundle.Model);
        EvaluationResult expected = evaluator.Evaluate(EvaluationData.FromText(File.ReadAllText(_text), bundle.Tokenizer!));
        Assert.Equal(expected.Tokens, json.GetProperty("tokens").GetInt64());
        Assert.Equal(
            (expected.Nll, expected.Perplexity, expected.BitsPerByte, expected.Top1Accuracy),
            (Figure(json, "nll"), Figure(json, "perplexity"), Figure(json, "bitsPerByte"), Figure(json, "top1Accuracy")));
        Assert.Equal((ModelSize.Of(bundle.Model).Bytes, ModelSize.Of(bundle.Model).BitsPerParameter),
            (json.GetProperty("weightsBytes").GetInt64(), Figure(json, "bitsPerParameter")));
        Assert.Equal((_model, _text, false),
            (json.GetProperty("model").GetString(), json.GetProperty("data").GetString(), json.GetProperty("cancelled").GetBoolean()));
        Assert.True(Figure(json, "seconds") > 0 && Figure(json, "tokensPerSecond") > 0);
        Assert.All(["kl", "top1Agreement", "reference"], key => Assert.False(json.TryGetProperty(key, out _)));
    }

    [Fact]
    public void A_reference_adds_divergence_and_agreement()
    {
        JsonElement same = Eval("--model", _model, "--text", _text, "--reference", _model);
        Assert.Equal((0.0, 1.0, _model), (Figure(same, "kl"), Figure(same, "top1Agreement"), same.GetProperty("reference").GetString()));
        JsonElement other = Eval("--model", _model, "--text", _text, "--reference", Other());
        Assert.True(Figure(other, "kl") > 0.001);
        Assert.InRange(Figure(other, "top1Agreement"), 0, 1);
        Assert.Equal(Figure(same, "nll"), Figure(other, "nll"));
    }

    [Fact]
    public void Ids_predict_what_their_text_does_and_lines_are_separate()
    {
        using ModelBundle bundle = ModelFile.Load(_model);
        int[] ids = bundle.Tokenizer!.Encode(File.ReadAllText(_text));
        JsonElement text = Eval("--model", _model, "--text", _text),
            stream = Eval("--model", _model, "--tokens", _folder.Write("ids.txt", string.Join(' ', ids)));
        Assert.Equal((Figure(text, "nll"), text.GetProperty("tokens").GetInt32()), (Figure(stream, "nll"), stream.GetProperty("tokens").GetInt32()));
        Assert.False(stream.TryGetProperty("bitsPerByte", out _));
        JsonElement lines = Eval("--model", _model, "--tokens", _folder.Write("lines.txt", $"{string.Join(' ', ids[..20])}\n{string.Join(' ', ids[20..])}\n"));
        Assert.Equal(ids.Length - 2, lines.GetProperty("tokens").GetInt32());

        // Without a tokenizer, ids are all there is.
        string bare = _folder.File("bare.rbe");
        ModelFile.Save(bare, bundle.Model);
        Assert.Equal(Figure(stream, "nll"), Figure(Eval("--model", bare, "--tokens", _folder.File("ids.txt")), "nll"));
        CommandRun.Of("eval", "--model", bare, "--text", _text).Fails(1, "has no tokenizer, so it cannot read text; give token ids with --tokens");
    }

    [Fact]
    public void Windows_limit_and_threads_do_what_they_say()
    {
        JsonElement plain = Eval("--model", _model, "--text", _text), narrow = Eval("--model", _model, "--text", _text, "--context", "4");
        Assert.Equal((16, 16, 4, 4),
            (plain.GetProperty("context").GetInt32(), plain.GetProperty("stride").GetInt32(), narrow.GetProperty("context").GetInt32(),
            narrow.GetProperty("stride").GetInt32()));
        Assert.NotEqual(Figure(plain, "nll"), Figure(narrow, "nll"));
        JsonElement overlapping = Eval("--model", _model, "--text", _text, "--stride", "1");
        Assert.NotEqual(Figure(plain, "nll"), Figure(overlapping, "nll"));
        Assert.Equal(plain.GetProperty("tokens").GetInt32(), overlapping.GetProperty("tokens").GetInt32());
        Assert.Equal(10, Eval("--model", _model, "--text", _text, "--limit", "10").GetProperty("tokens").GetInt32());
        Assert.Equal(Figure(plain, "nll"), Figure(Eval("--model", _model, "--text", _text, "--threads", "3"), "nll"));

        // A batch changes the width of a chunk at most: some rounding errors of fp32 in a loss of about 3.
        Assert.Equal(Figure(plain, "nll"), Figure(Eval("--model", _model, "--text", _text, "--batch", "1"), "nll"), 3e-6);
        JsonElement two = Eval("--model", Other("--tokenizer", "bytes"), "--text", _text, _text);
        Assert.Equal(2 * File.ReadAllText(_text).Length, two.GetProperty("tokens").GetInt32());
    }

    [Fact]
    public void People_get_a_table_and_progress()
    {
        CommandRun run = CommandRun.Of("eval", "--model", _model, "--text", _text, "--batch", "1", "--reference", _model);
        Assert.Equal((0, ""), (run.Code, run.Error));
        Assert.All(["predicted tokens", "perplexity", "bits a byte", "top-1 agreement", "100.0 %",
            "bits a parameter: what the whole model takes", "100 %  71/71 tokens  loss "], part => Assert.Contains(part, run.Out));
        string file = _folder.File("figures.json");
        run = CommandRun.Of("eval", "--model", _model, "--text", _text, "--json", file);
        Assert.Contains("perplexity", run.Out);
        Assert.Equal(Figure(Eval("--model", _model, "--text", _text), "nll"), Figure(JsonDocument.Parse(File.ReadAllText(file)).RootElement, "nll"));
    }

    [Fact]
    public void A_loss_beyond_all_bounds_is_still_JSON()
    {
        using ModelBundle bundle = ModelFile.Load(_model);
        foreach (ref float value in bundle.Model.Parameters.Of(bundle.Model.Parameters.Find("embedding.tokens"))) value *= 1e5f;
        string wild = _folder.File("wild.rbe");
        ModelFile.Save(wild, bundle.Model, bundle.Tokenizer);
        JsonElement json = Eval("--model", wild, "--text", _text);
        Assert.True(Figure(json, "nll") > 710);
        Assert.Equal(JsonValueKind.Null, json.GetProperty("perplexity").ValueKind);
    }

    /// <summary>
    /// Documents have the loss and the bits a byte that finetune has where it validates on them; one adds up floats, the other doubles, of some hundred
    /// losses of about 3.
    /// </summary>
    [Theory]
    [InlineData("on")]
    [InlineData("isolated")]
    [InlineData("off")]
    public void Documents_are_measured_as_finetune_validates_on_them(string pack)
    {
        string[] texts = ["the cat", "a dog sat on the log", "the mat and the cat sat on the mat and on the dog"];
        string held = _folder.Write("held.jsonl", string.Concat(Enumerable.Range(0, 24).Select(i => (i % 3) switch
        {
            0 => $"{{\"text\":\"{texts[i / 3 % 3]}\"}}\n",
            1 => $"{{\"prompt\":\"{texts[i / 3 % 3]}\",\"completion\":\" and {texts[i / 4 % 3]}\"}}\n",
            _ => $"{{\"messages\":[{{\"role\":\"user\",\"content\":\"{texts[i / 3 % 2]}\"}},"
                + "{\"role\":\"assistant\",\"content\":\"the end\"}]}\n",
        })));
        using TemporaryFolder folder = new();
        TinyJob.Run(folder, "--text", held, "--validation", held, "--pack", pack, "--steps", "8");
        JsonElement run = JsonDocument.Parse(File.ReadAllText(folder.File("out/metrics.json"))).RootElement;
        string model = folder.File("out/model.rbe");
        JsonElement json = Eval("--model", model, "--text", held, "--pack", pack);
        Assert.Equal(run.GetProperty("validation").EnumerateArray().Last().GetProperty("loss").GetDouble(), Figure(json, "nll"), 1e-6);
        Assert.Equal(Figure(run, "bitsPerByte"), Figure(json, "bitsPerByte"), 1e-6);
        Assert.Equal((16, 16, held), (json.GetProperty("context").GetInt32(), json.GetProperty("stride").GetInt32(), json.GetProperty("data").GetString()));
        JsonElement some = Eval("--model", model, "--text", held, "--pack", pack, "--limit", "50", "--batch", "3");
        Assert.Equal(50, some.GetProperty("tokens").GetInt64());
        JsonElement one = Eval("--model", model, "--text", held, "--pack", pack, "--batch", "1", "--threads", "3");
        Assert.Equal(Figure(json, "nll"), Figure(one, "nll"));
        JsonElement lines = Eval("--model", model, "--text", _folder.Write("held.csv", "body,id\nthe cat,1\nthe dog,2\n"), "--text-column", "body");
        Assert.True(lines.GetProperty("tokens").GetInt64() is > 10 and < 20);
    }

    [Fact]
    public void Bad_input_is_one_line()
    {
        Fails("no such file", "--model", _folder.File("none.rbe"), "--text", _text);
        Fails("no such file", "--model", _model, "--text", _folder.File("none.txt"));
        Fails("no such file", "--model", _model, "--text", _text, "--reference", _folder.File("none.rbe"));
        Fails("no such file", "--model", _model, "--tokens", _folder.File("none.txt"));
        Fails("is empty", "--model", _model, "--text", _folder.Write("empty.txt", " \n"));
        Fails("begins with a JSON object, and its name is not that of JSON lines", "--model", _model, "--text",
            _folder.Write("rows.txt", "{\"text\":\"the\"}\n"));
        Fails("line 1 has no field \"body\"", "--model", _model, "--text", _folder.Write("rows.jsonl", "{\"text\":\"the\"}\n"), "--text-column", "body");
        CommandRun.Of("eval", "--model", _model, "--text", _folder.File("rows.jsonl"), "--stride", "4").Fails(2, "--stride is for texts and ids");
        CommandRun.Of("eval", "--model", _model, "--text", _text, "--pack", "off").Fails(2, "--pack is for documents");
        CommandRun.Of("eval", "--model", _model, "--tokens", _text, "--data-format", "lines").Fails(2, "--data-format says how texts are read");
        Fails("1 token, at least 2", "--model", _model, "--text", _folder.Write("one.txt", "t"));
        Fails("'Z' (U+005A)", "--model", _model, "--text", _folder.Write("new.txt", "the Zoo"));
        Fails("line 2: token id 99 is outside the vocabulary", "--model", _model, "--tokens", _folder.Write("ids.txt", "1 2\n3 99\n"));
        Fails("--context = 17", "--model", _model, "--text", _text, "--context", "17");
        Fails("--stride = 17", "--model", _model, "--text", _text, "--stride", "17");
        Fails("Compare models that share a tokenizer", "--model", _model, "--text", _text, "--reference", Other("--tokenizer", "bytes"));
        Fails("is a folder", "--model", _model, "--text", _text, "--json", _folder.Path);
        foreach (string kept in new[] { _model, _text, _folder.File("other.rbe") })
        {
            byte[] before = File.ReadAllBytes(kept);
            CommandRun.Of("eval", "--model", _model, "--text", _text, "--reference", _folder.File("other.rbe"), "--json", kept)
                .Fails(2, "another file of this command");
            Assert.Equal(before, File.ReadAllBytes(kept));
        }

        static void Fails(string message, params string[] args) => CommandRun.Of(["eval", .. args]).Fails(1, message);
    }

    [Fact]
    public void Cancelled_before_the_first_pass_there_is_nothing()
    {
        using CancellationTokenSource cancel = new();
        cancel.Cancel();
        CommandRun.Of(cancel.Token, "eval", "--model", _model, "--text", _text).Fails(130, "cancelled");
    }
}
