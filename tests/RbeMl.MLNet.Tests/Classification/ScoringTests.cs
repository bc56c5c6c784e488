using Microsoft.ML;
using Microsoft.ML.Data;
using RbeMl.MLNet.Classification;
using RbeMl.MLNet.Runtime;
using RbeMl.MLNet.Tests.LanguageModels;
using RbeMl.Models;
using RbeMl.Text;

namespace RbeMl.MLNet.Tests.Classification;

/// <summary>How rows are scored and what of it is saved, and what a warm start inherits.</summary>
public sealed class ScoringTests
{
    private readonly MLContext _ml = new(1);

    [Theory]
    [InlineData(1, 1)]
    [InlineData(5, 5)]
    [InlineData(65_536, 8)] // of 24 rows, as it grows from one row
    public void RowsAreReadAheadAsTheOptionSays(int batchRows, int least)
    {
        IDataView data = Toy.Multiclass(_ml);
        TextClassificationTransformer model = Toy.Fit(_ml, data, o => (o.Epochs, o.BatchRows) = (1, batchRows));
        Assert.Equal(Toy.Scores(_ml, Toy.Fit(_ml, data, o => o.Epochs = 1), data), Toy.Scores(_ml, model, data));
        IDataView view = model.Transform(data);
        long before = ForwardCounter.Rows, most = 0;
        using DataViewRowCursor cursor = view.GetRowCursor([view.Schema["Score"]]);
        ValueGetter<VBuffer<float>> score = cursor.GetGetter<VBuffer<float>>(view.Schema["Score"]);
        VBuffer<float> value = default;
        while (cursor.MoveNext())
        {
            score(ref value);
            most = Math.Max(most, ForwardCounter.Rows - before);
            before = ForwardCounter.Rows;
        }

        Assert.InRange(most, least, batchRows);
    }

    [Fact]
    public void ThreadsAndBatchRowsAreSaved()
    {
        TextClassificationTransformer model = Toy.Fit(_ml, Toy.Binary(_ml), o => (o.Epochs, o.Threads, o.BatchRows) = (1, 3, 7));
        TextClassificationTransformer loaded = _ml.Rbe.LoadTextClassification(Saved(model));
        Assert.Equal(new ScoringSettings(7, 3), loaded.Scoring);
        Assert.Equal(3, loaded.Pool.Workers.Threads);
        Assert.Equal(model.Summary, loaded.Summary);
        Assert.Equal(model.Summary.GetHashCode(), loaded.Summary.GetHashCode());
        Assert.NotEqual(model.Summary, loaded.Summary with { Epochs = [] });
        Assert.NotEqual(model.Summary, loaded.Summary with { Steps = 0 });

        foreach (ScoringSettings bad in (ScoringSettings[])[new(0, 1), new(65_537, 1), new(1, -1), new(1, int.MaxValue)])
        {
            Assert.Throws<InvalidSettingException>(() => ScoringSettings.Read(new BinaryReader(Written(bad))));
        }

        Assert.Equal(new ScoringSettings(1, 0), ScoringSettings.Read(new BinaryReader(Written(new ScoringSettings(1, 0)))));

        static MemoryStream Written(ScoringSettings settings)
        {
            MemoryStream stream = new();
            settings.Write(new BinaryWriter(stream));
            stream.Position = 0;
            return stream;
        }
    }

    [Fact]
    public void AWarmStartBringsItsContext()
    {
        IDataView data = Toy.Binary(_ml);
        using ModelBundle bundle = Verses.Bundle(new ByteTokenizer());
        TextClassificationTransformer first =
            Toy.Fit(_ml, data, o => (o.Model, o.Context, o.Epochs, o.Compression, o.Pooling) = (bundle, 9, 1, null, Pooling.Max));
        TextClassificationTransformer further =
            Toy.Fit(_ml, data, o => (o.WarmStart, o.Context, o.Epochs, o.Compression, o.Pooling) = (first, null, 1, null, Pooling.Max));
        Assert.Equal((9, 16), (further.Limits.Context, further.Classifier.Model.Config.MaxSequenceLength));
    }

    [Fact]
    public void AWarmStartWithAnotherPoolingIsRefused()
    {
        TextClassificationTransformer first = Toy.Fit(_ml, Toy.Binary(_ml), o => (o.Epochs, o.Pooling) = (1, Pooling.Max));
        Assert.Equal("Pooling",
            Assert.Throws<InvalidSettingException>(() =>
            _ml.Rbe.TextClassification(Toy.Options(o => (o.WarmStart, o.Pooling) = (first, Pooling.Mean)))).Setting);
    }

    [Fact]
    public void ATokenizerWithoutASavedFormIsRefusedOnSaving()
    {
        TextClassificationTransformer model = Toy.Fit(_ml, Toy.Binary(_ml), o => (o.Epochs, o.Tokenizer) = (1, new OwnTokenizer()));
        Assert.Contains("OwnTokenizer", Assert.Throws<NotSupportedException>(() => Saved(model)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void TheDefaultsDoFewEpochs() =>
        Assert.Equal((4, 8), (new TextClassificationOptions().Epochs, new MLNet.LanguageModels.LanguageModelOptions().Epochs));

    private static MemoryStream Saved(TextClassificationTransformer model)
    {
        MemoryStream stream = new();
        model.Save(stream);
        stream.Position = 0;
        return stream;
    }

    private sealed class OwnTokenizer : ITokenizer
    {
        private readonly ByteTokenizer _bytes = new();

        public int Vocabulary => _bytes.Vocabulary;

        public int[] Encode(string text) => _bytes.Encode(text);

        public ReadOnlySpan<byte> Bytes(int token) => _bytes.Bytes(token);
    }
}
