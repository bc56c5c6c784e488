using RbeMl.Extensions.AI.Tests.Support;
using RbeMl.Models;

namespace RbeMl.Extensions.AI.Tests;

/// <summary>Vectors are the encoder's; what it cannot do is refused.</summary>
public sealed class RbeEmbeddingGeneratorTests
{
    private static readonly string[] s_texts = ["the cat sat on the mat", "snow", "", "a dog ran", "unknown words 🙂"];

    [Fact]
    public async Task Vectors_are_the_encoders()
    {
        using SentenceEncoder encoder = SmallEncoder.Create();
        using RbeEmbeddingGenerator generator = new(encoder, new RbeEmbeddingOptions { ModelId = "small" });
        GeneratedEmbeddings<Embedding<float>> embeddings = await generator.GenerateAsync(s_texts);
        Assert.Equal(encoder.Embed(s_texts), embeddings.Select(embedding => embedding.Vector.ToArray()));
        Assert.All(embeddings, embedding => Assert.Equal(("small", SmallEncoder.Dimensions), (embedding.ModelId, embedding.Dimensions)));
        int tokens = s_texts.Sum(text => encoder.Encode(text).Length);
        Assert.Equal((tokens, tokens), (embeddings.Usage!.InputTokenCount, embeddings.Usage.TotalTokenCount));
        Assert.Equal(encoder.Embed("snow"), (await generator.GenerateVectorAsync("snow")).ToArray());
        Assert.Empty(await generator.GenerateAsync([]));
    }

    /// <summary>Of the options of the call, else of the generator, else the model's default: none here.</summary>
    [Theory]
    [InlineData(null, null, "")]
    [InlineData("query", null, "query")]
    [InlineData("query", "other", "other")]
    [InlineData(null, "query", "query")]
    [InlineData("query", "", "")]
    public async Task A_prompt_goes_before_a_text(string? own, string? asked, string used)
    {
        using SentenceEncoder encoder = SmallEncoder.Create();
        using RbeEmbeddingGenerator generator = new(encoder, new RbeEmbeddingOptions { Prompt = own });
        EmbeddingGenerationOptions? options = asked is null ? null
            : new() { AdditionalProperties = new() { [RbeEmbeddingGenerator.PromptKey] = asked } };
        GeneratedEmbeddings<Embedding<float>> found = await generator.GenerateAsync(["the cat"], options);
        Assert.Equal(encoder.Embed("the cat", used), found[0].Vector.ToArray());
        Assert.Equal(encoder.Encode("the cat", used).Length, found.Usage!.InputTokenCount);
    }

    /// <summary>Tokens are counted as the model reads them: cut to 16, or in windows of 14 between two that begin and end each.</summary>
    [Theory]
    [InlineData(LongTexts.Cut, 14, 16)]
    [InlineData(LongTexts.Cut, 40, 16)]
    [InlineData(LongTexts.Windows, 14, 16)]
    [InlineData(LongTexts.Windows, 15, 19)]
    [InlineData(LongTexts.Windows, 40, 46)]
    public async Task Tokens_of_long_texts_are_those_that_are_read(LongTexts longTexts, int words, int tokens)
    {
        using SentenceEncoder encoder = SmallEncoder.Create(longTexts);
        using RbeEmbeddingGenerator generator = new(encoder);
        string text = string.Join(' ', Enumerable.Repeat("cat", words));
        Assert.Equal(tokens, (await generator.GenerateAsync([text])).Usage!.InputTokenCount);
    }

    public static TheoryData<EmbeddingGenerationOptions, string> Refused() => new()
    {
        { new EmbeddingGenerationOptions { Dimensions = 16 }, "Dimensions = 16" },
        { new EmbeddingGenerationOptions { ModelId = "other" }, "ModelId = other" },
        { new EmbeddingGenerationOptions { AdditionalProperties = new() { ["prompt_name"] = "passage" } }, "prompt = passage" },
        { new EmbeddingGenerationOptions { AdditionalProperties = new() { ["prompt_name"] = 3 } }, "prompt_name = 3" },
    };

    [Theory]
    [MemberData(nameof(Refused))]
    public async Task What_the_model_cannot_do_is_refused(EmbeddingGenerationOptions options, string message)
    {
        using SentenceEncoder encoder = SmallEncoder.Create();
        using RbeEmbeddingGenerator generator = new(encoder);
        Exception error = await Assert.ThrowsAsync<InvalidSettingException>(() => generator.GenerateAsync(["cat"], options));
        Assert.StartsWith(message, error.Message, StringComparison.Ordinal);
        Assert.Single(await generator.GenerateAsync(["cat"], new EmbeddingGenerationOptions { Dimensions = SmallEncoder.Dimensions }));
        await Assert.ThrowsAsync<ArgumentNullException>(() => generator.GenerateAsync(["cat", null!]));
        Assert.Throws<InvalidSettingException>(() => new RbeEmbeddingGenerator(encoder, new RbeEmbeddingOptions { Prompt = "passage" }));
    }

