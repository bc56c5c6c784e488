using RbeMl.MLNet.Tokens;
using RbeMl.Text;

namespace RbeMl.MLNet;

public sealed partial class RbeCatalog
{
    /// <summary>Turns a text column into token ids, a <c>VarVector&lt;Int32&gt;</c>.</summary>
    /// <param name="outputColumnName">The column added.</param>
    /// <param name="inputColumnName">The text column; null for the same name.</param>
    /// <param name="tokenizer">The tokenizer; null for the bytes of UTF-8.</param>
    public TokenizeEstimator Tokenize(string outputColumnName, string? inputColumnName = null, ITokenizer? tokenizer = null)
        => Tokenize(new TokenizeOptions { OutputColumnName = outputColumnName, InputColumnName = inputColumnName ?? outputColumnName, Tokenizer = tokenizer ?? new ByteTokenizer() });

    /// <inheritdoc cref="Tokenize(string, string?, ITokenizer?)"/>
    /// <param name="options">All settings.</param>
    public TokenizeEstimator Tokenize(TokenizeOptions options) => new(Environment, options);
}
