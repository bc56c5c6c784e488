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
internal sealed record ContestRow(string Data, string Way, int Texts, int Classes, double Accuracy, double MacroF1, double LogLoss,
    double FitSeconds, double ScoreSeconds, long PeakBytes);

/// <summary>One way on one data set, in a process of its own; prints a <see cref="ContestRow"/>.</summary>
internal static class TextContest
{
    public const string Verb = "mlnet-child";

    /// <summary>The ways, by name, with a seed and a pretrained model: those of the library that begin with one need it.</summary>
    public static IReadOnlyDictionary<string, Func<MLContext, int, string, IEstimator<ITransformer>>> Ways { get; } =
        new Dictionary<string, Func<MLContext, int, string, IEstimator<ITransformer>>>
        {
            ["FeaturizeText + SdcaMaximumEntropy"] = (ml, _, _) => FeaturizeText(ml).Append(ml.MulticlassClassification.Trainers.SdcaMaximumEntropy()),
            ["FeaturizeText + LbfgsMaximumEntropy"] = (ml, _, _) => FeaturizeText(ml).Append(ml.MulticlassClassification.Trainers.LbfgsMaximumEntropy()),
            ["Rbe.TextClassification"] = (ml, seed, _) => ml.Rbe.TextClassification(new TextClassificationOptions { Seed = seed }),
            ["Rbe.TextClassification (pretrained)"] =
            (ml, seed, model) => ml.Rbe.TextClassification(new TextClassificationOptions { Seed = seed, ModelPath = model }),
            ["Rbe.Featurize + SdcaMaximumEntropy"] = (ml, _, model) => Featurize(ml, model).Append(ml.MulticlassClassification.Trainers.SdcaMaximumEntropy()),
            ["Rbe.Featurize + LbfgsMaximumEntropy"] = (ml, _, model) => Featurize(ml, model).Append(ml.MulticlassClassification.Trainers.LbfgsMaximumEntropy()),
        };

    /// <summary>Whether a way begins with a pretrained model.</summary>
    public static bool NeedsModel(string way) =>
        way.Contains("pretrained", StringComparison.Ordinal) || way.Contains("Rbe.Featurize", StringComparison.Ordinal);

    /// <summary>Arguments: file of the data or empty, way, seed, pretrained model or empty.</summary>
    public static int Run(string[] args)
    {
        int seed = int.Parse(args[2], CultureInfo.InvariantCulture);
        Console.WriteLine(JsonSerializer.Serialize(Measure(TextSet.Load(args[0].Length == 0 ? null : args[0], seed), args[1], seed, args[3])));
        return 0;
    }

    private static ContestRow Measure(TextSet set, string way, int seed, string model)
    {
        MLContext ml = new(seed);
        ml.Log += (_, e) =>
        {
            if (e.Source.StartsWith("RbeTextClassification", StringComparison.Ordinal)) Console.Error.WriteLine(e.Message);
        };
        IDataView all = ml.Data.LoadFromEnumerable(set.Train.Concat(set.Test));
        ITransformer keys =
            ml.Transforms.Conversion.MapValueToKey("Label", nameof(LabelledText.Class),
                keyOrdinality: Microsoft.ML.Transforms.ValueToKeyMappingEstimator.KeyOrdinality.ByValue).Fit(all);
        IDataView train = keys.Transform(ml.Data.LoadFromEnumerable(set.Train)), test = keys.Transform(ml.Data.LoadFromEnumerable(set.Test));
        long started = Stopwatch.GetTimestamp();
        ITransformer fitted = Ways[way](ml, seed, model).Fit(train);
        double fit = Stopwatch.GetElapsedTime(started).TotalSeconds;
        started = Stopwatch.GetTimestamp();
        MulticlassClassificationMetrics metrics = ml.MulticlassClassification.Evaluate(fitted.Transform(test));
        double score = Stopwatch.GetElapsedTime(started).TotalSeconds;
        double f1 = metrics.ConfusionMatrix.PerClassPrecision.Zip(metrics.ConfusionMatrix.PerClassRecall, (p, r) => p + r > 0
            ? 2 * p * r / (p + r) : 0).Average();
        return new ContestRow(set.Name, way, set.Train.Length, metrics.ConfusionMatrix.NumberOfClasses, metrics.MicroAccuracy, f1,
            metrics.LogLoss, fit, score, RuntimeFootprint.PeakResidentBytes);
    }

    private static IEstimator<ITransformer> FeaturizeText(MLContext ml) =>
        ml.Transforms.Text.FeaturizeText("Features", nameof(LabelledText.Text)).AppendCacheCheckpoint(ml);

    // A text may be too short for a token: its features are NaN, which the trainers refuse.
    private static IEstimator<ITransformer> Featurize(MLContext ml, string model)
        => ml.Rbe.Featurize("Features", nameof(LabelledText.Text), model).Append(ml.Transforms.ReplaceMissingValues("Features"))
            .Append(ml.Transforms.NormalizeMeanVariance("Features")).AppendCacheCheckpoint(ml);

    private static EstimatorChain<TNext> Append<TNext>(this IEstimator<ITransformer> first, IEstimator<TNext> next)
        where TNext : class, ITransformer => new EstimatorChain<ITransformer>().Append(first).Append(next);
}
