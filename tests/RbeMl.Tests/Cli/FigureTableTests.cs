using System.Globalization;
using System.Text.RegularExpressions;
using RbeMl.Cli;
using RbeMl.Cli.Output;
using RbeMl.Codec;
using RbeMl.Files;
using RbeMl.Tests.Files;

namespace RbeMl.Tests.Cli;

/// <summary>The tables of all verbs on terminals of many widths.</summary>
public sealed partial class FigureTableTests : IClassFixture<FigureTableTests.Files>
{
    private static readonly int[] Widths = [20, 40, 60, 80, 120, 200];
    private readonly Files _files;

    public FigureTableTests(Files files) => _files = files;

    public static TheoryData<string, int> Cases()
    {
        TheoryData<string, int> cases = [];
        foreach (string verb in new[] { "inspect model", "inspect all", "inspect set", "eval", "compress", "finetune" })
        {
            foreach (int width in Widths) cases.Add(verb, width);
        }

        return cases;
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void A_table_fits_breaks_no_number_and_names_what_it_leaves_out(string verb, int width)
    {
        CommandRun wide = _files.Run(verb, 400), run = _files.Run(verb, width);
        Assert.Equal((0, ""), (run.Code, run.Error));
        string[] lines = run.Out.Split('\n');

        // A word that is longer than a line (a path, a command to copy) is whole; everything else fits.
        Assert.All(lines.Where(line => line.Trim().Contains(' ', StringComparison.Ordinal) && !line.Contains("rbeml ", StringComparison.Ordinal)
            && !Paths().IsMatch(line)), line => Assert.True(Wrap.Cells(line) <= width, $"{Wrap.Cells(line)} of {width}: {line}"));

        // Every number of a narrow table is one of the wide table.
        HashSet<string> whole = [.. Rows(wide.Out).SelectMany(row => Numbers().Matches(row).Select(m => m.Value))];
        Assert.NotEmpty(whole);
        if (verb is not ("finetune" or "eval"))
        {
            Assert.All(Rows(run.Out).SelectMany(row => Numbers().Matches(row).Select(m => m.Value)), number => Assert.Contains(number, whole));
        }

        // A heading is there, or named below.
        string text = Squeezed(run.Out);
        Assert.All(Headings(wide.Out).SelectMany(heading => heading.Split('/', ' ')), word => Assert.Contains(word, text));
    }

    [Theory]
    [InlineData(20)]
    [InlineData(30)]
    [InlineData(45)]
    [InlineData(60)]
    [InlineData(100)]
    public void The_least_important_go_first_and_all_is_named(int width)
    {
        FigureTable table = new FigureTable("name").Column("alpha", 1).Column("beta/gamma", 3, "what it is").Column("delta", 2).UnknownMeans("nobody knows");
        table.Row("blocks.11.attention.query", "1,234,567", "-12.5 to 99.75", "-");
        table.Row("zwölf.große.Köpfe", "3", "4.25", "5");
        string[] lines = [.. table.Lines(width)];
        Assert.All(lines, line => Assert.InRange(Wrap.Cells(line), 0, width));
        string text = string.Join('\n', lines), flat = string.Join(' ', lines);
        Assert.Contains("99.75", text);
        Assert.Contains("what it is", flat);
        bool alpha = text.Contains("1,234,567", StringComparison.Ordinal), delta = Regex.IsMatch(text, "  5(\n| )", RegexOptions.RightToLeft)
            || text.Contains("  5\n", StringComparison.Ordinal);
        Assert.True(delta || !alpha, "alpha is less important than delta");
        Assert.Equal(!alpha || !delta, flat.Contains("Not shown for want of room", StringComparison.Ordinal));
        Assert.Equal(delta, flat.Contains("nobody knows", StringComparison.Ordinal));
        if (alpha && delta) return;
        int needed = int.Parse(Regex.Match(flat, "terminal of (\\d+)").Groups[1].Value, CultureInfo.InvariantCulture);
        Assert.DoesNotContain(table.Lines(needed), line => line.Contains("Not shown", StringComparison.Ordinal));
        Assert.Contains(table.Lines(needed - 1), line => line.Contains("Not shown", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData(20)]
    [InlineData(40)]
    [InlineData(60)]
    [InlineData(80)]
    [InlineData(200)]
    public void The_words_under_the_bar_are_all_there_at_every_width(int width)
    {
        string[] parts = ["step 123456/2000000", "loss 2.8113", "validation 2.9512 at step 123450", "1:02:05 left", "123,456 tokens/s", "1023.9 MiB"];
        string[] lines = [.. ProgressView.Flow(parts, width)];
        Assert.All(lines, line => Assert.InRange(line.Length, 1, width));
        Assert.Equal(string.Concat(parts).Replace(" ", "", StringComparison.Ordinal), string.Concat(lines).Replace(" ", "", StringComparison.Ordinal));
        if (width == 200) Assert.Single(lines);
    }

    [Fact]
    public void A_text_without_spaces_is_cut_at_the_width_and_loses_nothing()
    {
        string text = "one " + new string('x', 95) + "日本語 end", cut = Wrap.Cut(text, 30);
        Assert.All(cut.Split(' '), word => Assert.InRange(Wrap.Cells(word), 1, 30));
        Assert.Equal(Squeezed(text), Squeezed(cut));
        Assert.Equal("words that fit stay", Wrap.Cut("words that fit stay", 5));
    }

    private static string Squeezed(string text) => Regex.Replace(text, "\\s", "");

    // The rows below a rule, up to the first line that is none.
    private static IEnumerable<string> Rows(string text)
    {
        bool inside = false;
        foreach (string line in text.Split('\n'))
        {
            if (line.StartsWith('─')) inside = true;
            else if (inside && (line.Length == 0 || !line.Contains("  ", StringComparison.Ordinal))) inside = false;
            else if (inside) yield return line;
        }
    }

    private static IEnumerable<string> Headings(string text)
    {
        string[] lines = text.Split('\n');
        for (int i = 1; i < lines.Length; i++)
        {
            if (!lines[i].StartsWith('─')) continue;
            foreach (string heading in Regex.Split(lines[i - 1].Trim(), " {2,}")) yield return heading;
        }
    }

    [GeneratedRegex("[0-9][0-9.,e+-]*")]
    private static partial Regex Numbers();

    [GeneratedRegex("/tmp|/out/|\\.rbe|\\.safetensors")]
    private static partial Regex Paths();

    /// <summary>A small model, a set of matrices and a text.</summary>
    public sealed class Files : IDisposable
    {
        private readonly TemporaryFolder _folder = new();
        private readonly Dictionary<string, string[]> _verbs;

        public Files()
        {
            TinyJob.Run(_folder, "--layers", "2");
            string model = _folder.File("out/model.rbe"), set = _folder.File("set.rbe"), dense = _folder.File("dense.safetensors");
            RbeOptions options = new() { Tile = 32, Format = RbeFormat.Quantized(4) };
            List<RbeNamedMatrix> matrices = [];
            List<SafetensorsSource> sources = [];
            for (int i = 0; i < 3; i++)
            {
                float[] weights = Support.Numbers.Normal(64 * 96, i + 1);
                RbeMatrix matrix = RbeCompressor.Compress(weights, 64, 96, options, out CompressionReport report);
                matrices.Add(i < 2 ? new RbeNamedMatrix($"model.encoder.layers.{i}.self_attn.q_proj.weight", matrix, report)
                    : new RbeNamedMatrix("unmeasured", matrix));
                sources.Add(SafetensorsSource.From($"model.encoder.layers.{i}.self_attn.q_proj.weight", weights, [64, 96]));
            }

            RbeMatrixSet.Save(set, matrices, [RbeDenseTensor.From("mask", "I64", [2], new byte[16])]);
            SafetensorsWriter.Write(dense, [.. sources]);
            _verbs = new()
            {
                ["inspect model"] = ["inspect", model],
                ["inspect all"] = ["inspect", model, "--all"],
                ["inspect set"] = ["inspect", set],
                ["eval"] = ["eval", "-m", model, "--text", _folder.File("text.txt"), "--limit", "40", "--reference", model],
                ["compress"] = ["compress", dense, "-o", _folder.File("made.rbe"), "--tile", "32"],
                ["finetune"] = TinyJob.Args(_folder, "--steps", "2", "--profile", "--overwrite"),
            };
        }

        internal CommandRun Run(string verb, int width) => CommandRun.At(width, _verbs[verb]);

        public void Dispose() => _folder.Dispose();
    }
}
