using Microsoft.Extensions.AI;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using RbeMl.Files;
using RbeMl.Models;

namespace RbeMl.Extensions.AI;

/// <summary>
/// Vectors of texts by a sentence encoder in this process. Calls of many threads are served at the same time, and a text has the same
/// vector, bit for bit, alone and among others. Too long a text is cut or averaged, as the encoder's settings say.
/// </summary>
/// <remarks>
/// A call may name a prompt of the model under <see cref="PromptKey"/> in <see cref="EmbeddingGenerationOptions.AdditionalProperties"/>.
/// Another number of dimensions than the model's, or another model's id, is refused with an <see cref="InvalidSettingException"/>.
/// </remarks>
public sealed class RbeEmbeddingGenerator : IEmbeddingGenerator<string, Embedding<float>>
{
    /// <summary>The additional property that names a prompt, such as <c>query</c>: text; empty for none.</summary>
    public const string PromptKey = "prompt_name";

    private const string Operation = "embeddings";
    private readonly SentenceEncoder _encoder;
    private readonly bool _owned;
    private readonly string? _prompt;
    private readonly EmbeddingGeneratorMetadata _metadata;
    private readonly ILogger _logger;

    /// <summary>A generator of a loaded encoder.</summary>
    /// <param name="encoder">The encoder; it stays its owner's.</param>
    /// <param name="options">Settings; path and threads are not read.</param>
    /// <param name="logger">Hears of calls, never of their texts.</param>
    /// <exception cref="InvalidSettingException">The model has no such prompt.</exception>
    public RbeEmbeddingGenerator(
        SentenceEncoder encoder, RbeEmbeddingOptions? options = null, ILogger<RbeEmbeddingGenerator>? logger = null)
        : this(encoder, owned: false, InferenceCall.Provider, options ?? new RbeEmbeddingOptions(), logger)
    {
    }

    private RbeEmbeddingGenerator(SentenceEncoder encoder, bool owned, string name, RbeEmbeddingOptions options, ILogger? logger)
    {
        ArgumentNullException.ThrowIfNull(encoder);
        _ = encoder.Settings.Prompt(options.Prompt); // refuses one that the model does not have
        (_encoder, _owned, _prompt, _logger) = (encoder, owned, options.Prompt, logger ?? NullLogger.Instance);
        _metadata = new EmbeddingGeneratorMetadata(InferenceCall.Provider,
            defaultModelId: string.IsNullOrEmpty(options.ModelId) ? name : options.ModelId, defaultModelDimensions: encoder.Dimensions);
    }

    /// <summary>Loads an encoder and makes its generator, which disposes it.</summary>
    /// <param name="path">A <c>.rbe</c> file, or the folder or .onnx file of a BERT.</param>
    /// <param name="options">Settings; the path is not read.</param>
    /// <param name="logger">Hears of calls, never of their texts.</param>
    /// <exception cref="RbeFileException">Nothing is there, or it is no encoder this version reads.</exception>
    /// <exception cref="InvalidSettingException">The model has no such prompt, or the threads are out of range.</exception>
    public static RbeEmbeddingGenerator Load(
        string path, RbeEmbeddingOptions? options = null, ILogger<RbeEmbeddingGenerator>? logger = null)
    {
        options ??= new RbeEmbeddingOptions();
        SentenceEncoder encoder = ModelSource.LoadEncoder(path, options.Threads);
        try
        {
            RbeEmbeddingGenerator generator = new(encoder, owned: true, InferenceCall.NameOf(path), options, logger);
            generator._logger.Loaded(path, generator._metadata.DefaultModelId!);
            return generator;
        }
        catch
        {
            encoder.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    /// <exception cref="InvalidSettingException">An option asks for what the model cannot do.</exception>
    /// <exception cref="NonFiniteException">The model's weights are damaged.</exception>
    public Task<GeneratedEmbeddings<Embedding<float>>> GenerateAsync(
        IEnumerable<string> values, EmbeddingGenerationOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(values);
        string[] texts = [.. values];
        int missing = Array.IndexOf(texts, null);
        if (missing >= 0) throw new ArgumentNullException(nameof(values), $"text {missing} is null");
        string? prompt = Prompt(options);
        return Task.Run(() => Generate(texts, prompt, cancellationToken), cancellationToken);
    }

    /// <summary>Gives <see cref="EmbeddingGeneratorMetadata"/>, the <see cref="SentenceEncoder"/>, or this generator.</summary>
    /// <inheritdoc/>
    public object? GetService(Type serviceType, object? serviceKey = null)
    {
        ArgumentNullException.ThrowIfNull(serviceType);
        if (serviceKey is not null) return null;
        return serviceType == typeof(EmbeddingGeneratorMetadata) ? _metadata
            : serviceType == typeof(SentenceEncoder) ? _encoder
            : serviceType.IsInstanceOfType(this) ? this : null;
    }

    /// <summary>Frees an encoder that <see cref="Load"/> read, after the calls that are using it.</summary>
    public void Dispose()
    {
        if (_owned) _encoder.Dispose();
    }

    private GeneratedEmbeddings<Embedding<float>> Generate(string[] texts, string? prompt, CancellationToken cancel)
    {
        string model = _metadata.DefaultModelId!;
        using InferenceCall call = new(Operation, model, _logger);
        float[][] vectors = call.Watch(() => _encoder.Embed(texts, prompt, cancel));
        call.InputTokens = texts.Sum(text => TokensOf(text, prompt));
        DateTimeOffset now = DateTimeOffset.UtcNow;
        return new(vectors.Select(vector => new Embedding<float>(vector) { ModelId = model, CreatedAt = now }))
        {
            Usage = new UsageDetails { InputTokenCount = call.InputTokens, TotalTokenCount = call.InputTokens },
        };
    }

    private string? Prompt(EmbeddingGenerationOptions? options)
    {
        if (options is null) return _prompt;
        if (options.Dimensions is { } dimensions && dimensions != _encoder.Dimensions)
        {
            throw new InvalidSettingException(nameof(options.Dimensions), dimensions,
                $"the model's vectors have {_encoder.Dimensions}, and a part of them is no vector of its meaning. Leave it out.");
        }

        if (options.ModelId is { } other && other != _metadata.DefaultModelId) throw InferenceCall.OtherModel(other, _metadata.DefaultModelId!);
        if (options.AdditionalProperties?.TryGetValue(PromptKey, out object? named) != true) return _prompt;
        string prompt = named as string ?? throw new InvalidSettingException(PromptKey, named ?? "null", "give the name of a prompt as text.");
        _ = _encoder.Settings.Prompt(prompt); // refuses one that the model does not have
        return prompt;
    }

    // As the model reads them: cut, or in windows of which each has tokens that begin and end it.
    private int TokensOf(string text, string? prompt)
    {
        int read = _encoder.Encode(text, prompt).Length;
        if (read < _encoder.MaxTokens || _encoder.Settings.LongTexts != LongTexts.Windows) return read;
        int tokens = _encoder.CountTokens(_encoder.Settings.Prompt(prompt) + text) - 2, room = _encoder.MaxTokens - 2;
        return tokens + (2 * ((tokens + room - 1) / room));
    }
}
