using System.Text;
using System.Text.Json;
using RbeMl.Cli;
using RbeMl.Files;
using RbeMl.Models;
using RbeMl.Tests.Files;
using RbeMl.Tests.Models;
using RbeMl.Text;

namespace RbeMl.Tests.Cli;

/// <summary>Models with more or fewer ids than their tokenizer, and end tokens, in every verb.</summary>
public sealed class ModelIdTests : IDisposable
{
    private const string Text = "abba abba baab. ";
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_padded_vocabulary_works_in_every_verb(bool folder)
    {
        // The likeliest id is one of the padding, then an a.
        using TransformerModel<float> made = ScriptedModel.Create(320, (300, 20), ('a', 10));
        Gpt2Tokenizer tokenizer = ScriptedModel.Bytes(Gpt2Tokenizer.EndOfText);
        string model = Store(made, tokenizer, folder), text = _folder.Write("text.txt", string.Concat(Enumerable.Repeat(Text, 40)));
        foreach (string temperature in new[] { "0", "1" })
        {
            JsonElement drawn = Generate(model, "ab", "--temperature", temperature, "--max-tokens", "20");
            Assert.Equal(new string('a', 20), drawn.GetProperty("text").GetString());
            Assert.Equal("length", drawn.GetProperty("finish").GetString());
            Assert.DoesNotContain("300", Run("generate", "-m", model, "--tokens", "-p", "97 300", "--temperature", temperature, "--max-tokens", "5").Out);
        }

        Run("eval", "--model", model, "--text", text);
        Run("finetune", "--model", model, "--text", text, "--out", _folder.File("out"), "--steps", "2", "--batch", "2", "--context", "8", "--threads", "1");
        using JsonDocument metrics = JsonDocument.Parse(File.ReadAllText(_folder.File("out/metrics.json")));
        JsonElement sample = metrics.RootElement.GetProperty("samples")[0];
        Assert.Equal(new string('a', 48), sample.GetProperty("before").GetString());
        JsonElement after = Generate(_folder.File("out/model.rbe"), "ab", "--max-tokens", "20");
        Assert.All(after.GetProperty("tokens").EnumerateArray(), id => Assert.InRange(id.GetInt32(), 0, 256));

        // Trained on ids it keeps its tokenizer.
        string ids = _folder.Write("data.ids", string.Concat(Enumerable.Repeat("97 98 310 ", 200)));
        Run("finetune", "--model", model, "--tokens", ids, "--out", _folder.File("ids"), "--steps", "2", "--batch", "2", "--context", "8", "--threads", "1");
        Assert.Equal("length", Generate(_folder.File("ids/model.rbe"), "ab", "--temperature", "0", "--max-tokens", "3").GetProperty("finish").GetString());
        Run("decompress", _folder.File("out/model.rbe"), "-o", _folder.File("dense"));
        Run("compress", _folder.File("dense"), "-o", _folder.File("again.rbe"), "--calibration", text, "--calibration-tokens", "64", "--format",
            "quantized", "--bits", "8", "--tile", "32");
        Assert.All(Generate(_folder.File("again.rbe"), "ab").GetProperty("tokens").EnumerateArray(), id => Assert.InRange(id.GetInt32(), 0, 256));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_gap_of_the_vocabulary_is_never_drawn_and_decodes_to_nothing(bool folder)
    {
        // 256 to 259 are no tokens, 260 is one: the likeliest id is in the gap, then an a.
        Gpt2Tokenizer tokenizer = new([.. Enumerable.Range(0, 256)], [], new Dictionary<string, int> { ["<end>"] = 260 });
        Assert.Equal("ab", ((ITokenizer)tokenizer).Decode(['a', 258, 'b']));
        using TransformerModel<float> made = ScriptedModel.Create(261, (258, 20), (257, 15), ('a', 10));
        string model = Store(made, tokenizer, folder), text = _folder.Write("text.txt", string.Concat(Enumerable.Repeat(Text, 40)));
        using (ModelBundle bundle = ModelSource.Load(model)) Assert.Equal([256, 257, 258, 259], bundle.Model.Tokens.Unused);
        foreach (string temperature in new[] { "0", "1" })
        {
            JsonElement drawn = Generate(model, "ab", "--temperature", temperature, "--max-tokens", "20");
            Assert.Equal(new string('a', 20), drawn.GetProperty("text").GetString());
            string ids = Run("generate", "-m", model, "--tokens", "-p", "97 258", "--temperature", temperature, "--max-tokens", "5").Out;
            Assert.EndsWith("97 97 97 97 97", ids.TrimEnd());
        }

        Run("eval", "--model", model, "--text", text);
        string[] training = ["--steps", "2", "--batch", "2", "--context", "8", "--threads", "1"];
        Run(["finetune", "--model", model, "--text", text, "--out", _folder.File("out"), .. training]);
        string tuned = _folder.File("out/model.rbe");
        using (ModelBundle bundle = ModelSource.Load(tuned)) Assert.Equal([256, 257, 258, 259], bundle.Model.Tokens.Unused);
        JsonElement.ArrayEnumerator after = Generate(tuned, "ab", "--max-tokens", "40").GetProperty("tokens").EnumerateArray();
        Assert.DoesNotContain(after, id => id.GetInt32() is >= 256 and < 260);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    [InlineData(false, "--dropout", "0.1", "--format", "quantized", "--bits", "8", "--tile", "32", "--coefficients", "64")]
    public void End_tokens_that_the_model_names_survive_fine_tuning(bool ids, params string[] more)
    {
        // Not the tokenizer's own, which is 256.
        Gpt2Tokenizer tokenizer = ScriptedModel.Bytes(Gpt2Tokenizer.EndOfText, "<|im_end|>");
        ModelTokens tokens = new() { EndTokens = ['b', 257] };
        using TransformerModel<float> made = new(ScriptedModel.Create(258, ('a', 20)).GetWeights() with { Tokens = tokens });
        string model = Store(made, tokenizer, folder: false);
        string data = _folder.Write(ids ? "data.ids" : "data.txt", string.Concat(Enumerable.Repeat(ids ? "97 97 99 " : "aac ", 200)));
        string[] training = ["--steps", "2", "--batch", "2", "--context", "8", "--threads", "1"];
        Run(["finetune", "--model", model, ids ? "--tokens" : "--text", data, "--out", _folder.File("out"), .. training, .. more]);
        using ModelBundle bundle = ModelSource.Load(_folder.File("out/model.rbe"));
        Assert.Equal(['b', 257], bundle.Model.Tokens.EndTokens!);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_tokenizer_with_more_ids_than_the_model_reads_what_the_model_knows(bool folder)
    {
        // Merges make "ab" the token 256 and "abba" 257 and 258 of a model of 257 ids.
        Gpt2Tokenizer tokenizer =
            new([.. Enumerable.Range(0, 256)], [new('a', 'b', 256), new('b', 'a', 257), new(256, 257, 258)], new Dictionary<string, int>());
        using TransformerModel<float> made = ScriptedModel.Create(257, ('a', 10));
        string model = Store(made, tokenizer, folder);
        string good = _folder.Write("good.txt", string.Concat(Enumerable.Repeat("ab ab.\n", 40))),
            bad = _folder.Write("bad.txt", string.Concat(Enumerable.Repeat("ab ba.\n", 40)));
        string[] train =
            ["finetune", "--model", model, "--steps", "1", "--batch", "2", "--context", "4", "--threads", "1", "--out", _folder.File("out"), "--text"];
        Assert.Equal("aaa", Generate(model, "ab", "--temperature", "0", "--max-tokens", "3").GetProperty("text").GetString());
        Run("eval", "--model", model, "--text", good);
        Run([.. train, good]);
        Refused("generate", "--model", model, "--prompt", "so ba");
        Refused("eval", "--model", model, "--text", bad);
        Refused([.. train, bad]);
        Run("decompress", _folder.File("out/model.rbe"), "-o", _folder.File("dense"));
        string[] compress =
            ["compress", _folder.File("dense"), "-o", _folder.File("again.rbe"), "--format", "quantized", "--bits", "8", "--tile", "32",
                "--calibration-tokens", "64", "--calibration"];
        Run([.. compress, good]);
        Refused([.. compress, bad]);

        static void Refused(params string[] args)
        {
            CommandRun run = CommandRun.Of(args).Fails(1, "needs token id 257 (\"ba\", token ");
            Assert.Contains("the model has ids 0 .. 256 only; its tokenizer has 259 ids", run.Error);
        }
    }

    [Fact]
    public void Generation_ends_at_end_token_and_stop_string_and_says_why()
    {
        using TransformerModel<float> made = ScriptedModel.Create(258, ('a', 20), ('b', 20), (256, 19));
        string model = Store(made, ScriptedModel.Bytes(Gpt2Tokenizer.EndOfText, "<pad>"), folder: false);
        JsonElement ignored = Generate(model, "x", "--ignore-end", "--max-tokens", "60"), ended = Generate(model, "x", "--max-tokens", "60"),
            stopped = Generate(model, "x", "--stop", "zz", "--stop", "abb", "--ignore-end", "--max-tokens", "60");
        string whole = Of(ignored);
        Assert.Equal(("length", "end", "stop"), (Finish(ignored), Finish(ended), Finish(stopped)));
        Assert.Equal(whole[..whole.IndexOf("<|endoftext|>", StringComparison.Ordinal)], Of(ended));
        Assert.Equal(whole[..whole.IndexOf("abb", StringComparison.Ordinal)], Of(stopped));
        Assert.DoesNotContain(256, ended.GetProperty("tokens").EnumerateArray().Select(t => t.GetInt32()));
        Assert.Equal("x" + Of(ended) + Environment.NewLine, Run("generate", "-m", model, "-p", "x", "--temperature", "1", "--max-tokens", "60").Out);
        Assert.DoesNotContain("256", Run("generate", "-m", model, "--tokens", "-p", "1", "--temperature", "1", "--max-tokens", "60").Out);
        CommandRun.Of("generate", "-m", model, "--tokens", "-p", "1", "--stop", "x").Fails(2, "--stop is a text");
        CommandRun.Of("generate", "-m", model, "-p", "1", "--stop", "").Fails(2, "--stop");

        static string Of(JsonElement run) => run.GetProperty("text").GetString()!;
        static string? Finish(JsonElement run) => run.GetProperty("finish").GetString();
    }

    [Fact]
    public void Repetition_penalty_and_min_p_have_their_effect()
    {
        using TransformerModel<float> made = ScriptedModel.Create(256, ('a', 12), ('b', 11), ('c', 10));
        string model = Store(made, new ByteTokenizer(), folder: false);
        Assert.Equal("aaa", Draw("--temperature", "0"));
        Assert.Equal("abc", Draw("--temperature", "0", "--repetition-penalty", "2"));
        Assert.Equal(["a", "b", "c"], Draw("--max-tokens", "80").Distinct().Select(c => c.ToString()).Order());
        Assert.Equal(["a", "b"], Draw("--max-tokens", "80", "--min-p", "0.2").Distinct().Select(c => c.ToString()).Order());
        CommandRun.Of("generate", "-m", model, "-p", "x", "--min-p", "1.5").Fails(2, "--min-p");
        CommandRun.Of("generate", "-m", model, "-p", "x", "--repetition-penalty", "0").Fails(2, "--repetition-penalty");

        string Draw(params string[] more) =>
            Generate(model, "x", [.. more, .. more.Contains("--max-tokens") ? [] : new[] { "--max-tokens", "3" }]).GetProperty("text").GetString()!;
    }

    [Theory]
    [InlineData("caf\u00e9\n", "caf\u00e9")]
    [InlineData("a\r\n", "a")]
    [InlineData("a\n\n", "a\n")]
    [InlineData("\uFEFFa", "a")]
    public void The_prompt_may_come_from_standard_input(string input, string expected)
    {
        using TransformerModel<float> made = ScriptedModel.Create(256, ('a', 20));
        string model = Store(made, new ByteTokenizer(), folder: false);
        using StringWriter output = new(), error = new();
        int code = Commands.Run(
            ["generate", "-m", model, "-p", "-", "--max-tokens", "2", "--temperature", "0"],
            new CommandHost(output, error) { In = new MemoryStream(Encoding.UTF8.GetBytes(input)) });
        Assert.Equal((0, expected + "aa" + Environment.NewLine), (code, output.ToString()));
    }

    [Fact]
    public void A_prompt_that_is_no_text_is_refused_and_one_that_never_ends_can_be_cancelled()
    {
        using TransformerModel<float> made = ScriptedModel.Create(256, ('a', 20));
        string model = Store(made, new ByteTokenizer(), folder: false);
        using StringWriter output = new(), error = new();
        Assert.Equal(1, Commands.Run(["generate", "-m", model, "-p", "-"], new CommandHost(output, error) { In = new MemoryStream([0x61, 0xE9, 0x62]) }));
        Assert.Contains("UTF-8", error.ToString());
        using CancellationTokenSource cancel = new();
        using Endless endless = new(cancel);
        Assert.Equal(130, Commands.Run(["generate", "-m", model, "-p", "-"], new CommandHost(output, error) { In = endless, Cancel = cancel.Token }));
    }

    [Fact]
    public void Cancelled_the_text_so_far_is_the_result()
    {
        using TransformerModel<float> made = ScriptedModel.Create(256, ('a', 20));
        string model = Store(made, new ByteTokenizer(), folder: false);
        using CancellationTokenSource cancel = new();
        cancel.Cancel();
        CommandRun run = CommandRun.Of(cancel.Token, "generate", "-m", model, "-p", "x", "--json");
        Assert.Equal(130, run.Code);
        JsonElement json = JsonDocument.Parse(run.Out).RootElement;
        Assert.Equal(("cancelled", "", true),
            (json.GetProperty("finish").GetString(), json.GetProperty("text").GetString(), json.GetProperty("cancelled").GetBoolean()));
    }

    private string Store(TransformerModel<float> model, ITokenizer tokenizer, bool folder)
    {
        if (!folder) return ScriptedModel.Save(_folder.File("model.rbe"), model, tokenizer);
        Gpt2Directory.Save(_folder.File("model"), model, tokenizer);
        return _folder.File("model");
    }

    private static JsonElement Generate(string model, string prompt, params string[] more)
    {
        string[] temperature = more.Contains("--temperature") ? [] : ["--temperature", "1"];
        return JsonDocument.Parse(Run(["generate", "-m", model, "-p", prompt, "--threads", "1", "--json", .. temperature, .. more]).Out).RootElement;
    }

    private static CommandRun Run(params string[] args)
    {
        CommandRun run = CommandRun.Of(args);
        Assert.True(run.Code == 0, $"{string.Join(' ', args)}: exit code {run.Code}: {run.Error}");
        return run;
    }

    // A pipe that nobody closes: the user gives up as it is first read, and the reader is let go with the test.
    private sealed class Endless(CancellationTokenSource cancel) : MemoryStream
    {
        private readonly ManualResetEventSlim _end = new();

        public override int Read(byte[] buffer, int offset, int count)
        {
            cancel.Cancel();
            _end.Wait(CancellationToken.None);
            return 0;
        }

        protected override void Dispose(bool disposing)
        {
            _end.Set();
            base.Dispose(disposing);
        }
    }
}
