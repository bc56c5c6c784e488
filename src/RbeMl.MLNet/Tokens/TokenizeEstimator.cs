using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Runtime;
using RbeMl.MLNet.Columns;

namespace RbeMl.MLNet.Tokens;

/// <summary>Makes a <see cref="TokenizeTransformer"/>; there is nothing to learn.</summary>
public sealed class TokenizeEstimator : IEstimator<TokenizeTransformer>
{
    private readonly IHostEnvironment _environment;
    private readonly TokenizeOptions _options;

    internal TokenizeEstimator(IHostEnvironment environment, TokenizeOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        (_environment, _options) = (environment, options.Checked());
    }

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
        InputColumn.Find(inputSchema, _options.InputColumnName, c => c.Kind == SchemaShape.Column.VectorKind.Scalar
            && c.ItemType is TextDataViewType, "String");
        return InputColumn.Add(inputSchema, TokenizeTransformer.Added(_options));
    }
}
