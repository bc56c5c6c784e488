using Microsoft.ML;
using Microsoft.ML.Runtime;
using Microsoft.ML.Tokenizers;
using RbeMl.Codec;
using RbeMl.Layers;
using RbeMl.MLNet.Blocks;
using RbeMl.MLNet.Classification;
using RbeMl.MLNet.Embeddings;
using RbeMl.MLNet.Features;
using RbeMl.MLNet.LanguageModels;
using RbeMl.MLNet.Similarity;
using RbeMl.MLNet.Tokens;
using RbeMl.Models;
using RbeMl.Text;

namespace RbeMl.MLNet;

/// <summary>Everything of this library for ML.NET; reached as <c>ml.Rbe</c>.</summary>
public sealed partial class RbeCatalog
{
    internal RbeCatalog(MLContext context)
    {
        Context = context;
        Components.Register(context.ComponentCatalog);
    }

    /// <summary>The catalog of a context, for languages without extension properties: <c>RbeCatalog.Of(ml)</c> is <c>ml.Rbe</c>.</summary>
    public static RbeCatalog Of(MLContext context) => context.Rbe;

    internal MLContext Context { get; }

    private IHostEnvironment Environment => Context;

    /// <summary>Turns a text column into token ids, a <c>VarVector&lt;Int32&gt;</c>.</summary>
    /// <param name="outputColumnName">The column added.</param>
    /// <param name="inputColumnName">The text column; null for the same name.</param>
    /// <param name="tokenizer">The tokenizer; null for the bytes of UTF-8. <see cref="RbeTokenizers"/> reads GPT-2's and tiktoken's files.</param>
    public TokenizeEstimator Tokenize(string outputColumnName, string? inputColumnName = null, ITokenizer? tokenizer = null)
        => Tokenize(new TokenizeOptions
        {
            OutputColumnName = outputColumnName,
            InputColumnName = inputColumnName ?? outputColumnName,
            Tokenizer = tokenizer ?? new ByteTokenizer()
        });

    /// <summary>The same with a tokenizer of Microsoft.ML.Tokenizers; see <see cref="RbeTokenizers.From"/>.</summary>
    /// <param name="outputColumnName">The column added.</param>
    /// <param name="inputColumnName">The text column; null for the same name.</param>
    /// <param name="tokenizer">The tokenizer.</param>
    public TokenizeEstimator Tokenize(string outputColumnName, string? inputColumnName, Tokenizer tokenizer)
        => Tokenize(outputColumnName, inputColumnName, RbeTokenizers.From(tokenizer));

    /// <inheritdoc cref="Tokenize(string, string?, ITokenizer?)"/>
    /// <param name="options">All settings.</param>
    public TokenizeEstimator Tokenize(TokenizeOptions options) => new(Environment, options);

    /// <summary>Loads a tokenizing transformer that <see cref="RbeTransformer.Save"/> wrote.</summary>
    /// <param name="stream">Where from; it is left open.</param>
    /// <exception cref="RbeFileException">The bytes are of something else, of a newer version, cut or damaged.</exception>
    public TokenizeTransformer LoadTokenize(Stream stream)
    {
        ArgumentNullException.ThrowIfNull(stream);
        return Loader<TokenizeTransformer>.Load(Environment, stream);
    }

    /// <summary>A compressed Transformer block over a column of activations, <c>Vector&lt;Single, T x D&gt;</c>.</summary>
    /// <param name="outputColumnName">The column added.</param>
    /// <param name="inputColumnName">The activations, [T, D] row-major; null for the same name.</param>
    /// <param name="config">Shapes.</param>
    /// <param name="weights">Compressed weights.</param>
    public TransformerBlockEstimator TransformerBlock(string outputColumnName, string? inputColumnName, TransformerConfig config, BlockWeights weights)
        => TransformerBlock(
            new TransformerBlockOptions
            {
                OutputColumnName = outputColumnName,
                InputColumnName = inputColumnName ?? outputColumnName,
                Config = config,
                Weights = weights
            });

