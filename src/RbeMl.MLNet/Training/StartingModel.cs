using RbeMl.Codec;
using RbeMl.Files;
using RbeMl.Layers;
using RbeMl.MLNet.Columns;
using RbeMl.Models;
using RbeMl.Text;
using RbeMl.Training;

namespace RbeMl.MLNet.Training;

/// <summary>The model that a training begins with. It knows its tokenizer and positions before the model itself is made.</summary>
internal sealed class StartingModel : IDisposable
{
    private const int NewContext = 128, NewVocabulary = 1024;
    private readonly FineTuningOptions _options;
    private readonly ModelBundle? _loaded;
    private readonly ModelBundle? _given;

    /// <summary>Finds the model; loads it when a path is given.</summary>
    /// <param name="options">The options, checked.</param>
    /// <param name="earlier">The model of an earlier training, in place of the one that the options name; it is copied.</param>
    /// <exception cref="InvalidSettingException">The context is longer than the model's positions.</exception>
    /// <exception cref="RbeFileException">No model can be read there.</exception>
    public StartingModel(FineTuningOptions options, ModelBundle? earlier = null)
    {
        _options = options;
        _given = earlier ?? options.Model;
        if (_given is null && options.ModelPath is { } path) _given = _loaded = ModelSource.Load(path);
        Tokenizer = options.Tokenizer ?? _given?.Tokenizer;
        Context = options.Context ?? _given?.Encoder?.MaxTokens ?? _given?.Model.Config.MaxSequenceLength ?? NewContext;
        if (_given is null) return;
        TransformerConfig config = _given.Model.Config;
        if (Context > config.MaxSequenceLength)
        {
            Refuse(nameof(options.Context), Context, $"the model has {config.MaxSequenceLength} positions. Use at most that.");
        }

        if (Encoder is not null && Context <= TokenLimits.Ends)
        {
            Refuse(nameof(options.Context), Context, $"an encoder's sequences begin and end with a token of their own. Use at least {TokenLimits.Ends + 1}.");
        }
    }

    /// <summary>Tokens of a text that are used.</summary>
    public int Context { get; }

    /// <summary>How an encoder reads texts; null for a language model.</summary>
    public EncoderSettings? Encoder => _given?.Encoder;

    /// <summary>Turns texts into ids; null as long as it is not learned.</summary>
    public ITokenizer? Tokenizer { get; private set; }

    /// <summary>Token ids of the model; null as long as they are not known (a new model for a column of ids).</summary>
    public int? Vocabulary => _given?.Model.Config.Vocabulary ?? Tokenizer?.Vocabulary ?? _options.VocabularySize;

    /// <summary>Whether texts must be there before they can become ids.</summary>
    public bool LearnsTokenizer => Tokenizer is null;

    /// <summary>Learns byte pairs from texts.</summary>
    /// <exception cref="InvalidSettingException">The model is not a new one, so that it must bring its tokenizer; or the vocabulary is out
    /// of range.</exception>
    public void LearnTokenizer(IReadOnlyList<string> texts)
    {
        _given?.RequireTokenizer(nameof(_options.Tokenizer), "null", "the model", "give the one it was trained with, or a column of token ids.");
        int size = _options.VocabularySize ?? NewVocabulary;
        Tokenizer = size == 256 ? new ByteTokenizer() : BytePairTokenizer.Train(string.Join('\n', texts), size);
    }

    /// <summary>Makes the model; the caller owns it.</summary>
    /// <param name="vocabulary">Token ids of a new model.</param>
    /// <param name="seed">Seed of a new model's weights.</param>
    /// <exception cref="ObjectDisposedException">The model that was given is disposed.</exception>
    public TransformerModel<float> Create(int vocabulary, ulong seed)
    {
        RbeOptions? compression = _options.Compression;
        if (_given is null)
        {
            TransformerConfig config = new()
            {
                Layers = _options.Layers,
                Heads = _options.Heads,
                Width = _options.Width,
                Vocabulary = vocabulary,
                MaxSequenceLength = Context,
                Dropout = (float)(_options.Dropout ?? 0),
            };
            NewModelMemory.Require(config, _options.Optimizer);
            return new TransformerModel<float>(Known(TransformerWeights.CreateUntrained(config, compression ?? new RbeOptions(), seed)));
        }

        TransformerWeights weights = Known(Weights(_given.Model)) with { Encoder = _given.Encoder };
        if (_options.Dropout is { } dropout) weights = weights with { Config = weights.Config.WithDropout((float)dropout) };
        return new TransformerModel<float>(compression is null ? weights : weights.Recompress(compression));
    }

    /// <summary>Frees what was loaded; models that were made stay.</summary>
    public void Dispose() => _loaded?.Dispose();

    // With the tokenizer's end of text and ids.
    private TransformerWeights Known(TransformerWeights weights) => weights with { Tokens = weights.Tokens.With(Tokenizer, weights.Config.Vocabulary) };

    private static TransformerWeights Weights(TransformerModel<float> model)
    {
        try
        {
            return model.GetWeights();
        }
        catch (ObjectDisposedException)
        {
            throw new ObjectDisposedException(nameof(FineTuningOptions.Model),
                $"The options' {nameof(FineTuningOptions.Model)} was disposed before Fit, which copies it. Keep it until then.");
        }
    }

    private static void Refuse(string setting, object value, string mend) => throw new InvalidSettingException(setting, value, mend);
}
