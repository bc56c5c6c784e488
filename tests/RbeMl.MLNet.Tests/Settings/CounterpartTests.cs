using Microsoft.ML;
using RbeMl.Kernels;
using RbeMl.Layers;
using RbeMl.MLNet.Classification;
using RbeMl.MLNet.Features;
using RbeMl.MLNet.LanguageModels;
using RbeMl.MLNet.Tests.Classification;
using RbeMl.MLNet.Tests.Features;
using RbeMl.MLNet.Tests.LanguageModels;
using RbeMl.MLNet.Training;
using RbeMl.Models;
using RbeMl.Tests.Files;
using RbeMl.Text;
using RbeMl.Training;

namespace RbeMl.MLNet.Tests.Settings;

/// <summary>Options of the library reach the estimators' options, and what is saved of them.</summary>
public sealed class CounterpartTests : IDisposable
{
    private readonly MLContext _ml = new MLContext(1).UseRbe();
    private readonly ModelBundle _bundle = Verses.Bundle(new ByteTokenizer());
    private readonly TemporaryFolder _folder = new();

    public void Dispose()
    {
        _bundle.Dispose();
        _folder.Dispose();
    }

    [Fact]
    public void OfGeneration()
    {
        Dictionary<string, object?> values = new()
        {
            ["MaxTokens"] = 9,
            ["Temperature"] = 0.3,
            ["TopK"] = 7,
            ["TopP"] = 0.6,
            ["MinP"] = 0.2,
            ["RepetitionPenalty"] = 1.5,
            ["EndTokens"] = new[] { 1, 2 },
            ["IgnoreEnd"] = true,
            ["StopStrings"] = new[] { "a", "bc" },
            ["Seed"] = 77UL,
            ["KvFormat"] = KvFormat.Int8,
        };
        Counterparts.AllArrive(values, [],
            (name, value) =>
            Saved(Verses.Score(_ml, _bundle, o => Set(o, name == "MaxTokens" ? "MaxNewTokens" : name, value)), model => model.Settings.Generation));
    }

    [Theory]
    [InlineData("language model")]
    [InlineData("classifier")]
    public void OfScoring(string kind)
    {
        Dictionary<string, object?> values = new() { ["BatchRows"] = 7, ["Threads"] = 3 };
        Counterparts.AllArrive(values, [], (name, value) => kind == "classifier"
            ? Saved(Toy.Fit(_ml, Toy.Binary(_ml), o =>
            {
                o.Epochs = 1;
                Set(o, name, value);
            }), model => model.Scoring)
            : Saved(Verses.Score(_ml, _bundle, o => Set(o, name, value)), model => model.Scoring));
    }

    [Fact]
    public void OfFeatures()
    {
        using ModelBundle bundle = TextRows.Bundle();
        Dictionary<string, object?> values = new() { ["Layer"] = 1, ["Pooling"] = Pooling.Max };
        Counterparts.AllArrive(values, ["PassTokens"], (name, value) => // which changes time and memory only
        {
            FeaturizeOptions options = new() { Model = bundle };
            Set(options, name, value);
            return Saved(_ml.Rbe.Featurize(options).Fit(TextRows.View(_ml)),
                model => model.Settings with { Layer = model.Settings.Layer ?? model.Model.Config.Layers });
        });
    }

    [Fact]
    public void OfTraining()
    {
        Dictionary<string, object?> values = new()
        {
            ["Steps"] = 50,
            ["BatchSize"] = 3,
            ["Context"] = 5,
            ["Optimizer"] = new SgdOptions { Momentum = 0.7 },
            ["LearningRate"] = 0.02,
            ["WarmupSteps"] = 4,
            ["WeightDecay"] = 0.3,
            ["Clip"] = 0.5,
            ["AverageHorizon"] = 7,
            ["StatePath"] = "a.rbe",
            ["StateEvery"] = SaveInterval.EverySteps(3),
            ["Seed"] = 77UL,
            ["Checkpointing"] = CheckpointPolicy.Full,
            ["MemoryLimit"] = 999,
        };

        // The rest has one value for all, or is for runs of the command.
        string[] without =
        [
            "Accumulate", "CoefficientLearningRate", "Schedule", "FinalFraction", "PreconditionAlphas", "TrainBits", "ValidateEvery",
            "ValidationSequences", "Offload", "SpillFolder", "ExtraBytes", "Profile", "Groups", "Cycles",
            "ShardOptimizer", "Sum", "Wire", "LocalSteps",
        ];
        Assert.DoesNotContain(without, name => typeof(LanguageModelOptions).GetProperty(name) is not null);
        Counterparts.AllArrive(values, without, (name, value) =>
        {
            LanguageModelOptions options = new() { WarmupFraction = 0, LearningRate = 0.01, WeightDecay = 0.2 };
            ulong seed = 1;
            int steps = 40, batch = 2, context = 8;
            switch (name)
            {
                case "Seed":
                    seed = (ulong)value!;
                    break;
                case "Steps":
                    steps = (int)value!;
                    break;
                case "BatchSize":
                    batch = (int)value!;
                    break;
                case "Context":
                    context = (int)value!;
                    break;
                case "WarmupSteps":
                    options.WarmupFraction = (int)value! / (double)steps;
                    break;
                default:
                    Set(options, name, value);
                    break;
            }

            return options.ToTrainer(seed, steps, batch, context);
        });
    }

