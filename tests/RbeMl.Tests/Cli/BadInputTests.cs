using System.Text.Json;
using RbeMl.Cli;
using RbeMl.Tests.Files;

namespace RbeMl.Tests.Cli;

/// <summary>Bad input ends with one line, the right exit code, and whatever was in the output folder untouched.</summary>
public sealed class BadInputTests : IDisposable
{
    private static readonly string[] s_files = ["model.rbe", "model.zip", "metrics.json", "report.html"];
    private readonly TemporaryFolder _folder = new();
    private readonly string _out;

    public BadInputTests()
    {
        _out = _folder.File("out");
        Directory.CreateDirectory(_out);
        foreach (string name in s_files) File.WriteAllText(Path.Combine(_out, name), "precious");
    }

    public void Dispose() => _folder.Dispose();

    private void Fails(string message, params string[] args)
    {
        CommandRun.Of(args).Fails(1, message);
        Assert.Equal(4, Directory.GetFileSystemEntries(_out).Length);
        Assert.All(Directory.GetFiles(_out), file => Assert.Equal("precious", File.ReadAllText(file)));
    }

    private string[] Finetune(params string[] more) => ["finetune", .. TinyJob.Override(["--out", _out, .. TinyJob.Shape, "--steps", "2"], more), .. more];

    [Fact]
    public void Missing_and_empty_texts()
    {
        Fails("no such file", Finetune("--text", _folder.File("none.txt")));
        Fails("is empty", Finetune("--text", _folder.Write("empty.txt", "")));
        Fails("is a folder", Finetune("--text", Directory.CreateDirectory(_folder.File("nothing")).FullName));
    }

    [Fact]
    public void A_text_shorter_than_the_context_names_both_lengths()
    {
        string text = _folder.Write("short.txt", "abcabcabcabc");
        Fails("The training text has 10 tokens, a context of 16 needs at least 17", Finetune("--text", text, "--tokenizer", "bytes"));
        string ids = _folder.Write("short.ids", "1 2 3 4 5 6 7 8");
        Fails("The training data has 8 tokens, a context of 16 needs at least 17", Finetune("--tokens", ids, "--validation", ids));
    }

    [Fact]
    public void A_validation_text_of_a_single_token_is_named()
    {
        string text = _folder.Write("long.txt", string.Concat(Enumerable.Repeat("abc", 40))), one = _folder.Write("one.txt", "a");
        Fails($"{one} has 1 token, at least 2 are needed", Finetune("--text", text, "--validation", one, "--tokenizer", "bytes"));
        string ids = _folder.Write("one.ids", "1");
        Fails($"{ids}, line 1", Finetune("--tokens", _folder.Write("long.ids", "1 2 3 4 5 6 7 8"), "--validation", ids));
    }

    [Fact]
    public void A_validation_text_shorter_than_the_context_is_one_short_sequence()
    {
        string text = _folder.Write("short.txt", string.Concat(Enumerable.Repeat("abc", 40)));
        CommandRun.Of(Finetune("--text", text, "--tokenizer", "bytes", "--steps", "1")).Succeeds();
        JsonElement metrics = JsonDocument.Parse(File.ReadAllText(Path.Combine(_out, "metrics.json"))).RootElement;
        Assert.Equal(12, metrics.GetProperty("validationTokens").GetInt32());
        Assert.All(metrics.GetProperty("validation").EnumerateArray(), point => Assert.InRange(point.GetProperty("loss").GetDouble(), 1, 8));
    }

    [Fact]
    public void A_character_the_model_never_saw()
    {
        using TemporaryFolder other = new();
        TinyJob.Run(other);
        Fails("'Z' (U+005A)", "finetune", "--model", other.File("out/model.rbe"), "--text",
            _folder.Write("new.txt", string.Concat(Enumerable.Repeat("the cat sat on a mat Z ", 40))), "--out", _out);
        CommandRun.Of("generate", "--model", other.File("out/model.rbe"), "--prompt", "Zoo").Fails(1, "'Z' (U+005A)");
        CommandRun.Of("generate", "--model", other.File("out/model.rbe"), "--prompt", "").Fails(1, "at least one token");
        CommandRun.Of("generate", "--model", other.File("out/model.rbe"), "--prompt", "1 999", "--tokens").Fails(1, "\"999\" is no token id");
        Fails("--context = 99", "finetune", "--model", other.File("out/model.rbe"), "--text", other.File("text.txt"), "--context", "99", "--out", _out);
    }