    /// <summary>The same, with dense weights that are compressed when the estimator is fitted.</summary>
    /// <param name="outputColumnName">The column added.</param>
    /// <param name="inputColumnName">The activations; null for the same name.</param>
    /// <param name="config">Shapes.</param>
    /// <param name="dense">Dense weights.</param>
    /// <param name="compression">How they are compressed; 6 bits when null.</param>
    public TransformerBlockEstimator TransformerBlock(string outputColumnName, string? inputColumnName, TransformerConfig config,
        DenseBlockWeights dense, RbeOptions? compression = null)
    {
        TransformerBlockOptions options =
            new() { OutputColumnName = outputColumnName, InputColumnName = inputColumnName ?? outputColumnName, Config = config, DenseWeights = dense };
        if (compression is not null) options.Compression = compression;
        return TransformerBlock(options);
    }

    /// <summary>The same, with a block of a model.</summary>
    /// <param name="outputColumnName">The column added.</param>
    /// <param name="inputColumnName">The activations; null for the same name.</param>
    /// <param name="modelPath">A <c>.rbe</c> model, or the folder of a Hugging Face GPT-2.</param>
    /// <param name="layer">Which block.</param>
    public TransformerBlockEstimator TransformerBlock(string outputColumnName, string? inputColumnName, string modelPath, int layer = 0)
        => TransformerBlock(
            new TransformerBlockOptions
            {
                OutputColumnName = outputColumnName,
                InputColumnName = inputColumnName ?? outputColumnName,
                ModelPath = modelPath,
                Layer = layer
            });

    /// <inheritdoc cref="TransformerBlock(string, string?, TransformerConfig, BlockWeights)"/>
    /// <param name="options">All settings.</param>
    public TransformerBlockEstimator TransformerBlock(TransformerBlockOptions options) => new(Environment, options);

    /// <summary>Loads a block that <see cref="RbeTransformer.Save"/> wrote.</summary>
    /// <param name="stream">Where from; it is left open.</param>
    /// <exception cref="RbeFileException">The bytes are of something else, of a newer version, cut or damaged.</exception>
    public TransformerBlockTransformer LoadTransformerBlock(Stream stream)
    {
        ArgumentNullException.ThrowIfNull(stream);
        return Loader<TransformerBlockTransformer>.Load(Environment, stream);
    }

    /// <summary>
    /// Texts as vectors of features from a language model, to be learned from by any trainer. How near texts are in meaning an encoder tells, which
    /// <see cref="TextEmbedding(string, string?, string, string?)"/> takes.
    /// </summary>
    /// <param name="outputColumnName">The column added, <c>Vector&lt;Single, D&gt;</c>.</param>
    /// <param name="inputColumnName">The text, or token ids; null for the same name.</param>
    /// <param name="modelPath">A <c>.rbe</c> model, or the folder of a Hugging Face GPT-2.</param>
    /// <param name="pooling">How a text's tokens become one vector.</param>
    /// <param name="layer">Whose output; null takes the last.</param>
    public FeaturizeEstimator Featurize(string outputColumnName, string? inputColumnName, string modelPath, Pooling pooling = Pooling.Mean, int? layer = null)
        => Featurize(new FeaturizeOptions
        {
            OutputColumnName = outputColumnName,
            InputColumnName = inputColumnName ?? outputColumnName,
            ModelPath = modelPath,
            Pooling = pooling,
            Layer = layer
        });

    /// <inheritdoc cref="Featurize(string, string?, string, Pooling, int?)"/>
    /// <param name="outputColumnName">The column added.</param>
    /// <param name="inputColumnName">The text, or token ids; null for the same name.</param>
    /// <param name="model">A model in hand; it is copied.</param>
    /// <param name="pooling">How a text's tokens become one vector.</param>
    /// <param name="layer">Whose output; null takes the last.</param>
    public FeaturizeEstimator Featurize(string outputColumnName, string? inputColumnName, ModelBundle model, Pooling pooling = Pooling.Mean, int? layer = null)
        => Featurize(new FeaturizeOptions
        {
            OutputColumnName = outputColumnName,
            InputColumnName = inputColumnName ?? outputColumnName,
            Model = model,
            Pooling = pooling,
            Layer = layer
        });

    /// <inheritdoc cref="Featurize(string, string?, string, Pooling, int?)"/>
    /// <param name="options">All settings.</param>
    public FeaturizeEstimator Featurize(FeaturizeOptions options) => new(Environment, options);

