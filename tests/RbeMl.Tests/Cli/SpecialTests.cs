using System.Text.Json;
using RbeMl.Files;
using RbeMl.Tests.Files;
using RbeMl.Text;

namespace RbeMl.Tests.Cli;

/// <summary><c>--special</c>: names of special tokens in a text are these tokens.</summary>
public sealed class SpecialTests : IDisposable
{
    private const string Text = "ab<|endoftext|>ba";
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    // Thirty ids: the letters of the name, a, b and a few more, and the special token.
    private string Model(bool special = true)
    {
        string folder = new HuggingFaceModel(8, 16).Write(_folder.File("model"));
        const string Bytes = "<|>abcdefghijklmnopqrstuvwxy\n";
        int[] ids = [.. Enumerable.Range(0, 256).Select(b => Bytes.IndexOf((char)b))];
        Gpt2TokenizerFiles.Save(folder, new Gpt2Tokenizer(ids, [], special ? new Dictionary<string, int> { [Gpt2Tokenizer.EndOfText] = 29 } : []));
        return folder;
    }

    [Fact]
    public void Generate_eval_and_finetune_read_special_tokens_when_asked_to()
    {
        string model = Model(), text = _folder.Write("text.txt", string.Concat(Enumerable.Repeat(Text + "\n", 30))), file = _folder.File("model.rbe");
        CommandRun.Of("compress", model, "-o", file).Succeeds();
        foreach (string path in (string[])[model, file])
        {
            int[] plain = Prompt(path), special = Prompt(path, "--special");
            Assert.Equal((17, 5), (plain.Length, special.Length));
            Assert.Equal([3, 4, 29, 4, 3], special);
            Assert.DoesNotContain(29, plain);
        }

        Assert.Equal((18 * 30) - 1, Eval());
        Assert.Equal((6 * 30) - 1, Eval("--special"));
        string few = Tokens(), fewer = Tokens("--special");
        Assert.NotEqual(few, fewer);

        int[] Prompt(string path, params string[] more) =>
            [.. Json(["generate", "--model", path, "--prompt", Text, "--max-tokens", "1", "--json", .. more]).GetProperty("promptTokens")
                .EnumerateArray().Select(id => id.GetInt32())];

        int Eval(params string[] more) => Json(["eval", "--model", model, "--text", text, "--json", .. more]).GetProperty("tokens").GetInt32();

        string Tokens(params string[] more) =>
            Json(["finetune", "--model", model, "--text", text, "--steps", "1", "--batch", "2", "--context", "4", "--out", _folder.File("out"),
                "--json", .. more]).GetProperty("trainTokens").ToString();
    }

    [Fact]
    public void It_is_refused_where_it_could_not_mean_anything()
    {
        string model = Model(special: false), ids = _folder.Write("ids.txt", "1 2 3"), text = _folder.Write("text.txt", "ab");
        CommandRun.Of("generate", "--model", model, "--prompt", "ab", "--special").Fails(1, "no special tokens");
        CommandRun.Of("eval", "--model", model, "--text", text, "--special").Fails(1, "no special tokens");
        CommandRun.Of("generate", "--model", model, "--tokens", "--prompt", "1", "--special").Fails(2, "--special is for texts");
        CommandRun.Of("eval", "--model", model, "--tokens", ids, "--special").Fails(2, "--special is for texts");
        CommandRun.Of("finetune", "--text", text, "--special").Fails(2, "--special is for texts and the tokenizer of a --model");
    }

    private static JsonElement Json(string[] args)
    {
        CommandRun run = CommandRun.Of(args);
        run.Succeeds();
        return JsonDocument.Parse(run.Out).RootElement;
    }
}
