using Microsoft.ML;
using Microsoft.ML.Data;
using RbeMl.Files;
using RbeMl.MLNet.Features;
using RbeMl.MLNet.Tokens;
using RbeMl.Models;
using RbeMl.Text;

namespace RbeMl.MLNet.Tests.Features;

public sealed class FeaturizeTests : IDisposable
{
    private readonly MLContext _ml = new(seed: 1);
    private readonly ModelBundle _bundle = TextRows.Bundle();

    public void Dispose() => _bundle.Dispose();

    [Theory]
    [InlineData(1, 1)]
    [InlineData(5, 1)]
    [InlineData(64, 1)]
    [InlineData(64, 2)]
    public void RowsAreThoseOfTheModelAloneWhateverIsComputedTogether(int batchRows, int threads)
    {
        float[][] actual = Features(new FeaturizeOptions { Model = _bundle, BatchRows = batchRows, Threads = threads });
        for (int i = 0; i < actual.Length; i++) Assert.Equal(TextRows.Expected(_bundle, TextRows.Texts[i]), actual[i]);
        Assert.Equal(2, actual.Count(row => row.All(float.IsNaN)));
    }

    [Theory]
    [InlineData(Pooling.Last, 0)]
    [InlineData(Pooling.Max, 1)]
    [InlineData(Pooling.Mean, 2)]
    public void PoolingAndLayer(Pooling pooling, int layer)
    {
        float[][] actual = Features(new FeaturizeOptions { Model = _bundle, Pooling = pooling, Layer = layer });
        FeatureOptions options = new() { Pooling = pooling, Layer = layer };
        for (int i = 0; i < actual.Length; i++) Assert.Equal(TextRows.Expected(_bundle, TextRows.Texts[i], options), actual[i]);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void LongTextsAreCut(bool keepEnd)
    {
        float[][] actual = Features(new FeaturizeOptions { Model = _bundle, MaxTokens = 4, KeepEnd = keepEnd });
        for (int i = 0; i < actual.Length; i++)
        {
            Assert.Equal(TextRows.Expected(_bundle, TextRows.Texts[i], null, ids => ids.Length <= 4 ? ids : keepEnd ? ids[^4..] : ids[..4]), actual[i]);
        }
    }

    [Theory]
    [InlineData(TokenValues.Ids)]
    [InlineData(TokenValues.Keys)]
    public void ColumnsOfTokensGiveTheFeaturesOfTheirText(TokenValues values)
    {
        IEstimator<ITransformer> pipeline = _ml.Rbe.Tokenize(new TokenizeOptions { OutputColumnName = "Tokens", Values = values })
            .Append(_ml.Rbe.Featurize("Features", "Tokens", _bundle with { Tokenizer = null }));
        IDataView data = TextRows.View(_ml);
        float[][] actual = [.. pipeline.Fit(data).Transform(data).GetColumn<float[]>("Features")];
        Assert.Equal(Features(new FeaturizeOptions { Model = _bundle }), actual);
    }

    [Fact]
    public void RowsThatTheModelDoesNotKnowAreMissingAlone()
    {
        using ModelBundle letters = TextRows.Bundle(new CharacterTokenizer([.. " abcdeglnrs".EnumerateRunes()]));
        List<string> warnings = [];
        _ml.Log += (_, e) => warnings.Add(e.Message);
        float[][] actual = Features(new FeaturizeOptions { Model = letters });
        for (int i = 0; i < actual.Length; i++)
        {
            bool known = TextRows.Texts[i] is { Length: > 0 } text && text.All("abcdeglnrs ".Contains);
            if (known) Assert.Equal(TextRows.Expected(letters, TextRows.Texts[i]), actual[i]);
            else Assert.All(actual[i], v => Assert.True(float.IsNaN(v)));
        }

        Assert.Contains(actual, row => !float.IsNaN(row[0]));
        Assert.Single(warnings, w => w.Contains("features are NaN", StringComparison.Ordinal));

        IdRow[] ids = [new() { Ids = [1, 2] }, new() { Ids = [1, 256] }, new() { Ids = [-1] }, new() { Ids = [3] }];
        IDataView data = _ml.Data.LoadFromEnumerable(ids);
        float[][] rows = [.. _ml.Rbe.Featurize("F", "Ids", _bundle).Fit(data).Transform(data).GetColumn<float[]>("F")];
        Assert.Equal([false, true, true, false], rows.Select(r => float.IsNaN(r[0])));
    }

    [Fact]
    public void ModelOfAPathAndSettingsThatDoNotFit()
    {
        string path = Path.Combine(Path.GetTempPath(), $"rbeml-{Guid.NewGuid():N}.rbe");
        try
        {
            ModelFile.Save(path, _bundle.Model, _bundle.Tokenizer);
            Assert.Equal(Features(new FeaturizeOptions { Model = _bundle }), Features(new FeaturizeOptions { ModelPath = path }));
        }
        finally
        {
            File.Delete(path);
        }

        Assert.Throws<RbeFileException>(() => Features(new FeaturizeOptions { ModelPath = path }));
        Assert.Throws<InvalidSettingException>(() => Features(new FeaturizeOptions()));
        Assert.Throws<InvalidSettingException>(() => Features(new FeaturizeOptions { Model = _bundle, ModelPath = path }));
        Assert.Throws<InvalidSettingException>(() => Features(new FeaturizeOptions { Model = _bundle, Layer = 3 }));
        Assert.Throws<InvalidSettingException>(() => Features(new FeaturizeOptions { Model = _bundle, MaxTokens = TextRows.Context + 1 }));
        Assert.Throws<InvalidSettingException>(() => Features(new FeaturizeOptions { Model = _bundle, BatchRows = 0 }));
        Assert.Throws<InvalidSettingException>(() => Features(new FeaturizeOptions { Model = _bundle, Threads = -1 }));
        Assert.Contains("tokenizer",
            Assert.Throws<InvalidSettingException>(() => Features(new FeaturizeOptions { Model = _bundle with { Tokenizer = null } })).Message);
        Assert.Equal(12, Features(new FeaturizeOptions { Model = _bundle with { Tokenizer = null }, Tokenizer = new ByteTokenizer() }).Length);
    }

    private float[][] Features(FeaturizeOptions options)
    {
        IDataView data = TextRows.View(_ml);
        return [.. _ml.Rbe.Featurize(options).Fit(data).Transform(data).GetColumn<float[]>("Features")];
    }

    private sealed class IdRow
    {
        public int[] Ids { get; set; } = [];
    }
}
