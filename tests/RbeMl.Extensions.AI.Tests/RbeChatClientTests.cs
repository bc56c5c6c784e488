using RbeMl.Extensions.AI.Tests.Support;
using RbeMl.Models;
using RbeMl.Tests.Models;
using RbeMl.Text;

namespace RbeMl.Extensions.AI.Tests;

/// <summary>Answers are those of the core's generator; what the model cannot do is refused.</summary>
public sealed class RbeChatClientTests
{
    private static readonly ChatMessage Hello = new(ChatRole.User, "hello");

    /// <summary>Options of a call, and the same in the generator's words.</summary>
    public static TheoryData<ChatOptions?, GenerationOptions> Options() => new()
    {
        { null, new GenerationOptions { MaxTokens = 20 } },
        { new ChatOptions { Temperature = 0, MaxOutputTokens = 7 }, new GenerationOptions { MaxTokens = 7, Temperature = 0 } },
        { new ChatOptions { Temperature = 0.8f, Seed = 5 }, new GenerationOptions { MaxTokens = 20, Temperature = 0.8, Seed = 5 } },
        { new ChatOptions { Seed = -1 }, new GenerationOptions { MaxTokens = 20, Seed = ulong.MaxValue } },
        { new ChatOptions { TopK = 3, TopP = 0.9f }, new GenerationOptions { MaxTokens = 20, TopK = 3, TopP = 0.9 } },
        {
            new ChatOptions { RawRepresentationFactory = _ => new GenerationOptions { MaxTokens = 9, RepetitionPenalty = 1.5 }, TopK = 5 },
            new GenerationOptions { MaxTokens = 9, RepetitionPenalty = 1.5, TopK = 5 }
        },
        { new ChatOptions { FrequencyPenalty = 0, PresencePenalty = 0, ResponseFormat = ChatResponseFormat.Text }, new GenerationOptions { MaxTokens = 20 } },
    };

    [Theory]
    [MemberData(nameof(Options))]
    public async Task An_answer_is_the_generators(ChatOptions? asked, GenerationOptions same)
    {
        using ModelBundle bundle = SmallChat.Create();
        using RbeChatClient client = new(bundle, new RbeChatOptions { MaxOutputTokens = 20, ModelId = "small" });
        ChatResponse response = await client.GetResponseAsync([Hello], asked);
        Assert.Equal(SmallChat.Expected(bundle, "hello", same), response.Text);
        Assert.Equal(("small", ChatFinishReason.Length), (response.ModelId, response.FinishReason));
        Assert.Equal((5, same.MaxTokens), ((int)response.Usage!.InputTokenCount!, (int)response.Usage.OutputTokenCount!));
        Assert.Equal(5 + same.MaxTokens, response.Usage.TotalTokenCount);
        ChatMessage message = Assert.Single(response.Messages);
        Assert.Equal(ChatRole.Assistant, message.Role);
    }

    [Fact]
    public async Task Messages_are_joined_by_line_feeds_after_the_instructions()
    {
        using ModelBundle bundle = SmallChat.Create();
        using RbeChatClient client = new(bundle);
        ChatResponse response = await client.GetResponseAsync(
            [new(ChatRole.System, "be kind"), Hello, new(ChatRole.Assistant, "yes?"), new(ChatRole.User, "why")],
            new ChatOptions { Instructions = "short", MaxOutputTokens = 12 });
        Assert.Equal(SmallChat.Expected(bundle, "short\nbe kind\nhello\nyes?\nwhy", new GenerationOptions { MaxTokens = 12 }), response.Text);
    }

    [Fact]
    public async Task Of_a_long_chat_the_end_is_read()
    {
        using ModelBundle bundle = SmallChat.Create();
        using RbeChatClient client = new(bundle);
        string text = new('x', 3 * SmallChat.Positions);
        ChatResponse response = await client.GetResponseAsync([new(ChatRole.User, text)], new ChatOptions { MaxOutputTokens = 3 });
        Assert.Equal(SmallChat.Positions, response.Usage!.InputTokenCount);
        Assert.Equal(SmallChat.Expected(bundle, text, new GenerationOptions { MaxTokens = 3 }), response.Text);
    }

    [Fact]
    public async Task A_stream_has_the_answers_parts_and_ends_with_reason_and_usage()
    {
        using ModelBundle bundle = SmallChat.Create();
        using RbeChatClient client = new(bundle);
        ChatOptions options = new() { MaxOutputTokens = 30, Seed = 3 };
        string whole = (await client.GetResponseAsync([Hello], options)).Text;
        List<ChatResponseUpdate> updates = [];
        await foreach (ChatResponseUpdate update in client.GetStreamingResponseAsync([Hello], options)) updates.Add(update);
        Assert.True(updates.Count > 3);
        Assert.Equal(whole, string.Concat(updates.Select(update => update.Text)));
        Assert.All(updates[..^1], update => Assert.True(update.Text.Length > 0 && update.FinishReason is null));
        Assert.Equal(ChatFinishReason.Length, updates[^1].FinishReason);
        Assert.Equal(30, Assert.IsType<UsageContent>(Assert.Single(updates[^1].Contents)).Details.OutputTokenCount);
        Assert.Single(updates.Select(update => (update.ResponseId, update.MessageId, update.Role)).Distinct());
    }

