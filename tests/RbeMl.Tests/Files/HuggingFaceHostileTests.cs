using System.Text.Json.Nodes;
using RbeMl.Files;
using RbeMl.Models;

namespace RbeMl.Tests.Files;

/// <summary>Hugging Face directories that are incomplete, contradict themselves, or are damaged.</summary>
public sealed class HuggingFaceHostileTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private static HuggingFaceModel Model => new(8, 16, tied: false);

    private string Refusal(HuggingFaceModel model) =>
        Assert.Throws<RbeFileException>(() => Gpt2Directory.Open(model.Write(_folder.File("m"))).Dispose()).Message;

    [Fact]
    public void Every_missing_extra_or_wrong_tensor_is_named()
    {
        foreach (string name in Model.Tensors.Keys)
        {
            string message = Refusal(Model.Without(name));
            Assert.Contains($"lacks \"{name}\"", message);
            if (name.EndsWith("c_attn.weight", StringComparison.Ordinal)) continue;
            Assert.Contains($"tensor \"{name}\": config.json asks for [", Refusal(Model.With(name, [3])));
        }

        Assert.Contains("holds \"transformer.h.2.ln_1.weight\"", Refusal(Model.With("transformer.h.2.ln_1.weight", [8])));
        Assert.Contains("holds \"score.weight\"", Refusal(Model.With("score.weight", [2, 8])));
        Assert.Contains("asks for [8, 24], the file has F32 [8, 25]", Refusal(Model.With("transformer.h.0.attn.c_attn.weight", [8, 25])));
        Assert.Contains("Set tie_word_embeddings to true", Refusal(Model.Without("lm_head.weight")));
        HuggingFaceModel mixed = Model.With("transformer.h.1.attn.c_attn.weight", [24, 8]);
        Assert.Contains("\"transformer.h.1.attn.c_attn.weight\": config.json asks for [8, 24]", Refusal(mixed));
    }

    [Theory]
    [InlineData("model_type", "llama", "of type \"llama\"")]
    [InlineData("n_embd", 10, "config.json asks for [30, 10], the file has F32 [30, 8]")]
    [InlineData("n_embd", null, "no n_embd")]
    [InlineData("n_embd", -8, "n_embd is -8, expected a whole number")]
    [InlineData("n_embd", 1000000000, "expected a whole number from 1 to")]
    [InlineData("n_embd", "8", "n_embd is \"8\"")]
    [InlineData("n_layer", 3, "lacks \"transformer.h.2.attn.c_attn.weight\"")]
    [InlineData("n_layer", 1, "holds \"transformer.h.1.")]
    [InlineData("n_layer", 4096, "too few for the 4096 layers")]
    [InlineData("n_head", 3, "Width 8 must be a multiple")]
    [InlineData("n_head", null, "no n_head")]
    [InlineData("n_inner", null, "asks for [8, 32]")]
    [InlineData("n_positions", 10, "asks for [10, 8]")]
    [InlineData("vocab_size", 16000000, "asks for [16000000, 8]")]
    [InlineData("layer_norm_epsilon", 0, "LayerNormEpsilon = 0")]
    [InlineData("activation_function", "relu", "\"relu\"; gelu_new")]
    [InlineData("tie_word_embeddings", 5, "tie_word_embeddings is 5, expected true or false")]
    [InlineData("tie_word_embeddings", true, "lm_head.weight differs")]
    [InlineData("attn_pdrop", 1.5, "AttentionDropout = 1.5")]
    [InlineData("scale_attn_weights", 5, "scale_attn_weights is 5, expected true or false")]
    [InlineData("add_cross_attention", true, "add_cross_attention = true")]
    [InlineData("quantization_config", "gptq", "has quantization_config")]
    public void A_configuration_that_disagrees_is_refused(string key, object? value, string message)
    {
        HuggingFaceModel model = Model;
        model.Config[key] = value is null ? null : JsonValue.Create(value);
        Assert.Contains(message, Refusal(model));
    }

    [Fact]
    public void Values_that_are_not_finite_are_named_with_their_place()
    {
        foreach ((string name, float value) in new[] { ("transformer.wte.weight", float.NaN),
            ("transformer.h.1.attn.c_attn.weight", float.PositiveInfinity), ("transformer.h.0.mlp.c_proj.bias", float.NegativeInfinity),
                ("lm_head.weight", float.NaN), ("transformer.ln_f.weight", float.NaN) })
        {
            foreach (SafetensorsElement element in (SafetensorsElement[])[SafetensorsElement.F32, SafetensorsElement.F16])
            {
                HuggingFaceModel model = Model;
                model.Tensors[name].Values[7] = value;
                string folder = model.Write(_folder.File("m"), element);
                NonFiniteException error = Assert.Throws<NonFiniteException>(() => ModelSource.Load(folder));
                Assert.Equal($"{Path.Combine(folder, "model.safetensors")}: {name}", error.Where);
                Assert.Contains("element 7", error.Message);
            }
        }
    }

    [Fact]
    public void Integers_are_no_weights()
    {
        string folder = Model.Write(_folder.File("m")), file = Path.Combine(folder, "model.safetensors");
        byte[] bytes = File.ReadAllBytes(file);
        int place = bytes.AsSpan().IndexOf("\"F32\""u8);
        "\"I32\""u8.CopyTo(bytes.AsSpan(place));
        File.WriteAllBytes(file, bytes);
        Assert.Contains("is I32 [", Assert.Throws<RbeFileException>(() => Gpt2Directory.Open(folder)).Message);
    }

    [Fact]
    public void What_is_no_model_says_what_is_needed()
    {
        Assert.Contains("no such file", Assert.Throws<RbeFileException>(() => ModelSource.Load(_folder.File("none"))).Message);
        Assert.Contains("holds no config.json", Assert.Throws<RbeFileException>(() => ModelSource.Load(_folder.Path)).Message);
        string folder = Model.Write(_folder.File("m"));
        Assert.Contains("Give its folder", Assert.Throws<RbeFileException>(() => ModelSource.Load(Path.Combine(folder, "model.safetensors"))).Message);
        Assert.Contains("is no folder", Assert.Throws<RbeFileException>(() => Gpt2Directory.Open(Path.Combine(folder, "config.json"))).Message);
        File.WriteAllText(Path.Combine(folder, "vocab.json"), "{}");
        using Gpt2Directory directory = Gpt2Directory.Open(folder);
        Assert.Contains("merges.txt: no such file", directory.TokenizerProblem);
    }

    [Theory]
    [InlineData("config.json", 1500)]
    [InlineData("model.safetensors", 2500)]
    public void A_damaged_directory_is_refused_or_still_a_model(string name, int count)
    {
        string folder = Model.Write(_folder.File("m")), file = Path.Combine(folder, name);
        int refused = 0, read = 0;
        Mutations.Each(File.ReadAllBytes(file), count, 31, bytes =>
        {
            File.WriteAllBytes(file, bytes);
            try
            {
                using ModelBundle bundle = ModelSource.Load(folder);
                Assert.Equal(8, bundle.Model.Config.Width);
                foreach (var slice in bundle.Model.Parameters.Slices)
                {
                    foreach (float value in bundle.Model.Parameters.Of(slice)) Assert.True(float.IsFinite(value));
                }

                read++;
            }
            catch (RbeException)
            {
                refused++;
            }
        });
        Assert.InRange(refused, count / 4, count);
        Assert.True(read > 10);
    }
}