    /// <summary>A delta is given as the library's own options, which reach what is attached; its groups, what is trained.</summary>
    [Fact]
    public void OfADelta()
    {
        Dictionary<string, object?> values = new()
        {
            ["Share"] = 0.5,
            ["Coefficients"] = 80,
            ["Layers"] = new[] { "*.query" },
            ["Support"] = DeltaSupport.Random,
            ["CalibrationSteps"] = 3,
            ["Biases"] = true,
            ["LayerNorms"] = true,
            ["Seed"] = 7,
        };
        foreach ((string name, object? value) in values)
        {
            foreach (FineTuningOptions options in (FineTuningOptions[])
                [new LanguageModelOptions { Model = _bundle }, new TextClassificationOptions { Model = _bundle }])
            {
                DeltaOptions delta = new();
                Set(delta, name, value);
                options.Delta = delta;
                options.Check();
                Assert.Equivalent(delta, options.Copy<FineTuningOptions>().Delta, strict: true);
            }
        }

        Assert.Equal(values.Keys.Order(), typeof(DeltaOptions).GetProperties().Select(property => property.Name).Order());
        ParameterGroup[] groups = [new("*") { Frozen = true }];
        TextClassificationOptions classes = new();
        Assert.Equal(groups, classes.ToTrainer(1, groups).Groups);
        FewLabelOptions few = classes.ToFewLabels(FewLabelMethod.Contrastive, 8, 1, groups);
        Assert.Equal(groups, few.FineTuning!.Groups);
        Assert.Equal(groups, few.Contrastive!.Groups);
    }

    [Fact]
    public void OfAClassifiersTraining()
    {
        Dictionary<string, object?> values = new()
        {
            ["Epochs"] = 9,
            ["BatchSize"] = 3,
            ["Optimizer"] = new SgdOptions { Momentum = 0.7 },
            ["LearningRate"] = 0.02,
            ["HeadLearningRate"] = 0.03,
            ["WarmupFraction"] = 0.4,
            ["WeightDecay"] = 0.3,
            ["Clip"] = 0.5,
            ["AverageHorizon"] = 7,
            ["StatePath"] = "a.rbe",
            ["StateEvery"] = SaveInterval.EverySteps(3),
            ["Seed"] = 77UL,
            ["ValidationFraction"] = 0.2,
            ["Patience"] = 2,
            ["Trained"] = TrainedParts.Head,
            ["OnCancel"] = WhenCancelled.ReturnBest,
            ["Checkpointing"] = CheckpointPolicy.Full,
            ["MemoryLimit"] = 999,
        };
        string[] without =
            ["CoefficientLearningRate", "LossFloor", "Schedule", "FinalFraction", "Offload", "SpillFolder", "Groups", "Accumulate"];
        Assert.DoesNotContain(without, name => typeof(TextClassificationOptions).GetProperty(name) is not null);
        Counterparts.AllArrive(values, without, (name, value) =>
        {
            TextClassificationOptions options = new() { LearningRate = 0.01, WeightDecay = 0.2 };
            if (name != "Seed") Set(options, name, value);
            return options.ToTrainer(name == "Seed" ? (ulong)value! : 1);
        });
    }

    private static void Set(object options, string? name, object? value)
    {
        if (name is not null) Counterparts.Set(options, name, value);
    }

    // The same in the object, in a file of the library and in one of ML.NET, read by either.
    private TSettings Saved<TModel, TSettings>(TModel model, Func<TModel, TSettings> read)
        where TModel : class, ITransformer
    {
        TSettings settings = read(model);
        (string own, string theirs) = (_folder.File("own.zip"), _folder.File("theirs.zip"));
        _ml.Rbe.Save(model, null, own);
        _ml.Model.Save(model, null, theirs);
        TSettings[] found =
            [.. new[] { _ml.Rbe.Load(own, out _), _ml.Model.Load(own, out _), _ml.Rbe.Load(theirs, out _), _ml.Model.Load(theirs, out _) }.Select(Read)];
        Assert.All(found, each => Assert.Equivalent(settings, each, strict: true));
        return found[0];

        TSettings Read(ITransformer loaded) => read(Assert.IsType<TModel>(loaded is IEnumerable<ITransformer> chain ? Assert.Single(chain) : loaded));
    }
}
