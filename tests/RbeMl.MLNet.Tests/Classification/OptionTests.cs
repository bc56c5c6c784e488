using Microsoft.ML;
using RbeMl.Codec;
using RbeMl.Files;
using RbeMl.Layers;
using RbeMl.MLNet.Classification;
using RbeMl.Models;
using RbeMl.Text;
using RbeMl.Training;

namespace RbeMl.MLNet.Tests.Classification;

/// <summary>Every option does something.</summary>
public sealed class OptionTests
{
    private readonly MLContext _ml = new(1);

    public static TheoryData<string> ChangingResults => [.. Changes.Keys];

    public static TheoryData<string> Wrong => [.. Mistakes.Keys];

    private static Dictionary<string, Action<TextClassificationOptions>> Changes { get; } = new()
    {
        ["Layers"] = o => o.Layers = 2,
        ["Heads"] = o => o.Heads = 1,
        ["Dropout"] = o => o.Dropout = 0.2,
        ["HeadDropout"] = o => o.HeadDropout = 0.2,
        ["Optimizer"] = o => (o.Optimizer, o.LearningRate, o.WeightDecay) = (new LionOptions(), 2e-3, 0.05),
        ["LearningRate"] = o => o.LearningRate = 5e-3,
        ["HeadLearningRate"] = o => o.HeadLearningRate = 5e-3,
        ["WarmupFraction"] = o => o.WarmupFraction = 0.5,
        ["WeightDecay"] = o => o.WeightDecay = 0.5,
        ["Clip"] = o => o.Clip = 0.01,
        ["AverageHorizon"] = o => o.AverageHorizon = 100,
        ["Epochs"] = o => o.Epochs = 3,
        ["BatchSize"] = o => o.BatchSize = 6,
        ["Pooling"] = o => o.Pooling = Pooling.Max,
        ["Trained"] = o => o.Trained = TrainedParts.Biases,
        ["Context"] = o => o.Context = 5,
        ["ValidationFraction"] = o => o.ValidationFraction = 0.25,
    };

    private static Dictionary<string, Action<TextClassificationOptions>> Mistakes { get; } = new()
    {
        ["Epochs"] = o => o.Epochs = 0,
        ["BatchSize"] = o => o.BatchSize = 0,
        ["BatchRows"] = o => o.BatchRows = 0,
        ["Layers"] = o => o.Layers = 0,
        ["Heads"] = o => o.Heads = 3,
        ["Width"] = o => o.Width = -2,
        ["Optimizer"] = o => o.Optimizer = null!,
        ["Momentum"] = o => o.Optimizer = new SgdOptions { Momentum = 1 },
        ["LearningRate"] = o => o.LearningRate = double.NaN,
        ["HeadLearningRate"] = o => o.HeadLearningRate = -1,
        ["WarmupFraction"] = o => o.WarmupFraction = 2,
        ["AverageHorizon"] = o => o.AverageHorizon = -1,
        ["StatePath"] = o => o.StatePath = "",
        ["WeightDecay"] = o => o.WeightDecay = -1,
        ["Clip"] = o => o.Clip = -1,
        ["Dropout"] = o => o.Dropout = 1,
        ["HeadDropout"] = o => o.HeadDropout = double.NaN,
        ["Context"] = o => o.Context = 0,
        ["VocabularySize"] = o => o.VocabularySize = 0,
        ["Threads"] = o => o.Threads = -1,
        ["MemoryLimit"] = o => o.MemoryLimit = 0,
        ["ValidationFraction"] = o => o.ValidationFraction = 1,
        ["Patience"] = o => o.Patience = 2,
        ["Pooling"] = o => o.Pooling = (Pooling)9,
        ["Trained"] = o => o.Trained = (TrainedParts)9,
        ["Checkpointing"] = o => o.Checkpointing = (CheckpointPolicy)9,
        ["OnCancel"] = o => o.OnCancel = (WhenCancelled)9,
        ["ScoreColumnName"] = o => o.ScoreColumnName = o.PredictedLabelColumnName,
    };

    [Theory]
    [MemberData(nameof(ChangingResults))]
    public void ChangesTheResult(string option)
    {
        IDataView data = Toy.Multiclass(_ml);
        Assert.NotEqual(Toy.Scores(_ml, Toy.Fit(_ml, data), data), Toy.Scores(_ml, Toy.Fit(_ml, data, Changes[option]), data));
    }

    [Theory]
    [MemberData(nameof(Wrong))]
    public void IsRefusedByName(string option)
        => Assert.Equal(option, Assert.Throws<InvalidSettingException>(() => _ml.Rbe.TextClassification(Toy.Options(Mistakes[option]))).Setting);

