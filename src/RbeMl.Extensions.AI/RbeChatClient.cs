using System.Runtime.CompilerServices;
using Microsoft.Extensions.AI;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using RbeMl.Files;
using RbeMl.Models;
using RbeMl.Text;

namespace RbeMl.Extensions.AI;

/// <summary>
/// Answers of a causal model in this process. Where the tokenizer has the tokens of ChatML (<c>&lt;|im_start|&gt;</c>,
/// <c>&lt;|im_end|&gt;</c>) the messages are written in that form; else their texts are joined by line feeds, without roles, and the model
/// continues them: a single message is the prompt as it stands. Messages are texts; names of special tokens in them stay text. Of messages
/// beyond the model's positions the end is read. The same messages, options and seed give the same answer (seed 1 where a call names none).
/// Calls of many threads are served at the same time.
/// </summary>
/// <remarks>
/// Of <see cref="ChatOptions"/>: instructions come before the messages; <see cref="ChatOptions.RawRepresentationFactory"/> may give a <see
/// cref="GenerationOptions"/> to start from. What the model cannot do is refused with an <see cref="InvalidSettingException"/>: penalties
/// of frequency and presence, tools, answers in JSON, kept conversations, another model's id.
/// </remarks>
public sealed class RbeChatClient : IChatClient
{
    private const string Operation = "chat";
    private readonly ModelBundle _bundle;
    private readonly bool _owned;
    private readonly ITokenizer _tokenizer;
    private readonly ChatTemplate _template;
    private readonly GeneratorPool _pool;
    private readonly int _maxOutputTokens;
    private readonly ChatClientMetadata _metadata;
    private readonly ILogger _logger;

    /// <summary>A client of a loaded model.</summary>
    /// <param name="bundle">A causal model and its tokenizer; they stay their owner's.</param>
    /// <param name="options">Settings; its path is not read.</param>
    /// <param name="logger">Hears of calls, never of their texts.</param>
    /// <exception cref="InvalidSettingException">The model is an encoder or has no tokenizer, or a setting is out of range.</exception>
    public RbeChatClient(ModelBundle bundle, RbeChatOptions? options = null, ILogger<RbeChatClient>? logger = null)
        : this(bundle, owned: false, InferenceCall.Provider, options ?? new RbeChatOptions(), logger)
    {
    }

    private RbeChatClient(ModelBundle bundle, bool owned, string name, RbeChatOptions options, ILogger? logger)
    {
        ArgumentNullException.ThrowIfNull(bundle);
        if (!bundle.Model.Config.Causal)
        {
            throw new InvalidSettingException(
                nameof(bundle.Model.Config.Causal), false, "an encoder writes no text. Use RbeEmbeddingGenerator, or give a causal model.");
        }

        if (options.MaxOutputTokens < 1)
        {
            throw new InvalidSettingException(nameof(options.MaxOutputTokens), options.MaxOutputTokens, "use at least 1.");
        }

        if (options.Concurrency < 0)
        {
            throw new InvalidSettingException(
                nameof(options.Concurrency), options.Concurrency, "use 0 for one answer a processor, or a positive number.");
        }

        (_bundle, _owned, _maxOutputTokens) = (bundle, owned, options.MaxOutputTokens);
        string id = string.IsNullOrEmpty(options.ModelId) ? name : options.ModelId;
        _tokenizer = bundle.RequireTokenizer("model", id, "it", "a chat is text. Give a model with its tokenizer.");
        _template = new ChatTemplate(_tokenizer, bundle.Model);
        _metadata = new ChatClientMetadata(InferenceCall.Provider, defaultModelId: id);
        _logger = logger ?? NullLogger.Instance;
        _pool = new GeneratorPool(bundle.Model, _tokenizer, options.Threads, options.Concurrency);
    }

