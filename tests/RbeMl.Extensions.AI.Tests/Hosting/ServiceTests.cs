using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using RbeMl.Extensions.AI.Tests.Support;
using RbeMl.Files;
using RbeMl.Models;
using RbeMl.Tests.Files;

namespace RbeMl.Extensions.AI.Tests.Hosting;

/// <summary>Services of an application, by code and by configuration.</summary>
public sealed class ServiceTests
{
    [Fact]
    public async Task A_chat_is_configured_by_a_section()
    {
        using TemporaryFolder folder = new();
        using ModelBundle bundle = SmallChat.Create();
        ModelFile.Save(folder.File("tiny.rbe"), bundle.Model, bundle.Tokenizer);
        IConfiguration configuration = Section(("Path", folder.File("tiny.rbe")), ("MaxOutputTokens", "11"), ("Threads", "1"), ("Concurrency", "1"));
        RecordingLogger<RbeChatClient> logger = new();
        await using ServiceProvider services = new ServiceCollection().AddSingleton<ILogger<RbeChatClient>>(logger)
            .AddRbeChat(configuration.GetSection("Rbe")).BuildServiceProvider();
        IChatClient client = services.GetRequiredService<IChatClient>();
        Assert.Same(client, services.GetRequiredService<IChatClient>());
        Assert.Equal("tiny", client.GetService<ChatClientMetadata>()!.DefaultModelId);
        ChatResponse response = await client.GetResponseAsync("hello");
        Assert.Equal(11, response.Usage!.OutputTokenCount);
        Assert.Equal(SmallChat.Expected(bundle, "hello", new GenerationOptions { MaxTokens = 11 }), response.Text);
        Assert.Equal(["RbeModelLoaded", "RbeCallCompleted"], logger.Entries.Select(entry => entry.Event));
        await services.DisposeAsync();
        await Assert.ThrowsAsync<ObjectDisposedException>(() => client.GetResponseAsync("hello"));
    }

    [Fact]
    public void A_chat_without_a_model_says_so()
    {
        using ServiceProvider empty = new ServiceCollection().AddRbeChat(Section()).BuildServiceProvider(),
            nothing = new ServiceCollection().AddRbeChat(chat => chat.Path = "no-such-model.rbe").BuildServiceProvider();
        Assert.Contains("Path is not set",
            Assert.Throws<OptionsValidationException>(empty.GetRequiredService<IChatClient>).Message, StringComparison.Ordinal);
        Assert.Contains("no-such-model.rbe", Assert.Throws<RbeFileException>(nothing.GetRequiredService<IChatClient>).Message, StringComparison.Ordinal);
    }

    /// <summary>Every property of the options arrives from configuration.</summary>
    [Fact]
    public void All_settings_of_a_chat_bind()
    {
        using ServiceProvider services = new ServiceCollection().AddRbeChat(Section(("Path", "p"), ("ModelId", "m"), ("MaxOutputTokens", "3"),
            ("Threads", "4"), ("Concurrency", "5")).GetSection("Rbe")).BuildServiceProvider();
        RbeChatOptions options = services.GetRequiredService<IOptions<RbeChatOptions>>().Value;
        Assert.Equal(("p", "m", 3, 4, 5), (options.Path, options.ModelId, options.MaxOutputTokens, options.Threads, options.Concurrency));
        Assert.Equal(5, typeof(RbeChatOptions).GetProperties().Length);
    }

    internal static IConfiguration Section(params (string Key, string Value)[] values) => new ConfigurationBuilder()
        .AddInMemoryCollection(values.Select(value => KeyValuePair.Create("Rbe:" + value.Key, (string?)value.Value))).Build();
}