    [Fact]
    public void CheckpointingChangesNoBitAndTheMemoryLimitIsKept()
    {
        List<string> log = [];
        _ml.Log += (_, e) => log.Add(e.Message);
        IDataView data = Toy.Multiclass(_ml);
        float[][] expected = Toy.Scores(_ml, Toy.Fit(_ml, data), data);
        Assert.Equal(expected, Toy.Scores(_ml, Toy.Fit(_ml, data, o => (o.Checkpointing, o.MemoryLimit) = (CheckpointPolicy.Full, 100_000)), data));
        Assert.Contains(log, m => m.Contains("checkpointing full", StringComparison.Ordinal));
        Assert.Throws<MemoryLimitException>(() => Toy.Fit(_ml, data, o => o.MemoryLimit = 1));
    }

    [Fact]
    public void ShapeFormatAndVocabularyOfANewModel()
    {
        RbeFormat format = RbeFormat.Quantized(5) with { Delta = (SparseFormat)RbeFormat.Sparse(32) };
        IDataView data = Toy.Multiclass(_ml);
        TextClassificationTransformer model = Toy.Fit(_ml, data, o =>
        {
            (o.Layers, o.Heads, o.Width, o.Context, o.VocabularySize) = (2, 4, 64, 24, 270);
            o.Compression = new RbeOptions { Tile = 64, Format = format };
        });
        using SequenceClassifier<float> copy = model.CopyClassifier();
        TransformerConfig config = copy.Model.Config;
        Assert.Equal((2, 4, 64, 24), (config.Layers, config.Heads, config.Width, config.MaxSequenceLength));
        Assert.InRange(config.Vocabulary, 257, 270);
        Assert.IsType<BytePairTokenizer>(model.Tokenizer);
        Assert.All(copy.Model.Matrices, m => Assert.Equal(5, Assert.IsType<QuantizedFormat>(m.Matrix.Format).Bits));
        Assert.All(copy.Model.Matrices, m => Assert.Equal(32, m.Matrix.Support!.CoefficientsPerTile));
        CharacterTokenizer letters = new([.. " 0123456789abcdefghijklmnopqrstuvwxyz".EnumerateRunes()]);
        Assert.Same(letters, Toy.Fit(_ml, data, o => o.Tokenizer = letters).Tokenizer);
    }

    [Fact]
    public void PretrainedModelsFromAPathOrInHandAreTheSame()
    {
        IDataView data = Toy.Multiclass(_ml);
        string path = Path.Combine(Path.GetTempPath(), $"rbeml-{Guid.NewGuid():N}.rbe");
        try
        {
            TransformerConfig config = new() { Width = 32, Heads = 2, Layers = 1, Vocabulary = 256, MaxSequenceLength = 40, Dropout = 0.1f };
            using ModelBundle bundle =
                new(TransformerModel<float>.Create(config, new RbeOptions { Tile = 32, Format = RbeFormat.Sparse(128) }, seed: 9), new ByteTokenizer());
            ModelFile.Save(path, bundle.Model, bundle.Tokenizer);
            float before = bundle.Model.Parameters.ToFloats(bundle.Model.Parameters.Slices[0])[0];
            TextClassificationTransformer given = Toy.Fit(_ml, data, o => (o.Model, o.Context, o.Compression) = (bundle, null, null));
            TextClassificationTransformer loaded = Toy.Fit(_ml, data, o => (o.ModelPath, o.Context, o.Compression) = (path, null, null));
            Assert.Equal(Toy.Scores(_ml, given, data), Toy.Scores(_ml, loaded, data));
            Assert.Equal(before, bundle.Model.Parameters.ToFloats(bundle.Model.Parameters.Slices[0])[0]);
            Assert.Equal(40, given.Limits.Context);
            using SequenceClassifier<float> copy = Toy.Fit(_ml, data, o => (o.Model, o.Dropout) = (bundle, 0.3)).CopyClassifier();
            Assert.Equal((0.3f, 256), (copy.Model.Config.Dropout, ((SparseFormat)copy.Model.Matrices.First().Matrix.Format).Coefficients));

            Refused("Context", o => (o.Model, o.Context) = (bundle, 41));
            Refused("ModelPath", o => (o.Model, o.ModelPath) = (bundle, path));
            Refused("Tokenizer", o => o.Model = bundle with { Tokenizer = null });
            Refused("WarmStart", o => (o.Model, o.WarmStart) = (bundle, given));
            Assert.Throws<RbeFileException>(() => Toy.Fit(_ml, data, o => o.ModelPath = path + ".none"));
        }
        finally
        {
            File.Delete(path);
        }

        void Refused(string setting, Action<TextClassificationOptions> change) =>
            Assert.Equal(setting, Assert.Throws<InvalidSettingException>(() => Toy.Fit(_ml, data, change)).Setting);
    }

    [Fact]
    public void ChangingOptionsAfterwardsChangesNothing()
    {
        TextClassificationOptions options = Toy.Options();
        TextClassificationTrainer trainer = _ml.Rbe.TextClassification(options);
        options.Epochs = 1;
        Assert.Equal(8, trainer.Fit(Toy.Multiclass(_ml)).Summary.Epochs.Count);
    }
}
