using System.Net.Http.Json;
using System.Net.ServerSentEvents;
using System.Runtime.CompilerServices;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Mvc;
using Microsoft.AspNetCore.TestHost;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using RbeMl.Extensions.AI.Tests.Support;
using RbeMl.Files;
using RbeMl.Models;
using RbeMl.Tests.Files;

namespace RbeMl.Extensions.AI.Tests.Hosting;

/// <summary>A web application with a stream of server-sent events, in this process.</summary>
public sealed class WebAppTests
{
    [Fact]
    public async Task A_chat_is_streamed_as_events()
    {
        using TemporaryFolder folder = new();
        using ModelBundle bundle = SmallChat.Create();
        ModelFile.Save(folder.File("tiny.rbe"), bundle.Model, bundle.Tokenizer);
        await using WebApplication app = await StartAsync(services => services.AddRbeChat(chat => chat.Path = folder.File("tiny.rbe")));
        using HttpClient http = app.GetTestClient();
        string[] prompts = ["one", "two", "three"];
        string[] answers = await Task.WhenAll(prompts.Select(prompt => ReadAsync(http, $"/chat?prompt={prompt}&tokens=15")));
        Assert.Equal(prompts.Select(prompt => SmallChat.Expected(bundle, prompt, new GenerationOptions { MaxTokens = 15 })), answers);
    }

    [Fact]
    public async Task Texts_are_embedded_by_many_requests_at_once()
    {
        using TemporaryFolder folder = new();
        string path = SmallEncoder.Save(folder.File("tiny.rbe"));
        await using WebApplication app = await StartAsync(services => services.AddRbeEmbeddings(embeddings => embeddings.Path = path));
        using HttpClient http = app.GetTestClient();
        string[] texts = ["the cat", "a dog ran", ""];
        using SentenceEncoder encoder = SmallEncoder.Create();
        float[][] expected = encoder.Embed(texts);
        await Task.WhenAll(Enumerable.Range(0, 16).Select(async _ =>
        {
            using HttpResponseMessage response = await http.PostAsJsonAsync("/embed", texts);
            Assert.Equal(expected, await response.EnsureSuccessStatusCode().Content.ReadFromJsonAsync<float[][]>());
        }));
    }

    /// <summary>An answer that nobody reads any more is not written on.</summary>
    [Fact]
    public async Task A_client_that_goes_away_ends_its_answer()
    {
        using TemporaryFolder folder = new();
        using ModelBundle bundle = SmallChat.Create();
        ModelFile.Save(folder.File("tiny.rbe"), bundle.Model, bundle.Tokenizer);
        EndLogger logger = new();
        await using WebApplication app = await StartAsync(services => services.AddSingleton<ILogger<RbeChatClient>>(logger)
            .AddRbeChat(chat => chat.Path = folder.File("tiny.rbe")));
        using HttpClient http = app.GetTestClient();
        using (HttpResponseMessage response = await http.GetAsync("/chat?prompt=x&tokens=1000000000", HttpCompletionOption.ResponseHeadersRead))
        {
            await using Stream body = await response.Content.ReadAsStreamAsync();
            Assert.Equal(1, await body.ReadAsync(new byte[1]));
        }

        Assert.NotEqual("RbeCallFailed", await logger.Ended.Task.WaitAsync(TimeSpan.FromMinutes(5)));
    }

    private static async Task<WebApplication> StartAsync(Action<IServiceCollection> add)
    {
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.WebHost.UseTestServer();
        builder.Logging.ClearProviders();
        add(builder.Services);
        WebApplication app = builder.Build();
        app.MapPost("/embed", async (string[] texts, [FromServices] IEmbeddingGenerator<string, Embedding<float>> generator, CancellationToken cancel) =>
            (await generator.GenerateAsync(texts, cancellationToken: cancel)).Select(embedding => embedding.Vector.ToArray()));
        app.MapGet("/chat", (string prompt, int tokens, [FromServices] IChatClient client, CancellationToken cancel) =>
            TypedResults.ServerSentEvents(Parts(client, prompt, tokens, cancel)));
        await app.StartAsync();
        return app;
    }

    private static async IAsyncEnumerable<SseItem<string>> Parts(
        IChatClient client, string prompt, int tokens, [EnumeratorCancellation] CancellationToken cancel)
    {
        ChatOptions options = new() { MaxOutputTokens = tokens };
        await foreach (ChatResponseUpdate update in client.GetStreamingResponseAsync(prompt, options, cancel))
        {
            yield return new SseItem<string>(Convert.ToBase64String(System.Text.Encoding.Unicode.GetBytes(update.Text)));
        }
    }

    // Nonsense holds line ends of all kinds, which events do not keep.
    private static async Task<string> ReadAsync(HttpClient http, string uri)
    {
        await using Stream body = await http.GetStreamAsync(uri);
        List<string> parts = [];
        await foreach (SseItem<string> item in SseParser.Create(body).EnumerateAsync())
        {
            parts.Add(System.Text.Encoding.Unicode.GetString(Convert.FromBase64String(item.Data)));
        }

        return string.Concat(parts);
    }

    private sealed class EndLogger : ILogger<RbeChatClient>
    {
        public TaskCompletionSource<string?> Ended { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (eventId.Name != "RbeModelLoaded") Ended.TrySetResult(eventId.Name);
        }
    }
}
