using RbeMl.Layers;
using RbeMl.Models;
using RbeMl.Text;

namespace RbeMl.Files;

/// <summary>
/// A BERT encoder with dense weights as others publish it, whatever holds its weights: tokenizer, pooling, length and prompts are those of the files of a
/// Hugging Face folder, and data are read when asked for.
/// </summary>
public abstract class BertModelFolder : IModelFolder
{
    private readonly BertWeights _weights;
    private readonly int _types;

    /// <summary>Reads what stands beside the weights.</summary>
    /// <param name="path">What holds the weights, for messages.</param>
    /// <param name="folder">Where tokenizer and settings are.</param>
    /// <param name="config">Shapes.</param>
    /// <param name="types">Token types.</param>
    /// <param name="read">Values of a tensor by its plain name, see <see cref="BertWeights"/>.</param>
    private protected BertModelFolder(string path, string folder, TransformerConfig config, int types, Func<string, float[]> read)
    {
        (Path, Config, _types, _weights) = (path, config, types, new BertWeights(config, read));
        try
        {
            Tokenizer = BertTokenizerFiles.LoadFolder(folder, config.Vocabulary);
        }
        catch (RbeFileException error)
        {
            TokenizerProblem = error.Message;
        }

        Encoder = SentenceTransformerFiles.Read(folder, config);
    }

    /// <inheritdoc/>
    public string Path { get; }

    /// <inheritdoc/>
    public string ModelType => BertConfigJson.ModelType;

    /// <inheritdoc/>
    public TransformerConfig Config { get; }

    /// <inheritdoc/>
    public long ValueCount => BertTensorNames.All(Config, _types).Sum(tensor => tensor.Shape.Aggregate(1L, (a, b) => a * b));

    /// <summary>The tokenizer, or null when there is none that can be read. The weights do not depend on it.</summary>
    public WordPieceTokenizer? Tokenizer { get; }

    ITokenizer? IModelFolder.Tokenizer => Tokenizer;

    /// <inheritdoc/>
    public string? TokenizerProblem { get; }

    /// <inheritdoc/>
    public ModelTokens Tokens => ModelTokens.Unknown.With(Tokenizer, Config.Vocabulary);

    /// <summary>How it makes a vector of a text: as sentence-transformers' files say, else the mean over the tokens, of length 1.</summary>
    public EncoderSettings Encoder { get; }

    EncoderSettings? IModelFolder.Encoder => Encoder;

    /// <inheritdoc/>
    public DenseBlockWeights ReadBlock(int layer) => _weights.Block(layer);

    /// <inheritdoc/>
    public float[] ReadTokenEmbedding() => _weights.TokenEmbedding();

    /// <inheritdoc/>
    public float[] ReadPositionEmbedding() => _weights.Positions();

    /// <inheritdoc/>
    public float[]? ReadTokenTypes() => _weights.TokenTypes();

    /// <inheritdoc/>
    public (float[] Gamma, float[] Beta) ReadFinalNorm() => _weights.FinalNorm();

    /// <summary>None: an encoder predicts no tokens.</summary>
    public float[]? ReadHead() => null;

    /// <inheritdoc/>
    public abstract void Dispose();
}
