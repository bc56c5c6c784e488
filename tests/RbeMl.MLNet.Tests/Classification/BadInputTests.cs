using Microsoft.ML;
using Microsoft.ML.Data;
using RbeMl.MLNet.Classification;

namespace RbeMl.MLNet.Tests.Classification;

public sealed class BadInputTests
{
    private readonly MLContext _ml = new(1);

    [Fact]
    public void MissingAndWrongColumnsAreNamed()
    {
        IDataView data = Toy.Multiclass(_ml);
        foreach ((string column, IDataView bad) in ((string, IDataView)[])
        [
            ("Text", Toy.Drop(_ml, "Text", data)),
            ("Label", Toy.Drop(_ml, "Label", data)),
            ("Label", _ml.Transforms.CopyColumns("Label", "Text").Fit(data).Transform(data)),
            ("Text", _ml.Transforms.CopyColumns("Text", "Label").Fit(data).Transform(data)),
            ("Text", _ml.Transforms.Text.FeaturizeText("Text").Fit(data).Transform(data)),
            ("Label", _ml.Data.LoadFromEnumerable(Enumerable.Range(0, 4).Select(_ => new OneKey()))),
        ])
        {
            Assert.Contains($"'{column}'", Assert.Throws<ArgumentOutOfRangeException>(() => Toy.Fit(_ml, bad)).Message);
        }
    }

    [Fact]
    public void OneClassOrNoneIsRefused()
    {
        IDataView one = Toy.Multiclass(_ml, [.. Toy.Rows().Where(r => r.Name == "owl")]);
        Assert.Contains("'owl'", Assert.Throws<InvalidOperationException>(() => Toy.Fit(_ml, one)).Message);
        IDataView none = Toy.Multiclass(_ml, new Toy.Row { Text = "cat", Name = "horse" }, new Toy.Row { Text = "", Name = "cat" });
        string message = Assert.Throws<InvalidOperationException>(() => Toy.Fit(_ml, none)).Message;
        Assert.Contains("1 without a label, 1 without a text", message);
    }

    [Theory]
    [InlineData(256)]
    [InlineData(300)]
    public void RowsWithoutLabelOrTextAreLeftOutAndScoredAsMissing(int vocabulary)
    {
        List<string> log = [];
        _ml.Log += (_, e) => log.Add(e.Message);
        Toy.Row[] rows =
            [.. Toy.Rows(), new() { Text = "cat", Name = "horse" }, new() { Text = "", Name = "cat" }, new() { Text = null!, Name = "cat" }, .. Toy.Rows(3)];
        IDataView data = Toy.Multiclass(_ml, rows), good = Toy.Multiclass(_ml, [.. Toy.Rows(), .. Toy.Rows(3)]);
        TextClassificationTransformer model = Toy.Fit(_ml, data, o => o.VocabularySize = vocabulary),
            clean = Toy.Fit(_ml, good, o => o.VocabularySize = vocabulary);
        Assert.Equal((27, 3), (model.Summary.Examples, model.Summary.SkippedRows));
        Assert.Contains(log, m => m.Contains("1 rows without a label and 2 without a text", StringComparison.Ordinal));

        float[][] scores = Toy.Scores(_ml, model, data), expected = Toy.Scores(_ml, clean, good);
        Assert.Equal(expected, scores.Where((_, i) => i is < 24 or > 26));
        Assert.All(scores[25..27], row => Assert.All(row, s => Assert.True(float.IsNaN(s))));
        uint[] labels = [.. model.Transform(data).GetColumn<uint>("PredictedLabel")];
        Assert.Equal([25, 26], Enumerable.Range(0, labels.Length).Where(i => labels[i] == 0));
        Assert.Contains(log, m => m.Contains("its scores are NaN", StringComparison.Ordinal));
        MulticlassClassificationMetrics metrics = _ml.MulticlassClassification.Evaluate(model.Transform(data));
        Assert.True(double.IsFinite(metrics.LogLoss));
    }

    [Fact]
    public void BinaryMissingRowsAreNaN()
    {
        TextClassificationTransformer model = Toy.Fit(_ml, Toy.Binary(_ml));
        IDataView view = model.Transform(_ml.Data.LoadFromEnumerable<Toy.Row>([new() { Text = "dog" }, new() { Text = "" }]));
        Assert.Equal([false, true], view.GetColumn<float>("Score").Select(float.IsNaN));
        Assert.Equal([false, true], view.GetColumn<float>("Probability").Select(float.IsNaN));
        Assert.False(view.GetColumn<bool>("PredictedLabel").Last());
    }

