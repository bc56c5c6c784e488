using RbeMl.Layers;
using RbeMl.Models;
using RbeMl.Text;

namespace RbeMl.Files;

/// <summary>
/// A model with dense weights as others publish it, opened and checked: a folder of Hugging Face, or what holds the same. Data are read when asked for. Which
/// kinds there are is in <see cref="ModelFolders"/>.
/// </summary>
public interface IModelFolder : IDisposable
{
    /// <summary>The folder or file.</summary>
    string Path { get; }

    /// <summary>The kind of model, as <c>model_type</c> of a config.json names it: <c>gpt2</c> or <c>bert</c>.</summary>
    string ModelType { get; }

    /// <summary>Shapes and constants.</summary>
    TransformerConfig Config { get; }

    /// <summary>Values of all weights.</summary>
    long ValueCount { get; }

    /// <summary>The tokenizer, or null when there is none that can be read. The weights do not depend on it.</summary>
    ITokenizer? Tokenizer { get; }

    /// <summary>Why the tokenizer that is there cannot be read, in a sentence; null when it was read, or when there is none.</summary>
    string? TokenizerProblem { get; }

    /// <summary>Which ids end a text, and which stand for nothing.</summary>
    ModelTokens Tokens { get; }

    /// <summary>How an encoder makes a vector of a text; null for a language model.</summary>
    EncoderSettings? Encoder { get; }

    /// <summary>The weights of a block.</summary>
    /// <param name="layer">0 .. layers - 1.</param>
    /// <exception cref="NonFiniteException">A weight is NaN or infinite.</exception>
    /// <exception cref="RbeFileException">The file cannot be read.</exception>
    DenseBlockWeights ReadBlock(int layer);

    /// <summary>[V, D] row-major.</summary>
    /// <inheritdoc cref="ReadBlock"/>
    float[] ReadTokenEmbedding();

    /// <summary>[positions, D] row-major, the first token type of an encoder added.</summary>
    /// <inheritdoc cref="ReadBlock"/>
    float[] ReadPositionEmbedding();

    /// <summary>[types, D] row-major, see <see cref="TransformerWeights.TokenTypes"/>; null where there are none.</summary>
    /// <inheritdoc cref="ReadBlock"/>
    float[]? ReadTokenTypes();

    /// <summary>Gamma [D] and beta [D] of the last LayerNorm.</summary>
    /// <inheritdoc cref="ReadBlock"/>
    (float[] Gamma, float[] Beta) ReadFinalNorm();

    /// <summary>[V, D] row-major, or null when the head is tied to the token embedding, or there is none.</summary>
    /// <inheritdoc cref="ReadBlock"/>
    float[]? ReadHead();
}
