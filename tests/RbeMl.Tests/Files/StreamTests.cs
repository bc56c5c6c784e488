using RbeMl.Codec;
using RbeMl.Files;
using RbeMl.Layers;
using RbeMl.Models;

namespace RbeMl.Tests.Files;

/// <summary>Models and blocks through streams that neither seek nor give more than a few bytes at a time.</summary>
public sealed class StreamTests
{
    private static readonly TransformerConfig BlockConfig =
        new() { Width = 32, FeedForwardWidth = 64, Heads = 2, Layers = 1, Vocabulary = 1, MaxSequenceLength = 8 };

    [Fact]
    public void StreamHasTheBytesOfTheFileAndIsReadNoFurther()
    {
        using TemporaryFolder folder = new();
        string path = folder.File("model.rbe");
        FixtureModel.Save(path);
        byte[] file = File.ReadAllBytes(path);

        using TransformerModel<float> model = FixtureModel.Create();
        using MemoryStream written = new();
        ModelFile.Save(written, model, FixtureModel.Tokenizer);
        Assert.Equal(file, written.ToArray());

        using MemoryStream twoAndMore = new([.. file, .. file, 42]);
        using Trickle stream = new(twoAndMore);
        for (int i = 0; i < 2; i++)
        {
            using ModelBundle loaded = ModelFile.Load(stream);
            foreach ((ParameterSlice a, ParameterSlice b) in model.Parameters.Slices.Zip(loaded.Model.Parameters.Slices)) Assert.True(
                model.Parameters.Of(a).SequenceEqual(loaded.Model.Parameters.Of(b)), a.Name);
            Assert.Equal(FixtureModel.Tokenizer.Vocabulary, loaded.Tokenizer!.Vocabulary);
        }

        Assert.Equal(42, stream.ReadByte());
    }

    [Fact]
    public void DamagedModelsAreRefusedBeforeMemoryIsTaken()
    {
        using TransformerModel<float> model = FixtureModel.Create();
        using MemoryStream written = new();
        ModelFile.Save(written, model, FixtureModel.Tokenizer);
        int refused = 0;
        byte[] sound = written.ToArray();
        Mutations.Each(sound, 3000, 5, bytes =>
        {
            try
            {
                ModelFile.Load(new MemoryStream(bytes)).Dispose();
                // What comes after a container is not its own.
                Assert.True(bytes.AsSpan().StartsWith(sound), "a damaged model was loaded");
            }
            catch (RbeException error) when (error is RbeFileException or NonFiniteException)
            {
                refused++;
            }
        });
        Assert.InRange(refused, 2900, 3000);
    }

    [Fact]
    public void HeaderThatPromisesMoreThanComesTakesNoMemory()
    {
        byte[] bytes = new byte[64];
        RbeContainerWriter.Magic.CopyTo(bytes);
        bytes[8] = 1;
        BitConverter.TryWriteBytes(bytes.AsSpan(16), (ulong)(60 << 20));
        long before = GC.GetAllocatedBytesForCurrentThread();
        RbeFileException error = Assert.Throws<RbeFileException>(() => RbeContainer.Open(new MemoryStream(bytes), "upload"));
        Assert.Contains("upload", error.Message);
        Assert.True(GC.GetAllocatedBytesForCurrentThread() - before < 4 << 20);
    }

    [Theory]
    [InlineData("sparse")]
    [InlineData("quantized")]
    [InlineData("trellis")]
    public void BlockComesBackBitForBit(string format)
    {
        RbeOptions options = new()
        {
            Tile = 32,
            Format = format switch { "sparse" => RbeFormat.Sparse(128), "quantized" => RbeFormat.Quantized(4), _ => RbeFormat.Trellis(3) },
        };
        BlockWeights weights = BlockWeights.Compress(DenseBlockWeights.Gpt2Initialization(BlockConfig, 3), BlockConfig, options);
        using MemoryStream written = new();
        BlockFile.Save(written, BlockConfig, weights);
        byte[] sound = written.ToArray();
        (TransformerConfig config, BlockWeights loaded) = BlockFile.Load(new Trickle(new MemoryStream(sound)));
        Assert.Equal(BlockConfig, config);
        float[] x = [.. Enumerable.Range(0, 4 * 32).Select(i => (i % 7) - 3f)];
        using RbeTransformerBlock<float> a = new(BlockConfig, weights), b = new(config, loaded);
        Assert.Equal(a.Forward(x, 1, 4).Output, b.Forward(x, 1, 4).Output);

        int refused = 0;
        Mutations.Each(sound, 600, 7, bytes =>
        {
            try
            {
                BlockFile.Load(new MemoryStream(bytes));
                Assert.True(bytes.AsSpan().StartsWith(sound), "a damaged block was loaded");
            }
            catch (RbeException error) when (error is RbeFileException or NonFiniteException)
            {
                refused++;
            }
        });
        Assert.InRange(refused, 550, 600);
    }

    [Fact]
    public void ModelIsNoBlockAndBlockNoModel()
    {
        using TransformerModel<float> model = FixtureModel.Create();
        using MemoryStream written = new();
        ModelFile.Save(written, model);
        written.Position = 0;
        Assert.Contains("a block", Assert.Throws<RbeFileException>(() => BlockFile.Load(written)).Message);

        using MemoryStream block = new();
        BlockFile.Save(block, FixtureModel.Config, model.GetWeights().Blocks[0]);
        block.Position = 0;
        Assert.Contains("a model", Assert.Throws<RbeFileException>(() => ModelFile.Load(block)).Message);
    }

    /// <summary>Gives seven bytes at a time and cannot seek.</summary>
    private sealed class Trickle(Stream inner) : Stream
    {
        public override bool CanRead => true;

        public override bool CanSeek => false;

        public override bool CanWrite => false;

        public override long Length => throw new NotSupportedException();

        public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

        public override void Flush()
        {
        }

        public override int Read(byte[] buffer, int offset, int count) => inner.Read(buffer, offset, Math.Min(count, 7));

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    }
}
