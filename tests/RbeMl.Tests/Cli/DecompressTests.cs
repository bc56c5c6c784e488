using System.Text.Json;
using RbeMl.Codec;
using RbeMl.Files;
using RbeMl.Tests.Files;
using RbeMl.Tests.Support;

namespace RbeMl.Tests.Cli;

public sealed class DecompressTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private static JsonElement Decompress(params string[] args)
    {
        CommandRun run = CommandRun.Of(["decompress", .. args, "--json"]);
        Assert.True(run.Code == 0, run.Error);
        return JsonDocument.Parse(run.Out).RootElement;
    }

    private static double Loss(string model, string text) =>
        JsonDocument.Parse(CommandRun.Of("eval", "--model", model, "--text", text, "--json").Out).RootElement.GetProperty("nll").GetDouble();

    [Fact]
    public void A_model_becomes_a_folder_that_predicts_the_same()
    {
        TinyJob.Run(_folder, "--tokenizer", "bpe", "--vocabulary", "270", "--format", "quantized");
        string model = _folder.File("out/model.rbe"), folder = _folder.File("hf");
        JsonElement json = Decompress(model, "-o", folder);
        Assert.Equal(("model", "gpt2", "f32", true),
            (json.GetProperty("kind").GetString(), json.GetProperty("architecture").GetString(),
            json.GetProperty("dtype").GetString(), json.GetProperty("tokenizer").GetBoolean()));

        // Weights rounded to fp32 where the compressed model sums in its own order: a few rounding errors of a loss of about 5.
        double expected = Loss(model, _folder.File("text.txt"));
        Assert.Equal(expected, Loss(folder, _folder.File("text.txt")), 1e-5);
        Decompress(model, "-o", folder, "--dtype", "bf16");
        double rounded = Loss(folder, _folder.File("text.txt"));
        Assert.NotEqual(expected, rounded);
        Assert.Equal(expected, rounded, 0.02);
        Assert.Contains("bfloat16", File.ReadAllText(Path.Combine(folder, "config.json")), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("f32", SafetensorsElement.F32)]
    [InlineData("f16", SafetensorsElement.F16)]
    [InlineData("bf16", SafetensorsElement.BF16)]
    public void A_model_becomes_one_file_with_the_same_names(string type, SafetensorsElement element)
    {
        TinyJob.Run(_folder);
        string model = _folder.File("out/model.rbe"), folder = _folder.File("hf"), single = _folder.File("model.safetensors");
        JsonElement json = Decompress(model, "-o", single, "--dtype", type);
        Assert.Equal((false, "characters"), (json.GetProperty("tokenizer").GetBoolean(), json.GetProperty("lostTokenizer").GetString()));
        Assert.Contains("(characters) has no place in Hugging Face's layout", CommandRun.Of("decompress", model, "-o", folder).Out, StringComparison.Ordinal);
        using SafetensorsFile file = SafetensorsFile.Open(single), whole = SafetensorsFile.Open(Path.Combine(folder, "model.safetensors"));
        Assert.Equal(whole.Tensors.Select(t => t.Name).Order(StringComparer.Ordinal), file.Tensors.Select(t => t.Name).Order(StringComparer.Ordinal));
        Assert.All(file.Tensors, t => Assert.Equal(element, t.Element));
        Assert.Equal(json.GetProperty("tensors").GetInt32(), file.Tensors.Count);
        float[] exact = whole.ReadFloats("transformer.h.0.mlp.c_fc.weight");

        // Half an ulp of 8 or 11 significant bits; fp16 loses absolute precision below 6e-5, too little to show in the norm.
        Assert.InRange(Numbers.RelativeError(exact, file.ReadFloats("transformer.h.0.mlp.c_fc.weight")), 0,
            element switch { SafetensorsElement.F32 => 0, SafetensorsElement.F16 => 1.0 / 2048, _ => 1.0 / 256 });
    }

    [Fact]
    public void A_set_keeps_names_and_the_bytes_of_dense_tensors()
    {
        string set = _folder.File("set.rbe"), dense = _folder.File("dense.safetensors");
        RbeMatrix matrix = RbeCompressor.Compress(Numbers.Normal(40 * 70, 1), 40, 70, new RbeOptions { Tile = 32, Format = RbeFormat.Quantized(5) });
        byte[] bytes = [.. Enumerable.Range(0, 48).Select(i => (byte)(i * 7))];
        RbeMatrixSet.Save(set, [new RbeNamedMatrix("model.w", matrix)],
            [RbeDenseTensor.From("ids", "I64", [2, 3], bytes), RbeDenseTensor.From("bias", "BF16", [24], bytes),
            RbeDenseTensor.From("none", "F32", [0, 7], ReadOnlyMemory<byte>.Empty)]);
        Assert.Equal(4, Decompress(set, "-o", dense).GetProperty("tensors").GetInt32());
        using (SafetensorsFile file = SafetensorsFile.Open(dense))
        {
            Assert.Equal(matrix.ToDense(), file.ReadFloats("model.w"));
            foreach ((string name, SafetensorsElement element, long[] shape) in new[] { ("ids", SafetensorsElement.I64, new long[] { 2, 3 }),
                ("bias", SafetensorsElement.BF16, [24]) })
            {
                MemoryStream copy = new();
                file.CopyTo(name, copy);
                Assert.Equal(bytes, copy.ToArray());
                Assert.Equal(element, file.Find(name).Element);
                Assert.Equal(shape, file.Find(name).Shape);
            }

            Assert.Equal([0L, 7], file.Find("none").Shape);
        }

        Decompress(set, "-o", dense, "--dtype", "f16");
        using SafetensorsFile half = SafetensorsFile.Open(dense);
        Assert.Equal((SafetensorsElement.F16, SafetensorsElement.BF16), (half.Find("model.w").Element, half.Find("bias").Element));
        CommandRun.Of("decompress", set, "-o", _folder.File("folder")).Fails(1, "give a name that ends in .safetensors");
    }

    [Fact]
    public void Bad_input_leaves_everything_as_it_was()
    {
        TinyJob.Run(_folder);
        string model = _folder.File("out/model.rbe"), kept = _folder.Write("kept.safetensors", "precious");
        byte[] bytes = File.ReadAllBytes(model);
        CommandRun.Of("decompress", model, "-o", model).Fails(2, "another file of this command");
        CommandRun.Of("decompress", model, "-o", kept, "--json", model).Fails(2, "another file of this command");
        CommandRun.Of("decompress", model, "-o", _folder.File("out")).Fails(1, "holds other files");
        CommandRun.Of("decompress", _folder.File("none.rbe"), "-o", kept).Fails(1, "no such file");
        CommandRun.Of("decompress", kept, "-o", _folder.File("x.safetensors")).Fails(1, "looks like text");
        Assert.Equal(bytes, File.ReadAllBytes(model));
        bytes[^3] ^= 1;
        string damaged = _folder.File("damaged.rbe");
        File.WriteAllBytes(damaged, bytes);
        CommandRun.Of("decompress", damaged, "-o", kept).Fails(1, "is damaged");
        Assert.Equal("precious", File.ReadAllText(kept));
        Assert.False(File.Exists(_folder.File("x.safetensors")));
    }
}
