using Microsoft.ML;
using Microsoft.ML.Data;
using RbeMl.MLNet.Classification;
using RbeMl.MLNet.LanguageModels;
using RbeMl.MLNet.Similarity;
using RbeMl.MLNet.Tests.Classification;
using RbeMl.MLNet.Tests.Encoders;
using RbeMl.MLNet.Tests.LanguageModels;
using RbeMl.Models;
using RbeMl.Tests.Files;
using RbeMl.Training;

namespace RbeMl.MLNet.Tests.Settings;

/// <summary>A <c>Fit</c> that finds its state goes on from it: the result is that of one that was never stopped.</summary>
public sealed class StatePathTests : IDisposable
{
    private readonly MLContext _ml = new(1);
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private string State => _folder.File("run.rbe");

    [Theory]
    [InlineData(0)]
    [InlineData(2)]
    public void OfALanguageModel(int patience)
    {
        IDataView data = Verses.View(_ml);
        LanguageModelTransformer whole = Fit(0), resumed;
        Assert.ThrowsAny<OperationCanceledException>(() => Fit(17));
        Assert.True(File.Exists(State), "no state was saved when the training was cancelled");
        Assert.Equal("patience", Assert.Throws<StateMismatchException>(() => Fit(0, other: patience + 1)).What);
        resumed = Fit(0, 2);
        Assert.Equal(whole.Perplexities(data), resumed.Perplexities(data));
        Assert.Equal(whole.Summary with { Seconds = 0 }, resumed.Summary with { Seconds = 0 });
        Assert.False(File.Exists(State), "the state of a training that is complete was left");

        LanguageModelTransformer Fit(int stop, int threads = 1, int? other = null)
        {
            using CancellationTokenSource source = new();
            return Verses.Fit(_ml, data, o =>
            {
                (o.Epochs, o.Dropout, o.ValidationFraction, o.Patience, o.Threads, o.Cancellation) = (5, 0.1, 0.25, other ?? patience, threads, source.Token);
                (o.StatePath, o.StateEvery) = (State, SaveInterval.EverySteps(3));
                o.Progress = new Told<TrainingProgress>(s => { if (s.Step == stop) source.Cancel(); });
            });
        }
    }

    [Fact]
    public void OfAClassifier()
    {
        IDataView data = Toy.Multiclass(_ml);
        float[][] whole = Toy.Scores(_ml, Fit(0), data);
        Assert.ThrowsAny<OperationCanceledException>(() => Fit(7));
        Assert.ThrowsAny<OperationCanceledException>(() => Fit(9));
        Assert.Equal(whole, Toy.Scores(_ml, Fit(0), data));
        Assert.False(File.Exists(State), "the state of a training that is complete was left");
        Assert.ThrowsAny<OperationCanceledException>(() => Fit(7));
        StateMismatchException error = Assert.Throws<StateMismatchException>(() => Fit(0, 8));
        Assert.Equal((State, true), (error.Path, File.Exists(State)));

        TextClassificationTransformer Fit(int stop, int seed = 7)
        {
            using CancellationTokenSource source = new();
            return Toy.Fit(_ml, data, o =>
            {
                (o.Seed, o.StatePath, o.Cancellation) = (seed, State, source.Token);
                o.Progress = new Told<ClassifierProgress>(s => { if (s.Step == stop) source.Cancel(); });
            });
        }
    }

    [Fact]
    public void OfSimilarities()
    {
        using SentenceEncoder encoder = SmallEncoder.Create();
        IDataView data = SmallEncoder.View(_ml);
        float[] whole = Scores(Fit(0));
        Assert.ThrowsAny<OperationCanceledException>(() => Fit(3));
        Assert.True(File.Exists(State), "no state was saved when the training was cancelled");
        Assert.Equal(whole, Scores(Fit(0)));
        Assert.NotEqual(whole, Scores(Fit(0, 50)));
        Assert.False(File.Exists(State), "the state of a training that is complete was left");

        float[] Scores(SentenceSimilarityTransformer model) => [.. model.Transform(data).GetColumn<float>("Score")];

        SentenceSimilarityTransformer Fit(int stop, int horizon = 0)
        {
            using CancellationTokenSource source = new();
            return _ml.Rbe.SentenceSimilarity(new SentenceSimilarityOptions
            {
                Encoder = encoder,
                Seed = 3,
                BatchSize = 2,
                LearningRate = 3e-3,
                Epochs = 2,
                AverageHorizon = horizon,
                StatePath = State,
                Cancellation = source.Token,
                Progress = new Told<SimilarityProgress>(s => { if (s.Step == stop) source.Cancel(); }),
            }).Fit(data);
        }
    }

    private sealed class Told<T>(Action<T> report) : IProgress<T>
    {
        public void Report(T value) => report(value);
    }
}
