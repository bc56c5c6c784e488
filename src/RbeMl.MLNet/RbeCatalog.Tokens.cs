using Microsoft.ML.Tokenizers;
using RbeMl.MLNet.Tokens;
using RbeMl.Text;

namespace RbeMl.MLNet;

public sealed partial class RbeCatalog
{
    /// <summary>Turns a text column into token ids, a <c>VarVector&lt;Int32&gt;</c>.</summary>
    /// <param name="outputColumnName">The column added.</param>
    /// <param name="inputColumnName">The text column; null for the same name.</param>
    /// <param name="tokenizer">The tokenizer; null for the bytes of UTF-8. <see cref="RbeTokenizers"/> reads GPT-2's and tiktoken's files.</param>
    public TokenizeEstimator Tokenize(string outputColumnName, string? inputColumnName = null, ITokenizer? tokenizer = null)
        => Tokenize(new TokenizeOptions { OutputColumnName = outputColumnName, InputColumnName = inputColumnName ?? outputColumnName, Tokenizer = tokenizer ?? new ByteTokenizer() });

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
}