    [Fact]
    public void LongTextsAreCutAtTheEndAskedFor()
    {
        IDataView data = Toy.Multiclass(_ml);
        string end = "0123456789 owl !", all = string.Concat(Enumerable.Repeat("cat dog ", 500)) + end;
        foreach (bool keepEnd in (bool[])[false, true])
        {
            TextClassificationTransformer model = Toy.Fit(_ml, data, o => o.KeepEnd = keepEnd);
            float[] expected = Score(model, keepEnd ? end : "cat dog cat dog "), cut = Score(model, all);
            Assert.Equal(expected, cut);
            Assert.NotEqual(Score(model, keepEnd ? "cat dog cat dog " : end), cut);
        }

        float[] Score(ITransformer model, string text) => Toy.Scores(_ml, model, Toy.Multiclass(_ml, new Toy.Row { Text = text, Name = "cat" }))[0];
    }

    [Fact]
    public void AClassThatWasNeverSeenHasALowScore()
    {
        IDataView data = Toy.Multiclass(_ml, [.. Toy.Rows().Where(r => r.Name != "owl")]);
        float[][] scores = Toy.Scores(_ml, Toy.Fit(_ml, data), data);
        Assert.All(scores, row => Assert.True(row.Length == 3 && row[2] < 0.2f, string.Join(" ", row)));
    }

    [Fact]
    public void IdsOutsideTheVocabularyAreMissingRows()
    {
        IDataView data =
            _ml.Data.LoadFromEnumerable<IdRow>([new(true, [1, 2]), new(false, [3]), new(true, [2, 1]), new(false, [3, 3]), new(true, [-1]), new(false, [9])]);
        TextClassificationTransformer model = Toy.Fit(_ml, data, o => (o.TextColumnName, o.VocabularySize) = ("Ids", 5));
        Assert.Equal(2, model.Summary.SkippedRows);
        Assert.Equal([false, false, false, false, true, true], Toy.Scores(_ml, model, data).Select(s => float.IsNaN(s[0])));
    }

    [Fact]
    public void AModelOfIdsRefusesTexts()
    {
        IDataView data = Toy.Binary(_ml), tokens = _ml.Rbe.Tokenize("Ids", "Text").Fit(data).Transform(data);
        TextClassificationTransformer model = Toy.Fit(_ml, Toy.Drop(_ml, "Text", tokens), o => o.TextColumnName = "Ids");
        IDataView texts = _ml.Transforms.CopyColumns("Ids", "Text").Fit(data).Transform(data);
        Assert.Contains("Ids", Assert.Throws<ArgumentOutOfRangeException>(() => model.Transform(texts)).Message);
    }

    [Fact]
    public void ValidationDataMustBeOfTheSameKind()
    {
        IDataView data = Toy.Multiclass(_ml);
        Assert.Contains("'Label'", Assert.Throws<ArgumentOutOfRangeException>(() => Fit(Toy.Drop(_ml, "Label", data))).Message);
        Assert.Contains("False, True", Assert.Throws<InvalidSettingException>(() => Fit(Toy.Binary(_ml))).Message);
        IDataView ids = _ml.Transforms.CopyColumns("Text", "Ids").Fit(Ids()).Transform(Ids());
        Assert.Contains("String", Assert.Throws<InvalidSettingException>(() => Fit(ids)).Message);
        Assert.Contains("Validation data",
            Assert.Throws<InvalidOperationException>(() => Fit(Toy.Multiclass(_ml, new Toy.Row { Text = "", Name = "cat" }))).Message);

        IDataView Ids() => _ml.Rbe.Tokenize("Ids", "Text").Fit(data).Transform(data);
        TextClassificationTransformer Fit(IDataView validation) => Toy.Fit(_ml, data, o => o.Validation = validation);
    }

    private sealed record IdRow(bool Label, int[] Ids);

    private sealed class OneKey
    {
        public string Text { get; set; } = "cat";

        [KeyType(1)]
        public uint Label { get; set; } = 1;
    }
}
