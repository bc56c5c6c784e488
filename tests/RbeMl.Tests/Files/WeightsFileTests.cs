using RbeMl.Codec;
using RbeMl.Files;
using RbeMl.Layers;
using RbeMl.Memory;
using RbeMl.Models;

namespace RbeMl.Tests.Files;

/// <summary>Files of weights, without a model of them, are those of the model.</summary>
public sealed class WeightsFileTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public static TheoryData<string> Kinds => Gpt2FileTests.Kinds;

    public void Dispose() => _folder.Dispose();

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Weights_are_saved_as_their_model_would_be(string kind)
    {
        using TransformerModel<float> made = Gpt2FileTests.Make(kind);
        TransformerWeights weights = made.GetWeights();
        using TransformerModel<float> model = new(weights);
        ModelFile.Save(_folder.File("model.rbe"), model);
        ModelFile.Save(_folder.File("weights.rbe"), weights);
        Assert.Equal(File.ReadAllBytes(_folder.File("model.rbe")), File.ReadAllBytes(_folder.File("weights.rbe")));
        Gpt2Directory.Save(_folder.File("model"), model);
        Gpt2Directory.Save(_folder.File("weights"), weights);
        DenseExport.Write(_folder.File("model.rbe"), _folder.File("exported"));
        foreach (string folder in (string[])["weights", "exported"])
        {
            foreach (string file in (string[])["config.json", "model.safetensors"])
            {
                Assert.Equal(File.ReadAllBytes(_folder.File(Path.Combine("model", file))), File.ReadAllBytes(_folder.File(Path.Combine(folder, file))));
            }
        }
    }

    [Fact]
    public void Saving_and_reading_weights_makes_no_model()
    {
        using TransformerModel<float> model = Gpt2FileTests.Make("compressed tables");
        TransformerWeights weights = model.GetWeights();
        string path = _folder.File("weights.rbe");
        using MemoryCounter native = MemoryCounter.Open();
        ModelFile.Save(path, weights);
        DenseExport.Write(path, _folder.File("exported"));
        Assert.Equal(0, native.PeakBytes); // a model's parameters are native memory
    }

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    public void Weights_that_are_not_finite_are_not_saved(float value)
    {
        string path = _folder.Write("model.rbe", "old");
        using TransformerModel<float> model = Gpt2FileTests.Make("untied");
        TransformerWeights weights = model.GetWeights();
        (string Name, float[] Values)[] parts = [.. weights.Vectors, .. weights.Matrices.Select(m => ($"{m.Name}.coefficients", m.Matrix.Coefficients))];
        Assert.Equal(model.Parameters.Slices.Count(s => s.Kind is not ParameterKind.Alpha), parts.Length);
        foreach ((string name, float[] values) in parts)
        {
            float sound = values[^1];
            values[^1] = value;
            Assert.Equal(name, Assert.Throws<NonFiniteException>(() => ModelFile.Save(path, weights)).Where);
            Assert.Equal("old", File.ReadAllText(path));
            values[^1] = sound;
        }
    }

    [Fact]
    public void Weights_that_do_not_fit_are_not_saved()
    {
        string path = _folder.Write("model.rbe", "old");
        using TransformerModel<float> model = Gpt2FileTests.Make("untied");
        TransformerWeights weights = model.GetWeights();
        BlockWeights block = weights.Blocks[1];
        TransformerWeights[] wrong =
        [
            weights with { TokenEmbedding = new float[3] },
            weights with { PositionEmbedding = new float[3] },
            weights with { FinalGamma = new float[3] },
            weights with { FinalBeta = new float[3] },
            weights with { Head = new float[3] },
            weights with { Blocks = [block] },
            weights with { Blocks = [block, block with { DownProjection = block.UpProjection }] },
            weights with { Blocks = [block, block with { Query = RbeCompressor.Compress(new float[1600], 40, 40, new RbeOptions { Tile = 64 }) }] },
            weights with { Blocks = [block, block with { Vectors = block.Vectors with { UpProjectionBias = new float[3] } }] },
            weights with { Blocks = [block, block with { Vectors = block.Vectors with { Gamma2 = new float[3] } }] },
        ];
        foreach (TransformerWeights weight in wrong)
        {
            string message = Assert.Throws<ShapeMismatchException>(() => ModelFile.Save(path, weight)).Message;
            Assert.Equal(message, Assert.Throws<ShapeMismatchException>(() => new TransformerModel<float>(weight)).Message);
            Assert.Throws<ShapeMismatchException>(() => Gpt2Directory.Save(path, weight));
        }

        Assert.Throws<InvalidSettingException>(() => ModelFile.Save(path, weights with { Head = null }));
        Assert.Equal("old", File.ReadAllText(path));
    }
}
