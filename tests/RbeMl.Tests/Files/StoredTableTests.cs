using RbeMl.Codec;
using RbeMl.Files;
using RbeMl.Layers;
using RbeMl.Memory;
using RbeMl.Models;

namespace RbeMl.Tests.Files;

/// <summary>A dense table of tokens goes from its file to where it is used, and is never in memory twice.</summary>
public sealed class StoredTableTests
{
    private const int Vocabulary = 20_000, Width = 64;
    private const long TableBytes = (long)Vocabulary * Width * sizeof(float);

    private static TransformerConfig Config(bool tied) =>
        new() { Width = Width, Heads = 2, Layers = 1, Vocabulary = Vocabulary, MaxSequenceLength = 16, TiedHead = tied };

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_loaded_table_is_the_one_that_was_saved_and_makes_no_array(bool tied)
    {
        using TemporaryFolder folder = new();
        string path = folder.File("model.rbe");
        using TransformerModel<float> model = TransformerModel<float>.Create(Config(tied), new RbeOptions(), 1);
        ModelFile.Save(path, model);
        ModelFile.Load(path).Dispose();

        long before = GC.GetAllocatedBytesForCurrentThread();
        using ModelBundle bundle = ModelFile.Load(path);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, TableBytes / 2);
        before = GC.GetAllocatedBytesForCurrentThread();
        using TransformerModel<float> copy = bundle.Model.ToInference();
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, TableBytes / 2);

        TransformerWeights expected = model.GetWeights();
        foreach (TransformerWeights weights in new[] { bundle.Model.GetWeights(), copy.GetWeights() })
        {
            Assert.Equal(expected.TokenEmbedding.Dense, weights.TokenEmbedding.Dense);
            Assert.Equal(expected.Head?.Dense, weights.Head?.Dense);
        }
    }

    [Fact]
    public void A_damaged_table_is_refused_and_leaves_no_memory()
    {
        using TemporaryFolder folder = new();
        string path = folder.File("model.rbe");
        using (TransformerModel<float> model = TransformerModel<float>.Create(Config(tied: true), new RbeOptions(), 1)) ModelFile.Save(path, model);
        long place;
        using (RbeContainer file = RbeContainer.Open(path)) place = file.Find("embedding.tokens").Offset + (TableBytes / 2);
        byte[] bytes = File.ReadAllBytes(path);
        bytes[place] ^= 1;
        File.WriteAllBytes(path, bytes);

        using MemoryCounter counter = MemoryCounter.Open();
        RbeFileException error = Assert.Throws<RbeFileException>(() => ModelFile.Load(path));
        Assert.Contains("embedding.tokens", error.Message, StringComparison.Ordinal);
        Assert.Equal((0, 0), (counter.LiveBuffers, counter.LostBuffers));
    }

    [Fact]
    public void A_table_of_another_size_is_refused()
    {
        TransformerWeights weights = TransformerWeights.CreateRandom(Config(tied: true), new RbeOptions(), 1);
        weights = weights with { TokenEmbedding = new TableWeights(null, null) { Stored = new Few() } };
        Assert.Throws<ShapeMismatchException>(() => new TransformerModel<float>(weights));
    }

    private sealed class Few : StoredValues
    {
        public override int Length => Width;

        public override void Read(Span<float> values) => values.Clear();
    }
}
