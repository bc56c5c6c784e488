using Microsoft.ML;
using Microsoft.ML.Data;
using RbeMl.Benchmarks.MlNet;
using RbeMl.Files;
using RbeMl.Layers;
using RbeMl.MLNet.Classification;
using RbeMl.Models;
using RbeMl.Training;

namespace RbeMl.Benchmarks.FewLabels;

/// <summary>Scores of heads on a model that stays as it is: the vectors of the test texts are computed once for all of them.</summary>
internal sealed class FrozenTest
{
    private readonly float[][] _vectors;

    public FrozenTest(string model, IReadOnlyList<LabelledText> test, int context)
    {
        using ModelBundle bundle = ModelSource.Load(model);
        using SentenceEncoder encoder = new(bundle with { Encoder = bundle.Encoder! with { MaxTokens = context } });
        _vectors = encoder.Embed([.. test.Select(t => t.Text)]);
    }

    /// <summary>The test with the columns of a classifier.</summary>
    public IDataView Score(MLContext ml, TextClassificationTransformer fitted, IDataView test)
    {
        using SequenceClassifier<float> classifier = fitted.CopyClassifier();
        ParameterVector<float> head = classifier.Head;
        float[] weight = head.ToFloats(head.Slices[0]), bias = head.ToFloats(head.Slices[1]);
        uint[] labels = [.. test.GetColumn<uint>("Label")]; // from 1 on; rows that are loaded count keys from 0 on
        Row[] rows = [.. _vectors.Select((vector, i) => new Row { Label = labels[i] - 1, Score = Probabilities(vector, weight, bias) })];
        foreach (Row row in rows) row.PredictedLabel = (uint)Array.IndexOf(row.Score, row.Score.Max());
        SchemaDefinition schema = SchemaDefinition.Create(typeof(Row));
        schema[nameof(Row.Score)].ColumnType = new VectorDataViewType(NumberDataViewType.Single, fitted.Classes.Count);
        foreach (string key in new[] { nameof(Row.Label), nameof(Row.PredictedLabel) })
        {
            schema[key].ColumnType = new KeyDataViewType(typeof(uint), fitted.Classes.Count);
        }

        return ml.Data.LoadFromEnumerable(rows, schema);
    }

    private static float[] Probabilities(float[] vector, float[] weight, float[] bias)
    {
        float[] scores = [.. bias.Select((b, c) => b + vector.Select((v, f) => v * weight[(c * vector.Length) + f]).Sum())];
        ClassifierHead.Probabilities<float>(scores);
        return scores;
    }

    private sealed class Row
    {
        public uint Label { get; set; }

        public uint PredictedLabel { get; set; }

        public float[] Score { get; set; } = [];
    }
}
