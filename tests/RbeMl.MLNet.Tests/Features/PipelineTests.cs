using Microsoft.ML;
using Microsoft.ML.Data;
using RbeMl.Layers;
using RbeMl.MLNet.Blocks;
using RbeMl.MLNet.Features;
using RbeMl.MLNet.Tests.Blocks;
using RbeMl.Models;

namespace RbeMl.MLNet.Tests.Features;

/// <summary>Features, and blocks behind them, among ML.NET's own components.</summary>
public sealed class PipelineTests : IDisposable
{
    private readonly MLContext _ml = new(seed: 1);
    private readonly ModelBundle _bundle = TextRows.Bundle();

    public void Dispose() => _bundle.Dispose();

    [Fact]
    public void TrainersCrossValidateAndTellWhichFeaturesMatter()
    {
        TextRows.Row[] rows =
            [.. Enumerable.Range(0, 60).Select(i => new TextRows.Row { Id = i, Label = i % 2 == 0, Text = i % 2 == 0 ? $"aaaa {i}" : $"zzzz {i}" })];
        IDataView data = _ml.Data.LoadFromEnumerable(rows);
        IEstimator<ITransformer> pipeline = Featurize().AppendCacheCheckpoint(_ml).Append(_ml.BinaryClassification.Trainers.LbfgsLogisticRegression());
        Assert.All(_ml.BinaryClassification.CrossValidate(data, pipeline, 3), fold => Assert.InRange(fold.Metrics.Accuracy, 0.95, 1));

        IDataView features = _ml.Transforms.Conversion.ConvertType("Number", "Label", DataKind.Single).Append(Featurize()).Fit(data).Transform(data);
        var model = _ml.Regression.Trainers.Sdca("Number", "Features").Fit(features);
        var importance = _ml.Regression.PermutationFeatureImportance(model, features, labelColumnName: "Number", permutationCount: 2);
        Assert.Equal(_bundle.Model.Config.Width, importance.Length);
        Assert.Contains(importance, metrics => metrics.MeanSquaredError.Mean > 0);
    }

    [Fact]
    public void OneLookAheadBehindAnotherInAnyOrderOfRows()
    {
        IDataView data =
            _ml.Data.Cache(_ml.Data.LoadFromEnumerable(Enumerable.Range(0, 40)
                .Select(i => new TextRows.Row { Id = i, Text = new string((char)('a' + (i % 26)), 1 + (i % 9)) })));
        IEstimator<ITransformer> pipeline = Featurize().Append(_ml.Rbe.TransformerBlock(new TransformerBlockOptions
        {
            OutputColumnName = "Y",
            InputColumnName = "Features",
            Config = BlockRows.Config,
            Weights = BlockRows.Weights,
            BatchTokens = 7,
        }));
        ITransformer model = pipeline.Fit(data);
        Dictionary<int, float[]> expected = Read(model.Transform(data)).ToDictionary(r => r.Id, r => r.Y);
        Assert.Equal(40, expected.Count);
        using RbeTransformerBlock<float> block = new(BlockRows.Config, BlockRows.Weights);
        Assert.Equal(block.Forward(TextRows.Expected(_bundle, "bb"), 1, 1).Output, expected[1]);

        IDataView[] views =
        [
            _ml.Data.ShuffleRows(model.Transform(data), seed: 3),
            model.Transform(_ml.Data.ShuffleRows(data, seed: 5)),
            _ml.Data.SkipRows(model.Transform(data), 11),
            _ml.Data.TakeRows(model.Transform(data), 3),
            _ml.Data.FilterRowsByColumn(model.Transform(_ml.Transforms.Conversion.ConvertType("Number", "Id").Fit(data).Transform(data)), "Number", 5, 17),
        ];
        int[] counts = [40, 40, 29, 3, 12];
        foreach ((IDataView view, int count) in views.Zip(counts))
        {
            Output[] rows = [.. Read(view)];
            Assert.Equal(count, rows.Length);
            Assert.All(rows, row => Assert.Equal(expected[row.Id], row.Y));
        }

        Assert.NotEqual(Enumerable.Range(0, 40), Read(views[0]).Select(r => r.Id));
    }

    private FeaturizeEstimator Featurize() => _ml.Rbe.Featurize(new FeaturizeOptions { Model = _bundle, BatchRows = 6 });

    private IEnumerable<Output> Read(IDataView view) => _ml.Data.CreateEnumerable<Output>(view, reuseRowObject: false, ignoreMissingColumns: true);

    private sealed class Output
    {
        public int Id { get; set; }

        public float[] Y { get; set; } = [];
    }
}
