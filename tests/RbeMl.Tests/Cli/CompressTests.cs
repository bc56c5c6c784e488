using System.Text.Json;
using RbeMl.Files;
using RbeMl.Models;
using RbeMl.Tests.Files;
using RbeMl.Tests.Support;

namespace RbeMl.Tests.Cli;

public sealed class CompressTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    private string Output => _folder.File("out.rbe");

    public void Dispose() => _folder.Dispose();

    private static JsonElement Compress(params string[] args)
    {
        CommandRun run = CommandRun.Of(["compress", .. args, "--json"]);
        Assert.True(run.Code == 0, $"exit code {run.Code}: {run.Error}");
        return JsonDocument.Parse(run.Out).RootElement;
    }

    private string Model() => new HuggingFaceModel(64, 96).Write(_folder.File("hf"));

    // Ragged matrices of three types, and what is no matrix.
    private string Tensors()
    {
        string path = _folder.File("in.safetensors");
        SafetensorsWriter.Write(path,
        [
            SafetensorsSource.From("a.weight", Numbers.Normal(100 * 70, 1, 0.1), [100, 70]),
            SafetensorsSource.From("a.bias", Numbers.Normal(100, 2), [100]),
            SafetensorsSource.From("b.weight", Numbers.Normal(64 * 130, 3, 0.1), [64, 130], SafetensorsElement.BF16),
            SafetensorsSource.From("c.weight", Numbers.Normal(33 * 32, 4, 0.1), [33, 32], SafetensorsElement.F16),
            SafetensorsSource.From("narrow", Numbers.Normal(31 * 64, 5), [31, 64]),
            SafetensorsSource.From("cube", Numbers.Normal(32 * 32 * 2, 6), [32, 32, 2]),
            SafetensorsSource.From("ids", SafetensorsElement.I64, [32, 40], sink => sink(new byte[32 * 40 * 8])),
        ]);
        return path;
    }

    private string Ids() =>
        _folder.Write("calibration.ids",
            string.Join('\n', Enumerable.Range(0, 40).Select(i => string.Join(' ', Enumerable.Range(0, 9).Select(j => (i * 7 + j * j * 3) % 30)))));

    private static Dictionary<string, double> Errors(JsonElement json) =>
        json.GetProperty("tensors").EnumerateArray().ToDictionary(t => t.GetProperty("name").GetString()!, t => t.GetProperty("relativeError").GetDouble());

    [Fact]
    public void A_file_is_compressed_matrix_by_matrix_and_the_rest_is_copied()
    {
        string input = Tensors();
        JsonElement json = Compress(input, "-o", Output, "--bits", "8", "--tile", "32");
        Assert.Equal(["a.weight", "b.weight", "c.weight"],
            json.GetProperty("tensors").EnumerateArray().Select(t => t.GetProperty("name").GetString()).Order(StringComparer.Ordinal));
        foreach (JsonElement t in json.GetProperty("tensors").EnumerateArray())
        {
            Assert.Equal(["name", "rows", "columns", "format", "bitsPerWeight", "relativeError", "shannonFloor"], t.EnumerateObject().Select(p => p.Name));
            Assert.Equal(Math.Pow(2, -t.GetProperty("bitsPerWeight").GetDouble()), t.GetProperty("shannonFloor").GetDouble(), 1e-12);

            // 8 uniform bits over the range of a Gaussian group: a few thousandths.
            Assert.InRange(t.GetProperty("relativeError").GetDouble(), 0.001, 0.01);
        }

        Assert.Equal(1 - (json.GetProperty("bitsPerWeight").GetDouble() / 32), json.GetProperty("savedFraction").GetDouble(), 1e-12);
        Assert.InRange(json.GetProperty("relativeError").GetDouble(), Errors(json).Values.Min(), Errors(json).Values.Max());
        Assert.InRange(json.GetProperty("seconds").GetDouble(), 1e-6, 600);
        Assert.InRange(json.GetProperty("peakBytes").GetInt64(), 10L << 20, 1L << 40);
        Assert.Equal(new FileInfo(Output).Length, json.GetProperty("bytes").GetInt64());

        string back = _folder.File("back.safetensors");
        Assert.Equal(0, CommandRun.Of("decompress", Output, "-o", back).Code);
        using SafetensorsFile before = SafetensorsFile.Open(input), after = SafetensorsFile.Open(back);
        Assert.Equal(before.Tensors.Select(t => t.Name).Order(StringComparer.Ordinal), after.Tensors.Select(t => t.Name).Order(StringComparer.Ordinal));
        foreach (string name in new[] { "a.bias", "narrow", "cube", "ids" })
        {
            MemoryStream x = new(), y = new();
            before.CopyTo(name, x);
            after.CopyTo(name, y);
            Assert.Equal(x.ToArray(), y.ToArray());
            Assert.Equal(before.Find(name).Describe(), after.Find(name).Describe());
        }

        foreach ((string name, double error) in Errors(json)) Assert.Equal(error, Numbers.RelativeError(before.ReadFloats(name), after.ReadFloats(name)), 1e-6);
        JsonElement inspected = JsonDocument.Parse(CommandRun.Of("inspect", Output, "--json").Out).RootElement;
        Assert.Equal(json.GetProperty("relativeError").GetDouble(), inspected.GetProperty("relativeError").GetDouble(), 1e-3);
    }

    [Fact]
    public void Patterns_choose_and_exclusion_wins()
    {
        string input = Tensors();
        Assert.Equal(["a.weight", "c.weight"], Errors(Compress(input, "-o", Output, "--exclude", "b*")).Keys.Order(StringComparer.Ordinal));
        Assert.Equal(["b.weight"], Errors(Compress(input, "-o", Output, "--include", "?.we*ght", "--exclude", "a*", "c.*")).Keys);
    }

    [Fact]
    public void A_pattern_that_matches_nothing_is_an_error()
    {
        string input = Tensors();
        CommandRun.Of("compress", input, "-o", Output, "--include", "x*").Fails(1, "it matches none of the 7 names");
        CommandRun.Of("compress", input, "-o", Output, "--exclude", "*").Fails(1, "none of its 7 tensors is to be compressed");
        CommandRun.Of("compress", Model(), "-o", Output, "--exclude", "h.0*").Fails(1, "it matches none of the 12 names");
        Assert.False(File.Exists(Output));
    }

    [Fact]
    public void A_model_is_compressed_and_runs()
    {
        string model = Model();
        JsonElement json = Compress(model, "-o", Output, "--bits", "8");
        Assert.Equal(13, json.GetProperty("tensors").GetArrayLength());
        Assert.Equal("blocks.0.attention.query", json.GetProperty("tensors")[0].GetProperty("name").GetString());
        using ModelBundle bundle = ModelFile.Load(Output);
        Assert.Equal(json.GetProperty("tensors").EnumerateArray().Select(t => t.GetProperty("name").GetString()), bundle.Model.Matrices.Select(m => m.Name));
        string back = _folder.File("back");
        Assert.Equal(0, CommandRun.Of("decompress", Output, "-o", back).Code);
        using SafetensorsSet before = SafetensorsSet.Open(model), after = SafetensorsSet.Open(back);
        Assert.Equal(before.Tensors.Select(t => t.Name).Order(StringComparer.Ordinal), after.Tensors.Select(t => t.Name).Order(StringComparer.Ordinal));
        Assert.InRange(Numbers.RelativeError(before.ReadFloats("transformer.h.1.attn.c_attn.weight"),
            after.ReadFloats("transformer.h.1.attn.c_attn.weight")), 1e-4, 0.01);
        Assert.InRange(Numbers.RelativeError(before.ReadFloats("transformer.wte.weight"), after.ReadFloats("transformer.wte.weight")), 1e-4, 0.01);
        Assert.Equal(0, CommandRun.Of("generate", "--model", Output, "--tokens", "--prompt", "1 2", "--max-tokens", "3").Code);
    }

    [Theory]
    [InlineData("transformer.h.1.mlp.c_fc.weight", 1e6f, "blocks.1.feedforward.expand", "--format", "quantized", "--bits", "8")]
    [InlineData("transformer.h.0.attn.c_proj.weight", 1e-9f, "blocks.0.attention.output", "--format", "trellis", "--bits", "4")]
    [InlineData("transformer.h.0.attn.c_proj.weight", 1e-9f, "blocks.0.attention.output", "--format", "quantized", "--calibration", "calibration.ids")]
    [InlineData("transformer.wte.weight", 1e6f, "embedding.tokens", "--embeddings", "quantized")]
    [InlineData("transformer.wte.weight", 1e-9f, "embedding.tokens", "--embeddings", "trellis")]
    public void A_matrix_of_a_model_beyond_fp16_is_refused_by_name_and_kept_sparse(string tensor, float scale, string matrix, params string[] format)
    {
        HuggingFaceModel model = new(64, 96);
        float[] values = model.Tensors[tensor].Values;
        for (int i = 0; i < values.Length; i++) values[i] *= scale;
        string folder = model.Write(_folder.File("hf")), ids = Ids();
        IEnumerable<string> options = format.Select(option => option == "calibration.ids" ? ids : option);
        CommandRun run = CommandRun.Of(["compress", folder, "-o", Output, .. options]).Fails(1, matrix);
        Assert.All(["root mean square", "fp16"], part => Assert.Contains(part, run.Error));
        Assert.False(File.Exists(Output));

        // All coefficients of a matrix in fp32 hold it, and so do the largest of a table.
        Compress(folder, "-o", Output, "--format", "sparse", "--coefficients", "4096", "--embeddings", "sparse", "--embedding-bits", "8");
        string back = _folder.File("back");
        Assert.Equal(0, CommandRun.Of("decompress", Output, "-o", back).Code);
        using SafetensorsSet after = SafetensorsSet.Open(back);
        Assert.InRange(Numbers.RelativeError(values, after.ReadFloats(tensor)), 0, matrix == "embedding.tokens" ? 0.9 : 1e-5);
    }

    [Fact]
    public void Generate_and_finetune_take_a_folder()
    {
        string model = Model();
        Assert.Equal(0, CommandRun.Of("generate", "--model", model, "--tokens", "--prompt", "1 2", "--max-tokens", "3").Code);
        CommandRun run =
            CommandRun.Of("finetune", "--model", model, "--tokens", Ids(), "--steps", "2", "--batch", "2", "--context", "4", "--out", _folder.File("ft"));
        Assert.True(run.Code == 0, run.Error);
    }

    [Fact]
    public void Calibration_lowers_the_error_of_outputs()
    {
        string model = Model(), ids = Ids();
        JsonElement plain = Compress(model, "-o", _folder.File("plain.rbe"), "--bits", "3"),
            json = Compress(model, "-o", Output, "--bits", "3", "--calibration", ids);
        Assert.Equal(360, json.GetProperty("calibrationTokens").GetInt32());
        Assert.Equal(2, json.GetProperty("blockErrors").GetProperty("errors").GetArrayLength());
        Assert.True(json.GetProperty("relativeError").GetDouble() > plain.GetProperty("relativeError").GetDouble());
        Assert.True(Divergence(Output) < Divergence(_folder.File("plain.rbe")));

        Assert.True(json.GetProperty("outputsWeighed").GetBoolean());
        JsonElement alike = Compress(model, "-o", _folder.File("alike.rbe"), "--bits", "3", "--calibration", ids, "--weigh-outputs", "off");
        Assert.False(alike.GetProperty("outputsWeighed").GetBoolean());
        Assert.True(Divergence(Output) < Divergence(_folder.File("alike.rbe")));

        JsonElement few = Compress(model, "-o", _folder.File("few.rbe"), "--bits", "3", "--calibration", ids, "--calibration-tokens", "90");
        Assert.Equal(90, few.GetProperty("calibrationTokens").GetInt32());
        File.Copy(ids, _folder.File("numbers.txt"));
        CommandRun.Of("compress", model, "-o", Output, "--calibration", _folder.File("numbers.txt")).Fails(1, "with --calibration-ids");
        Compress(model, "-o", _folder.File("same.rbe"), "--bits", "3", "--calibration", _folder.File("numbers.txt"), "--calibration-ids");
        Assert.Equal(File.ReadAllBytes(Output), File.ReadAllBytes(_folder.File("same.rbe")));

        double Divergence(string file) =>
            JsonDocument.Parse(
                CommandRun.Of("eval", "--model", file, "--reference", model, "--tokens", ids, "--json").Out).RootElement.GetProperty("kl").GetDouble();
    }

    [Fact]
    public void Threads_change_no_byte()
    {
        string model = Model(), ids = Ids(), tensors = Tensors();
        foreach (string[] args in new string[][] { [tensors, "--format", "trellis", "--bits", "3"], [model, "--bits", "4", "--calibration", ids],
            [model, "--format", "auto", "--target-bits", "6", "--embeddings", "quantized"],
            [model, "--bits", "4", "--calibration", ids, "--tune", "5"] })
        {
            Compress([.. args, "-o", _folder.File("1.rbe"), "--threads", "1"]);
            Compress([.. args, "-o", _folder.File("3.rbe"), "--threads", "3"]);
            Assert.Equal(File.ReadAllBytes(_folder.File("1.rbe")), File.ReadAllBytes(_folder.File("3.rbe")));
        }
    }

    [Fact]
    public void Cancelled_there_is_no_file()
    {
        using CancellationTokenSource cancel = new();
        cancel.Cancel();
        CommandRun.Of(cancel.Token, "compress", Tensors(), "-o", Output).Fails(130, "cancelled");
        CommandRun.Of(cancel.Token, "compress", Model(), "-o", Output).Fails(130, "cancelled");
        Assert.False(File.Exists(Output));
    }

    [Fact]
    public void Bad_input_writes_nothing()
    {
        string input = Tensors(), model = Model();
        byte[] bytes = File.ReadAllBytes(input);
        string cut = _folder.File("cut.safetensors"), nan = _folder.File("nan.safetensors");
        File.WriteAllBytes(cut, bytes[..^100]);
        SafetensorsWriter.Write(nan, [SafetensorsSource.From("w", [.. Numbers.Normal(40 * 40 - 1, 1), float.NaN], [40, 40])]);
        CommandRun.Of("compress", cut, "-o", Output).Fails(1, "cut.safetensors");
        CommandRun.Of("compress", nan, "-o", Output).Fails(1, "w: value NaN");
        CommandRun.Of("compress", _folder.File("none.safetensors"), "-o", Output).Fails(1, "no such file");
        CommandRun.Of("compress", _folder.File("other.rbe"), "-o", Output).Fails(2, "decompress");
        CommandRun.Of("compress", input, "-o", input).Fails(2, "another file of this command");
        CommandRun.Of("compress", model, "-o", Path.Combine(model, "x.rbe")).Fails(2, "inside the model's own folder");
        CommandRun.Of("compress", input, "-o", Output, "--calibration", Ids()).Fails(2, "--calibration needs the folder of a model");
        CommandRun.Of("compress", input, "-o", Output, "--layer-norm", "scalar").Fails(2, "--layer-norm needs the folder of a model");
        CommandRun.Of("compress", input, "-o", Output, "--embeddings", "trellis").Fails(2, "--embeddings needs the folder of a model");
        CommandRun.Of("compress", input, "-o", Output, "--embedding-bits", "5").Fails(2, "--embedding-bits needs the folder of a model");
        CommandRun.Of("compress", model, "-o", Output, "--calibration", _folder.Write("far.ids", "1 2 30")).Fails(1, "token id 30 is outside the vocabulary");
        CommandRun.Of("compress", model, "-o", Output, "--format", "auto", "--target-error", "1e-9").Fails(1, "cannot be reached");
        Assert.Equal(bytes, File.ReadAllBytes(input));
        Assert.False(File.Exists(Output));
    }

    [Theory]
    [InlineData("--bits is for", "--format", "sparse", "--bits", "4")]
    [InlineData("--outliers is for", "--format", "seed", "--outliers", "4")]
    [InlineData("--bits 7: --format trellis", "--format", "trellis", "--bits", "7")]
    [InlineData("--target-bits is for --format auto", "--target-bits", "4")]
    [InlineData("two targets", "--format", "auto", "--target-bits", "4", "--target-error", "0.1")]
    [InlineData("--alphas: --format auto", "--format", "auto", "--alphas", "on")]
    [InlineData("--support is not for --format seed", "--format", "seed", "--support", "topk")]
    [InlineData("--support says where", "--format", "trellis", "--bits", "4", "--support", "random")]
    [InlineData("--coefficients 2000", "--format", "sparse", "--tile", "32", "--coefficients", "2000")]
    [InlineData("--calibration-tokens says how", "--calibration-tokens", "5")]
    [InlineData("--weigh-outputs says how to use", "--weigh-outputs", "off")]
    [InlineData("--tune says how to use", "--tune", "5")]
    [InlineData("--preset small settles --bits too", "--preset", "small", "--bits", "4")]
    [InlineData("--preset small settles --format too", "--preset", "small", "--format", "trellis")]
    [InlineData("--preset tiny: use one of small, balanced, exact", "--preset", "tiny")]
    [InlineData("--embedding-bits is for", "--embeddings", "dense", "--embedding-bits", "5")]
    [InlineData("--embedding-bits 7: trellis", "--embeddings", "trellis", "--embedding-bits", "7")]
    public void Options_that_contradict_are_usage_errors(string message, params string[] options) =>
        CommandRun.Of(["compress", "x", "-o", Output, .. options]).Fails(2, message);

    [Fact]
    public void A_choice_for_a_model_needs_an_orthonormal_transform() =>
        CommandRun.Of(["compress", Model(), "-o", Output, "--format", "auto", "--transform", "cdf97"]).Fails(2, "--transform cdf97 is not orthonormal");
}
