using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Microsoft.ML;
using Microsoft.ML.Data;
using RbeMl.Benchmarks.MlNet;
using RbeMl.MLNet.Classification;
using RbeMl.Training;

namespace RbeMl.Benchmarks.FewLabels;

/// <summary>What one way reached on one draw of labels.</summary>
/// <param name="Texts">Training texts.</param>
/// <param name="Accuracy">On texts it has not seen.</param>
/// <param name="MacroF1">Mean F1 of the classes, on the same.</param>
/// <param name="LogLoss">In nats, on the same.</param>
/// <param name="FitSeconds">Training, loading of the model included.</param>
/// <param name="PeakBytes">Largest resident memory of the process, which does nothing else.</param>
/// <param name="FileBytes">The trained model as ML.NET's zip.</param>
internal sealed record FewLabelsRow(int Texts, double Accuracy, double MacroF1, double LogLoss, double FitSeconds, long PeakBytes, long FileBytes);

/// <summary>One way on some draws, in a process of its own; prints a <see cref="FewLabelsRow"/> of each.</summary>
internal static class FewLabelsRun
{
    public const string Verb = "few-labels-child";

    // Of the split; the draw of the labels has its own.
    private const int SplitSeed = 1;

    // More would change no figure by what draws change it, and cost most of the time.
    private const int MostTested = 500;

    private const int Context = 128;

    /// <summary>The ways without a model, then those of an encoder.</summary>
    public static IReadOnlyList<string> Words { get; } = ["words, SDCA", "words, L-BFGS"];

    /// <summary>The ways of an encoder, and whether a delta is trained.</summary>
    public static IReadOnlyDictionary<string, (FewLabelMethod Method, bool Delta)> Methods { get; } = new Dictionary<string, (FewLabelMethod, bool)>
    {
        ["frozen"] = (FewLabelMethod.Frozen, false),
        ["biases"] = (FewLabelMethod.FineTuned, false),
        ["fine-tuned"] = (FewLabelMethod.FineTuned, true),
        ["contrastive"] = (FewLabelMethod.Contrastive, true),
    };

    /// <summary>Arguments: file of the data, labels a class (0 for all), seeds from 1 on, way, model or empty.</summary>
    public static int Run(string[] args)
    {
        int labels = int.Parse(args[1], CultureInfo.InvariantCulture), seeds = int.Parse(args[2], CultureInfo.InvariantCulture);
        TextSet set = TextSet.Load(args[0], SplitSeed);
        HashSet<string> known = [.. set.Train.GroupBy(t => t.Class).Where(g => g.Count() > 1).Select(g => g.Key)]; // a header is no class
        LabelledText[] texts = [.. set.Train.Where(t => known.Contains(t.Class))], test = [.. set.Test.Where(t => known.Contains(t.Class)).Take(MostTested)];
        FrozenTest? frozen = Methods.TryGetValue(args[3], out var way) && way.Method == FewLabelMethod.Frozen ? new FrozenTest(args[4], test, Context) : null;
        Console.WriteLine(JsonSerializer.Serialize(Enumerable.Range(1, seeds).Select(seed => Measure(texts, test, labels, seed, args[3], args[4], frozen))));
        return 0;
    }

    private static FewLabelsRow Measure(LabelledText[] texts, LabelledText[] test, int labels, int seed, string way, string model, FrozenTest? frozen)
    {
        LabelledText[] draw = [.. texts];
        new Random(seed).Shuffle(draw);
        LabelledText[] train = labels == 0 ? draw : [.. draw.GroupBy(t => t.Class).OrderBy(g => g.Key, StringComparer.Ordinal).SelectMany(g => g.Take(labels))];
        MLContext ml = new(seed);
        ITransformer keys = ml.Transforms.Conversion.MapValueToKey("Label", nameof(LabelledText.Class),
            keyOrdinality: Microsoft.ML.Transforms.ValueToKeyMappingEstimator.KeyOrdinality.ByValue).Fit(ml.Data.LoadFromEnumerable(train.Concat(test)));
        IDataView data = keys.Transform(ml.Data.LoadFromEnumerable(train)), unseen = keys.Transform(ml.Data.LoadFromEnumerable(test));
        long started = Stopwatch.GetTimestamp();
        ITransformer fitted = Estimator(ml, way, model, seed).Fit(data);
        double fit = Stopwatch.GetElapsedTime(started).TotalSeconds;
        IDataView scored = frozen?.Score(ml, (TextClassificationTransformer)fitted, unseen) ?? ml.Data.Cache(fitted.Transform(unseen));
        MulticlassClassificationMetrics metrics = ml.MulticlassClassification.Evaluate(scored);
        double f1 = metrics.ConfusionMatrix.PerClassPrecision.Zip(metrics.ConfusionMatrix.PerClassRecall, (p, r) => p + r > 0 ? 2 * p * r / (p + r) : 0)
            .Average();
        using MemoryStream zip = new();
        ml.Model.Save(fitted, data.Schema, zip);
        return new FewLabelsRow(train.Length, metrics.MicroAccuracy, f1, metrics.LogLoss, fit, RuntimeFootprint.PeakResidentBytes, zip.Length);
    }

    private static IEstimator<ITransformer> Estimator(MLContext ml, string way, string model, int seed) =>
        Methods.TryGetValue(way, out (FewLabelMethod Method, bool Delta) found)
        ? ml.Rbe.TextClassification(new TextClassificationOptions { ModelPath = model, Method = found.Method, Seed = seed, Context = Context })
        : TextContest.Ways[way == Words[0] ? "FeaturizeText + SdcaMaximumEntropy" : "FeaturizeText + LbfgsMaximumEntropy"](ml, seed, "");
}
