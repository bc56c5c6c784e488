using RbeMl.Files;
using RbeMl.Layers;
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
    public void A_sequence_has_a_place_for_a_token_of_its_own()
    {
        TransformerConfig config = new() { Width = 8, Heads = 1, Vocabulary = 9, Order = BlockOrder.PostNorm, Causal = false, MaxSequenceLength = 2 };
        InvalidSettingException error = Assert.Throws<InvalidSettingException>(() => new EncoderSettings().Validate(config));
        Assert.Contains("MaxTokens = 2", error.Message, StringComparison.Ordinal);
        Assert.Null(new EncoderSettings().Validate(config with { MaxSequenceLength = 3 }).MaxTokens);
    }

    [Fact]
    public void Of_a_post_LN_model_only_the_last_layer_is_read()
    {
        using SentenceEncoder encoder = ModelSource.LoadEncoder(new BertModel().Write(_folder.File("model")), 1);
        using Workspace<float> workspace = new(1);
        float[] row = new float[encoder.Dimensions];
        encoder.Model.Features([2, 6, 3], [3], new FeatureOptions { Layer = 2 }, workspace, row);
        Assert.Contains("Layer = 1", Assert.Throws<InvalidSettingException>(
            () => encoder.Model.Features([2, 6, 3], [3], new FeatureOptions { Layer = 1 }, workspace, row)).Message, StringComparison.Ordinal);
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
