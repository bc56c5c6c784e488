using System.Text.Json;
using RbeMl.Cli;
using RbeMl.Codec;
using RbeMl.Files;
using RbeMl.Layers;
using RbeMl.Models;
using RbeMl.Tests.Files;
using RbeMl.Tests.Support;

namespace RbeMl.Tests.Cli;

/// <summary>Every option of <c>compress</c> changes what it says.</summary>
public sealed class CompressOptionTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private (JsonElement Json, RbeMatrix Matrix) OfTensor(params string[] args)
    {
        string input = _folder.File("in.safetensors"), output = _folder.File("out.rbe");
        SafetensorsWriter.Write(input, [SafetensorsSource.From("w", Numbers.Normal(128 * 128, 9, 0.1), [128, 128])]);
        JsonElement json = Run(["compress", input, "-o", output, .. args]);
        using RbeMatrixSet set = RbeMatrixSet.Open(output);
        return (json, set.ReadMatrix("w"));
    }

    private JsonElement OfModel(params string[] args) =>
        Run(["compress", new HuggingFaceModel(64, 96, tied: false).Write(_folder.File("hf")), "-o", _folder.File("model.rbe"), .. args]);

    private static JsonElement Run(string[] args)
    {
        CommandRun run = CommandRun.Of([.. args, "--json"]);
        Assert.True(run.Code == 0, $"exit code {run.Code}: {run.Error}");
        return JsonDocument.Parse(run.Out).RootElement;
    }

    [Fact]
    public void Formats_and_their_options()
    {
        Assert.Equal(new QuantizedFormat(6), OfTensor().Matrix.Format);
        Assert.Equal(new QuantizedFormat(5) { Outliers = 3 }, OfTensor("--bits", "5", "--outliers", "3").Matrix.Format);
        Assert.Equal(new TrellisFormat(3) { Outliers = 0 }, OfTensor("--format", "trellis", "--bits", "3", "--outliers", "0").Matrix.Format);
        Assert.Equal(new TrellisFormat(3), OfTensor("--format", "trellis", "--bits", "3").Matrix.Format);
        Assert.Equal(new SeedFormat(50), OfTensor("--format", "seed", "--coefficients", "50").Matrix.Format);
        Assert.Equal(new SparseFormat(300, SupportRule.TopK), OfTensor("--format", "sparse").Matrix.Format);
        Assert.Equal(new SparseFormat(64, SupportRule.Runs(8, 5)),
            OfTensor("--format", "sparse", "--coefficients", "64", "--support", "runs8", "--seed", "5").Matrix.Format);
        Assert.Equal(new QuantizedFormat(6) { Delta = new SparseFormat(32, SupportRule.TopK) }, OfTensor("--coefficients", "32").Matrix.Format);
        Assert.Equal("sparse", OfTensor("--format", "sparse").Json.GetProperty("tensors")[0].GetProperty("format").GetString());
    }

    [Theory]
    [InlineData("small")]
    [InlineData("balanced")]
    [InlineData("exact")]
    public void A_preset_stands_for_a_format_and_for_that_of_embeddings(string word)
    {
        Preset preset = Preset.Of(word)!;
        (JsonElement json, RbeMatrix matrix) = OfTensor("--preset", word);
        Assert.Equal(preset.Format, matrix.Format);

        // Of independent Gaussian weights, as most of a trained model's nearly are.
        string[] figures = preset.Measured.Split(' ');
        Assert.InRange(json.GetProperty("bitsPerWeight").GetDouble(), Number(figures[0]) - 0.25, Number(figures[0]) + 0.25);
        Assert.InRange(100 * json.GetProperty("relativeError").GetDouble(), 0.6 * Number(figures[^2]), 1.1 * Number(figures[^2]));
        Assert.Equal(preset.Tables.Name, OfModel("--preset", word).GetProperty("embeddings").GetProperty("storage").GetString());
        Assert.Equal("dense", OfModel("--preset", word, "--embeddings", "dense").GetProperty("embeddings").GetProperty("storage").GetString());

        static double Number(string text) => double.Parse(text, System.Globalization.CultureInfo.InvariantCulture);
    }

    [Theory]
    [InlineData(false, "--preset", "small")]
    [InlineData(false, "--format", "sparse", "--coefficients", "64")]
    [InlineData(false, "--format", "auto", "--target-bits", "5")]
    [InlineData(true, "--preset", "exact")]
    [InlineData(true, "--bits", "4", "--exclude", "*.output")]
    public void A_dry_run_tells_what_it_would_take_and_writes_nothing(bool model, params string[] options)
    {
        string input = model ? new HuggingFaceModel(64, 96, tied: false).Write(_folder.File("hf")) : _folder.File("in.safetensors");
        if (!model)
        {
            SafetensorsWriter.Write(input, [SafetensorsSource.From("w", Numbers.Normal(256 * 320, 9, 0.1), [256, 320]),
                SafetensorsSource.From("b", Numbers.Normal(4096, 9), [4096])]);
        }

        string folder = _folder.File("none"), output = Path.Combine(folder, "out.rbe");
        JsonElement told = Run(["compress", input, "-o", output, "--dry-run", .. options]);
        Assert.False(Directory.Exists(folder));
        JsonElement done = Run(["compress", input, "-o", output, .. options]);
        Close("bitsPerWeight", 0.03);
        Close("relativeError", 0.2);
        Close("bytes", 0.2); // of so small a file the metadata is a good part
        Assert.Equal(done.GetProperty("tensors").EnumerateArray().Count(IsCompressed), told.GetProperty("matrices").GetInt32());
        Assert.True(told.GetProperty("seconds").GetDouble() > 0 && told.GetProperty("peakBytes").GetInt64() > told.GetProperty("bytes").GetInt64());
        CommandRun.Of(["compress", input, "-o", output, "--dry-run", .. options]).Succeeds();

        static bool IsCompressed(JsonElement tensor) =>
            tensor.GetProperty("relativeError").GetDouble() > 1e-5 && tensor.GetProperty("name").GetString() is not ("embedding.tokens" or "head");

        void Close(string key, double share)
        {
            double expected = done.GetProperty(key).GetDouble(), actual = told.GetProperty(key).GetDouble();
            Assert.True(Math.Abs(actual - expected) <= share * expected, $"{key}: told {actual}, came to {expected}");
        }
    }

    [Fact]
    public void A_dry_run_of_formats_chosen_by_outputs_tells_no_error()
    {
        JsonElement told = OfModel("--format", "auto", "--target-bits", "6", "--dry-run");
        Assert.False(told.TryGetProperty("relativeError", out _));
        Assert.InRange(told.GetProperty("bitsPerWeight").GetDouble(), 4, 6);
    }

    [Fact]
    public void All_bits_of_a_seed_count()
    {
        Assert.NotEqual(Seed("1"), Seed("4294967297"));

        int Seed(string seed) =>
            ((SparseFormat)OfTensor("--format", "sparse", "--coefficients", "64", "--support", "runs8", "--seed", seed).Matrix.Format).Support.Seed;
    }

    [Theory]
    [InlineData(1e36)]
    [InlineData(1e-10)]
    public void Weights_beyond_the_scales_are_refused(double deviation)
    {
        string input = _folder.File("far.safetensors"), output = _folder.File("far.rbe");
        SafetensorsWriter.Write(input, [SafetensorsSource.From("w", Numbers.Normal(64 * 64, 9, deviation), [64, 64])]);
        CommandRun run = CommandRun.Of(["compress", input, "-o", output]);
        Assert.Equal(1, run.Code);
        Assert.Contains("w: weights", run.Error);
        Assert.False(File.Exists(output));
        Assert.Equal(0, CommandRun.Of(["compress", input, "-o", output, "--format", "sparse"]).Code);
    }

    [Fact]
    public void Tile_transform_and_alphas()
    {
        RbeMatrix plain = OfTensor().Matrix, other = OfTensor("--tile", "128", "--transform", "haar", "--alphas", "off").Matrix;
        Assert.Equal((64, TileTransform.Dct, true), (plain.Tile, plain.Transform, plain.HasAlphas));
        Assert.Equal((128, TileTransform.Haar, false), (other.Tile, other.Transform, other.HasAlphas));

        // White weights: no transform wins by more than chance, so that the first stays.
        Assert.Equal(TileTransform.Dct, OfTensor("--transform", "auto", "--tile", "32").Matrix.Transform);
    }

    [Fact]
    public void A_measured_transform_suits_the_weights()
    {
        // Few large cells among zeros: the cosine transform, which stays in doubt, spreads them most unfavourably.
        float[] values = new float[128 * 128];
        for (int i = 0; i < values.Length; i += 37) values[i] = i % 2 == 0 ? 1 : -1;
        string input = _folder.File("few.safetensors"), output = _folder.File("few.rbe");
        SafetensorsWriter.Write(input, [SafetensorsSource.From("w", values, [128, 128])]);
        double dct = Error("dct"), measured = Error("auto");
        Assert.True(measured < dct, $"{measured} is not less than {dct}");
        using RbeMatrixSet set = RbeMatrixSet.Open(output);
        RbeOptions options = new() { Tile = 32, Format = RbeFormat.Quantized(4) };
        Assert.Equal(TransformChoice.Measure(values, 128, 128, options), set.ReadMatrix("w").Transform);
        Assert.NotEqual(TileTransform.Dct, set.ReadMatrix("w").Transform);

        double Error(string transform) =>
            Run(["compress", input, "-o", output, "--transform", transform, "--tile", "32", "--bits", "4"]).GetProperty("relativeError").GetDouble();
    }

    [Fact]
    public void Targets_are_met()
    {
        JsonElement small = OfTensor("--format", "auto", "--target-bits", "3.5").Json, exact = OfTensor("--format", "auto", "--target-error", "0.03").Json;
        Assert.InRange(small.GetProperty("bitsPerWeight").GetDouble(), 2, 3.5);
        Assert.InRange(exact.GetProperty("relativeError").GetDouble(), 0.005, 0.03);
        Assert.True(exact.GetProperty("bitsPerWeight").GetDouble() > small.GetProperty("bitsPerWeight").GetDouble());
        JsonElement model = OfModel("--format", "auto", "--target-bits", "5");
        Assert.InRange(model.GetProperty("bitsPerWeight").GetDouble(), 3, 5);
        Assert.False(model.TryGetProperty("blockErrors", out _));
    }

    [Fact]
    public void Names_of_a_model_leave_matrices_exact()
    {
        JsonElement json = OfModel("--exclude", "blocks.1.*", "*.key", "--bits", "4", "--embeddings", "dense");
        foreach (JsonElement t in json.GetProperty("tensors").EnumerateArray())
        {
            string name = t.GetProperty("name").GetString()!;
            bool exact = name.StartsWith("blocks.1.", StringComparison.Ordinal) || name.EndsWith(".key", StringComparison.Ordinal);
            Assert.InRange(t.GetProperty("relativeError").GetDouble(), exact ? 0 : 0.03, exact ? 1e-6 : 0.2);
        }
    }

    [Fact]
    public void LayerNorms_and_embeddings()
    {
        JsonElement dense = OfModel("--embeddings", "dense");
        Assert.Equal("dense", dense.GetProperty("layerNorms").GetProperty("storage").GetString());
        Assert.Equal((0.0, 0.0),
            (dense.GetProperty("layerNorms").GetProperty("relativeError").GetDouble(),
            dense.GetProperty("embeddings").GetProperty("relativeError").GetDouble()));

        // Five LayerNorms of 64 values twice; a series keeps 8 of 64.
        JsonElement series = OfModel("--layer-norm", "compressed").GetProperty("layerNorms"),
            scalar = OfModel("--layer-norm", "scalar").GetProperty("layerNorms");
        Assert.Equal((2560, 320), (series.GetProperty("denseBytes").GetInt32(), series.GetProperty("bytes").GetInt32()));
        Assert.Equal(40, scalar.GetProperty("bytes").GetInt32());
        Assert.True(scalar.GetProperty("relativeError").GetDouble() > series.GetProperty("relativeError").GetDouble()
            && series.GetProperty("relativeError").GetDouble() > 0.1);
        using (ModelBundle bundle = ModelFile.Load(_folder.File("model.rbe"))) Assert.Equal(LayerNormStorage.Scalar, bundle.Model.Config.LayerNorm);

        double previous = 1;
        foreach ((string format, string bits) in new[] { ("sparse", "4"), ("quantized", "4"), ("trellis", "5"), ("quantized", "8") })
        {
            JsonElement json = OfModel("--embeddings", format, "--embedding-bits", bits);
            JsonElement part = json.GetProperty("embeddings");
            Assert.Equal(format, part.GetProperty("storage").GetString());
            Assert.InRange(part.GetProperty("relativeError").GetDouble(), 1e-4, previous);
            Assert.True(part.GetProperty("bytes").GetInt64() < part.GetProperty("denseBytes").GetInt64());
            previous = part.GetProperty("relativeError").GetDouble();
            Assert.Equal(["embedding.tokens", "head"], json.GetProperty("tensors").EnumerateArray().Select(t => t.GetProperty("name").GetString()).TakeLast(2));
        }
    }

    /// <summary>A table has two bits more than the matrices, 8 at most, or what the command line says.</summary>
    [Theory]
    [InlineData("quantized", 8)]
    [InlineData("quantized", 6, "--bits", "4")]
    [InlineData("quantized", 8, "--bits", "8")]
    [InlineData("quantized", 5, "--format", "trellis", "--bits", "3")]
    [InlineData("quantized", 4, "--bits", "8", "--embedding-bits", "4")]
    [InlineData("quantized", 5, "--format", "sparse", "--embedding-bits", "5")]
    [InlineData("dense", 32, "--format", "sparse")]
    [InlineData("dense", 32, "--format", "auto", "--target-bits", "5")]
    public void A_models_tables_are_quantised_unless_matrices_have_no_bits(string storage, int bits, params string[] args)
    {
        Assert.Equal(storage, OfModel(args).GetProperty("embeddings").GetProperty("storage").GetString());
        using ModelBundle bundle = ModelFile.Load(_folder.File("model.rbe"));
        TransformerWeights weights = bundle.Model.GetWeights();
        foreach (RbeMatrix? table in (RbeMatrix?[])[weights.TokenEmbedding.Compressed, weights.Head?.Compressed])
        {
            if (storage == "dense") Assert.Null(table);
            else Assert.Equal(new QuantizedFormat(bits), table!.Format);
        }
    }

    [Fact]
    public void LayerNorms_show_in_the_output_error()
    {
        string ids = _folder.Write("c.ids", "1 2 3 4 5 6 7 8 9\n9 8 7 6 5 4 3 2 1");
        JsonElement json = OfModel("--layer-norm", "scalar", "--calibration", ids).GetProperty("blockErrors");
        for (int layer = 0; layer < 2; layer++)
        {
            Assert.True(json.GetProperty("errors")[layer].GetDouble() > 2 * json.GetProperty("withDenseLayerNorms")[layer].GetDouble());
        }
    }

    [Fact]
    public void The_tables_tell_kinds_and_totals()
    {
        OfTensor();
        CommandRun run = CommandRun.Of("compress", _folder.File("in.safetensors"), "-o", _folder.File("out.rbe"));
        Assert.Contains("All matrices: 6.31", run.Out, StringComparison.Ordinal);
        Assert.Contains("peak memory", run.Out, StringComparison.Ordinal);
        OfModel();
        run = CommandRun.Of("compress", _folder.File("hf"), "-o", _folder.File("model.rbe"));
        Assert.Contains("blocks.*.attention.query", run.Out, StringComparison.Ordinal);
        Assert.Contains("LayerNorms: dense", run.Out, StringComparison.Ordinal);
    }
}
