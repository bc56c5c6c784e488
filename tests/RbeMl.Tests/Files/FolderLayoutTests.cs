using System.Text.Json.Nodes;
using RbeMl.Codec;
using RbeMl.Compression;
using RbeMl.Files;
using RbeMl.Layers;
using RbeMl.Models;
using RbeMl.Tests.Cli;
using RbeMl.Tests.Support;

namespace RbeMl.Tests.Files;

/// <summary>Model folders as other tools write them, against a plain forward of the same tensors.</summary>
public sealed class FolderLayoutTests : IDisposable
{
    // Sums of at most 64 terms through two blocks, each a random walk of roundings of 2^-24; the factor allows for LayerNorm, softmax and GELU.
    private const double Tolerance = 2e-5;
    private static readonly int[] Tokens = [3, 29, 0, 14, 7, 7, 21, 2, 11];
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private static float[] Logits(TransformerModel<float> model)
    {
        using Workspace<float> workspace = new(1);
        return model.Logits(Tokens, 1, Tokens.Length, workspace);
    }

    private static float[] Expected(HuggingFaceModel model) => [.. new PlainGpt2(model).Logits(Tokens).Select(v => (float)v)];

    private static HuggingFaceModel Scaled(bool byWidth, bool byLayer)
    {
        HuggingFaceModel model = new(16, 40);
        model.Config["scale_attn_weights"] = byWidth;
        model.Config["scale_attn_by_inverse_layer_idx"] = byLayer;
        return model;
    }

