using System.Numerics.Tensors;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Runtime;
using RbeMl.Codec;
using RbeMl.Compression;
using RbeMl.Files;
using RbeMl.Layers;
using RbeMl.MLNet.Columns;
using RbeMl.Models;

namespace RbeMl.MLNet.Blocks;

/// <summary>Makes a <see cref="TransformerBlockTransformer"/>: takes, loads or compresses the weights.</summary>
public sealed class TransformerBlockEstimator : IEstimator<TransformerBlockTransformer>
{
    private readonly IHost _host;
    private readonly TransformerBlockOptions _options;
    private readonly BlockColumns _columns;
    private readonly Lazy<(TransformerConfig Config, BlockWeights? Compressed, DenseBlockWeights? Dense)> _source;

    internal TransformerBlockEstimator(IHostEnvironment environment, TransformerBlockOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        _host = environment.Register(nameof(TransformerBlockEstimator));
        _options = options.Checked();
        _columns = new BlockColumns(options.OutputColumnName, options.InputColumnName, options.PaddingMaskColumnName, options.VariableLength,
            options.BatchTokens, options.Threads);
        _source = new(Load, LazyThreadSafetyMode.PublicationOnly); // a failure is not kept: a file may appear later
    }

    /// <summary>Checks the columns and compresses, where the weights are dense.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A column is missing or of another type.</exception>
    /// <exception cref="RbeFileException">The model cannot be read.</exception>
    public TransformerBlockTransformer Fit(IDataView input)
    {
        ArgumentNullException.ThrowIfNull(input);
        (TransformerConfig config, BlockWeights? compressed, DenseBlockWeights? dense) = _source.Value;
        GetOutputSchema(InputColumn.Shape(input.Schema));
        (DataViewSchema.Column[] sources, _) = _columns.Find(input.Schema, config.Width, config.MaxSequenceLength);
        if (dense is not null)
        {
            using IChannel channel = _host.Start("Compress");
            BlockCalibration? calibration = _options.CalibrationRows == 0 ? null : Calibrate(dense, config, input, sources[0], channel);
            CalibratedBlock block = CalibratedBlock.Compress(dense, config, new PerMatrix<RbeOptions>(_ => _options.Compression), calibration);
            channel.Info(MessageSensitivity.None, "Compressed {0} weights to {1:F2} bits each.", block.Reports.Values.Sum(r => r.Weights), block.BitsPerWeight);
            compressed = block.Weights;
        }

        return new TransformerBlockTransformer(_host, _columns, config, compressed!);
    }

    /// <inheritdoc/>
    public SchemaShape GetOutputSchema(SchemaShape inputSchema) => _columns.Add(inputSchema, _source.Value.Config.Width);

    private BlockCalibration? Calibrate(DenseBlockWeights dense, TransformerConfig config, IDataView data, DataViewSchema.Column column, IChannel channel)
    {
        List<float[]> rows = [];
        using (DataViewRowCursor cursor = data.GetRowCursor([column]))
        {
            ValueGetter<VBuffer<float>> getter = cursor.GetGetter<VBuffer<float>>(column);
            VBuffer<float> buffer = default;
            while (rows.Count < _options.CalibrationRows && cursor.MoveNext())
            {
                getter(ref buffer);
                float[] values = [.. buffer.DenseValues()];
                bool fits = values.Length > 0 && values.Length % config.Width == 0 && values.Length / config.Width <= config.MaxSequenceLength;
                if (fits && TensorPrimitives.IsFiniteAll<float>(values)) rows.Add(values);
            }
        }

        if (rows.Count == 0)
        {
            channel.Warning(MessageSensitivity.None, "No row of the data can be calibrated with: the weights are compressed for themselves alone.");
            return null;
        }

        // One batch needs one length: the rows of the commonest.
        IGrouping<int, float[]> common = rows.GroupBy(r => r.Length).OrderByDescending(g => (long)g.Count() * g.Key).First();
        float[][] chosen = [.. common];
        return BlockCalibration.Run(dense, config,
            new BlockActivationData([.. chosen.SelectMany(r => r)], chosen.Length, common.Key / config.Width, config.Width));
    }

    private (TransformerConfig Config, BlockWeights? Compressed, DenseBlockWeights? Dense) Load()
    {
        if (_options.ModelPath is not { } path) return (_options.Config!, _options.Weights, _options.DenseWeights);
        if (Directory.Exists(path))
        {
            using Gpt2Directory directory = Gpt2Directory.Open(path);
            CheckLayer(path, directory.Config);
            return (directory.Config, null, directory.ReadBlock(_options.Layer));
        }

        using ModelBundle bundle = ModelSource.Load(path);
        CheckLayer(path, bundle.Model.Config);
        return (bundle.Model.Config, bundle.Model.GetWeights().Blocks[_options.Layer], null);
    }

    private void CheckLayer(string path, TransformerConfig config)
    {
        if ((uint)_options.Layer >= (uint)config.Layers)
        {
            throw new InvalidSettingException("layer", _options.Layer, $"{path} has blocks 0 .. {config.Layers - 1}.");
        }
    }
}