    /// <summary>Loads a featurizing transformer that <see cref="RbeTransformer.Save"/> wrote.</summary>
    /// <param name="stream">Where from; it is left open.</param>
    /// <exception cref="RbeFileException">The bytes are of something else, of a newer version, cut or damaged.</exception>
    public FeaturizeTransformer LoadFeaturize(Stream stream)
    {
        ArgumentNullException.ThrowIfNull(stream);
        return Loader<FeaturizeTransformer>.Load(Environment, stream);
    }

    /// <summary>
    /// Trains a classifier of texts: a pretrained encoder, best where labels are few, or a GPT-2 model of compressed blocks, and a
    /// linear head. Of a key label it adds <c>PredictedLabel</c> (the same key) and
    /// <c>Score</c> (probabilities), of a Boolean label <c>PredictedLabel</c>, <c>Score</c> (log odds) and <c>Probability</c>.
    /// </summary>
    /// <param name="labelColumnName">The label: a key of UInt32, or a Boolean.</param>
    /// <param name="textColumnName">A text, or a vector of token ids (Int32, Int64, UInt32 or keys).</param>
    /// <param name="outputColumnName">The column of the predicted label.</param>
    /// <param name="scoreColumnName">The column of the scores.</param>
    /// <param name="modelPath">A pretrained model: a <c>.rbe</c> file, or the folder of a BERT or a GPT-2, or the .onnx file of a BERT;
    /// null trains a small new one.</param>
    public TextClassificationTrainer TextClassification(
        string labelColumnName = "Label", string textColumnName = "Text", string outputColumnName = "PredictedLabel",
        string scoreColumnName = "Score", string? modelPath = null)
        => TextClassification(new TextClassificationOptions
        {
            LabelColumnName = labelColumnName,
            TextColumnName = textColumnName,
            PredictedLabelColumnName = outputColumnName,
            ScoreColumnName = scoreColumnName,
            ModelPath = modelPath,
        });

    /// <inheritdoc cref="TextClassification(string, string, string, string, string?)"/>
    /// <param name="options">All settings.</param>
    public TextClassificationTrainer TextClassification(TextClassificationOptions options) => new(Environment, options);

    /// <summary>Loads a classifier that <see cref="RbeTransformer.Save"/> wrote.</summary>
    /// <param name="stream">Where from; it is left open.</param>
    /// <exception cref="RbeFileException">The bytes are of something else, of a newer version, cut or damaged.</exception>
    public TextClassificationTransformer LoadTextClassification(Stream stream)
    {
        ArgumentNullException.ThrowIfNull(stream);
        return Loader<TextClassificationTransformer>.Load(Environment, stream);
    }

    /// <summary>
    /// Trains a language model of texts, a GPT-2 of compressed blocks. It adds <c>Perplexity</c> (Single: how badly the model predicts the text) and
    /// <c>GeneratedText</c> (text: how the model goes on), each computed only where it is read.
    /// </summary>
    /// <param name="textColumnName">A text, or a vector of token ids (Int32, Int64, UInt32 or keys).</param>
    /// <param name="perplexityColumnName">The column of the perplexity; null adds none.</param>
    /// <param name="generatedTextColumnName">The column of the continuation; null adds none.</param>
    /// <param name="modelPath">A pretrained model: a <c>.rbe</c> file or the folder of a Hugging Face GPT-2; null trains a small new one.</param>
    public LanguageModelEstimator LanguageModel(
        string textColumnName = "Text", string? perplexityColumnName = "Perplexity", string? generatedTextColumnName = "GeneratedText",
        string? modelPath = null)
        => LanguageModel(new LanguageModelOptions
        {
            TextColumnName = textColumnName,
            PerplexityColumnName = perplexityColumnName,
            GeneratedTextColumnName = generatedTextColumnName,
            ModelPath = modelPath,
        });

    /// <inheritdoc cref="LanguageModel(string, string?, string?, string?)"/>
    /// <param name="options">All settings.</param>
    public LanguageModelEstimator LanguageModel(LanguageModelOptions options) => new(Environment, options);

    /// <summary>Loads a language model that <see cref="RbeTransformer.Save"/> wrote.</summary>
    /// <param name="stream">Where from; it is left open.</param>
    /// <exception cref="RbeException">The bytes are of something else, of a newer version, cut or damaged.</exception>
    public LanguageModelTransformer LoadLanguageModel(Stream stream)
    {
        ArgumentNullException.ThrowIfNull(stream);
        return Loader<LanguageModelTransformer>.Load(Environment, stream);
    }

