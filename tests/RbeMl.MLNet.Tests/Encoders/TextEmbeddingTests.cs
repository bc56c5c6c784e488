using Microsoft.ML;
using Microsoft.ML.Data;
using RbeMl.Files;
using RbeMl.MLNet.Embeddings;
using RbeMl.MLNet.Features;
using RbeMl.MLNet.Runtime;
using RbeMl.MLNet.Tests.Workout;
using RbeMl.Models;
using RbeMl.Tests.Files;
using Xunit.Abstractions;

namespace RbeMl.MLNet.Tests.Encoders;

public sealed class TextEmbeddingTests(ITestOutputHelper output) : IDisposable
{
    private static readonly EncoderSettings s_prompted = new()
    {
        Normalize = true,
        Prompts = new Dictionary<string, string> { ["query"] = "query: ", ["none"] = "" },
        DefaultPrompt = "query",
    };

    private readonly MLContext _ml = new(seed: 1);
    private readonly SentenceEncoder _encoder = SmallEncoder.Create();

    public void Dispose() => _encoder.Dispose();

    [Fact]
    public void Citizenship()
    {
        IDataView valid = SmallEncoder.View(_ml);
        RefusedBy all = RefusedBy.Shape | RefusedBy.Fit | RefusedBy.Transform;
        WorkoutReport report = EstimatorWorkout.Check(_ml, Make(), valid, new WorkoutOptions
        {
            Invalid =
            [
                new(_ml.Transforms.DropColumns("Text").Fit(valid).Transform(valid), "Text", all),
                new(_ml.Transforms.CopyColumns("Text", "Id").Fit(valid).Transform(valid), "Text", all),
                new(_ml.Transforms.Text.TokenizeIntoWords("Text", "Text").Fit(valid).Transform(valid), "Text", all),
            ],
            ForwardCount = () => ForwardCounter.Rows,
            Again = () => Make(),
            Downstream = _ml.BinaryClassification.Trainers.LbfgsLogisticRegression("Flag", "Embedding"),
            Predictions = 200,
            Threads = 4,
        });
        output.WriteLine(report.ToString());
        Assert.Contains("child-process", report.Names(Verdict.Passed));
        Assert.Contains("downstream", report.Names(Verdict.Passed));
    }

    [Fact]
    public void ColumnNames() => ColumnNameWorkout.Check(
        _ml, SmallEncoder.View(_ml), ["Text"], ["Embedding"], names => Make(names["Text"], names["Embedding"]));

    [Fact]
    public void InPlace() => ColumnNameWorkout.CheckInPlace(
        _ml, SmallEncoder.View(_ml), "Text", "Embedding", names => Make(names["Text"], names["Embedding"]));

    [Theory]
    [InlineData(1, 1)]
    [InlineData(5, 2)]
    [InlineData(64, 1)]
    public void RowsAreThoseOfTheEncoderAloneWhateverIsComputedTogether(int batchRows, int threads)
    {
        float[][] actual = Vectors(new TextEmbeddingOptions { Encoder = _encoder, BatchRows = batchRows, Threads = threads });
        for (int i = 0; i < actual.Length; i++)
        {
            Assert.Equal(_encoder.Embed(SmallEncoder.Texts[i] ?? ""), actual[i]);
            Assert.Equal(1, actual[i].Sum(v => (double)v * v), 1e-5);
        }
    }

    [Fact]
    public void TextsOfEveryKindHaveAVector()
    {
        string[] texts =
        [
            "\0", "a\0b", "\ud800", "red \udc00 sea", "e\u0301", new string('x', 5000), string.Join(' ', Enumerable.Repeat("red", 2000)), "\u200b",
        ];
        IDataView data = _ml.Data.LoadFromEnumerable(texts.Select(t => new SmallEncoder.Row { Text = t }));
        float[][] actual = [.. Make().Fit(data).Transform(data).GetColumn<float[]>("Embedding")];
        Assert.All(actual, row => Assert.All(row, v => Assert.True(float.IsFinite(v))));
    }

    [Fact]
    public void PromptsAndLongTextsAreAsSaid()
    {
        using SentenceEncoder prompted = SmallEncoder.Create(s_prompted);
        using SentenceEncoder windows = SmallEncoder.Create(s_prompted with { LongTexts = LongTexts.Windows, MaxTokens = 8 });
        Check(prompted, new TextEmbeddingOptions { Encoder = prompted }, null);
        Check(prompted, new TextEmbeddingOptions { Encoder = prompted, Prompt = "none" }, "none");
        Check(prompted, new TextEmbeddingOptions { Encoder = prompted, Prompt = "" }, "");
        Check(windows, new TextEmbeddingOptions { Encoder = prompted, LongTexts = LongTexts.Windows, MaxTokens = 8 }, null);

        void Check(SentenceEncoder expected, TextEmbeddingOptions options, string? prompt)
        {
            IDataView data = SmallEncoder.View(_ml);
            TextEmbeddingTransformer model = _ml.Rbe.TextEmbedding(options).Fit(data);
            using MemoryStream saved = new();
            model.Save(saved);
            saved.Position = 0;
            foreach (TextEmbeddingTransformer one in (TextEmbeddingTransformer[])[model, _ml.Rbe.LoadTextEmbedding(saved)])
            {
                float[][] actual = [.. one.Transform(data).GetColumn<float[]>("Embedding")];
                for (int i = 0; i < actual.Length; i++) Assert.Equal(expected.Embed(SmallEncoder.Texts[i] ?? "", prompt), actual[i]);
            }
        }
    }

