using System.Diagnostics;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using RbeMl.Cli;
using RbeMl.Codec;
using RbeMl.Files;
using RbeMl.Tests.Files;
using RbeMl.Tests.Support;

namespace RbeMl.Tests.Cli;

/// <summary>What reaches a terminal: UTF-8 in every locale, and no control characters of names and models.</summary>
public sealed class PlainTextTests : IDisposable
{
    private const string Nasty = "\u001B]0;title\u0007\u001B[31m[red]\u0085\u009B2J\u007F\u202Egnp.exe\u2066\b\r";
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private static void IsPlain(string text)
    {
        for (int i = 0; i < text.Length; i++)
        {
            char c = text[i];
            bool bad = (char.IsControl(c) && c is not ('\n' or '\t') && !(c == '\r' && i + 1 < text.Length && text[i + 1] == '\n'))
                || c is (>= '\u202A' and <= '\u202E') or (>= '\u2066' and <= '\u2069');
            Assert.False(bad, $"U+{(int)c:X4} at {i} of {text.Length}: {JsonSerializer.Serialize(text[Math.Max(0, i - 40)..Math.Min(text.Length, i + 20)])}");
        }
    }

    // A terminal of a slow machine also gets the progress bar: its colour, and how it is drawn over.
    private static string WithoutProgress(string text) =>
        Regex.Replace(text, "\r?\u001B\\[([?]25[hl]|38;5;[0-9]+m|0m|[0-9]*[AGK])", "", RegexOptions.None, TimeSpan.FromMinutes(1));

    [Fact]
    public void Every_control_character_is_shown_and_all_else_stays()
    {
        for (int c = 0; c <= 0xFFFF; c++)
        {
            string clean = PlainText.Clean($"a{(char)c}b");
            bool kept = clean == $"a{(char)c}b";
            bool control = (char.IsControl((char)c) && c is not ('\n' or '\t')) || char.IsSurrogate((char)c)
                || c is (>= 0x202A and <= 0x202E) or (>= 0x2066 and <= 0x2069);
            Assert.Equal(control, !kept);
            Assert.Equal(3, clean.Length);
        }

        Assert.Equal("\u241B\u2421\uFFFD 😀 \uFFFD\r\nx", PlainText.Clean("\u001B\u007F\u0090 😀 \uD83D\r\nx"));
        Assert.Equal("a b c d", PlainText.Line("a\r\nb\tc\nd"));
    }

    [Fact]
    public void The_writer_cleans_whatever_method_is_used()
    {
        StringWriter inner = new();
        PlainWriter writer = new(inner);
        writer.Write('\u001B');
        writer.Write("\u001B");
        writer.Write((object)"\u001B");
        writer.Write(['\u001B', 'x']);
        writer.Write("\u001By".AsSpan());
        writer.Write("{0}", "\u001B");
        writer.Write(new StringBuilder("\u001B"));
        writer.WriteLine("\u001Bz");
        writer.WriteLine();
        writer.WriteLine("{0}", "\u001B");
        writer.Write(1.5);
        Assert.Equal("\u241B\u241B\u241B\u241Bx\u241By\u241B\u241B\u241Bz\n\n\u241B\n1.5", inner.ToString().ReplaceLineEndings("\n"));
    }

