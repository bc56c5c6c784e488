using RbeMl.Codec;
using RbeMl.Kernels;
using RbeMl.Models;
using Xunit.Abstractions;

namespace RbeMl.Pretrained.Tests;

/// <summary>
/// How near the vectors of compressed models are to those of the dense one: the mean cosine over 300 texts. The least that is allowed
/// leaves half as much room again as the error that was measured, so that other versions of the texts pass and a worse codec does not.
/// </summary>
[Collection(nameof(PretrainedModels))]
public sealed class FormatTests(PretrainedModels models, ITestOutputHelper output)
{
    private const double Room = 1.5;

    public static TheoryData<string, string, int, double> Formats => new()
    {
        { PretrainedModels.MiniLM, "quantized", 4, 0.97199 }, { PretrainedModels.MiniLM, "quantized", 5, 0.99226 },
        { PretrainedModels.MiniLM, "quantized", 6, 0.99756 }, { PretrainedModels.MiniLM, "quantized", 8, 0.999848 },
        { PretrainedModels.MiniLM, "trellis", 4, 0.98179 }, { PretrainedModels.MiniLM, "trellis", 5, 0.99537 },
        { PretrainedModels.Arctic, "quantized", 4, 0.99479 }, { PretrainedModels.Arctic, "trellis", 5, 0.99920 },
    };

    [Theory]
    [MemberData(nameof(Formats))]
    public void Vectors_stay_near(string name, string kind, int bits, double measured)
    {
        float[][] dense = models.DenseVectorsOf(name);
        using SentenceEncoder encoder = EncoderModels.Load(models.OnnxOf(name), kind == "trellis" ? RbeFormat.Trellis(bits)
            : RbeFormat.Quantized(bits));
        double cosine = EncoderModels.MeanCosine(dense, encoder.Embed(SampleTexts.All));
        output.WriteLine(FormattableString.Invariant($"{name} {kind} {bits}: mean cosine {cosine:F6}"));
        Assert.InRange(1 - cosine, (1 - measured) / Room, (1 - measured) * Room);
    }

    [Fact]
    public void Rounded_activations_cost_less_than_rounded_weights()
    {
        float[][] dense = models.DenseVectorsOf(PretrainedModels.MiniLM);
        using SentenceEncoder floats = EncoderModels.Load(models.OnnxOf(PretrainedModels.MiniLM), RbeFormat.Quantized(8));
        using SentenceEncoder rounded = floats.ToInference(activations: ActivationPrecision.Int8);
        float[][] vectors = rounded.Embed(SampleTexts.All);
        double toFloats = EncoderModels.MeanCosine(floats.Embed(SampleTexts.All), vectors),
            toDense = EncoderModels.MeanCosine(dense, vectors);
        output.WriteLine(FormattableString.Invariant($"int8 activations: mean cosine {toFloats:F6} to the same weights"));
        output.WriteLine(FormattableString.Invariant($"int8 activations: mean cosine {toDense:F6} to dense ones"));
        Assert.InRange(toFloats, 0.999, 1);
        Assert.InRange(toDense, 0.999, 1);
    }
}
