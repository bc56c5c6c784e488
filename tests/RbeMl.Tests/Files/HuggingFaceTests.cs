using System.Text.Json.Nodes;
using RbeMl.Codec;
using RbeMl.Files;
using RbeMl.Kernels;
using RbeMl.Layers;
using RbeMl.Models;
using RbeMl.Tests.Support;
using RbeMl.Text;

namespace RbeMl.Tests.Files;

public sealed class HuggingFaceTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private static float[] Logits(TransformerModel<float> model)
    {
        using Workspace<float> workspace = new(1);
        int length = Math.Min(9, model.Config.MaxSequenceLength);
        return model.Logits([.. Enumerable.Range(0, 2 * length).Select(i => i * 7 % model.Config.Vocabulary)], 2, length, workspace);
    }

    private static void RequireSameTensors(string first, string second)
    {
        using SafetensorsSet a = SafetensorsSet.Open(first), b = SafetensorsSet.Open(second);
        Assert.Equal(a.Tensors.Select(t => (t.Name, t.Describe())).Order(), b.Tensors.Select(t => (t.Name, t.Describe())).Order());
        foreach (SafetensorsTensor tensor in a.Tensors)
        {
            using MemoryStream x = new(), y = new();
            a.CopyTo(tensor.Name, x);
            b.CopyTo(tensor.Name, y);
            Assert.True(x.ToArray().AsSpan().SequenceEqual(y.ToArray()), tensor.Name);
        }
    }

    [Fact]
    public void Weights_come_out_in_the_order_of_this_library()
    {
        HuggingFaceModel model = new(Width: 6, Hidden: 10);
        using Gpt2Directory directory = Gpt2Directory.Open(model.Write(_folder.File("m")));
        DenseBlockWeights block = directory.ReadBlock(1);
        (long[] shape, float[] fused) = model.Tensors["transformer.h.1.attn.c_attn.weight"];
        Assert.Equal([6, 18], shape);
        float[][] parts = [block.Query, block.Key, block.Value];
        for (int o = 0; o < 18; o++)
        {
            for (int i = 0; i < 6; i++) Assert.Equal(fused[(i * 18) + o], parts[o / 6][((o % 6) * 6) + i]);
        }

        float[] contract = model.Tensors["transformer.h.1.mlp.c_proj.weight"].Values;
        for (int o = 0; o < 6; o++)
        {
            for (int i = 0; i < 10; i++) Assert.Equal(contract[(i * 6) + o], block.DownProjection[(o * 10) + i]);
        }

        Assert.Equal(model.Tensors["transformer.h.1.attn.c_attn.bias"].Values,
            (float[])[.. block.Vectors.QueryBias, .. block.Vectors.KeyBias, .. block.Vectors.ValueBias]);
        Assert.Equal(model.Tensors["transformer.h.1.ln_2.weight"].Values, block.Vectors.Gamma2);
        Assert.Equal(model.Tensors["transformer.ln_f.bias"].Values, directory.ReadFinalNorm().Beta);
        Assert.Null(directory.ReadHead());
        TransformerConfig expected = new() { Width = 6, FeedForwardWidth = 10, Heads = 2, Layers = 2, Vocabulary = 30, MaxSequenceLength = 9, Dropout = 0.1f };
        Assert.Equal(expected, directory.Config);
        Assert.Throws<ArgumentOutOfRangeException>(() => directory.ReadBlock(2));
    }

    [Theory]
    [InlineData(true, 40)]
    [InlineData(false, 64)]
    [InlineData(false, 70)]
    public void Import_and_export_keep_every_bit(bool tied, int width)
    {
        HuggingFaceModel made = new(width, 3 * width, tied);
        made.Tensors["transformer.h.0.mlp.c_fc.weight"].Values[5] = -0f;
        string first = made.Write(_folder.File("first")), second = _folder.File("second");
        using ModelBundle bundle = ModelSource.Load(first);
        Gpt2Directory.Save(second, bundle.Model, bundle.Tokenizer);
        RequireSameTensors(first, second);
        using ModelBundle again = ModelSource.Load(second);
        Assert.Equal(bundle.Model.Config, again.Model.Config);
        Assert.Equal(Logits(bundle.Model), Logits(again.Model));
        Gpt2Directory.Save(second, again.Model); // its own work may be replaced
        RequireSameTensors(first, second);
        Assert.Equal(["first", "second"], Directory.GetFileSystemEntries(_folder.Path).Select(Path.GetFileName).Order());
    }

    [Fact]
    public void Other_layouts_give_the_same_model()
    {
        HuggingFaceModel model = new(12, 24);
        float[] expected = Load(model, "usual");
        Assert.Equal(expected, Load(model.Linear(), "linear"));
        Assert.Equal(expected, Load(model.WithoutPrefix(), "bare"));
        Assert.Equal(expected, Load(model.WithoutPrefix().Linear().With("h.1.attn.bias", [1, 1, 9, 9]).With("h.1.attn.masked_bias", []), "buffers"));
        HuggingFaceModel head = model.With("lm_head.weight", [30, 12]);
        model.Tensors["transformer.wte.weight"].Values.CopyTo(head.Tensors["lm_head.weight"].Values, 0);
        Assert.Equal(expected, Load(head, "head"));
        head.Tensors["lm_head.weight"].Values[3] += 1;
        Assert.Contains("lm_head.weight differs", Assert.Throws<RbeFileException>(() => Load(head, "other head")).Message);

        string folder = model.Write(_folder.File("sharded"));
        HuggingFaceModel.Shard(folder);
        using ModelBundle bundle = ModelSource.Load(folder);
        Assert.Equal(expected, Logits(bundle.Model));
    }

    [Theory]
    [InlineData(SafetensorsElement.F16)]
    [InlineData(SafetensorsElement.BF16)]
    public void Sixteen_bit_files_give_the_model_of_their_values(SafetensorsElement element)
    {
        HuggingFaceModel model = new(72, 200), rounded = new(72, 200);
        foreach ((_, float[] values) in rounded.Tensors.Values)
        {
            for (int i = 0; i < values.Length; i++)
            {
                ushort[] bits = new ushort[1];
                if (element == SafetensorsElement.F16) values[i] = (float)(Half)values[i];
                else HalfPrecision.ToBrain(values.AsSpan(i, 1), bits);
                if (element == SafetensorsElement.BF16) values[i] = BitConverter.UInt32BitsToSingle((uint)bits[0] << 16);
            }
        }

        Assert.Equal(Load(rounded, "rounded"), Load(model, "narrow", element));
    }

    [Fact]
    public void Compressed_models_and_norms_are_written_decoded()
    {
        TransformerConfig config =
            new()
            {
                Width = 40,
                Heads = 4,
                Layers = 2,
                Vocabulary = 300,
                MaxSequenceLength = 12,
                LayerNorm = LayerNormStorage.Compressed,
                Gelu = GeluKind.Erf,
                Dropout = 0.25f,
                LayerNormEpsilon = 1e-6
            };
        RbeOptions options = new() { Tile = 32, Format = RbeFormat.Sparse(64) };
        using TransformerModel<float> model = TransformerModel<float>.Create(config, options, 3, options);
        BytePairTokenizer tokenizer = BytePairTokenizer.Train("to be or not to be", 270);
        string folder = _folder.File("out");
        Gpt2Directory.Save(folder, model, tokenizer);
        using ModelBundle bundle = ModelSource.Load(folder);
        Assert.Equal(config with { LayerNorm = LayerNormStorage.Dense }, bundle.Model.Config);
        Assert.Equal(tokenizer.Encode("or to be"), bundle.Tokenizer!.Encode("or to be"));
        float[] expected = Logits(model), actual = Logits(bundle.Model);

        // Products of the same weights in another order, through two blocks of width 40: some hundred roundings of 6e-8.
        Assert.InRange(RbeCompressor.RelativeError(expected, actual), 0, 2e-5);
        string file = _folder.File("model.rbe");
        ModelFile.Save(file, bundle.Model, bundle.Tokenizer);
        using ModelBundle kept = ModelSource.Load(file);
        Assert.Equal(actual, Logits(kept.Model));
        Assert.Equal(tokenizer.Encode("or to be"), kept.Tokenizer!.Encode("or to be"));
    }

    [Fact]
    public void Folders_of_others_are_not_replaced_and_failures_leave_nothing()
    {
        string theirs = new HuggingFaceModel(8, 16).Write(_folder.File("theirs")), ours = _folder.File("ours"),
            empty = Directory.CreateDirectory(_folder.File("empty")).FullName;
        using ModelBundle bundle = ModelSource.Load(theirs);
        Assert.Contains("holds other files", Assert.Throws<RbeFileException>(() => Gpt2Directory.Save(theirs, bundle.Model)).Message);
        Gpt2Directory.Save(empty, bundle.Model);
        Gpt2Directory.Save(ours, bundle.Model);
        byte[] before = File.ReadAllBytes(Path.Combine(ours, "model.safetensors"));
        File.WriteAllText(Path.Combine(ours, "notes.txt"), "mine");
        Assert.Contains("holds other files", Assert.Throws<RbeFileException>(() => Gpt2Directory.Save(ours, bundle.Model)).Message);
        File.Delete(Path.Combine(ours, "notes.txt"));
        Assert.Throws<InvalidSettingException>(() => Gpt2Directory.Save(ours, bundle.Model, new CharacterTokenizer([new('a')])));
        bundle.Model.Parameters.Of(bundle.Model.Parameters.Slices[^1])[0] = float.NaN;
        Assert.Throws<NonFiniteException>(() => Gpt2Directory.Save(ours, bundle.Model));
        Assert.Throws<NonFiniteException>(() => Gpt2Directory.Save(_folder.File("new"), bundle.Model));
        Assert.Equal(before, File.ReadAllBytes(Path.Combine(ours, "model.safetensors")));
        Assert.Contains("is a file",
            Assert.Throws<RbeFileException>(() => Gpt2Directory.Save(_folder.Write("file", ""), ModelSource.Load(theirs).Model)).Message);
        Assert.Equal(["empty", "file", "ours", "theirs"], Directory.GetFileSystemEntries(_folder.Path).Select(Path.GetFileName).Order());
    }

    [SharedDataFact]
    public void A_trained_model_survives_import_and_export()
    {
        string source = SharedData.PathOf("models", "makemore-names"), copy = _folder.File("copy");
        using ModelBundle bundle = ModelSource.Load(source);
        Assert.Null(bundle.Tokenizer);
        Gpt2Directory.Save(copy, bundle.Model);
        RequireSameTensors(source, copy);
        using ModelBundle again = ModelSource.Load(copy);
        Assert.Equal(Logits(bundle.Model), Logits(again.Model));
        string[] ignored = ["_name_or_path", "n_inner", Gpt2ConfigJson.WriterKey];
        JsonObject first = JsonNode.Parse(File.ReadAllText(Path.Combine(source, "config.json")))!.AsObject(),
            second = JsonNode.Parse(File.ReadAllText(Path.Combine(copy, "config.json")))!.AsObject();
        foreach ((string key, JsonNode? value) in first.Where(entry => !ignored.Contains(entry.Key)))
        {
            if (value!.GetValueKind() == System.Text.Json.JsonValueKind.Number) Assert.Equal((double)value, (double)second[key]!);
            else Assert.Equal(value.ToJsonString(), second[key]!.ToJsonString());
        }
    }

    private float[] Load(HuggingFaceModel model, string name, SafetensorsElement element = SafetensorsElement.F32)
    {
        using ModelBundle bundle = ModelSource.Load(model.Write(_folder.File(name), element));
        return Logits(bundle.Model);
    }
}