    [Fact]
    public void Token_ids_out_of_range()
    {
        Fails("line 2: token id 12 is outside the vocabulary 0 .. 8", Finetune("--tokens", _folder.Write("ids.txt", "1 2 3\n4 12 5\n"), "--vocabulary", "9"));
        Fails("3 token ids are too few to set a tenth aside", Finetune("--tokens", _folder.Write("one.txt", "1 2 3\n"), "--vocabulary", "9"));
    }

    [Fact]
    public void Damaged_and_foreign_models()
    {
        using TemporaryFolder other = new();
        TinyJob.Run(other);
        byte[] bytes = File.ReadAllBytes(other.File("out/model.rbe"));
        bytes[bytes.Length / 2] ^= 4;
        string damaged = _folder.File("damaged.rbe");
        File.WriteAllBytes(damaged, bytes);
        Fails("is damaged", "finetune", "--model", damaged, "--text", other.File("text.txt"), "--out", _out);
        CommandRun.Of("generate", "--model", damaged, "--prompt", "the").Fails(1, "is damaged");
        CommandRun.Of("generate", "--model", other.File("text.txt"), "--prompt", "the").Fails(1, "looks like text");
        CommandRun.Of("generate", "--model", _folder.File("none.rbe"), "--prompt", "the").Fails(1, "no such file");
    }

    [Fact]
    public void A_folder_that_cannot_be_written_is_found_before_training()
    {
        string file = _folder.Write("file", "no folder");
        string text = _folder.Write("text.txt", string.Concat(Enumerable.Repeat(TinyJob.Text, 40)));
        CommandRun run = CommandRun.Of(["finetune", "--text", text, .. TinyJob.Shape, "--steps", "2", "--out", Path.Combine(file, "below")])
            .Fails(1, "cannot write to this folder");
        Assert.Equal("", run.Out);
        Directory.CreateDirectory(_folder.File("occupied/model.rbe"));
        run = CommandRun.Of(["finetune", "--text", text, .. TinyJob.Shape, "--steps", "2", "--out", _folder.File("occupied")]).Fails(1, "is a folder");
        Assert.Equal("", run.Out);
        Fails("cannot write to this folder", Finetune("--text", text, "--json", Path.Combine(file, "below", "x.json")));
    }

    [Theory]
    [InlineData("adamw")]
    [InlineData("lion")]
    public void A_run_that_diverges_says_so_and_leaves_the_old_files(string optimizer)
    {
        string text = _folder.Write("text.txt", string.Concat(Enumerable.Repeat(TinyJob.Text, 40)));
        string[] wild = ["--text", text, "--optimizer", optimizer, "--learning-rate", "10", "--clip", "0", "--warmup", "0", "--weight-decay", "9.9"];
        CommandRun run = CommandRun.Of(Finetune([.. wild, "--steps", "4000"])).Fails(1, "NaN");
        Assert.Matches("The weights after [0-9,]+ steps? predict nothing any more and are not saved\\.", run.Error);
        Assert.Equal(s_files.Concat(["metrics.jsonl", "run.json"]).Order(StringComparer.Ordinal),
            Directory.GetFileSystemEntries(_out).Select(Path.GetFileName).Order(StringComparer.Ordinal));
        Assert.All(s_files, file => Assert.Equal("precious", File.ReadAllText(Path.Combine(_out, file))));

        // Runs that end about there: what they save predicts something, also where the very last step was too long.
        for (int steps = 3; steps <= 9; steps++)
        {
            string folder = _folder.File($"{steps}");
            CommandRun ended = CommandRun.Of(Finetune([.. wild, "--steps", $"{steps}", "--out", folder]));
            bool saved = File.Exists(Path.Combine(folder, "model.rbe"));
            Assert.True(saved || ended.Code == 1, ended.Error);
            if (saved) CommandRun.Of("eval", "--model", Path.Combine(folder, "model.rbe"), "--text", text).Succeeds();
        }
    }