    [Fact]
    public async Task A_cancelled_call_ends_and_says_so()
    {
        using SentenceEncoder encoder = SmallEncoder.Create();
        RecordingLogger<RbeEmbeddingGenerator> logger = new();
        using RbeEmbeddingGenerator generator = new(encoder, null, logger);
        using CancellationTokenSource cancel = new();
        await cancel.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => generator.GenerateAsync(s_texts, cancellationToken: cancel.Token));
        Assert.Equal(s_texts.Length, (await generator.GenerateAsync(s_texts)).Count);
    }

    [Fact]
    public async Task Many_calls_at_once_give_what_each_gives_alone()
    {
        using SentenceEncoder encoder = SmallEncoder.Create();
        using RbeEmbeddingGenerator generator = new(encoder);
        float[][] alone = encoder.Embed(s_texts);
        GeneratedEmbeddings<Embedding<float>>[] all = await Task.WhenAll(Enumerable.Range(0, 40).Select(i =>
            Task.Run(() => generator.GenerateAsync(s_texts.Skip(i % s_texts.Length)))));
        for (int i = 0; i < all.Length; i++) Assert.Equal(alone.Skip(i % s_texts.Length), all[i].Select(embedding => embedding.Vector.ToArray()));
    }

    [Fact]
    public async Task Services_are_metadata_and_encoder()
    {
        using SentenceEncoder encoder = SmallEncoder.Create();
        RbeEmbeddingGenerator generator = new(encoder, new RbeEmbeddingOptions { ModelId = "mine" });
        EmbeddingGeneratorMetadata metadata = generator.GetService<EmbeddingGeneratorMetadata>()!;
        Assert.Equal(("rbeml", "mine", SmallEncoder.Dimensions), (metadata.ProviderName, metadata.DefaultModelId, metadata.DefaultModelDimensions));
        Assert.Same(encoder, generator.GetService<SentenceEncoder>());
        Assert.Same(generator, generator.GetService<IEmbeddingGenerator<string, Embedding<float>>>());
        Assert.Null(generator.GetService<EmbeddingGeneratorMetadata>("key"));
        generator.Dispose();
        Assert.Equal(SmallEncoder.Dimensions, (await Task.Run(() => encoder.Embed("still its owner's"))).Length);
    }

    [Theory]
    [InlineData("bge-small-en-v1.5", true, "bge-small-en-v1.5")]
    [InlineData("mini.v2.rbe", false, "mini.v2")]
    public void A_model_is_called_as_its_folder_or_its_file_without_the_ending(string name, bool folder, string model)
    {
        string path = Path.Combine(Directory.CreateTempSubdirectory("rbeml").FullName, name);
        if (folder) Directory.CreateDirectory(path);
        try
        {
            Assert.Equal(model, InferenceCall.NameOf(path));
            Assert.Equal(model, InferenceCall.NameOf(path + (folder ? "/" : "")));
        }
        finally
        {
            Directory.Delete(Path.GetDirectoryName(path)!, recursive: true);
        }
    }

    [Fact]
    public async Task A_call_is_measured_and_logged()
    {
        string model = $"embeddings-{Guid.NewGuid():N}";
        using Measurements measured = new(model);
        RecordingLogger<RbeEmbeddingGenerator> logger = new();
        using SentenceEncoder encoder = SmallEncoder.Create();
        using RbeEmbeddingGenerator generator = new(encoder, new RbeEmbeddingOptions { ModelId = model }, logger);
        _ = await generator.GenerateAsync(["the cat", "snow"]);
        Measurements.Measurement duration = Assert.Single(measured.Of("gen_ai.client.operation.duration"));
        Assert.Equal("embeddings", duration.Tags["gen_ai.operation.name"]);
        Measurements.Measurement tokens = Assert.Single(measured.Of("gen_ai.client.token.usage"));
        Assert.Equal(("input", 7.0), (tokens.Tags["gen_ai.token.type"], tokens.Value));
        Assert.StartsWith($"embeddings of {model}: 7 tokens in", Assert.Single(logger.Entries).Message, StringComparison.Ordinal);
    }
}
