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

/// <summary>One way, in a process of its own; prints a <see cref="FewLabelsRow"/>.</summary>
internal static class FewLabelsRun
{
    public const string Verb = "few-labels-child";

    // Of the split; the draw of the labels has its own.
    private const int SplitSeed = 1;

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

    /// <summary>Arguments: file of the data, labels a class (0 for all), seed, way, model or empty.</summary>
    public static int Run(string[] args)
    {
        int labels = int.Parse(args[1], CultureInfo.InvariantCulture), seed = int.Parse(args[2], CultureInfo.InvariantCulture);
        Console.WriteLine(JsonSerializer.Serialize(Measure(args[0], labels, seed, args[3], args[4])));
        return 0;
    }

    private static FewLabelsRow Measure(string file, int labels, int seed, string way, string model)
    {
        TextSet set = TextSet.Load(file, SplitSeed);
        HashSet<string> known = [.. set.Train.GroupBy(t => t.Class).Where(g => g.Count() > 1).Select(g => g.Key)]; // a header is no class
        LabelledText[] draw = [.. set.Train.Where(t => known.Contains(t.Class))], test = [.. set.Test.Where(t => known.Contains(t.Class))];
        new Random(seed).Shuffle(draw);
        LabelledText[] train = labels == 0 ? draw : [.. draw.GroupBy(t => t.Class).OrderBy(g => g.Key, StringComparer.Ordinal).SelectMany(g => g.Take(labels))];
        MLContext ml = new(seed);
        ITransformer keys = ml.Transforms.Conversion.MapValueToKey("Label", nameof(LabelledText.Class),
            keyOrdinality: Microsoft.ML.Transforms.ValueToKeyMappingEstimator.KeyOrdinality.ByValue).Fit(ml.Data.LoadFromEnumerable(train.Concat(test)));
        IDataView data = keys.Transform(ml.Data.LoadFromEnumerable(train)), unseen = keys.Transform(ml.Data.LoadFromEnumerable(test));
        long started = Stopwatch.GetTimestamp();
        ITransformer fitted = Estimator(ml, way, model, seed).Fit(data);
        double fit = Stopwatch.GetElapsedTime(started).TotalSeconds;
        MulticlassClassificationMetrics metrics = ml.MulticlassClassification.Evaluate(fitted.Transform(unseen));
        double f1 = metrics.ConfusionMatrix.PerClassPrecision.Zip(metrics.ConfusionMatrix.PerClassRecall, (p, r) => p + r > 0 ? 2 * p * r / (p + r) : 0)
            .Average();
        using MemoryStream zip = new();
        ml.Model.Save(fitted, data.Schema, zip);
        return new FewLabelsRow(train.Length, metrics.MicroAccuracy, f1, metrics.LogLoss, fit, RuntimeFootprint.PeakResidentBytes, zip.Length);
    }

    private static IEstimator<ITransformer> Estimator(MLContext ml, string way, string model, int seed) =>
        Methods.TryGetValue(way, out (FewLabelMethod Method, bool Delta) found)
        ? ml.Rbe.TextClassification(new TextClassificationOptions { ModelPath = model, Method = found.Method, Seed = seed, Context = 128 })
        : TextContest.Ways[way == Words[0] ? "FeaturizeText + SdcaMaximumEntropy" : "FeaturizeText + LbfgsMaximumEntropy"](ml, seed, "");
}
