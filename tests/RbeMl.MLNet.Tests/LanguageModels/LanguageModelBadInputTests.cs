using Microsoft.ML;
using RbeMl.MLNet.LanguageModels;
using RbeMl.Models;
using RbeMl.Text;

namespace RbeMl.MLNet.Tests.LanguageModels;

public sealed class LanguageModelBadInputTests : IDisposable
{
    private readonly MLContext _ml = new(1);
    private readonly ModelBundle _bundle = Verses.Bundle(new ByteTokenizer());

    public void Dispose() => _bundle.Dispose();

    public static TheoryData<string, Action<LanguageModelOptions>> BadOptions => new()
    {
        { "Epochs", o => o.Epochs = -1 },
        { "Epochs", o => o.Epochs = 0 },
        { "Steps", o => o.Steps = 0 },
        { "Context", o => o.Context = 1 },
        { "BatchSize =", o => o.BatchSize = 0 },
        { "BatchRows =", o => o.BatchRows = 65_537 },
        { "Threads =", o => o.Threads = 1025 },
        { "Layers =", o => o.Layers = 0 },
        { "Heads =", o => o.Heads = 5 },
        { "Heads =", o => o.Heads = 0 },
        { "Width =", o => o.Width = 0 },
        { "VocabularySize =", o => o.VocabularySize = int.MaxValue },
        { "Context =", o => o.Context = int.MaxValue },
        { "LearningRate", o => o.LearningRate = 0 },
        { "WarmupFraction", o => o.WarmupFraction = 1.5 },
        { "MaxNewTokens =", o => o.MaxNewTokens = 0 },
        { "Temperature", o => o.Temperature = double.NaN },
        { "TopK", o => o.TopK = -1 },
        { "TopP", o => o.TopP = 0 },
        { "Patience", o => o.Patience = 2 },
        { "MemoryLimit", o => o.MemoryLimit = 0 },
        { "PerplexityColumnName", o => o.PerplexityColumnName = "" },
        { "GeneratedTextColumnName", o => o.GeneratedTextColumnName = "" },
        { "GeneratedTextColumnName", o => o.GeneratedTextColumnName = o.PerplexityColumnName },
        { "PerplexityColumnName", o => (o.PerplexityColumnName, o.GeneratedTextColumnName) = (null, null) },
        { "ModelPath", o => (o.ModelPath, o.Model) = ("a.rbe", Verses.Bundle(new ByteTokenizer())) },
    };

    [Theory]
    [MemberData(nameof(BadOptions))]
    public void AnOptionThatCannotBeIsNamed(string setting, Action<LanguageModelOptions> change) =>
        Assert.Contains(setting, Assert.Throws<InvalidSettingException>(() => _ml.Rbe.LanguageModel(Verses.Options(change))).Message);

    [Fact]
    public void AWarmStartExcludesAnotherModelAndTokenizer()
    {
        LanguageModelTransformer earlier = Verses.Score(_ml, _bundle);
        Assert.Throws<InvalidSettingException>(() => _ml.Rbe.LanguageModel(Verses.Options(o => (o.WarmStart, o.Model) = (earlier, _bundle))));
        Assert.Throws<InvalidSettingException>(() => _ml.Rbe.LanguageModel(Verses.Options(o => (o.WarmStart, o.Tokenizer) = (earlier, new ByteTokenizer()))));
    }

    [Fact]
    public void OptionsAreCopied()
    {
        LanguageModelOptions options = Verses.Options(o => o.Steps = 1);
        LanguageModelEstimator estimator = _ml.Rbe.LanguageModel(options);
        (options.TextColumnName, options.PerplexityColumnName, options.Steps) = ("None", "Other", 5);
        LanguageModelTransformer model = estimator.Fit(Verses.View(_ml));
        Assert.Equal(1, model.Summary.Steps);
        Assert.NotEmpty(model.Perplexities(Verses.View(_ml)));
    }

    [Fact]
    public void DataThatCannotBeTrainedOnIsRefused()
    {
        Assert.Contains("no rows", Assert.Throws<InvalidOperationException>(() => Verses.Fit(_ml, _ml.Data.LoadFromEnumerable<Verses.Row>([]))).Message);
        Assert.Contains("Training data", Assert.Throws<InvalidOperationException>(() => Verses.Fit(_ml, Verses.View(_ml, "", "a"))).Message);
        Assert.Contains("Training data",
            Assert.Throws<InvalidOperationException>(() => Verses.Fit(_ml, Verses.View(_ml, "", ""), o => o.VocabularySize = null)).Message);
        Assert.Contains("Validation data",
            Assert.Throws<InvalidOperationException>(() => Verses.Fit(_ml, Verses.View(_ml), o => o.Validation = Verses.View(_ml, "a"))).Message);
        IDataView ids = _ml.Data.LoadFromEnumerable([new Verses.Ids { Text = [1, 2] }]);
        Assert.Contains("Validation", Assert.Throws<InvalidSettingException>(() => Verses.Fit(_ml, Verses.View(_ml), o => o.Validation = ids)).Message);
        Assert.Throws<ArgumentOutOfRangeException>(() =>
            Verses.Fit(_ml, Verses.View(_ml), o => o.Validation = _ml.Data.LoadFromEnumerable([new { Other = 1f }])));
    }

    [Fact]
    public void AModelThatDoesNotFitIsRefused()
    {
        Assert.Contains("16 positions", Assert.Throws<InvalidSettingException>(() => Verses.Score(_ml, _bundle, o => o.Context = 17)).Message);
        Assert.Contains("no tokenizer", Assert.Throws<InvalidSettingException>(() => Verses.Score(_ml, new ModelBundle(_bundle.Model, null))).Message);
        Assert.Throws<RbeFileException>(() => _ml.Rbe.LanguageModel(modelPath: "nowhere.rbe").Fit(Verses.View(_ml)));
    }

    [Fact]
    public void ADivergingTrainingNamesItsStep() => Assert.StartsWith("step ", Assert.Throws<NonFiniteException>(() =>
        Verses.Fit(_ml, Verses.View(_ml), o => (o.LearningRate, o.Clip, o.WarmupFraction, o.Epochs) = (1e6, 0, 0, 20))).Message);

    [Fact]
    public void ATooSmallMemoryLimitSaysTheLeast()
    {
        Assert.Throws<MemoryLimitException>(() => Verses.Fit(_ml, Verses.View(_ml), o => o.MemoryLimit = 2));
        Assert.Equal(2, Verses.Fit(_ml, Verses.View(_ml), o => (o.MemoryLimit, o.Steps) = (100_000, 2)).Summary.Steps);
    }
}
