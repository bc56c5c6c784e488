using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Runtime;
using RbeMl.Files;
using RbeMl.Layers;
using RbeMl.MLNet.Columns;
using RbeMl.Models;
using RbeMl.Text;

namespace RbeMl.MLNet.Features;

/// <summary>Makes a <see cref="FeaturizeTransformer"/>: loads or copies the model.</summary>
public sealed class FeaturizeEstimator : IEstimator<FeaturizeTransformer>
{
    private readonly IHostEnvironment _environment;
    private readonly FeaturizeOptions _options;

    internal FeaturizeEstimator(IHostEnvironment environment, FeaturizeOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        (_environment, _options) = (environment, options.Checked());
    }

    /// <summary>Checks the columns and takes the model.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The column is missing or of another type.</exception>
    /// <exception cref="InvalidSettingException">A setting does not fit the model, or it has no tokenizer for a text.</exception>
    /// <exception cref="RbeFileException">The model cannot be read.</exception>
    public FeaturizeTransformer Fit(IDataView input)
    {
        ArgumentNullException.ThrowIfNull(input);
        GetOutputSchema(InputColumn.Shape(input.Schema));
        ModelBundle bundle = _options.ModelPath is { } path ? ModelSource.Load(path)
            : _options.Model! with { Model = new TransformerModel<float>(_options.Model!.Model.GetWeights()) };
        FeaturizeTransformer? made = null;
        try
        {
            TransformerConfig config = bundle.Model.Config;
            ITokenizer? tokenizer = _options.Tokenizer ?? bundle.Tokenizer;
            if (tokenizer is null && input.Schema[_options.InputColumnName].Type is TextDataViewType)
            {
                bundle.RequireTokenizer(nameof(FeaturizeOptions.Tokenizer), "null", "the model",
                    $"give one, or a column of token ids: '{_options.InputColumnName}' is a text.");
            }

            if (bundle.Encoder is not null && input.Schema[_options.InputColumnName].Type is TextDataViewType)
            {
                throw new InvalidSettingException(nameof(FeaturizeOptions.Model), bundle.Model.Config.Describe(),
                    "an encoder makes vectors of texts in its own way: use ml.Rbe.TextEmbedding. "
                        + "Featurize is for language models, and for columns of token ids.");
            }

            FeatureOptions features = new() { Layer = _options.Layer, Pooling = _options.Pooling };
            features.Resolve(config.Layers);
            int tokens = _options.MaxTokens ?? config.MaxSequenceLength;
            if (tokens < 1 || tokens > config.MaxSequenceLength)
            {
                throw new InvalidSettingException(nameof(FeaturizeOptions.MaxTokens), tokens, $"use 1 to {config.MaxSequenceLength}, the model's positions.");
            }

            FeaturizeColumns columns = new(_options.OutputColumnName, _options.InputColumnName, tokens, _options.KeepEnd, _options.BatchRows, _options.Threads);
            made = new FeaturizeTransformer(_environment, columns, features, bundle.Model, tokenizer);
            made.GetOutputSchema(input.Schema);
            return made;
        }
        catch
        {
            bundle.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public SchemaShape GetOutputSchema(SchemaShape inputSchema)
    {
        InputColumn.Find(inputSchema, _options.InputColumnName, TokenColumn.Fits, TokenColumn.Expected);
        return InputColumn.Add(inputSchema, new AddedColumn(_options.OutputColumnName, new VectorDataViewType(NumberDataViewType.Single, 1)));
    }
}
