using System.Buffers.Binary;
using System.IO.Hashing;
using RbeMl.Files;
using RbeMl.Models;
using RbeMl.Text;
using RbeMl.Training;

namespace RbeMl.Tests.Sequences;

public class ClassifierFileTests
{
    [Fact]
    public void A_stream_that_cannot_seek_gives_the_same_scores_and_keeps_what_follows()
    {
        using SequenceClassifier<float> classifier = ClassifierCase.Classifier(Pooling.Last, 0.25f);
        byte[] bytes = Saved(classifier);
        using Forward stream = new([.. bytes, 1, 2, 3]);
        using ClassifierBundle loaded = ClassifierFile.Load(stream);
        Assert.Equal(classifier.Config, loaded.Classifier.Config);
        ClassifierExample[] examples = ClassifierCase.Examples(20, 9);
        Assert.Equal(ClassifierCase.Scores(classifier, examples).Select(BitConverter.SingleToInt32Bits),
            ClassifierCase.Scores(loaded.Classifier, examples).Select(BitConverter.SingleToInt32Bits));
        Assert.Equal([1, 2, 3], (byte[])[(byte)stream.ReadByte(), (byte)stream.ReadByte(), (byte)stream.ReadByte()]);
        Assert.Equal(bytes, Saved(loaded.Classifier));
    }

    /// <summary>A head of rows of length 1 is known by a bit that older readers refuse, and does not notice how long rows are.</summary>
    [Fact]
    public void A_head_of_unit_rows_travels_and_reads_directions()
    {
        using SequenceClassifier<float> plain = ClassifierCase.Classifier(Pooling.Mean), classifier = ClassifierCase.Classifier(Pooling.Mean, normalize: true);
        byte[] bytes = Saved(classifier);
        Assert.Equal((0, 8), (Saved(plain)[12], bytes[12]));
        using ClassifierBundle loaded = ClassifierFile.Load(new MemoryStream(bytes));
        Assert.True(loaded.Classifier.Config.Normalize);
        ClassifierExample[] examples = ClassifierCase.Examples(20, 9);
        float[] scores = ClassifierCase.Scores(classifier, examples), others = ClassifierCase.Scores(plain, examples);
        Assert.Equal(scores, ClassifierCase.Scores(loaded.Classifier, examples));
        foreach (SequenceClassifier<float> each in new[] { plain, classifier })
        {
            foreach (string name in new[] { "final.gamma", "final.beta" })
            {
                foreach (ref float value in each.Model.Parameters.Of(each.Model.Parameters.Find(name))) value *= 4;
            }
        }

        Assert.Equal(scores, ClassifierCase.Scores(classifier, examples));
        Assert.NotEqual(others, ClassifierCase.Scores(plain, examples));
    }

    [Fact]
    public void Models_go_through_streams_with_their_tokenizer()
    {
        using SequenceClassifier<float> classifier = ClassifierCase.Classifier();
        CharacterTokenizer tokenizer = new([.. "abcdefghijkl".EnumerateRunes()]);
        using MemoryStream stream = new();
        ModelFile.Save(stream, classifier.Model, tokenizer);
        using ModelBundle loaded = ModelFile.Load(new Forward(stream.ToArray()));
        Assert.Equal([1, 0, 2], loaded.Tokenizer!.Encode("bac"));
        foreach (RbeMl.Layers.ParameterSlice slice in classifier.Model.Parameters.Slices)
        {
            Assert.Equal(classifier.Model.Parameters.ToFloats(slice), loaded.Model.Parameters.ToFloats(loaded.Model.Parameters.Find(slice.Name)));
        }

        Assert.Contains("a classifier", Assert.Throws<RbeFileException>(() => ClassifierFile.Load(new Forward(stream.ToArray()))).Message,
            StringComparison.Ordinal);
        Assert.Contains("a model", Assert.Throws<RbeFileException>(() => ModelFile.Load(new Forward(Saved(classifier)))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void No_cut_and_no_flipped_bit_goes_unnoticed()
    {
        using SequenceClassifier<float> classifier = ClassifierCase.Classifier();
        byte[] bytes = Saved(classifier);
        Random random = new(1);
        foreach (int length in Enumerable.Range(0, 60).Select(i => i < 40 ? i : random.Next(bytes.Length)).Append(bytes.Length - 1))
        {
            Assert.Throws<RbeFileException>(() => ClassifierFile.Load(new Forward(bytes[..length])));
        }

        for (int i = 0; i < 150; i++)
        {
            byte[] damaged = [.. bytes];
            damaged[i < 32 ? i : random.Next(bytes.Length)] ^= (byte)(1 << random.Next(8));
            Assert.Throws<RbeFileException>(() => ClassifierFile.Load(new Forward(damaged)));
        }
    }

    [Fact]
    public void A_newer_version_is_refused_by_name()
    {
        using SequenceClassifier<float> classifier = ClassifierCase.Classifier();
        byte[] bytes = Saved(classifier);
        bytes[8] = 2;
        Assert.Contains("version 2", Assert.Throws<RbeFileException>(() => ClassifierFile.Load(new Forward(bytes))).Message, StringComparison.Ordinal);
    }

    /// <summary>Claims in a header whose checksum is right: more bytes than come must not be taken as memory, and wrong values are named.</summary>
    [Theory]
    [InlineData("\"classes\":2", "\"classes\":3", "classifier.weight")]
    [InlineData("\"classes\":2", "\"classes\":0", "classes")]
    [InlineData("\"pooling\":\"Max\"", "\"pooling\":\"Sum\"", "pooling")]
    [InlineData("\"headDropout\":0", "\"headDropout\":2", "Dropout")]
    [InlineData("\"classifier\":", "\"classifiar\":", "classifier")]
    [InlineData("\"classifier.bias\"", "\"classifier.bios\"", "classifier.bios")]
    public void Wrong_claims_are_named(string text, string other, string named)
    {
        using SequenceClassifier<float> classifier = ClassifierCase.Classifier();
        byte[] bytes = Saved(classifier);
        int length = (int)BinaryPrimitives.ReadUInt64LittleEndian(bytes.AsSpan(16));
        string header = System.Text.Encoding.UTF8.GetString(bytes, 32, length);
        Assert.Contains(text, header, StringComparison.Ordinal);
        System.Text.Encoding.UTF8.GetBytes(header.Replace(text, other, StringComparison.Ordinal)).CopyTo(bytes, 32);
        XxHash3 hash = new();
        hash.Append(bytes.AsSpan(0, 24));
        hash.Append(bytes.AsSpan(32, length));
        BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(24), hash.GetCurrentHashAsUInt64());
        Assert.Contains(named, Assert.Throws<RbeFileException>(() => ClassifierFile.Load(new Forward(bytes))).Message, StringComparison.Ordinal);
    }

    private static byte[] Saved(SequenceClassifier<float> classifier)
    {
        using MemoryStream stream = new();
        ClassifierFile.Save(stream, classifier);
        return stream.ToArray();
    }

    /// <summary>A stream that only goes forwards, a few bytes at a time.</summary>
    private sealed class Forward(byte[] bytes) : Stream
    {
        private int _at;

        public override bool CanRead => true;

        public override bool CanSeek => false;

        public override bool CanWrite => false;

        public override long Length => throw new NotSupportedException();

        public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

        public override int Read(byte[] buffer, int offset, int count)
        {
            int read = Math.Min(Math.Min(count, 1000), bytes.Length - _at);
            Array.Copy(bytes, _at, buffer, offset, read);
            _at += read;
            return read;
        }

        public override void Flush() => throw new NotSupportedException();

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    }
}
