using RbeMl.Files;
using RbeMl.Models;
using RbeMl.Packing;
using Xunit.Abstractions;

namespace RbeMl.Pretrained.Tests;

/// <summary>What the package RbeMl.Models.MiniLM embeds, made by the same code as its build.</summary>
[Collection(nameof(PretrainedModels))]
public sealed class PackedModelTests(PretrainedModels models, ITestOutputHelper output)
{
    private const int MostBytes = 14_000_000;

    [Fact]
    public void It_is_small_and_near_to_the_dense_model()
    {
        string file = models.Temporary("minilm.rbe");
        long bytes = EncoderPacker.Pack(PretrainedModels.LibraryOf(PretrainedModels.MiniLM), file);
        Assert.InRange(bytes, 1, MostBytes);
        Assert.Equal(bytes, new FileInfo(file).Length);

        using SentenceEncoder packed = ModelSource.LoadEncoder(file);
        Assert.Equal((256, true, Pooling.Mean), (packed.MaxTokens, packed.Settings.Normalize, packed.Settings.Pooling));
        Assert.Equal(new PlainWordPiece(Path.Combine(models.FolderOf(PretrainedModels.MiniLM), "vocab.txt")).Encode(SampleTexts.All[0]),
            packed.Encode(SampleTexts.All[0]));
        double cosine = EncoderModels.MeanCosine(models.DenseVectorsOf(PretrainedModels.MiniLM), packed.Embed(SampleTexts.All));
        output.WriteLine(FormattableString.Invariant($"{bytes} bytes, mean cosine {cosine:F6}"));
        Assert.InRange(cosine, 0.985, 0.999);

        float[][] vectors = packed.Embed(["The cat sat on the mat.", "A kitten rests on a rug.", "Interest rates rose again."]);
        Assert.True(Cosine(0, 1) > 0.5 && Cosine(0, 2) < 0.2, $"{Cosine(0, 1)}, {Cosine(0, 2)}");

        double Cosine(int a, int b) => vectors[a].Zip(vectors[b], (p, q) => (double)p * q).Sum();
    }
}
