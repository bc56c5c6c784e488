using System.Text.Json.Nodes;
using RbeMl.Codec;
using RbeMl.Files;
using RbeMl.Layers;
using RbeMl.Models;
using RbeMl.Text;

namespace RbeMl.Tests.Files;

public sealed class Gpt2FileTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private static readonly TransformerConfig Small =
        new() { Width = 40, Heads = 4, Layers = 2, Vocabulary = 50, MaxSequenceLength = 12, Dropout = 0.1f, LayerNormEpsilon = 1e-6 };

    private static readonly RbeOptions Sparse = new() { Tile = 32, Format = RbeFormat.Sparse(64) };

    public static TheoryData<string> Kinds => ["sparse", "untied", "compressed tables", "compressed norms", "scalar norms", "delta"];

    internal static TransformerModel<float> Make(string kind)
    {
        TransformerConfig config = kind switch
        {
            "untied" => Small with { TiedHead = false, FeedForwardWidth = 70 },
            "compressed norms" => Small with { LayerNorm = LayerNormStorage.Compressed },
            "scalar norms" => Small with { LayerNorm = LayerNormStorage.Scalar },
            _ => Small,
        };
        TransformerModel<float> model = TransformerModel<float>.Create(config, Sparse, 7, kind == "compressed tables" ? Sparse : null);
        if (kind == "delta")
        {
            RbeOptions options = new() { Tile = 32, Format = RbeFormat.Quantized(4) with { Delta = RbeFormat.Sparse(32, SupportRule.TopK) } };
            BlockWeights[] blocks =
                [.. Enumerable.Range(0, 2).Select(i => BlockWeights.Compress(DenseBlockWeights.Gpt2Initialization(config, i), config, options))];
            model = new TransformerModel<float>(model.GetWeights() with { Blocks = blocks });
        }

        // Values that training could have left: no zeros and ones any more.
        Random random = new(3);
        foreach (ParameterSlice slice in model.Parameters.Slices)
        {
            foreach (ref float value in model.Parameters.Of(slice)) value += (float)(0.1 * random.NextDouble());
        }

        return model;
    }

    private static float[] Logits(TransformerModel<float> model)
    {
        using Workspace<float> workspace = new(1);
        return model.Logits([.. Enumerable.Range(0, 20).Select(i => i * 7 % 50)], 2, 10, workspace);
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Logits_are_the_same_bit_for_bit_after_reloading(string kind)
    {
        TransformerModel<float> model = Make(kind);
        string path = _folder.File("model.rbe");
        ModelFile.Save(path, model);
        using ModelBundle bundle = ModelFile.Load(path);
        Assert.Equal(model.Config, bundle.Model.Config);
        Assert.Null(bundle.Tokenizer);
        Assert.Equal(Logits(model), Logits(bundle.Model));
        byte[] first = File.ReadAllBytes(path);
        ModelFile.Save(path, bundle.Model);
        Assert.Equal(first, File.ReadAllBytes(path));
    }

    [Fact]
    public void The_tokenizer_travels_along()
    {
        string path = _folder.File("model.rbe");
        ModelFile.Save(path, Make("sparse"), CharacterTokenizer.FromText("abc def"));
        using ModelBundle bundle = ModelFile.Load(path);
        Assert.Equal([4, 1, 0], bundle.Tokenizer!.Encode("da "));
        ModelFile.Save(path, Make("sparse"), new ByteTokenizer()); // of more ids than the model: no condition of the weights
        using ModelBundle larger = ModelFile.Load(path);
        Assert.Equal(256, larger.Tokenizer!.Vocabulary);
    }

    [Fact]
    public void Every_missing_extra_or_wrong_tensor_is_named()
    {
        string path = _folder.File("model.rbe");
        ModelFile.Save(path, Make("untied"));
        string[] names;
        using (RbeContainer file = RbeContainer.Open(path)) names = [.. file.Tensors.Select(t => t.Name)];
        Assert.True(names.Length > 40);
        foreach (string name in names)
        {
            Refuses(path, $"\"{name}\" is missing", t => t.Name == name ? [] : [t]);
            Refuses(path, $"\"{name}\": expected ", t => t.Name == name ? [RbeTensor.From(name, new float[3])] : [t]);
        }

        Refuses(path, "\"stray\" belongs to no part", t => t.Name == names[0] ? [RbeTensor.From("stray", new float[3]), t] : [t]);
    }

    [Fact]
    public void A_value_that_is_not_finite_is_named()
    {
        string path = _folder.File("model.rbe");
        ModelFile.Save(path, Make("untied"));
        foreach (string name in new[] { "embedding.tokens", "embedding.positions", "head", "final.gamma", "blocks.1.ln2.beta",
            "blocks.0.attention.key.bias", "blocks.1.feedforward.expand.alphas", "blocks.0.attention.query.coefficients" })
        {
            string changed = Rewrite(path, t =>
            {
                if (t.Name != name) return [t];
                float[] values = new float[t.Count];
                values[1] = float.NegativeInfinity;
                return [RbeTensor.From(name, values, [.. t.Shape])];
            });
            NonFiniteException error = Assert.Throws<NonFiniteException>(() => ModelFile.Load(changed));
            Assert.Equal(name, error.Where);
        }
    }

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.NegativeInfinity)]
    public void A_model_that_is_not_finite_is_not_saved(float value)
    {
        string path = _folder.Write("model.rbe", "old");
        TransformerModel<float> model = Make("untied");
        foreach (ParameterSlice slice in model.Parameters.Slices)
        {
            ref float last = ref model.Parameters.Of(slice)[^1];
            float sound = last;
            last = value;
            Assert.Equal(slice.Name, Assert.Throws<NonFiniteException>(() => ModelFile.Save(path, model)).Where);
            Assert.Equal("old", File.ReadAllText(path));
            last = sound;
        }

        ModelFile.Save(path, model);
        ModelFile.Load(path).Dispose();
    }

    [Theory]
    [InlineData("kind", "other", "holds \"other\"")]
    [InlineData("config", 5, "metadata.config")]
    [InlineData("matrices", 5, "metadata.matrices")]
    [InlineData("config.scaleAttentionByLayer", 5, "config.scaleAttentionByLayer")]
    [InlineData("config.width", 1000000000, "config.width")]
    [InlineData("config.width", 44, "\"blocks.0.attention.query\": expected 44 x 44, the file has 40 x 40")]
    [InlineData("config.heads", 3, "Heads = 3")]
    [InlineData("config.layers", 3, "matrix \"blocks.2.attention.query\" is missing")]
    [InlineData("config.layers", 1, "matrix \"blocks.1.attention.query\" belongs to no part")]
    [InlineData("config.vocabulary", 16000000, "\"embedding.tokens\": expected f32 [640000000], the file has f32 [2000]")]
    [InlineData("config.gelu", "Relu", "config.gelu")]
    [InlineData("config.layerNorm", "Scalar", "\"blocks.0.ln1.gamma\": expected f32 [1], the file has f32 [40]")]
    public void Wrong_metadata_is_a_file_error(string key, object value, string message)
    {
        string path = _folder.File("model.rbe");
        ModelFile.Save(path, Make("sparse"));
        string changed = Rewrite(path, t => [t], metadata =>
        {
            JsonObject target = key.StartsWith("config.", StringComparison.Ordinal) ? metadata["config"]!.AsObject() : metadata;
            target[key.Split('.')[^1]] = value is int number ? number : (string)value;
        });
        Assert.Contains(message, Assert.Throws<RbeFileException>(() => ModelFile.Load(changed)).Message);
    }

    [Fact]
    public void Metadata_of_later_versions_is_ignored()
    {
        string path = _folder.File("model.rbe");
        TransformerModel<float> model = Make("sparse");
        ModelFile.Save(path, model);
        string changed = Rewrite(path, t => [t], metadata =>
        {
            metadata["new"] = new JsonObject { ["x"] = 1 };
            metadata["config"]!["new"] = true;
        });
        using ModelBundle bundle = ModelFile.Load(changed);
        Assert.Equal(Logits(model), Logits(bundle.Model));
    }

    private void Refuses(string path, string message, Func<RbeTensor, RbeTensor[]> change)
    {
        string changed = Rewrite(path, change);
        Assert.Contains(message, Assert.Throws<RbeFileException>(() => ModelFile.Load(changed)).Message);
    }

    // The file with other tensors or metadata and right checksums.
    private string Rewrite(string path, Func<RbeTensor, RbeTensor[]> change, Action<JsonObject>? edit = null)
    {
        using RbeContainer file = RbeContainer.Open(path);
        JsonObject metadata = JsonNode.Parse(file.Metadata.GetRawText())!.AsObject();
        edit?.Invoke(metadata);
        string changed = _folder.File("changed.rbe");
        RbeContainerWriter.Write(changed, metadata, [.. file.Tensors.Select(t => Copy(file, t)).SelectMany(change)]);
        return changed;
    }

    private static RbeTensor Copy(RbeContainer file, RbeTensorInfo tensor)
    {
        long[] shape = [.. tensor.Shape];
        return tensor.Element switch
        {
            RbeElement.F32 => RbeTensor.From(tensor.Name, file.Read<float>(tensor.Name), shape),
            RbeElement.U16 => RbeTensor.From(tensor.Name, file.Read<ushort>(tensor.Name), shape),
            RbeElement.F16 => RbeTensor.From(tensor.Name, file.Read<Half>(tensor.Name), shape),
            _ => RbeTensor.From(tensor.Name, file.Read<byte>(tensor.Name), shape),
        };
    }
}