    /// <summary>Of a model that writes one letter for ever, or ends at once.</summary>
    [Fact]
    public async Task An_answer_ends_at_a_stop_sequence_or_an_end_token()
    {
        Gpt2Tokenizer tokenizer = ScriptedModel.Bytes(Gpt2Tokenizer.EndOfText);
        using ModelBundle letters = new(ScriptedModel.Create(257, ('a', 40)), tokenizer), ended = new(ScriptedModel.Create(257, (256, 40)), tokenizer);
        using RbeChatClient client = new(letters), silent = new(ended);
        ChatResponse stopped = await client.GetResponseAsync([Hello], new ChatOptions { StopSequences = ["zz", "aaa"] });
        Assert.Equal(("", ChatFinishReason.Stop), (stopped.Text, stopped.FinishReason));
        ChatResponse nothing = await silent.GetResponseAsync([Hello]);
        Assert.Equal(("", ChatFinishReason.Stop, 0L), (nothing.Text, nothing.FinishReason, nothing.Usage!.OutputTokenCount));
        ChatResponse cut = await client.GetResponseAsync([Hello], new ChatOptions { MaxOutputTokens = 4 });
        Assert.Equal(("aaaa", ChatFinishReason.Length), (cut.Text, cut.FinishReason));
    }

    public static TheoryData<ChatOptions, string> Refused() => new()
    {
        { new ChatOptions { FrequencyPenalty = 0.5f }, "FrequencyPenalty = 0.5" },
        { new ChatOptions { PresencePenalty = -1 }, "PresencePenalty = -1" },
        { new ChatOptions { Tools = [AIFunctionFactory.Create(() => 1, "one")] }, "Tools = one" },
        { new ChatOptions { ResponseFormat = ChatResponseFormat.Json }, "ResponseFormat = JSON" },
        { new ChatOptions { ConversationId = "c1" }, "ConversationId = c1" },
        { new ChatOptions { ModelId = "other" }, "ModelId = other" },
        { new ChatOptions { RawRepresentationFactory = _ => "text" }, "RawRepresentationFactory = String" },
        { new ChatOptions { MaxOutputTokens = 0 }, "MaxTokens = 0" },
        { new ChatOptions { Temperature = float.NaN }, "Temperature = NaN" },
        { new ChatOptions { TopP = 0 }, "TopP = 0" },
        { new ChatOptions { TopK = -1 }, "TopK = -1" },
        { new ChatOptions { StopSequences = [""] }, "StopStrings = \"\"" },
    };

    [Theory]
    [MemberData(nameof(Refused))]
    public async Task What_the_model_cannot_do_is_refused(ChatOptions options, string message)
    {
        using ModelBundle bundle = SmallChat.Create();
        using RbeChatClient client = new(bundle);
        Exception error = await Assert.ThrowsAsync<InvalidSettingException>(() => client.GetResponseAsync([Hello], options));
        Assert.StartsWith(message, error.Message, StringComparison.Ordinal);
        Assert.Throws<InvalidSettingException>(() => client.GetStreamingResponseAsync([Hello], options));
    }

    [Fact]
    public async Task Messages_without_text_or_with_more_are_refused()
    {
        using ModelBundle bundle = SmallChat.Create();
        using RbeChatClient client = new(bundle);
        await Assert.ThrowsAsync<TokenException>(() => client.GetResponseAsync([]));
        await Assert.ThrowsAsync<TokenException>(() => client.GetResponseAsync([new(ChatRole.User, "")]));
        ChatMessage picture = new(ChatRole.User, [new TextContent("see"), new DataContent(new byte[] { 1 }, "image/png")]);
        Exception error = await Assert.ThrowsAsync<InvalidSettingException>(() => client.GetResponseAsync([Hello, picture]));
        Assert.StartsWith("messages[1] = DataContent", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_model_that_cannot_chat_is_refused()
    {
        using ModelBundle encoder = SmallChat.Create(causal: false), bare = SmallChat.Create() with { Tokenizer = null }, good = SmallChat.Create();
        Assert.Contains("RbeEmbeddingGenerator", Assert.Throws<InvalidSettingException>(() => new RbeChatClient(encoder)).Message, StringComparison.Ordinal);
        Assert.Contains("tokenizer", Assert.Throws<InvalidSettingException>(() => new RbeChatClient(bare)).Message, StringComparison.Ordinal);
        Assert.Throws<InvalidSettingException>(() => new RbeChatClient(good, new RbeChatOptions { Concurrency = -1 }));
        Assert.Throws<InvalidSettingException>(() => new RbeChatClient(good, new RbeChatOptions { Threads = -1 }));
        Assert.Throws<InvalidSettingException>(() => new RbeChatClient(good, new RbeChatOptions { MaxOutputTokens = 0 }));
    }

    [Fact]
    public async Task A_cancelled_answer_ends_and_the_next_is_whole()
    {
        using ModelBundle bundle = SmallChat.Create();
        RecordingLogger<RbeChatClient> logger = new();
        using RbeChatClient client = new(bundle, new RbeChatOptions { Concurrency = 1 }, logger);
        using CancellationTokenSource early = new(), midway = new();
        early.Cancel();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => client.GetResponseAsync([Hello], cancellationToken: early.Token));
        List<string> parts = [];
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () =>
        {
            await foreach (ChatResponseUpdate update in client.GetStreamingResponseAsync([Hello], new ChatOptions { MaxOutputTokens = 5000 }, midway.Token))
            {
                parts.Add(update.Text);
                midway.Cancel();
            }
        });
        Assert.NotEmpty(parts);
        await foreach (ChatResponseUpdate _ in client.GetStreamingResponseAsync([Hello])) break; // a reader that goes away
        ChatResponse next = await client.GetResponseAsync([Hello], new ChatOptions { MaxOutputTokens = 6 });
        Assert.Equal(SmallChat.Expected(bundle, "hello", new GenerationOptions { MaxTokens = 6 }), next.Text);
        Assert.Equal(["RbeCallCancelled", "RbeCallCancelled", "RbeCallCompleted", "RbeCallCompleted"], logger.Entries.Select(entry => entry.Event));
    }

