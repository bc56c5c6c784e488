using System.Text.Json;
using RbeMl.Codec;
using RbeMl.Compression;
using RbeMl.Files;
using RbeMl.Layers;
using RbeMl.Tests.Files;

namespace RbeMl.Tests.Cli;

/// <summary>Compression that trains on the way.</summary>
public sealed class CompressTuneTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("quantized", "3")]
    [InlineData("trellis", "2")]
    public void Tuning_brings_predictions_nearer_to_the_dense_model(string format, string bits)
    {
        string model = new HuggingFaceModel(64, 96).Write(_folder.File("hf"));
        string ids = _folder.Write("calibration.ids", string.Join('\n', Enumerable.Range(0, 200).Select(
            i => string.Join(' ', Enumerable.Range(0, 9).Select(j => ((i * 7) + (j * j * 3) + (i * j)) % 30)))));
        JsonElement plain = Compress("plain.rbe"), tuned = Compress("tuned.rbe", "--tune", "60");
        Assert.False(plain.TryGetProperty("tuning", out JsonElement none) && none.ValueKind != JsonValueKind.Null);
        Assert.Equal(60, tuned.GetProperty("tuning").GetProperty("steps").GetInt32());
        Assert.Equal(plain.GetProperty("bitsPerWeight").GetDouble(), tuned.GetProperty("bitsPerWeight").GetDouble());
        double divergence = Divergence("tuned.rbe");
        Assert.True(divergence < 0.7 * Divergence("plain.rbe"), $"{divergence} of {Divergence("plain.rbe")}");
        Assert.Equal(divergence, tuned.GetProperty("tuning").GetProperty("loss").GetDouble(), 0.3 * divergence); // of all places, and scales in fp16

        JsonElement Compress(string file, params string[] more)
        {
            CommandRun run = CommandRun.Of(["compress", model, "-o", _folder.File(file), "--format", format, "--bits", bits, "--calibration", ids, "--json",
                "--embeddings", "dense", .. more]); // no training mends a table
            run.Succeeds();
            return JsonDocument.Parse(run.Out).RootElement;
        }

        double Divergence(string file) => JsonDocument.Parse(CommandRun.Of("eval", "--model", _folder.File(file), "--reference", model, "--tokens", ids,
            "--json").Out).RootElement.GetProperty("kl").GetDouble();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_dry_run_counts_the_time_of_the_tuning(bool encoder)
    {
        string model = encoder ? new BertModel(width: 32, hidden: 64).Write(_folder.File("bert")) : new HuggingFaceModel(64, 96).Write(_folder.File("hf"));
        string ids = _folder.Write("calibration.ids", string.Join('\n', Enumerable.Range(0, 20).Select(_ => "1 2 3 4 5 6 7")));
        JsonElement few = Told("--tune", "10"), many = Told("--tune", "100000"), none = Told();
        Assert.False(none.TryGetProperty("tuningSeconds", out _));
        double seconds = few.GetProperty("tuningSeconds").GetDouble(), more = many.GetProperty("tuningSeconds").GetDouble();
        Assert.True(seconds > 0 && more > 100 * seconds, $"{seconds} {more}"); // ten thousand times the steps, whatever a step takes
        Assert.True(many.GetProperty("seconds").GetDouble() > more);

        JsonElement Told(params string[] tune)
        {
            CommandRun run = CommandRun.Of(["compress", model, "-o", _folder.File("none.rbe"), "--tile", "32", "--calibration", ids, "--dry-run", "--json",
                .. encoder ? ["--calibration-ids"] : Array.Empty<string>(), .. tune]);
            run.Succeeds();
            return JsonDocument.Parse(run.Out).RootElement;
        }
    }

    [Fact]
    public void Tuning_brings_vectors_nearer_and_ends_when_told()
    {
        using IModelFolder source = ModelFolders.Open(new BertModel(width: 32, hidden: 64).Write(_folder.File("bert")));
        int[][] windows = [.. Enumerable.Range(0, 60).Select(w => Enumerable.Range(0, 8).Select(t => 1 + (((w * 5) + (t * t) + (w * t)) % 20)).ToArray())];
        CompressionRequest request = new() { Options = new RbeOptions { Tile = 32, Format = RbeFormat.Quantized(3) }, Calibration = windows };
        double Error(TuningOptions? tuning) =>
            1 - ModelCompressor.Compress(source, request with { Tuning = tuning }).Vectors!.MeanCosine;
        double plain = Error(null), tuned = Error(new TuningOptions { Steps = 60 });
        Assert.True(tuned < 0.7 * plain, $"{tuned} of {plain}");

        using CancellationTokenSource enough = new();
        enough.Cancel();
        CompressedModel ended = ModelCompressor.Compress(source, request with { Tuning = new TuningOptions { Steps = 60, Enough = enough.Token } });
        Assert.Equal(0, ended.Tuned!.Steps);
        Assert.Equal(plain, 1 - ended.Vectors!.MeanCosine, 0.1 * plain); // rounded from weights that went through the transform and back
    }

    [Fact]
    public void What_is_left_out_stays_and_what_is_stored_was_tuned()
    {
        // A width that tiles do not divide, LayerNorms that are stored with a loss, and less text than a step takes.
        using IModelFolder source = ModelFolders.Open(new BertModel(width: 48, hidden: 80).Write(_folder.File("bert")));
        int[][] windows = [.. Enumerable.Range(0, 9).Select(w => Enumerable.Range(0, 7).Select(t => 1 + (((w * 5) + (t * t) + (w * t)) % 20)).ToArray())];
        CompressionRequest request = new()
        {
            Options = new RbeOptions { Tile = 32, Format = RbeFormat.Quantized(2) },
            Calibration = windows,
            LayerNorm = LayerNormStorage.Compressed,
            Names = new NamePatterns([], ["*output*"]),
        };
        CompressedModel plain = ModelCompressor.Compress(source, request);
        CompressedModel tuned = ModelCompressor.Compress(source, request with { Tuning = new TuningOptions { Steps = 40 } });
        int kept = 0;
        for (int o = 0; o < plain.Matrices.Count; o++)
        {
            MatrixOutcome was = plain.Matrices[o], now = tuned.Matrices[o];
            RbeMatrix Of(CompressedModel model) => model.Weights.Blocks[o / PerMatrix.All.Count].MatrixAt(PerMatrix.All[o % PerMatrix.All.Count]);
            if (Of(plain).Base is null)
            {
                kept++;
                Assert.Equal(Of(plain).Coefficients, Of(tuned).Coefficients);
            }
            else
            {
                Assert.NotEqual(Of(plain).ToDense(), Of(tuned).ToDense());
            }

            Assert.Equal(was.Report.Bytes, now.Report.Bytes);
        }

        Assert.Equal(plain.Weights.Blocks.Count, kept);
        Assert.True(tuned.Vectors!.MeanCosine > plain.Vectors!.MeanCosine, $"{tuned.Vectors.MeanCosine} of {plain.Vectors.MeanCosine}");
        Assert.Equal(1 - tuned.Vectors.MeanCosine, tuned.Tuned!.Loss, 0.5 * tuned.Tuned.Loss); // of one window held out, and scales in fp16
    }

    [Fact]
    public void A_forecast_counts_the_memory_of_tuning()
    {
        using IModelFolder source = ModelFolders.Open(new BertModel(width: 32, hidden: 64).Write(_folder.File("bert")));
        CompressionRequest request = new() { Options = new RbeOptions { Tile = 32, Format = RbeFormat.Quantized(4) } };
        long Most(TuningOptions? tuning) =>
            CompressionForecast.Of(source, request with { Tuning = tuning }, 1 << 20, CancellationToken.None).PeakBytes;
        Assert.True(Most(new TuningOptions { Steps = 5 }) - Most(null) > 1 << 26); // what the dense model gives: 128 MiB
    }

    [Fact]
    public void Tuning_without_a_text_is_refused()
    {
        using IModelFolder source = ModelFolders.Open(new BertModel(width: 32, hidden: 64).Write(_folder.File("bert")));
        CompressionRequest request =
            new() { Options = new RbeOptions { Tile = 32, Format = RbeFormat.Quantized(4) }, Tuning = new TuningOptions { Steps = 5 } };
        Assert.Equal("tuning", Assert.Throws<InvalidSettingException>(() => ModelCompressor.Compress(source, request)).Setting);
        Assert.Equal("tuning steps", Assert.Throws<InvalidSettingException>(() =>
            ModelCompressor.Compress(source, request with { Tuning = new TuningOptions { Steps = 0 } })).Setting);
    }
}