    [Theory]
    [InlineData("generate --prompt x --model")]
    [InlineData("eval --text x --model")]
    [InlineData("inspect")]
    [InlineData("embed --text x --model")]
    [InlineData("classify train -m x -o y --data")]
    [InlineData("classify predict --model")]
    [InlineData("classify eval -m x --data")]
    [InlineData("decompress -o x")]
    [InlineData("compress -o x")]
    [InlineData("finetune --text")]
    [InlineData("finetune --tokens")]
    [InlineData("finetune --learning-rate")]
    [InlineData("finetune --format")]
    [InlineData("finetune --encoding")]
    [InlineData("")]
    public void Error_lines_are_plain(string line)
    {
        CommandRun run = CommandRun.Of([.. line.Split(' ', StringSplitOptions.RemoveEmptyEntries), Nasty]);
        Assert.NotEqual(0, run.Code);
        Assert.Contains("[red]", run.Error);
        Assert.Equal(1, run.Error.Count(c => c == '\n'));
        IsPlain(run.Error);
        IsPlain(run.Out);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Names_in_files_are_plain_on_terminals_in_tables_json_and_pages(bool interactive)
    {
        string dense = _folder.File("dense.safetensors"), set = _folder.File("set.rbe"), page = _folder.File("page.html");
        float[] weights = Numbers.Normal(32 * 32, 1);
        SafetensorsWriter.Write(dense, [SafetensorsSource.From(Nasty, weights, [32, 32])]);
        RbeMatrix matrix = RbeCompressor.Compress(weights, 32, 32, new RbeOptions { Tile = 32, Format = RbeFormat.Quantized(4) });
        RbeMatrixSet.Save(set, [new RbeNamedMatrix(Nasty, matrix)], [RbeDenseTensor.From("d" + Nasty, "I64", [2], new byte[16])]);
        foreach (string[] args in new string[][]
        {
            ["inspect", set, "--html", page],
            ["inspect", set, "--json"],
            ["compress", dense, "-o", _folder.File("again.rbe"), "--tile", "32"],
            ["compress", dense, "-o", _folder.File("again.rbe"), "--tile", "32", "--json"],
            ["decompress", set, "-o", _folder.File("x\u001B[31m.safetensors")],
        })
        {
            StringWriter output = new(), error = new();
            Assert.True(Commands.Run(args, new CommandHost(output, error) { Interactive = interactive }) == 0, error.ToString());
            IsPlain(interactive ? WithoutProgress(output.ToString()) : output.ToString());
            if (args[^1] != "--json") continue;
            JsonElement tensor = JsonDocument.Parse(output.ToString()).RootElement.GetProperty("tensors")[0];
            Assert.Equal(Nasty, tensor.GetProperty("name").GetString());
        }

        IsPlain(File.ReadAllText(page));
        Assert.Contains("[red]", File.ReadAllText(page));
    }

    [Fact]
    public void What_a_model_makes_is_plain_on_a_terminal_and_itself_in_a_pipe()
    {
        string text = _folder.Write("controls.txt", string.Concat(Enumerable.Repeat("\u001B[31mred\u0007 \u009B2J\u202Eend [bold] \u007F\n", 200)));
        CommandRun trained = CommandRun.Of(TinyJob.Args(_folder, "--text", text, "--steps", "60"));
        trained.Succeeds();
        IsPlain(trained.Out);
        IsPlain(File.ReadAllText(_folder.File("out/report.html")));
        string[] generate = ["generate", "--model", _folder.File("out/model.rbe"), "--prompt", "\u001B[31mred", "--max-tokens", "60"];
        CommandRun piped = CommandRun.Of(generate);
        piped.Succeeds();
        StringWriter terminal = new();
        Assert.Equal(0, Commands.Run(generate, new CommandHost(terminal, TextWriter.Null) { Interactive = true }));
        IsPlain(terminal.ToString());
        Assert.StartsWith("\u001B[31mred", piped.Out);
        Assert.Equal(PlainText.Clean(piped.Out), terminal.ToString());
        CommandRun json = CommandRun.Of([.. generate, "--json"]);
        IsPlain(json.Out);
        Assert.Equal(piped.Out["\u001B[31mred".Length..].TrimEnd('\n', '\r'),
            JsonDocument.Parse(json.Out).RootElement.GetProperty("text").GetString()!.TrimEnd('\n', '\r'));
    }

    [Theory]
    [InlineData("LC_ALL", "C")]
    [InlineData("LC_ALL", "POSIX")]
    [InlineData("LANG", "de_DE.ISO-8859-1")]
    public async Task Output_is_utf_8_without_a_mark_in_every_locale(string variable, string locale)
    {
        if (OperatingSystem.IsWindows()) return;
        ProcessStartInfo start = ProcessTests.Info("generate", "--model", "nö\u65E5.rbe", "--prompt", "x");
        foreach (string name in new[] { "LC_ALL", "LC_CTYPE", "LC_MESSAGES", "LANG" }) start.Environment.Remove(name);
        start.Environment[variable] = locale;
        (byte[] output, byte[] error) = await Bytes(start);
        Assert.Empty(output);
        Assert.StartsWith("rbeml: nö\u65E5.rbe: no such file", new UTF8Encoding(false, true).GetString(error));
        start.ArgumentList.Clear();
        foreach (string word in ProcessTests.Info("finetune", "--help").ArgumentList) start.ArgumentList.Add(word);
        (output, _) = await Bytes(start);
        Assert.StartsWith("Trains ", new UTF8Encoding(false, true).GetString(output));
        Assert.Contains("sqrt(B²/K)", new UTF8Encoding(false, true).GetString(output));
    }

    [Theory]
    [InlineData("C")]
    [InlineData("de_DE.ISO-8859-1")]
    public async Task Standard_input_is_utf_8_in_every_locale(string locale)
    {
        if (OperatingSystem.IsWindows()) return;
        const string Prompt = "nö\u65E5 😀";
        string text = _folder.Write("letters.txt", string.Concat(Enumerable.Repeat(Prompt + " ab\n", 60)));
        CommandRun.Of(TinyJob.Args(_folder, "--text", text, "--steps", "1")).Succeeds();
        ProcessStartInfo start = ProcessTests.Info("generate", "--model", _folder.File("out/model.rbe"), "--prompt", "-", "--max-tokens", "1", "--json");
        start.Environment["LC_ALL"] = locale;
        (byte[] output, byte[] error) = await Bytes(start, Encoding.UTF8.GetBytes(Prompt + "\n"));
        Assert.Empty(error);
        Assert.Equal(Prompt, JsonDocument.Parse(output).RootElement.GetProperty("prompt").GetString());
        (output, error) = await Bytes(start, [0x6E, 0xF6, 0x62]);
        Assert.Empty(output);
        Assert.StartsWith("rbeml: standard input: byte 1 (F6) is not UTF-8. ", Encoding.UTF8.GetString(error));
    }

    private static async Task<(byte[] Output, byte[] Error)> Bytes(ProcessStartInfo start, byte[]? input = null)
    {
        using CancellationTokenSource patience = Patience.Start();
        start.RedirectStandardInput = input is not null;
        using Process process = Process.Start(start)!;
        if (input is not null)
        {
            await process.StandardInput.BaseStream.WriteAsync(input, patience.Token);
            process.StandardInput.Close();
        }

        using MemoryStream output = new(), error = new();
        await Task.WhenAll(process.StandardOutput.BaseStream.CopyToAsync(output, patience.Token),
            process.StandardError.BaseStream.CopyToAsync(error, patience.Token));
        await process.WaitForExitAsync(patience.Token);
        return (output.ToArray(), error.ToArray());
    }
}
