using RbeMl.Files;
using RbeMl.Kernels;
using RbeMl.Layers;
using RbeMl.Models;
using Xunit.Abstractions;

namespace RbeMl.Pretrained.Tests;

/// <summary>The packages' ONNX files as models: what is in them, their tokens, and their vectors beside ONNX Runtime's.</summary>
[Collection(nameof(PretrainedModels))]
public sealed class OnnxFileTests(PretrainedModels models, ITestOutputHelper output)
{
    private const double LargestDifference = 1e-5; // of numbers of unit vectors; sums of fp32 in another order differ by some 1e-7

    [Theory]
    [InlineData(PretrainedModels.MiniLM, Pooling.Mean)]
    [InlineData(PretrainedModels.Arctic, Pooling.First)]
    public void The_file_tells_what_it_is(string name, Pooling pooling)
    {
        using OnnxModelFile file = OnnxModelFile.Open(models.OnnxOf(name));
        Assert.Equal(
            new TransformerConfig
            {
                Width = 384,
                FeedForwardWidth = 1536,
                Heads = 12,
                Layers = 6,
                Vocabulary = 30_522,
                MaxSequenceLength = 512,
                LayerNormEpsilon = 1e-12,
                Gelu = GeluKind.Erf,
                Order = BlockOrder.PostNorm,
                Causal = false,
            },
            file.Config);
        Assert.Equal((pooling, true, "bert"), (file.Encoder.Pooling, file.Encoder.Normalize, file.ModelType));
        Assert.Equal(30_522, file.Tokenizer!.Vocabulary);
    }

    [Theory]
    [InlineData(PretrainedModels.MiniLM)]
    [InlineData(PretrainedModels.Arctic)]
    public void Vectors_and_tokens_are_those_of_the_oracles(string name)
    {
        using SentenceEncoder encoder = EncoderModels.Load(models.OnnxOf(name), null);
        PlainWordPiece plain = new(Path.Combine(models.FolderOf(name), "vocab.txt"));
        string[] texts = [.. SampleTexts.All, .. SampleTexts.Odd];
        foreach (string text in texts) Assert.Equal(plain.Encode(text), encoder.Encode(text));

        using OnnxRuntimeEncoder oracle = new(models.OnnxOf(name), first: name == PretrainedModels.Arctic);
        float[][] expected = oracle.Embed([.. texts.Select(text => encoder.Encode(text))]), actual = encoder.Embed(texts);
        Assert.Equal(SampleTexts.Count, SampleTexts.All.Count);
        double difference = EncoderModels.LargestDifference(expected, actual);
        output.WriteLine(FormattableString.Invariant($"{name}: largest difference of {texts.Length} vectors {difference:E2}"));
        Assert.InRange(difference, 0, LargestDifference);
        Assert.InRange(EncoderModels.MeanCosine(expected, actual), 1 - 1e-6, 1 + 1e-6);
    }

    [Fact]
    public void Opening_costs_the_graph_and_not_the_weights()
    {
        OnnxModelFile.Open(models.OnnxOf(PretrainedModels.MiniLM)).Dispose();
        long before = GC.GetAllocatedBytesForCurrentThread();
        using OnnxEncoder encoder = OnnxEncoder.Open(models.OnnxOf(PretrainedModels.MiniLM));
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 2 << 20);
        before = GC.GetAllocatedBytesForCurrentThread();
        float[] words = encoder.Read(OnnxEncoder.Words);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, words.Length * sizeof(float), (words.Length * sizeof(float))
            + (1 << 16));
    }
}
