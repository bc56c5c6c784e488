using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;
using Microsoft.Extensions.VectorData;
using Microsoft.SemanticKernel;
using RbeMl.Extensions.AI.Tests.Support;
using RbeMl.Models;
using RbeMl.Tests.Files;

namespace RbeMl.Extensions.AI.Tests.Hosting;

/// <summary>Embeddings as a service, in Semantic Kernel, and in a vector store.</summary>
public sealed class EmbeddingHostingTests
{
    [Fact]
    public async Task Embeddings_are_configured_by_a_section()
    {
        using TemporaryFolder folder = new();
        string path = SmallEncoder.Save(folder.File("tiny.rbe"));
        IConfiguration configuration = ServiceTests.Section(("Path", path), ("Prompt", "query"), ("Threads", "1"));
        await using ServiceProvider services =
            new ServiceCollection().AddRbeEmbeddings(configuration.GetSection("Rbe")).BuildServiceProvider();
        IEmbeddingGenerator<string, Embedding<float>> generator = services.GetRequiredService<IEmbeddingGenerator<string, Embedding<float>>>();
        Assert.Equal("tiny", generator.GetService<EmbeddingGeneratorMetadata>()!.DefaultModelId);
        using SentenceEncoder encoder = SmallEncoder.Create();
        Assert.Equal(encoder.Embed("the cat", "query"), (await generator.GenerateVectorAsync("the cat")).ToArray());
        await services.DisposeAsync();
        await Assert.ThrowsAsync<ObjectDisposedException>(() => generator.GenerateAsync(["the cat"]));
    }

    [Fact]
    public void All_settings_of_embeddings_bind_and_a_path_is_needed()
    {
        using ServiceProvider services = new ServiceCollection().AddRbeEmbeddings(
            ServiceTests.Section(("Path", "p"), ("ModelId", "m"), ("Prompt", "q"), ("Threads", "4")).GetSection("Rbe")).BuildServiceProvider();
        RbeEmbeddingOptions options = services.GetRequiredService<IOptions<RbeEmbeddingOptions>>().Value;
        Assert.Equal(("p", "m", "q", 4), (options.Path, options.ModelId, options.Prompt, options.Threads));
        Assert.Equal(4, typeof(RbeEmbeddingOptions).GetProperties().Length);
        using ServiceProvider empty = new ServiceCollection().AddRbeEmbeddings(_ => { }).BuildServiceProvider();
        Assert.Throws<OptionsValidationException>(empty.GetRequiredService<IEmbeddingGenerator<string, Embedding<float>>>);
    }

    [Fact]
    public async Task A_kernel_embeds()
    {
        using TemporaryFolder folder = new();
        string path = SmallEncoder.Save(folder.File("tiny.rbe"));
        IKernelBuilder builder = Kernel.CreateBuilder();
        builder.Services.AddRbeEmbeddings(embeddings => embeddings.Path = path);
        Kernel kernel = builder.Build();
        using SentenceEncoder encoder = SmallEncoder.Create();
        ReadOnlyMemory<float> vector =
            await kernel.GetRequiredService<IEmbeddingGenerator<string, Embedding<float>>>().GenerateVectorAsync("a dog ran");
        Assert.Equal(encoder.Embed("a dog ran"), vector.ToArray());
    }

    /// <summary>A text finds itself first, with a score of 1.</summary>
    [Fact]
    public async Task A_vector_store_finds()
    {
        using SentenceEncoder encoder = SmallEncoder.Create();
        using RbeEmbeddingGenerator generator = new(encoder);
        using InMemoryCollection collection = new(generator);
        string[] texts = ["the cat sat", "a dog ran on snow", "b c", "mats"];
        await collection.UpsertAsync(texts.Select(text => new TextRecord { Key = text, Text = text }));
        foreach (string text in texts)
        {
            VectorSearchResult<TextRecord> best = (await collection.SearchAsync(text, 2).ToListAsync())[0];
            Assert.Equal((text, 1.0), (best.Record.Text, Math.Round(best.Score!.Value, 5)));
        }
    }
}