    [Theory]
    [InlineData(true, false)]
    [InlineData(true, true)]
    [InlineData(false, false)]
    [InlineData(false, true)]
    public void Attention_is_scaled_as_the_configuration_says(bool byWidth, bool byLayer)
    {
        HuggingFaceModel model = Scaled(byWidth, byLayer);
        string folder = model.Write(_folder.File("model")), file = _folder.File("model.rbe"), dense = _folder.File("dense");
        float[] expected = Expected(model);
        using ModelBundle bundle = ModelSource.Load(folder);
        float[] whole = Logits(bundle.Model);
        Assert.InRange(Numbers.RelativeError(expected, whole), 0, Tolerance);

        // The factor is seen: the other settings give other logits.
        foreach ((bool w, bool l) in ((bool, bool)[])[(true, false), (true, true), (false, false), (false, true)])
        {
            if ((w, l) != (byWidth, byLayer)) Assert.True(Numbers.RelativeError(Expected(Scaled(w, l)), whole) > 100 * Tolerance);
        }

        // Decoding with a cache, token by token, and a copy for inference.
        using Workspace<float> workspace = new(1);
        using TransformerModel<float> inference = bundle.Model.ToInference();
        Assert.Equal(whole, Logits(inference));
        using KvCache<float> cache = new(bundle.Model.Config, 1, Tokens.Length);
        float[] last = new float[30];
        for (int t = 0; t < Tokens.Length; t++)
        {
            inference.LastLogits(Tokens.AsSpan(t, 1), 1, 1, workspace, cache, last);
            Assert.InRange(Numbers.RelativeError(expected[(t * 30)..((t + 1) * 30)], last), 0, 2 * Tolerance);
        }

        // Kept in a file under a feature bit that readers without it refuse, written back as it came.
        ModelFile.Save(file, bundle.Model);
        Assert.Equal((uint)(byWidth && !byLayer ? 0 : 1), BitConverter.ToUInt32(File.ReadAllBytes(file), 12));
        Assert.Equal(!byWidth || byLayer, System.Text.Encoding.UTF8.GetString(File.ReadAllBytes(file)).Contains("scaleAttention", StringComparison.Ordinal));
        using ModelBundle kept = ModelFile.Load(file);
        Assert.Equal(bundle.Model.Config, kept.Model.Config);
        Assert.Equal(whole, Logits(kept.Model));
        CommandRun.Of("decompress", file, "-o", dense).Succeeds();
        using ModelBundle again = ModelSource.Load(dense);
        Assert.Equal(whole, Logits(again.Model));
        JsonObject config = JsonNode.Parse(File.ReadAllText(Path.Combine(dense, "config.json")))!.AsObject();
        Assert.Equal((byWidth, byLayer), ((bool)config["scale_attn_weights"]!, (bool)config["scale_attn_by_inverse_layer_idx"]!));
        using SafetensorsFile tensors = SafetensorsFile.Open(Path.Combine(dense, "model.safetensors"));
        Assert.All(model.Tensors, tensor => Assert.Equal(tensor.Value.Values, tensors.ReadFloats(tensor.Key)));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Gradients_of_scaled_attention_are_those_of_the_plain_forward(bool byWidth)
    {
        HuggingFaceModel made = Scaled(byWidth, byLayer: true);
        using Gpt2Directory directory = Gpt2Directory.Open(made.Write(_folder.File("model")));
        using TransformerModel<double> model = new(directory.ReadWeights(RbeOptions.Dense));
        using Workspace<double> workspace = new(1);
        int[] tokens = Tokens[..8], targets = Tokens[1..];
        double[]? first = null;
        foreach (CheckpointPolicy policy in Enum.GetValues<CheckpointPolicy>())
        {
            using TransformerContext<double> context = new(model, workspace, policy);
            using ParameterVector<double> gradients = model.Parameters.CreateLike();
            double loss = model.Loss(tokens, targets, 1, 8, context, null, gradients);
            Assert.Equal(new PlainGpt2(made).Loss(tokens, targets), loss, 1e-9);
            double[] actual = gradients.Of(gradients.Slices.Single(s => s.Name == "blocks.1.attention.query.bias")).ToArray();
            first ??= actual;
            Assert.Equal(first, actual);
        }

        float[] bias = made.Tensors["transformer.h.1.attn.c_attn.bias"].Values;
        for (int i = 0; i < 16; i += 5)
        {
            float before = bias[i], up = before + 0.001f, down = before - 0.001f;
            bias[i] = up;
            double above = new PlainGpt2(made).Loss(tokens, targets);
            bias[i] = down;
            double below = new PlainGpt2(made).Loss(tokens, targets);
            bias[i] = before;

            // Central differences of step 1e-3 err by a third derivative times 2e-7.
            Assert.Equal((above - below) / ((double)up - down), first![i], 1e-6);
        }
    }

    [Fact]
    public void Calibration_knows_which_block_it_is()
    {
        using Gpt2Directory directory = Gpt2Directory.Open(Scaled(true, true).Write(_folder.File("model")));
        TransformerConfig config = directory.Config;
        IReadOnlyList<int[]> windows = CalibrationWindows.Cut([[.. Enumerable.Range(0, 90).Select(i => i * 7 % 30)]], 9, 90);
        BlockActivationData x = CalibrationWindows.Embed(directory, windows);
        List<BlockExample> examples = [];
        for (int l = 0; l < 2; l++)
        {
            examples.Add(BlockExample.Run(directory.ReadBlock(l), config.OfBlock(l), x));
            x = examples[^1].Expected;
        }

        // The second block halves its scores: on its own it computes what it does in the model.
        using TransformerModel<float> whole = new(directory.ReadWeights(RbeOptions.Dense));
        Assert.Equal(0.5 / Math.Sqrt(8), whole.Blocks[1].Attention.Scale, 1e-7);
        using RbeTransformerBlock<float> alone = new(config.OfBlock(1), whole.Blocks[1].GetCompressedWeights());
        Assert.Equal(whole.Blocks[1].Attention.Scale, alone.Attention.Scale);
        using MemoryStream stream = new();
        BlockFile.Save(stream, config.OfBlock(1), whole.Blocks[1].GetCompressedWeights());
        stream.Position = 0;
        Assert.Equal(config.OfBlock(1), BlockFile.Load(stream).Config);

        CompressionRequest request = new() { Options = new RbeOptions { Tile = 32, Format = RbeFormat.Quantized(4) }, Calibration = windows };
        CompressedModel compressed = ModelCompressor.Compress(directory, request);
        for (int l = 0; l < 2; l++)
        {
            CalibratedBlock block = new(compressed.Weights.Blocks[l], new PerMatrix<CompressionReport>(_ => compressed.Matrices[0].Report));
            Assert.Equal(block.OutputError(config.OfBlock(l), examples[l]), compressed.BlockErrors[l], 1e-6);
            if (l == 1) Assert.NotEqual(block.OutputError(config, examples[l]), compressed.BlockErrors[l], 1e-4);
        }
    }

    [Theory]
    [InlineData("_orig_mod.")]
    [InlineData("module.")]
    [InlineData("model.")]
    [InlineData("module._orig_mod.")]
    [InlineData("_orig_mod.module.model.")]
    public void Prefixes_of_training_tools_are_passed_over(string prefix)
    {
        foreach (bool tied in (bool[])[true, false])
        {
            HuggingFaceModel model = new(12, 24, tied);
            float[] expected = Expected(model);
            foreach (HuggingFaceModel named in (HuggingFaceModel[])[model.Renamed(name => prefix + name),
                model.WithoutPrefix().Renamed(name => prefix + name),
                    model.Renamed(name => name.Contains(".h.0.", StringComparison.Ordinal) ? prefix + name : name)])
            {
                using ModelBundle bundle = ModelSource.Load(named.Write(_folder.File("model")));
                Assert.InRange(Numbers.RelativeError(expected, Logits(bundle.Model)), 0, Tolerance);
            }

            HuggingFaceModel twice = model.Renamed(name => name).With(prefix + "transformer.ln_f.bias", [12]);
            Assert.Contains($"\"ln_f.bias\" twice, as \"", Assert.Throws<RbeFileException>(() => ModelSource.Load(twice.Write(_folder.File("model")))).Message);
            HuggingFaceModel less = model.Renamed(name => prefix + name).Without(prefix + "transformer.h.1.ln_2.bias");
            Assert.Contains($"lacks \"{prefix}transformer.h.1.ln_2.bias\"",
                Assert.Throws<RbeFileException>(() => ModelSource.Load(less.Write(_folder.File("model")))).Message);
        }
    }

    [Theory]
    [InlineData(true, "lm_head.weight", false)]
    [InlineData(true, "transformer.wte.weight", false)]
    [InlineData(true, "lm_head.weight", true)]
    [InlineData(true, "transformer.wte.weight", true)]
    [InlineData(false, "lm_head.weight", true)]
    [InlineData(false, "transformer.wte.weight", true)]
    public void A_shared_tensor_is_kept_under_either_name(bool tied, string kept, bool alias)
    {
        HuggingFaceModel model = new(12, 24);
        float[] expected = Expected(model);
        HuggingFaceModel named = model.Renamed(name => name == "transformer.wte.weight" ? kept : name);
        named.Config["tie_word_embeddings"] = tied;
        string other = kept == "lm_head.weight" ? "transformer.wte.weight" : "lm_head.weight", folder = _folder.File("model");
        named.Metadata = alias ? new() { ["format"] = "pt", [other] = kept } : null;
        named.Write(folder);
        using (ModelBundle bundle = ModelSource.Load(folder)) Assert.InRange(Numbers.RelativeError(expected, Logits(bundle.Model)), 0, Tolerance);

        // The same in shards, with an index of one or of both names.
        HuggingFaceModel.Shard(folder);
        string index = Path.Combine(folder, "model.safetensors.index.json");
        if (alias && !tied) return; // the shards' metadata is gone
        using (ModelBundle bundle = ModelSource.Load(folder)) Assert.InRange(Numbers.RelativeError(expected, Logits(bundle.Model)), 0, Tolerance);
        JsonObject json = JsonNode.Parse(File.ReadAllText(index))!.AsObject();
        json["weight_map"]![other] = json["weight_map"]![kept]!.DeepClone();
        File.WriteAllText(index, json.ToJsonString());
        using (ModelBundle bundle = ModelSource.Load(folder)) Assert.InRange(Numbers.RelativeError(expected, Logits(bundle.Model)), 0, Tolerance);
        json["weight_map"]!["transformer.h.7.ln_1.bias"] = json["weight_map"]![kept]!.DeepClone();
        File.WriteAllText(index, json.ToJsonString());
        Assert.Contains("which does not hold it", Assert.Throws<RbeFileException>(() => ModelSource.Load(folder)).Message);
    }

    [Fact]
    public void Metadata_may_be_null()
    {
        string folder = new HuggingFaceModel(12, 24).Write(_folder.File("model")), file = Path.Combine(folder, "model.safetensors");
        byte[] bytes = File.ReadAllBytes(file), header = bytes[8..(8 + (int)BitConverter.ToUInt64(bytes))];
        string json = "{\"__metadata__\":null," + System.Text.Encoding.UTF8.GetString(header).TrimEnd()[1..];
        json = json.PadRight((json.Length + 7) / 8 * 8);
        File.WriteAllBytes(file, [.. BitConverter.GetBytes((ulong)json.Length), .. System.Text.Encoding.UTF8.GetBytes(json), .. bytes[(8 + header.Length)..]]);
        using ModelBundle bundle = ModelSource.Load(folder);
        Assert.InRange(Numbers.RelativeError(Expected(new HuggingFaceModel(12, 24)), Logits(bundle.Model)), 0, Tolerance);
    }

    [Theory]
    [InlineData("activation_function", "gelu_fast")]
    [InlineData("activation_function", "gelu_pytorch_tanh")]
    [InlineData("activation_function", null)]
    [InlineData("model_type", null)]
    [InlineData("n_inner", 24)]
    [InlineData("reorder_and_upcast_attn", true)]
    [InlineData("layer_norm_epsilon", null)]
    [InlineData("resid_pdrop", 0.3)]
    [InlineData("embd_pdrop", null)]
    public void Configurations_of_the_same_model_give_the_same_logits(string key, object? value)
    {
        HuggingFaceModel model = new(12, 24);
        model.Config[key] = value is null ? null : JsonValue.Create(value);
        using ModelBundle bundle = ModelSource.Load(model.Write(_folder.File("model")));
        Assert.InRange(Numbers.RelativeError(Expected(model), Logits(bundle.Model)), 0, Tolerance);
    }

    [Fact]
    public void Without_a_model_type_architectures_or_tensors_say_what_it_is()
    {
        HuggingFaceModel model = new(12, 24);
        model.Config.Remove("model_type");
        ModelSource.Load(model.Write(_folder.File("model"))).Dispose();
        model.Config["architectures"] = new JsonArray("GPT2LMHeadModel");
        ModelSource.Load(model.Write(_folder.File("model"))).Dispose();
        model.Config["architectures"] = new JsonArray("LlamaForCausalLM");
        Assert.Contains("the architecture \"LlamaForCausalLM\"",
            Assert.Throws<RbeFileException>(() => ModelSource.Load(model.Write(_folder.File("model")))).Message);
        model.Config.Remove("architectures");
        HuggingFaceModel other = model.Renamed(name => name.Replace("attn.c_attn", "self_attn.qkv", StringComparison.Ordinal));
        Assert.Contains("has no model_type, and its tensors",
            Assert.Throws<RbeFileException>(() => ModelSource.Load(other.Write(_folder.File("model")))).Message);
    }

    [Fact]
    public void Dropouts_of_their_own_are_kept_and_used_while_training_alone()
    {
        HuggingFaceModel made = new(16, 40);
        (made.Config["attn_pdrop"], made.Config["resid_pdrop"], made.Config["embd_pdrop"]) = (0.25, 0.0, 0.0);
        string folder = made.Write(_folder.File("model")), file = _folder.File("model.rbe"), dense = _folder.File("dense");
        CommandRun.Of("compress", folder, "-o", file).Succeeds();
        using ModelBundle bundle = ModelSource.Load(file);
        Assert.Equal((0.25f, 0f, null), (bundle.Model.Config.AttentionDropout, bundle.Model.Config.Dropout, bundle.Model.Config.EmbeddingDropout));
        CommandRun.Of("decompress", file, "-o", dense).Succeeds();
        JsonObject config = JsonNode.Parse(File.ReadAllText(Path.Combine(dense, "config.json")))!.AsObject();
        Assert.Equal((0.25, 0.0, 0.0), ((double)config["attn_pdrop"]!, (double)config["resid_pdrop"]!, (double)config["embd_pdrop"]!));
        Assert.Equal(0.25f, ModelSource.Load(dense).Model.Config.AttentionDropout);

        TransformerConfig plain = bundle.Model.Config.WithDropout(0);
        double none = Loss(plain, dropping: true);
        Assert.Equal(none, Loss(bundle.Model.Config, dropping: false));
        double[] each =
            [Loss(plain with { AttentionDropout = 0.25f }, true), Loss(plain with { EmbeddingDropout = 0.25f }, true),
                Loss(plain with { Dropout = 0.25f, AttentionDropout = 0, EmbeddingDropout = 0 }, true)];
        Assert.Equal(4, each.Append(none).Distinct().Count());
        Assert.Equal(Loss(plain.WithDropout(0.25f), true), Loss(plain with { Dropout = 0.25f, AttentionDropout = 0.25f, EmbeddingDropout = 0.25f }, true));
        Assert.Throws<InvalidSettingException>(() => (plain with { EmbeddingDropout = 1 }).Validate());

        double Loss(TransformerConfig settings, bool dropping)
        {
            using TransformerModel<float> model = new(bundle.Model.GetWeights() with { Config = settings });
            using Workspace<float> workspace = new(1);
            using TransformerContext<float> context = new(model, workspace);
            return model.Loss(Tokens.AsSpan(0, 8), Tokens.AsSpan(1), 1, 8, context, dropping ? new DropoutStep(3, 4) : null);
        }
    }
}