    /// <summary>Loads a model and makes its client, which disposes it.</summary>
    /// <param name="path">A <c>.rbe</c> file, the folder that <c>rbeml finetune</c> wrote, or a Hugging Face GPT-2.</param>
    /// <param name="options">Settings; its path is not read.</param>
    /// <param name="logger">Hears of calls, never of their texts.</param>
    /// <exception cref="RbeFileException">Nothing is there, or it is no model this version reads.</exception>
    /// <exception cref="InvalidSettingException">The model is an encoder or has no tokenizer, or a setting is out of range.</exception>
    public static RbeChatClient Load(string path, RbeChatOptions? options = null, ILogger<RbeChatClient>? logger = null)
    {
        ModelBundle bundle = ModelSource.Load(path);
        try
        {
            RbeChatClient client = new(bundle, owned: true, InferenceCall.NameOf(path), options ?? new RbeChatOptions(), logger);
            client._logger.Loaded(path, client._metadata.DefaultModelId!);
            return client;
        }
        catch
        {
            bundle.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    /// <exception cref="InvalidSettingException">An option is out of range or asks for what the model cannot do; a message holds more than text.</exception>
    /// <exception cref="TokenException">The messages are empty, or hold something that has no id or none of the model's.</exception>
    public Task<ChatResponse> GetResponseAsync(
        IEnumerable<ChatMessage> messages, ChatOptions? options = null, CancellationToken cancellationToken = default) =>
        GetStreamingResponseAsync(messages, options, cancellationToken).ToChatResponseAsync(cancellationToken);

    /// <inheritdoc/>
    /// <inheritdoc cref="GetResponseAsync" path="/exception"/>
    public IAsyncEnumerable<ChatResponseUpdate> GetStreamingResponseAsync(
        IEnumerable<ChatMessage> messages, ChatOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(messages);
        int[] prompt = _template.Encode([.. messages], options?.Instructions);
        GenerationOptions drawing = ChatSettings.Read(options, this, _maxOutputTokens, _metadata.DefaultModelId!);
        return AnswerAsync(prompt, drawing with { EndTokens = drawing.EndTokens ?? _template.EndTokens }, cancellationToken);
    }

    /// <summary>Gives <see cref="ChatClientMetadata"/>, the <see cref="ModelBundle"/>, its <see cref="ITokenizer"/>, or this client.</summary>
    /// <inheritdoc/>
    public object? GetService(Type serviceType, object? serviceKey = null)
    {
        ArgumentNullException.ThrowIfNull(serviceType);
        if (serviceKey is not null) return null;
        return serviceType == typeof(ChatClientMetadata) ? _metadata
            : serviceType == typeof(ModelBundle) ? _bundle
            : serviceType == typeof(ITokenizer) ? _tokenizer
            : serviceType.IsInstanceOfType(this) ? this : null;
    }

    /// <summary>Ends the threads; answers on their way end with an <see cref="ObjectDisposedException"/> after the token under way.</summary>
    public void Dispose()
    {
        _pool.Dispose();
        if (_owned) _bundle.Dispose();
    }

    private async IAsyncEnumerable<ChatResponseUpdate> AnswerAsync(
        int[] prompt, GenerationOptions drawing, [EnumeratorCancellation] CancellationToken cancel = default)
    {
        string id = Guid.NewGuid().ToString("N");
        using InferenceCall call = new(Operation, _metadata.DefaultModelId!, _logger);
        using GeneratorPool.Rental rental = await call.Watch(_pool.RentAsync(cancel)).ConfigureAwait(false);
        call.InputTokens = Math.Min(prompt.Length, _bundle.Model.Config.MaxSequenceLength);
        TextGenerator text = rental.Text;
        IAsyncEnumerator<string> parts = call.Watch(() => text.GenerateAsync(prompt, drawing, cancel)).GetAsyncEnumerator(CancellationToken.None);
        await using (parts.ConfigureAwait(false))
        {
            while (await call.Watch(parts.MoveNextAsync()).ConfigureAwait(false))
            {
                call.OutputTokens = text.Tokens.Count;
                yield return Update(id, new TextContent(parts.Current));
            }
        }

        call.OutputTokens = text.Tokens.Count;
        ChatResponseUpdate last = Update(id, new UsageContent(new UsageDetails
        {
            InputTokenCount = call.InputTokens,
            OutputTokenCount = call.OutputTokens,
            TotalTokenCount = call.InputTokens + call.OutputTokens,
        }));
        last.FinishReason = text.Finish == FinishReason.Length ? ChatFinishReason.Length : ChatFinishReason.Stop;
        yield return last;
    }

    private ChatResponseUpdate Update(string id, AIContent content) => new(ChatRole.Assistant, [content])
    {
        ResponseId = id,
        MessageId = id,
        ModelId = _metadata.DefaultModelId,
        CreatedAt = DateTimeOffset.UtcNow,
    };
}
