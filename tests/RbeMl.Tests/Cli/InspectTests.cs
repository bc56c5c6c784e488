using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;
using RbeMl.Codec;
using RbeMl.Files;
using RbeMl.Tests.Files;
using RbeMl.Tests.Support;

namespace RbeMl.Tests.Cli;

public sealed class InspectTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();
    private readonly string _set;
    private readonly string _dense;
    private readonly float[] _weights = Numbers.Normal(70 * 96, 1);

    public InspectTests()
    {
        _set = _folder.File("set.rbe");
        _dense = _folder.File("dense.safetensors");
        float[] other = Numbers.Normal(32 * 32, 2);
        RbeOptions options = new() { Tile = 32, Format = RbeFormat.Quantized(4) };
        RbeMatrix first = RbeCompressor.Compress(_weights, 70, 96, options, out CompressionReport report),
            second = RbeCompressor.Compress(other, 32, 32, options with { Format = RbeFormat.Sparse(256) });
        RbeMatrixSet.Save(_set, [new RbeNamedMatrix("layer.<0>.weight", first, report), new RbeNamedMatrix("b", second)],
            [RbeDenseTensor.From("mask", "I64", [2], new byte[16])]);
        SafetensorsWriter.Write(_dense, [SafetensorsSource.From("layer.<0>.weight", _weights, [70, 96]), SafetensorsSource.From("b", other, [32, 32])]);
    }

    public void Dispose() => _folder.Dispose();

    private static JsonElement Inspect(params string[] args)
    {
        CommandRun run = CommandRun.Of(["inspect", .. args, "--json"]);
        Assert.True(run.Code == 0, run.Error);
        return JsonDocument.Parse(run.Out).RootElement;
    }

    [Fact]
    public void A_set_shows_the_figures_of_its_reports()
    {
        JsonElement json = Inspect(_set, "--verify"), tensor = json.GetProperty("tensors")[0];
        using RbeMatrixSet set = RbeMatrixSet.Open(_set);
        RbeMatrix matrix = set.ReadMatrix("layer.<0>.weight");
        CompressionReport report = RbeCompressor.Measure(matrix, _weights);
        Assert.Equal(
            ("layer.<0>.weight", 70, 96, "quantized"),
            (tensor.GetProperty("name").GetString(), tensor.GetProperty("rows").GetInt32(), tensor.GetProperty("columns").GetInt32(),
            tensor.GetProperty("format").GetString()));
        Assert.Equal((report.BitsPerWeight, report.ShannonFloor, report.RelativeError),
            (tensor.GetProperty("bitsPerWeight").GetDouble(), tensor.GetProperty("shannonFloor").GetDouble(), tensor.GetProperty("relativeError").GetDouble()));
        Assert.Equal(TileStatistics.Of(matrix).AlphaShare, tensor.GetProperty("alphaShare").GetDouble());
        Assert.False(json.GetProperty("tensors")[1].TryGetProperty("relativeError", out _));
        Assert.False(json.TryGetProperty("relativeError", out _)); // not known of all
        Assert.Equal(("matrices", true, new FileInfo(_set).Length),
            (json.GetProperty("kind").GetString(), json.GetProperty("verified").GetBoolean(), json.GetProperty("bytes").GetInt64()));
        Assert.Equal("mask", json.GetProperty("denseTensors")[0].GetProperty("name").GetString());
        Assert.Equal(new FileInfo(_set).Length, json.GetProperty("parts").EnumerateArray().Sum(p => p.GetProperty("bytes").GetInt64()));
        Assert.Equal(1 - json.GetProperty("bitsPerWeight").GetDouble() / 32, json.GetProperty("savedFraction").GetDouble());
        Assert.False(Inspect(_set).GetProperty("verified").GetBoolean());
    }

    [Fact]
    public void A_reference_measures_errors_anew()
    {
        JsonElement json = Inspect(_set, "--reference", _dense);
        double first = json.GetProperty("tensors")[0].GetProperty("relativeError").GetDouble(),
            second = json.GetProperty("tensors")[1].GetProperty("relativeError").GetDouble();
        Assert.Equal(Inspect(_set).GetProperty("tensors")[0].GetProperty("relativeError").GetDouble(), first);
        Assert.InRange(json.GetProperty("relativeError").GetDouble(), Math.Min(first, second), Math.Max(first, second));

        // A compressed file is a reference too; against itself nothing is lost.
        Assert.All(Inspect(_set, "--reference", _set).GetProperty("tensors").EnumerateArray(),
            t => Assert.Equal(0, t.GetProperty("relativeError").GetDouble()));
        string small = _folder.File("small.safetensors");
        SafetensorsWriter.Write(small, [SafetensorsSource.From("b", new float[32], [1, 32])]);
        CommandRun.Of("inspect", _set, "--reference", small).Fails(1, "matrix \"layer.<0>.weight\" of 70 x 96 is needed as a reference, the file has none");
    }

    [Fact]
    public void A_model_shows_configuration_tokenizer_and_parts()
    {
        TinyJob.Run(_folder, "--format", "quantized");
        string model = _folder.File("out/model.rbe"), folder = _folder.File("hf");
        JsonElement json = Inspect(model);
        Assert.Equal((32, "characters", "model", "gpt2", 6),
            (json.GetProperty("config").GetProperty("width").GetInt32(), json.GetProperty("tokenizer").GetString(),
            json.GetProperty("kind").GetString(), json.GetProperty("architecture").GetString(), json.GetProperty("tensors").GetArrayLength()));
        Assert.Equal(
            ["LayerNorms", "biases", "embeddings and head", "header and gaps", "matrices of the blocks"],
            json.GetProperty("parts").EnumerateArray().Select(p => p.GetProperty("part").GetString()!).Order(StringComparer.Ordinal));
        CommandRun run = CommandRun.Of("inspect", model);
        Assert.StartsWith($"{model}: a language model, a GPT-2, ", run.Out);
        Assert.All(["blocks.0.attention.query", "tokenizer characters", "LayerNorms", "6 matrices: 4 bits, quantized, and 256 coefficients "
            + "a tile on top, runs of 16; tiles of 32, Dct", "bits a weight"], part => Assert.Contains(part, run.Out));

        // Its own dense weights as a Hugging Face folder differ by their rounding to fp32 alone, which measuring leaves out.
        Assert.Equal(0, CommandRun.Of("decompress", model, "-o", folder).Code);
        Assert.All(Inspect(model, "--reference", folder).GetProperty("tensors").EnumerateArray(),
            t => Assert.InRange(t.GetProperty("relativeError").GetDouble(), 0, 1e-7));
    }

    [Fact]
    public void The_page_draws_every_tile_and_holds_everything()
    {
        string page = _folder.File("tiles.html");
        CommandRun run = CommandRun.Of("inspect", _set, "--html", page);
        Assert.Equal((0, ""), (run.Code, run.Error));
        string html = File.ReadAllText(page);
        Assert.All(["http:", "https:", "src=", "<link", "@import", "NaN", "<0>"], part => Assert.DoesNotContain(part, html));
        Assert.All(["layer.&lt;0&gt;.weight", "Parts of the file", "pointermove", "One scale for all 10 tiles", "One scale for all 9 tiles",
            "<td data-heading=\"bits/weight\">", "<br>floor 0."], part => Assert.Contains(part, html));
        (string Name, int Rows, int Columns, double[] Values)[] maps =
            [.. Regex.Matches(html, "data-name=\"(\\w+)\" data-unit=\"[^\"]*\" data-rows=\"(\\d+)\" data-columns=\"(\\d+)\" "
                + "data-values=\"([^\"]*)\"").Select(m =>
            (m.Groups[1].Value, int.Parse(m.Groups[2].Value, CultureInfo.InvariantCulture),
                int.Parse(m.Groups[3].Value, CultureInfo.InvariantCulture),
                    m.Groups[4].Value.Split(' ').Select(v => double.Parse(v, CultureInfo.InvariantCulture)).ToArray()))];
        Assert.Equal(["error", "norm", "norm", "alphas", "alphas"], maps.Select(m => m.Name));
        Assert.All(maps, m => Assert.Equal(m.Rows * m.Columns, m.Values.Length));
        using RbeMatrixSet set = RbeMatrixSet.Open(_set);
        RbeMatrix matrix = set.ReadMatrix("layer.<0>.weight");
        IReadOnlyList<double> errors = RbeCompressor.Measure(matrix, _weights).TileErrors;
        TileStatistics tiles = TileStatistics.Of(matrix);
        for (int t = 0; t < matrix.TileCount; t++)
        {
            // Four digits of each.
            Assert.Equal(errors[t], maps[0].Values[t], 1e-3 * errors[t]);
            Assert.Equal(tiles.NormOf(t), maps[1].Values[t], 1e-3 * tiles.NormOf(t));
            Assert.Equal(100 * tiles.AlphaShareOf(t), maps[3].Values[t], 1e-1 * tiles.AlphaShareOf(t));
        }

        CommandRun.Of("inspect", _set, "--html", page, "--reference", _dense);
        Assert.Equal(2, Regex.Count(File.ReadAllText(page), "data-name=\"error\""));
    }

    [Fact]
    public void The_page_has_a_scale_a_quantity_and_the_matrices_of_a_block_side_by_side()
    {
        TinyJob.Run(_folder, "--layers", "3", "--format", "quantized");
        string page = _folder.File("tiles.html");
        CommandRun.Of("inspect", _folder.File("out/model.rbe"), "--html", page).Succeeds();
        string html = File.ReadAllText(page);
        Assert.True(html.IndexOf("<table>", StringComparison.Ordinal) < html.IndexOf("<canvas", StringComparison.Ordinal), "the table comes first");
        string[] quantities = html.Split("<details ")[1..];
        Assert.Equal(["norm", "alphas"], quantities.Select(q => Regex.Match(q, "data-name=\"(\\w+)\"").Groups[1].Value)); // training leaves no errors
        Assert.All(quantities, quantity =>
        {
            Assert.Single(Regex.Matches(quantity, "class=\"bar\""));
            (double low, double high) = (Figure(quantity, "data-low"), Figure(quantity, "data-high"));
            double[] values =
                [.. Regex.Matches(quantity, "data-values=\"([^\"]*)\"").SelectMany(m => m.Groups[1].Value.Split(' '))
                    .Select(v => double.Parse(v, CultureInfo.InvariantCulture))];
            Assert.Equal((values.Min(), values.Max()), (low, high));
            string[] blocks = quantity.Split("<h3>")[1..];
            Assert.Equal(["blocks.0", "blocks.1", "blocks.2"], blocks.Select(b => b[..b.IndexOf('<', StringComparison.Ordinal)]));
            Assert.All(blocks, b => Assert.Equal(6, Regex.Count(b, "<canvas")));
        });

        static double Figure(string text, string name) => double.Parse(Regex.Match(text, $"{name}=\"([^\"]*)\"").Groups[1].Value, CultureInfo.InvariantCulture);
    }

    [Fact]
    public void Rows_of_a_kind_are_those_of_all_in_count_and_range()
    {
        TinyJob.Run(_folder, "--layers", "12", "--format", "quantized");
        string model = _folder.File("out/model.rbe");
        Dictionary<string, string[]> kinds = Rows(CommandRun.Of("inspect", model).Out), all = Rows(CommandRun.Of("inspect", model, "--all").Out);
        Assert.Equal((6, 72), (kinds.Count, all.Count));
        int ranges = 0;
        foreach ((string kind, string[] cells) in kinds)
        {
            string[][] rows =
                [.. all.Where(row => Regex.IsMatch(row.Key, "^" + Regex.Escape(kind).Replace("\\*", "[0-9]+", StringComparison.Ordinal) + "$"))
                    .Select(row => row.Value)];
            Assert.Equal(("12", 12), (cells[0], rows.Length));
            Assert.All(rows, row => Assert.Equal(("1", cells[1], cells[2]), (row[0], row[1], row[2])));
            for (int c = 3; c < 7; c++)
            {
                double[] values = [.. rows.Where(row => row[c] != "-").Select(row => Value(row[c]))];
                string[] ends = cells[c].Split(" to ");
                Assert.Equal(values.Length == 0, cells[c] == "-");
                if (values.Length == 0) continue;
                Assert.Equal((values.Min(), values.Max()), (Value(ends[0]), Value(ends[^1])));
                if (ends.Length == 2) ranges++;
            }
        }

        Assert.InRange(ranges, 1, int.MaxValue); // the alphas of blocks differ

        static Dictionary<string, string[]> Rows(string text) => text.Split('\n').Where(line => line.StartsWith("blocks.", StringComparison.Ordinal))
            .Select(line => Regex.Split(line.Trim(), " {2,}")).ToDictionary(cells => cells[0], cells => cells[1..]);
        static double Value(string text) => double.Parse(text.TrimEnd('%', ' '), CultureInfo.InvariantCulture);
    }

    [Fact]
    public void Damage_and_clashes_are_one_line()
    {
        byte[] bytes = File.ReadAllBytes(_set);
        RbeTensorInfo codes;
        using (RbeContainer file = RbeContainer.Open(_set)) codes = file.Find("layer.<0>.weight.codes");
        bytes[codes.Offset + 5] ^= 1;
        string damaged = _folder.File("damaged.rbe");
        File.WriteAllBytes(damaged, bytes);
        CommandRun.Of("inspect", damaged, "--verify").Fails(1, "checksum of tensor \"layer.<0>.weight.codes\" is wrong");
        CommandRun.Of("inspect", _folder.File("none.rbe")).Fails(1, "no such file");
        CommandRun.Of("inspect", _dense).Fails(1, "looks like a safetensors file");
        CommandRun.Of("inspect", _set, "--html", _set).Fails(2, "another file of this command");
        CommandRun.Of("inspect", _set, "--reference", _dense, "--html", _dense).Fails(2, "another file of this command");
        CommandRun.Of("inspect", _set, "--html", _folder.File("x"), "--json", _folder.File("x")).Fails(2, "another file of this command");
        CommandRun.Of("inspect", _set, "--html", _folder.Path).Fails(1, "is a folder");
    }
}
