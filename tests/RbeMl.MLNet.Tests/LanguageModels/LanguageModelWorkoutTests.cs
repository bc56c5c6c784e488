using Microsoft.ML;
using RbeMl.MLNet.Runtime;
using RbeMl.MLNet.Tests.Workout;
using Xunit.Abstractions;

namespace RbeMl.MLNet.Tests.LanguageModels;

/// <summary>The language model is a citizen of ML.NET.</summary>
public sealed class LanguageModelWorkoutTests(ITestOutputHelper output)
{
    private readonly MLContext _ml = new(seed: 1);

    [Theory]
    [InlineData("Perplexity", "GeneratedText")]
    [InlineData(null, "GeneratedText")]
    [InlineData("Perplexity", null)]
    public void Citizenship(string? perplexity, string? generated)
    {
        IDataView valid = Verses.View(_ml);
        RefusedBy all = RefusedBy.Shape | RefusedBy.Fit | RefusedBy.Transform;
        WorkoutReport report = EstimatorWorkout.Check(_ml, Make(), valid, new WorkoutOptions
        {
            ForwardCount = () => ForwardCounter.Rows,
            Again = Make,
            Downstream = _ml.Transforms.CopyColumns("Copy", perplexity ?? generated!),
            CrossValidate = (estimator, data) => Assert.All(_ml.Data.CrossValidationSplit(data, 2), fold =>
                Assert.Equal(fold.TestSet.Preview(100).RowView.Length, estimator.Fit(fold.TrainSet).Transform(fold.TestSet).Preview(100).RowView.Length)),
            Predictions = 100,
            Threads = 4,
            ChildProcess = perplexity is not null && generated is not null,
            Invalid =
            [
                new InvalidInput(_ml.Transforms.DropColumns("Text").Fit(Extended()).Transform(Extended()), "Text", all),
                new InvalidInput(_ml.Transforms.CopyColumns("Text", "Number").Fit(Extended()).Transform(Extended()), "Text", all),
            ],
        });
        output.WriteLine(report.ToString());
        Assert.Contains("save-load", report.Names(Verdict.Passed));
        if (perplexity is not null && generated is not null) Assert.Contains("child-process", report.Names(Verdict.Passed));

        IEstimator<ITransformer> Make() =>
            _ml.Rbe.LanguageModel(
                Verses.Options(o => (o.PerplexityColumnName, o.GeneratedTextColumnName, o.MaxNewTokens, o.Steps) = (perplexity, generated, 3, 2)));
        IDataView Extended() => _ml.Data.LoadFromEnumerable(Verses.Lines(4).Select(l => new Numbered { Text = l }));
    }

    [Fact]
    public void ColumnNames() =>
        ColumnNameWorkout.Check(_ml, Verses.View(_ml), ["Text"], ["Perplexity", "GeneratedText"], names => _ml.Rbe.LanguageModel(Verses.Options(o =>
        (o.TextColumnName, o.PerplexityColumnName, o.GeneratedTextColumnName, o.Steps) = (names["Text"], names["Perplexity"], names["GeneratedText"], 2))));

    [Theory]
    [InlineData("Perplexity")]
    [InlineData("GeneratedText")]
    public void AnOutputMayHideTheInput(string output) =>
        ColumnNameWorkout.CheckInPlace(_ml, Verses.View(_ml), "Text", output, names => _ml.Rbe.LanguageModel(Verses.Options(o =>
    {
        (o.TextColumnName, o.Steps) = (names["Text"], 2);
        if (output == "Perplexity") o.PerplexityColumnName = names[output];
        else o.GeneratedTextColumnName = names[output];
    })));

    [Fact]
    public void TheShortFormHasTheSameDefaultsAndTakesTheNames()
    {
        SchemaShapeNames(_ml.Rbe.LanguageModel(), "Perplexity", "GeneratedText");
        SchemaShapeNames(_ml.Rbe.LanguageModel("Text", "P", "G"), "P", "G");
        SchemaShapeNames(_ml.Rbe.LanguageModel("Text", null, "G"), "G");

        void SchemaShapeNames(IEstimator<ITransformer> estimator, params string[] added)
        {
            SchemaShape shape = estimator.GetOutputSchema(Columns.InputColumn.Shape(Verses.View(_ml).Schema));
            Assert.Equal(["Text", .. added], shape.Select(c => c.Name));
        }
    }

    internal sealed class Numbered
    {
        public string Text { get; set; } = "";

        public float Number { get; set; }
    }
}
