using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Runtime;
using RbeMl.MLNet.Columns;
using RbeMl.Models;

namespace RbeMl.MLNet.Embeddings;

/// <summary>Makes a <see cref="TextEmbeddingTransformer"/>: loads or copies the encoder.</summary>
/// <remarks>
/// <list type="table">
/// <listheader><term>Characteristic</term><description>Value</description></listheader>
/// <item><term>Does it look at the data</term><description>No</description></item>
/// <item><term>Input column type</term><description>Text</description></item>
/// <item><term>Output column type</term><description>Vector of Single, of the encoder's width and, where the encoder says so, of length
/// 1</description></item>
/// <item><term>Exportable to ONNX</term><description>No</description></item>
/// </list>
/// </remarks>
public sealed class TextEmbeddingEstimator : IEstimator<TextEmbeddingTransformer>
{
    private readonly IHostEnvironment _environment;
    private readonly TextEmbeddingOptions _options;

    internal TextEmbeddingEstimator(IHostEnvironment environment, TextEmbeddingOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        (_environment, _options) = (environment, options.Checked());
    }

    /// <summary>Checks the column and takes the encoder.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The column is missing or of another type.</exception>
    /// <exception cref="InvalidSettingException">A setting does not fit the encoder.</exception>
    /// <exception cref="RbeFileException">No encoder can be read there.</exception>
    /// <exception cref="ObjectDisposedException">The encoder that was given is disposed.</exception>
    public TextEmbeddingTransformer Fit(IDataView input)
    {
        ArgumentNullException.ThrowIfNull(input);
        GetOutputSchema(InputColumn.Shape(input.Schema));
        SentenceEncoder encoder = EncoderSource.Take(_options.ModelPath, _options.Encoder, _options.MaxTokens, _options.LongTexts, _options.Threads);
        try
        {
            _ = encoder.Settings.Prompt(_options.Prompt);
            TextEmbeddingColumns columns = new(_options.OutputColumnName, _options.InputColumnName, _options.Prompt,
                new Runtime.ScoringSettings(_options.BatchRows, _options.Threads));
            TextEmbeddingTransformer made = new(_environment, columns, encoder);
            made.GetOutputSchema(input.Schema);
            return made;
        }
        catch
        {
            encoder.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public SchemaShape GetOutputSchema(SchemaShape inputSchema)
    {
        TextColumn.Find(inputSchema, _options.InputColumnName);
        return InputColumn.Add(inputSchema, new AddedColumn(_options.OutputColumnName, new VectorDataViewType(NumberDataViewType.Single, 1)));
    }
}
