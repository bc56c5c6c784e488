using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Runtime;
using RbeMl.MLNet.Columns;
using RbeMl.Text;

namespace RbeMl.MLNet.Tokens;

/// <summary>What <c>ml.Rbe.Tokenize</c> can be told.</summary>
public sealed class TokenizeOptions
{
    /// <summary>The column of ids that is added.</summary>
    public string OutputColumnName { get; set; } = "Tokens";

    /// <summary>The text column.</summary>
    public string InputColumnName { get; set; } = "Text";

    /// <summary>Ids beyond so many are cut off.</summary>
    public int MaxTokens { get; set; } = int.MaxValue;

    /// <summary>The tokenizer; bytes of UTF-8 when none is given.</summary>
    public ITokenizer Tokenizer { get; set; } = new ByteTokenizer();
}

/// <summary>Makes a <see cref="TokenizeTransformer"/>.</summary>
public sealed class TokenizeEstimator : IEstimator<TokenizeTransformer>
{
    private readonly IHostEnvironment _environment;
    private readonly TokenizeOptions _options;

    internal TokenizeEstimator(IHostEnvironment environment, TokenizeOptions options) => (_environment, _options) = (environment, options);

    /// <inheritdoc/>
    public TokenizeTransformer Fit(IDataView input)
    {
        ArgumentNullException.ThrowIfNull(input);
        GetOutputSchema(InputColumn.Shape(input.Schema));
        return new TokenizeTransformer(_environment, _options);
    }

    /// <inheritdoc/>
    public SchemaShape GetOutputSchema(SchemaShape inputSchema)
    {
        InputColumn.Find(inputSchema, _options.InputColumnName, c => c.Kind == SchemaShape.Column.VectorKind.Scalar && c.ItemType is TextDataViewType, "String");
        return InputColumn.Add(inputSchema, TokenizeTransformer.Added(_options));
    }
}
