using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Microsoft.ML;
using Microsoft.ML.Data;
using RbeMl.MLNet.Classification;
using RbeMl.Training;

namespace RbeMl.Benchmarks.MlNet;

/// <summary>What a way to classify texts reached.</summary>
/// <param name="Data">The data.</param>
/// <param name="Way">The way.</param>
/// <param name="Texts">Training texts.</param>
/// <param name="Classes">Classes.</param>
/// <param name="Accuracy">On texts it has not seen.</param>
/// <param name="MacroF1">Mean F1 of the classes, on the same.</param>
/// <param name="LogLoss">In nats, on the same.</param>
/// <param name="FitSeconds">Training.</param>
/// <param name="ScoreSeconds">Scoring of the test texts.</param>
/// <param name="PeakBytes">Largest resident memory of the process, which does nothing else.</param>
internal sealed record ContestRow(string Data, string Way, int Texts, int Classes, double Accuracy, double MacroF1, double LogLoss, double FitSeconds, double ScoreSeconds, long PeakBytes);

/// <summary>One way on one data set, in a process of its own; prints a <see cref="ContestRow"/>.</summary>
internal static class TextContest
{
    public const string Verb = "mlnet-child";

    /// <summary>The ways, by name. Further ones are a line each.</summary>
    public static IReadOnlyDictionary<string, Func<MLContext, int, IEstimator<ITransformer>>> Ways { get; } = new Dictionary<string, Func<MLContext, int, IEstimator<ITransformer>>>
    {
        ["FeaturizeText + SdcaMaximumEntropy"] = (ml, _) => Featurized(ml).Append(ml.MulticlassClassification.Trainers.SdcaMaximumEntropy()),
        ["FeaturizeText + LbfgsMaximumEntropy"] = (ml, _) => Featurized(ml).Append(ml.MulticlassClassification.Trainers.LbfgsMaximumEntropy()),
        ["Rbe.TextClassification"] = (ml, seed) => ml.Rbe.TextClassification(new TextClassificationOptions { Seed = seed }),
    };

    /// <summary>Arguments: file of the data or empty, way, seed.</summary>
    public static int Run(string[] args)
    {
        int seed = int.Parse(args[2], CultureInfo.InvariantCulture);
        Console.WriteLine(JsonSerializer.Serialize(Measure(TextSet.Load(args[0].Length == 0 ? null : args[0], seed), args[1], seed)));
        return 0;
    }

    private static ContestRow Measure(TextSet set, string way, int seed)
    {
        MLContext ml = new(seed);
        ml.Log += (_, e) =>
        {
            if (e.Source.StartsWith(nameof(TextClassificationTrainer), StringComparison.Ordinal)) Console.Error.WriteLine(e.Message);
        };
        IDataView all = ml.Data.LoadFromEnumerable(set.Train.Concat(set.Test));
        ITransformer keys = ml.Transforms.Conversion.MapValueToKey("Label", nameof(LabelledText.Class), keyOrdinality: Microsoft.ML.Transforms.ValueToKeyMappingEstimator.KeyOrdinality.ByValue).Fit(all);
        IDataView train = keys.Transform(ml.Data.LoadFromEnumerable(set.Train)), test = keys.Transform(ml.Data.LoadFromEnumerable(set.Test));
        long started = Stopwatch.GetTimestamp();
        ITransformer model = Ways[way](ml, seed).Fit(train);
        double fit = Stopwatch.GetElapsedTime(started).TotalSeconds;
        started = Stopwatch.GetTimestamp();
        MulticlassClassificationMetrics metrics = ml.MulticlassClassification.Evaluate(model.Transform(test));
        double score = Stopwatch.GetElapsedTime(started).TotalSeconds;
        double f1 = metrics.ConfusionMatrix.PerClassPrecision.Zip(metrics.ConfusionMatrix.PerClassRecall, (p, r) => p + r > 0 ? 2 * p * r / (p + r) : 0).Average();
        return new ContestRow(set.Name, way, set.Train.Length, metrics.ConfusionMatrix.NumberOfClasses, metrics.MicroAccuracy, f1, metrics.LogLoss, fit, score, RuntimeFootprint.PeakResidentBytes);
    }

    private static IEstimator<ITransformer> Featurized(MLContext ml) => ml.Transforms.Text.FeaturizeText("Features", nameof(LabelledText.Text)).AppendCacheCheckpoint(ml);

    private static EstimatorChain<TNext> Append<TNext>(this IEstimator<ITransformer> first, IEstimator<TNext> next)
        where TNext : class, ITransformer => new EstimatorChain<ITransformer>().Append(first).Append(next);
}