    [Fact]
    public void Ids_and_widths_too_large_for_an_embedding()
    {
        string ids = _folder.Write("ids.txt", "1 2 3\n4 60000000 5\n");
        Fails($"{ids}, line 2: token id 60000000 is outside the vocabulary 0 .. 1048575", Finetune("--tokens", ids));
        ids = _folder.Write("ids.txt", "1 2 3\n4 1000000 5\n");
        Fails("--width = 65536: 1000001 token ids of ids.txt", Finetune("--tokens", ids, "--width", "65536"));
    }

    [Fact]
    public void A_file_of_the_command_is_not_replaced_by_another()
    {
        string text = _folder.Write("text.txt", "precious");
        foreach (string file in s_files) Clash(Finetune("--text", text, "--json", Path.Combine(_out, file)));
        Clash(Finetune("--text", text, "--json", text));
        Clash(Finetune("--text", Path.Combine(_out, "metrics.json")));
        Clash(Finetune("--tokens", Path.Combine(_out, "report.html")));
        Clash(Finetune("--text", text, "--validation", Path.Combine(_out, "model.rbe")));
        string model = Path.Combine(_out, "model.rbe");
        Clash("finetune", "--model", model, "--text", text, "--out", _folder.File("other"), "--json", model);
        Clash("generate", "--model", model, "--prompt", "x", "--json", Path.Combine(_out, ".", "model.rbe"));
        if (!OperatingSystem.IsWindows())
        {
            string link = _folder.File("link.json");
            File.CreateSymbolicLink(link, model);
            Clash("generate", "--model", model, "--prompt", "x", "--json", link);
        }

        Assert.Equal("precious", File.ReadAllText(text));
        Assert.False(Directory.Exists(_folder.File("other")));

        void Clash(params string[] args)
        {
            CommandRun.Of(args).Fails(2, "another file of this command");
            Assert.All(Directory.GetFiles(_out), file => Assert.Equal("precious", File.ReadAllText(file)));
        }
    }

    [Fact]
    public void Results_that_cannot_be_written_are_found_before_any_work()
    {
        string text = _folder.Write("text.txt", string.Concat(Enumerable.Repeat(TinyJob.Text, 40)));
        Fails("is a folder", Finetune("--text", text, "--json", _folder.Path));
        CommandRun.Of("generate", "--model", _folder.File("none.rbe"), "--prompt", "x", "--json", _folder.Path).Fails(1, "is a folder");
        if (OperatingSystem.IsWindows()) return;
        string file = _folder.Write("file", "no folder"), occupied = _folder.File("occupied");
        Directory.CreateDirectory(occupied);
        File.CreateSymbolicLink(Path.Combine(occupied, "metrics.json"), Path.Combine(file, "below.json"));
        CommandRun run = CommandRun.Of(["finetune", "--text", text, .. TinyJob.Shape, "--steps", "2", "--out", occupied])
            .Fails(1, "cannot write to this folder");
        Assert.Equal("", run.Out);
        Assert.Single(Directory.GetFileSystemEntries(occupied));
    }

    [Fact]
    public void A_standard_output_that_is_full_is_one_line()
    {
        TinyJob.Run(_folder);
        foreach (string[] args in new string[][]
        {
            ["generate", "--model", _folder.File("out/model.rbe"), "--prompt", "the", "--max-tokens", "2"],
            ["generate", "--model", _folder.File("out/model.rbe"), "--prompt", "the", "--max-tokens", "2", "--json"],
            ["finetune", "--help"],
        })
        {
            StringWriter error = new();
            Assert.Equal(1, Commands.Run(args, new CommandHost(new FullWriter(), error)));
            Assert.StartsWith("rbeml: reading or writing failed: No space left on device. Check", error.ToString());
            Assert.Equal(1, error.ToString().Count(c => c == '\n'));
            Assert.Equal(1, Commands.Run(args, new CommandHost(new FullWriter(), new FullWriter())));
        }
    }

    private sealed class FullWriter : StringWriter
    {
        public override void Write(char value) => throw new IOException("No space left on device");

        public override void Write(string? value) => throw new IOException("No space left on device");

        public override void Write(char[] buffer, int index, int count) => throw new IOException("No space left on device");

        public override void Write(ReadOnlySpan<char> buffer) => throw new IOException("No space left on device");
    }
}