    /// <summary>Texts as vectors that say how near they are in meaning, from a pretrained encoder.</summary>
    /// <param name="outputColumnName">The column added, <c>Vector&lt;Single, D&gt;</c>.</param>
    /// <param name="inputColumnName">The text; null for the same name.</param>
    /// <param name="modelPath">A <c>.rbe</c> file of an encoder, or the folder or .onnx file of a BERT.</param>
    /// <param name="prompt">Name of the prompt to put before each text; null for the encoder's default.</param>
    public TextEmbeddingEstimator TextEmbedding(string outputColumnName, string? inputColumnName, string modelPath, string? prompt = null)
        => TextEmbedding(new TextEmbeddingOptions
        {
            OutputColumnName = outputColumnName,
            InputColumnName = inputColumnName ?? outputColumnName,
            ModelPath = modelPath,
            Prompt = prompt,
        });

    /// <inheritdoc cref="TextEmbedding(string, string?, string, string?)"/>
    /// <param name="outputColumnName">The column added, <c>Vector&lt;Single, D&gt;</c>.</param>
    /// <param name="inputColumnName">The text; null for the same name.</param>
    /// <param name="encoder">An encoder in hand; it is copied.</param>
    /// <param name="prompt">Name of the prompt to put before each text; null for the encoder's default.</param>
    public TextEmbeddingEstimator TextEmbedding(string outputColumnName, string? inputColumnName, SentenceEncoder encoder, string? prompt = null)
        => TextEmbedding(new TextEmbeddingOptions
        {
            OutputColumnName = outputColumnName,
            InputColumnName = inputColumnName ?? outputColumnName,
            Encoder = encoder,
            Prompt = prompt,
        });

    /// <inheritdoc cref="TextEmbedding(string, string?, string, string?)"/>
    /// <param name="options">All settings.</param>
    public TextEmbeddingEstimator TextEmbedding(TextEmbeddingOptions options) => new(Environment, options);

    /// <summary>Loads an embedding transformer that <see cref="RbeTransformer.Save"/> wrote.</summary>
    /// <param name="stream">Where from; it is left open.</param>
    /// <exception cref="RbeFileException">The bytes are of something else, of a newer version, cut or damaged.</exception>
    public TextEmbeddingTransformer LoadTextEmbedding(Stream stream)
    {
        ArgumentNullException.ThrowIfNull(stream);
        return Loader<TextEmbeddingTransformer>.Load(Environment, stream);
    }

    /// <summary>Trains an encoder until the cosine of two texts' vectors is what their label says; adds it as the score of the pair.</summary>
    /// <param name="labelColumnName">How alike the texts are, a number 0 to 1 (for another scale use the options).</param>
    /// <param name="sentence1ColumnName">The one text.</param>
    /// <param name="sentence2ColumnName">The other.</param>
    /// <param name="scoreColumnName">The column of the score.</param>
    /// <param name="modelPath">A <c>.rbe</c> file of an encoder, or the folder or .onnx file of a BERT.</param>
    public SentenceSimilarityTrainer SentenceSimilarity(
        string labelColumnName, string sentence1ColumnName, string sentence2ColumnName, string scoreColumnName, string modelPath)
        => SentenceSimilarity(new SentenceSimilarityOptions
        {
            LabelColumnName = labelColumnName,
            Sentence1ColumnName = sentence1ColumnName,
            Sentence2ColumnName = sentence2ColumnName,
            ScoreColumnName = scoreColumnName,
            ModelPath = modelPath,
        });

    /// <inheritdoc cref="SentenceSimilarity(string, string, string, string, string)"/>
    /// <param name="options">All settings.</param>
    public SentenceSimilarityTrainer SentenceSimilarity(SentenceSimilarityOptions options) => new(Environment, options);

    /// <summary>Loads a similarity that <see cref="RbeTransformer.Save"/> wrote.</summary>
    /// <param name="stream">Where from; it is left open.</param>
    /// <exception cref="RbeFileException">The bytes are of something else, of a newer version, cut or damaged.</exception>
    public SentenceSimilarityTransformer LoadSentenceSimilarity(Stream stream)
    {
        ArgumentNullException.ThrowIfNull(stream);
        return Loader<SentenceSimilarityTransformer>.Load(Environment, stream);
    }
}