    [Fact]
    public async Task Many_calls_at_once_give_what_each_gives_alone()
    {
        using ModelBundle bundle = SmallChat.Create();
        using RbeChatClient client = new(bundle, new RbeChatOptions { Concurrency = 3, Threads = 2 });
        string[] texts = await Task.WhenAll(Enumerable.Range(0, 24).Select(i => Task.Run(async () =>
            (await client.GetResponseAsync([new(ChatRole.User, $"text {i}")], new ChatOptions { MaxOutputTokens = 10, Seed = i })).Text)));
        for (int i = 0; i < texts.Length; i++)
        {
            Assert.Equal(SmallChat.Expected(bundle, $"text {i}", new GenerationOptions { MaxTokens = 10, Seed = (ulong)i }), texts[i]);
        }
    }

    [Fact]
    public async Task More_answers_than_are_written_at_a_time_wait()
    {
        using ModelBundle bundle = SmallChat.Create();
        using RbeChatClient client = new(bundle, new RbeChatOptions { Concurrency = 1 });
        IAsyncEnumerator<ChatResponseUpdate> first = client.GetStreamingResponseAsync([Hello]).GetAsyncEnumerator();
        Assert.True(await first.MoveNextAsync());
        Task<ChatResponse> second = client.GetResponseAsync([Hello], new ChatOptions { MaxOutputTokens = 3 });
        using CancellationTokenSource impatient = new();
        Task<ChatResponse> third = client.GetResponseAsync([Hello], cancellationToken: impatient.Token);
        await impatient.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => third);
        Assert.False(second.IsCompleted);
        await first.DisposeAsync();
        Assert.Equal(3, (await second).Usage!.OutputTokenCount);
    }

    [Fact]
    public async Task A_client_disposed_in_the_middle_of_an_answer_ends_it()
    {
        using ModelBundle bundle = SmallChat.Create();
        RbeChatClient client = new(bundle);
        IAsyncEnumerator<ChatResponseUpdate> answer =
            client.GetStreamingResponseAsync([Hello], new ChatOptions { MaxOutputTokens = 5000 }).GetAsyncEnumerator();
        await using (answer)
        {
            Assert.True(await answer.MoveNextAsync());
            client.Dispose();
            await Assert.ThrowsAsync<ObjectDisposedException>(async () =>
            {
                while (await answer.MoveNextAsync()) { }
            });
        }
    }

    [Fact]
    public async Task Services_are_metadata_and_model_and_end_with_the_client()
    {
        using ModelBundle bundle = SmallChat.Create();
        RbeChatClient client = new(bundle, new RbeChatOptions { ModelId = "mine" });
        ChatClientMetadata metadata = client.GetService<ChatClientMetadata>()!;
        Assert.Equal(("rbeml", "mine", null), (metadata.ProviderName, metadata.DefaultModelId, metadata.ProviderUri));
        Assert.Same(bundle, client.GetService<ModelBundle>());
        Assert.Same(bundle.Tokenizer, client.GetService<ITokenizer>());
        Assert.Same(client, client.GetService<IChatClient>());
        Assert.Null(client.GetService<string>());
        Assert.Null(client.GetService<ChatClientMetadata>("key"));
        _ = await client.GetResponseAsync([Hello]);
        client.Dispose();
        client.Dispose();
        await Assert.ThrowsAsync<ObjectDisposedException>(() => client.GetResponseAsync([Hello]));
        Assert.NotEmpty(SmallChat.Expected(bundle, "still its owner's", new GenerationOptions()));
    }
}
