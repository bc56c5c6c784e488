using Microsoft.Extensions.Logging;
using RbeMl.Extensions.AI.Tests.Support;
using RbeMl.Models;

namespace RbeMl.Extensions.AI.Tests;

/// <summary>Meter and log tell of each call, by the conventions for generative AI, and of no text.</summary>
public sealed class InferenceCallTests
{
    [Fact]
    public async Task A_chat_is_measured_and_logged()
    {
        string model = $"chat-{Guid.NewGuid():N}";
        using Measurements measured = new(model);
        RecordingLogger<RbeChatClient> logger = new();
        using ModelBundle bundle = SmallChat.Create();
        using RbeChatClient client = new(bundle, new RbeChatOptions { ModelId = model }, logger);
        _ = await client.GetResponseAsync("secret", new ChatOptions { MaxOutputTokens = 9 });

        Measurements.Measurement duration = Assert.Single(measured.Of("gen_ai.client.operation.duration"));
        Assert.Equal("s", duration.Instrument.Unit);
        Assert.InRange(duration.Value, 1e-9, double.MaxValue);
        Dictionary<string, object?> tags = new()
        {
            ["gen_ai.operation.name"] = "chat",
            ["gen_ai.provider.name"] = "rbeml",
            ["gen_ai.request.model"] = model,
            ["gen_ai.response.model"] = model,
        };
        Assert.Equal(tags.OrderBy(tag => tag.Key), duration.Tags.OrderBy(tag => tag.Key));
        IReadOnlyList<Measurements.Measurement> tokens = measured.Of("gen_ai.client.token.usage");
        Assert.Equal([("input", 6.0, "{token}"), ("output", 9.0, "{token}")],
            tokens.Select(token => ((string)token.Tags["gen_ai.token.type"]!, token.Value, token.Instrument.Unit!)));
        Assert.All(tokens, token => Assert.Equal(tags.OrderBy(tag => tag.Key),
            token.Tags.Where(tag => tag.Key != "gen_ai.token.type").OrderBy(tag => tag.Key)));

        (string? name, LogLevel level, string message, Exception? error) = Assert.Single(logger.Entries);
        Assert.Equal(("RbeCallCompleted", LogLevel.Debug, null), (name, level, error));
        Assert.StartsWith($"chat of {model}: 6 tokens in, 9 out", message, StringComparison.Ordinal);
        Assert.DoesNotContain("secret", message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_failure_has_its_type()
    {
        string model = $"broken-{Guid.NewGuid():N}";
        using Measurements measured = new(model);
        RecordingLogger<RbeChatClient> logger = new();
        using ModelBundle bundle = SmallChat.Create();
        using RbeChatClient client = new(bundle, new RbeChatOptions { ModelId = model }, logger);
        bundle.Dispose();
        Exception error = await Assert.ThrowsAsync<ObjectDisposedException>(() => client.GetResponseAsync("text"));
        Measurements.Measurement duration = Assert.Single(measured.Of("gen_ai.client.operation.duration"));
        Assert.Equal("System.ObjectDisposedException", duration.Tags["error.type"]);
        Assert.Equal(("RbeCallFailed", LogLevel.Warning, error), (logger.Entries[0].Event, logger.Entries[0].Level, logger.Entries[0].Error));
    }
}