    [Fact]
    public void AModelOfAPathAndSettingsThatDoNotFit()
    {
        using TemporaryFolder folder = new();
        string path = Path.Combine(folder.Path, "encoder.rbe"), language = Path.Combine(folder.Path, "language.rbe");
        ModelFile.Save(path, _encoder.Model, _encoder.Tokenizer);
        Assert.Equal(Vectors(new TextEmbeddingOptions { Encoder = _encoder }), Vectors(new TextEmbeddingOptions { ModelPath = path }));
        Assert.Equal(8, Fit(new TextEmbeddingOptions { ModelPath = path, MaxTokens = 8 }).Encoder.MaxTokens);
        using ModelBundle gpt2 = RbeMl.MLNet.Tests.Features.TextRows.Bundle();
        ModelFile.Save(language, gpt2.Model, gpt2.Tokenizer);
        Assert.Contains("encoder is needed", Assert.Throws<RbeFileException>(() => Fit(new TextEmbeddingOptions { ModelPath = language })).Message);
        Assert.Throws<RbeFileException>(() => Fit(new TextEmbeddingOptions { ModelPath = path + "no" }));
        Assert.Throws<InvalidSettingException>(() => Fit(new TextEmbeddingOptions()));
        Assert.Throws<InvalidSettingException>(() => Fit(new TextEmbeddingOptions { ModelPath = path, Encoder = _encoder }));
        Assert.Throws<InvalidSettingException>(() => Fit(new TextEmbeddingOptions { Encoder = _encoder, Prompt = "passage" }));
        Assert.Throws<InvalidSettingException>(() => Fit(new TextEmbeddingOptions { Encoder = _encoder, MaxTokens = SmallEncoder.Positions + 1 }));
        Assert.Throws<InvalidSettingException>(() => Fit(new TextEmbeddingOptions { Encoder = _encoder, BatchRows = 0 }));
        Assert.Throws<InvalidSettingException>(() => Fit(new TextEmbeddingOptions { Encoder = _encoder, Threads = -1 }));
        SentenceEncoder gone = SmallEncoder.Create();
        gone.Dispose();
        Assert.Throws<ObjectDisposedException>(() => Fit(new TextEmbeddingOptions { Encoder = gone }));
    }

    [Fact]
    public void FeaturizePointsHereWhereATextMeetsAnEncoder()
    {
        using ModelBundle bundle = SmallEncoder.Bundle();
        InvalidSettingException error = Assert.Throws<InvalidSettingException>(
            () => _ml.Rbe.Featurize(new FeaturizeOptions { Model = bundle }).Fit(SmallEncoder.View(_ml)));
        Assert.Contains("ml.Rbe.TextEmbedding", error.Message);
        IDataView ids = _ml.Data.LoadFromEnumerable(new[] { new Ids { Tokens = [2, 5, 3] } });
        Assert.True(float.IsFinite(_ml.Rbe.Featurize("F", "Tokens", bundle).Fit(ids).Transform(ids).GetColumn<float[]>("F").Single()[0]));
    }

    [Fact]
    public void TheAliasIsTheSameAndItsModelLoadsInAFreshContext()
    {
        IDataView data = SmallEncoder.View(_ml);
        MLContext plain = new(1); // ml.Rbe was never asked for
        TextEmbeddingTransformer model = plain.Transforms.Text.RbeEmbedding(new TextEmbeddingOptions { Encoder = _encoder }).Fit(data);
        Assert.Equal(Vectors(new TextEmbeddingOptions { Encoder = _encoder }), model.Transform(data).GetColumn<float[]>("Embedding"));
        using MemoryStream zip = new();
        plain.Model.Save(model, data.Schema, zip);
        zip.Position = 0;
        Assert.NotNull(plain.Model.Load(zip, out _));
        Assert.Throws<RbeFileException>(() => plain.Transforms.Text.RbeEmbedding("E", "Text", "/nowhere").Fit(data));
    }

    private float[][] Vectors(TextEmbeddingOptions options)
    {
        IDataView data = SmallEncoder.View(_ml);
        return [.. Fit(options).Transform(data).GetColumn<float[]>("Embedding")];
    }

    private TextEmbeddingTransformer Fit(TextEmbeddingOptions options) => _ml.Rbe.TextEmbedding(options).Fit(SmallEncoder.View(_ml));

    private TextEmbeddingEstimator Make(string input = "Text", string result = "Embedding") =>
        _ml.Rbe.TextEmbedding(new TextEmbeddingOptions { InputColumnName = input, OutputColumnName = result, Encoder = _encoder, BatchRows = 5 });

    private sealed class Ids
    {
        public int[] Tokens { get; set; } = [];
    }
}
