using RbeMl.Files;
using RbeMl.Kernels;
using RbeMl.Layers;

namespace RbeMl.Tests.Files;

/// <summary>
/// Encoders in ONNX files: each way in which exporters write one gives the names, values and constants that it was made of.
/// </summary>
public sealed class OnnxEncoderTests : IDisposable
{
    private static readonly Dictionary<string, OnnxStyle> Styles = new()
    {
        ["older"] = new(),
        ["prefix"] = new() { Prefix = "bert." },
        ["sentence-transformers"] = new() { Prefix = "0.auto_model.", Shared = true },
        ["packed"] = new() { Storage = OnnxWriter.Storage.Packed },
        ["halves"] = new() { Storage = OnnxWriter.Storage.Half },
        ["gemm"] = new() { Product = "Gemm", WholeShapes = true },
        ["gemm-turned"] = new() { Product = "GemmTurned" },
        ["named"] = new() { Product = "NamedMatMul" },
        ["newer"] = new() { NormNodes = true, Activation = "Gelu", FoldedConstants = true, WholeShapes = true },
        ["tanh"] = new() { Activation = "GeluTanh", NormNodes = true },
        ["folded"] = new() { FoldedConstants = true },
    };

    private readonly TemporaryFolder _folder = new();

    public static TheoryData<string> Names => [.. Styles.Keys];

    public void Dispose() => _folder.Dispose();

    [Theory]
    [MemberData(nameof(Names))]
    public void Weights_and_constants_come_out(string style)
    {
        SmallOnnxBert bert = new(Styles[style]);
        using OnnxEncoder encoder = OnnxEncoder.Open(Write(bert.File));
        TransformerConfig expected = new()
        {
            Width = SmallOnnxBert.Width,
            FeedForwardWidth = SmallOnnxBert.Hidden,
            Heads = SmallOnnxBert.Heads,
            Layers = SmallOnnxBert.Layers,
            Vocabulary = SmallOnnxBert.Words,
            MaxSequenceLength = SmallOnnxBert.Positions,
            LayerNormEpsilon = 1e-12,
            Gelu = style == "tanh" ? GeluKind.Tanh : GeluKind.Erf,
            Causal = false,
            Order = BlockOrder.PostNorm,
        };
        Assert.Equal(expected, encoder.Config);
        foreach ((string name, (float[] values, _)) in bert.Weights) Assert.True(values.AsSpan().SequenceEqual(encoder.Read(name)), name);
        Assert.Equal(bert.Weights.Keys.Order(StringComparer.Ordinal), encoder.Names);
    }

    [Fact]
    public void Heads_are_asked_for_where_the_graph_does_not_tell()
    {
        string path = Write(new SmallOnnxBert(new OnnxStyle { WholeShapes = null }).File);
        using (OnnxEncoder encoder = OnnxEncoder.Open(path, heads: 4)) Assert.Equal(4, encoder.Config.Heads);
        Assert.Contains("number of attention heads. Put the config.json", Refused(path));
    }

    [Theory]
    [InlineData("MatMulInteger", "holds rounded weights (its graph has MatMulInteger). Give the file of floats")]
    [InlineData("DequantizeLinear", "holds rounded weights")]
    [InlineData("Attention", "was optimised for one runtime (its graph has Attention)")]
    [InlineData("CumSum", "is a RoBERTa")]
    public void Another_kind_of_graph_is_named(string operation, string message)
    {
        SmallOnnxBert bert = new();
        bert.File.Node(operation, ["a", "b"], "c");
        Assert.Contains(message, Refused(Write(bert.File)));
    }

    [Theory]
    [InlineData("transformer.layer.0.attention.q_lin.weight", "is a DistilBERT, a BERT encoder is needed")]
    [InlineData("encoder.relative_attention_bias.weight", "is an MPNet or T5")]
    [InlineData("layers.0.attn.Wqkv.weight", "is a ModernBERT")]
    [InlineData("h.0.attn.c_attn.weight", "is a GPT-2")]
    [InlineData("conv1.weight", "is no BERT encoder: none of its 1 tensor is named embeddings.word_embeddings.weight")]
    public void Another_kind_of_model_is_named(string tensor, string message)
    {
        OnnxWriter file = new();
        file.Add(tensor, new float[4], [2, 2]);
        Assert.Contains(message, Refused(Write(file)));
    }

    [Fact]
    public void Other_activations_and_two_models_are_refused()
    {
        Assert.Contains("no GELU", Refused(Write(new SmallOnnxBert(new OnnxStyle { Activation = "Relu" }).File)));
        SmallOnnxBert two = new();
        two.File.Add("second.embeddings.word_embeddings.weight", new float[4], [2, 2]);
        Assert.Contains("holds 2 encoders", Refused(Write(two.File)));
        SmallOnnxBert epsilon = new(new OnnxStyle { NormNodes = true });
        epsilon.File.Node("LayerNormalization", ["x"], "y", OnnxWriter.Attribute("epsilon", 1e-5f));
        Assert.Contains("different epsilons (1E-12, 1E-05)", Refused(Write(epsilon.File)));
    }

    [Fact]
    public void Values_that_are_not_finite_are_named()
    {
        SmallOnnxBert bert = new();
        bert.File.Add("extra.bias", [1, float.NaN], [2]);
        using OnnxEncoder encoder = OnnxEncoder.Open(Write(bert.File));
        NonFiniteException error = Assert.Throws<NonFiniteException>(() => encoder.Read("extra.bias"));
        Assert.Contains("value NaN at element 1", error.Message);
        Assert.Contains("has no weights that its graph uses as other.bias",
            Assert.Throws<RbeFileException>(() => encoder.Read("other.bias")).Message);
    }

    private string Refused(string path) => Assert.Throws<RbeFileException>(() => OnnxEncoder.Open(path).Dispose()).Message;

    private string Write(OnnxWriter file)
    {
        string path = _folder.File("model.onnx");
        File.WriteAllBytes(path, file.ToArray());
        return path;
    }
}
