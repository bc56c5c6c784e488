using RbeMl.Files;
using RbeMl.Models;

namespace RbeMl.Tests.Files;

/// <summary>What an encoder takes, and says, where something is missing.</summary>
public sealed class SentenceEncoderTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Vectors_have_length_1_where_nobody_says_what_the_steps_are()
    {
        using SentenceEncoder encoder = ModelSource.LoadEncoder(new BertModel().Write(_folder.File("model")), 1);
        Assert.True(encoder.Settings.Normalize);
        Assert.Equal(1, encoder.Embed("the cat sat").Sum(value => (double)value * value), 1e-6);
    }

    [Fact]
    public void A_vocabulary_that_was_cut_is_no_tokenizer()
    {
        BertModel padded = new(vocabulary: BertModel.Words.Length + 1023);
        using (SentenceEncoder encoder = ModelSource.LoadEncoder(padded.Write(_folder.File("padded")), 1)) Assert.Equal(8, encoder.Embed("a cat").Length);

        string cut = new BertModel(vocabulary: BertModel.Words.Length + 1024).Write(_folder.File("cut"));
        RbeFileException error = Assert.Throws<RbeFileException>(() => ModelSource.LoadEncoder(cut, 1));
        Assert.Contains($"has {BertModel.Words.Length} tokens, the model {BertModel.Words.Length + 1024}: it is cut", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void What_is_missing_and_what_was_disposed_is_named()
    {
        SentenceEncoder encoder = ModelSource.LoadEncoder(new BertModel().Write(_folder.File("model")), 1);
        Assert.Equal("text", Assert.Throws<ArgumentNullException>(() => encoder.Embed((string)null!)).ParamName);
        encoder.Dispose();
        Assert.Contains(nameof(SentenceEncoder), Assert.Throws<ObjectDisposedException>(() => encoder.Embed("a cat")).Message, StringComparison.Ordinal);
    }
}
