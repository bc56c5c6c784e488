using System.Globalization;
using RbeMl.Models;

namespace RbeMl.Training;

/// <summary>
/// Looks for a learning rate: some steps on a copy of a model, each at a rate that is a factor higher than the one before, from where nothing
/// happens to where the loss runs away. Good rates are those at which it fell. After Smith, <c>Cyclical Learning Rates for Training Neural
/// Networks</c> (2017). The same seed gives the same bits, for any number of threads.
/// </summary>
public static class LearningRateFinder
{
    private const double MostForgotten = 0.5, SmoothedShare = 0.1, LeastRise = 1, LeastFall = 0.02;

    /// <summary>Does the steps.</summary>
    /// <param name="model">The model, of which a copy is trained: it stays as it is, bit for bit.</param>
    /// <param name="train">Training batches, those of the run that the rate is for.</param>
    /// <param name="options">The settings of that run. Its schedule, warm-up, average and number of steps do not count; where it has a
    /// <see cref="TrainerOptions.CoefficientLearningRate"/>, that grows with the other rate and keeps its ratio to it.</param>
    /// <param name="search">How many steps, from which rate to which; null for the defaults.</param>
    /// <param name="threads">0 for one a processor.</param>
    /// <param name="progress">Told after each step, on the calling thread if it reports there; null for nobody.</param>
    /// <param name="cancellation">Ends the search between two blocks.</param>
    /// <exception cref="InvalidSettingException">A setting is out of range.</exception>
    /// <exception cref="MemoryLimitException">The model, its copy and the steps do not fit into the limit, or the machine.</exception>
    /// <exception cref="TokenException">The data does not fit the model.</exception>
    /// <exception cref="NonFiniteException">The model predicts NaN or infinity before any step.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public static LearningRateSweep Find(TransformerModel<float> model, ITokenSource train, TrainerOptions options,
        LearningRateFinderOptions? search = null, int threads = 0, IProgress<LearningRatePoint>? progress = null,
        CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(options);
        (int steps, double lowest, double highest) = (search ?? new LearningRateFinderOptions()).For(options.Validate().Optimizer);
        using TransformerModel<float> copy = new(model.GetWeights());
        using Trainer trainer = new(copy, train, null, options with
        {
            Steps = steps,
            Schedule = RateSchedule.Constant,
            WarmupSteps = 0,
            Cycles = 1,
            AverageHorizon = 0,
            StatePath = null,
            Profile = false,
        }, threads);
        List<LearningRatePoint> points = [];
        double memory = 1 - Math.Min(MostForgotten, 1 / (SmoothedShare * steps)); // what lags behind does so by a tenth of the rates, however many steps
        double mean = 0, least = double.PositiveInfinity;
        bool diverged = false;
        while (points.Count < steps && !diverged)
        {
            double rate = lowest * Math.Pow(highest / lowest, points.Count / (steps - 1.0)), loss;
            trainer.RateScale = rate / options.LearningRate;
            try
            {
                loss = trainer.Step(cancel: cancellation).Loss;
            }
            catch (NonFiniteException) when (points.Count > 0)
            {
                diverged = true;
                break;
            }

            // An exponential mean, as if nothing had been before the first.
            mean = (memory * mean) + ((1 - memory) * loss);
            double smooth = mean / (1 - Math.Pow(memory, points.Count + 1));
            LearningRatePoint point = new(rate, loss, smooth);
            points.Add(point);
            progress?.Report(point);
            least = Math.Min(least, smooth);
            diverged = smooth > least + Math.Max(LeastRise, points[0].Loss - least);
        }

        return new LearningRateSweep(points, Suggest(points), diverged);
    }

    // Where the smoothed loss fell fastest, of the logarithm of the rate; null where it hardly fell.
    private static double? Suggest(List<LearningRatePoint> points)
    {
        int end = points.Count == 0 ? 0 : points.IndexOf(points.MinBy(point => point.Smoothed));
        if (end < 2 || points.Take(end).Max(point => point.Smoothed) - points[end].Smoothed < LeastFall) return null;
        int steepest = 1;
        for (int i = 2; i < end; i++)
        {
            if (Fall(i) > Fall(steepest)) steepest = i;
        }

        return double.Parse(points[steepest].LearningRate.ToString("G2", CultureInfo.InvariantCulture), CultureInfo.InvariantCulture);

        double Fall(int i) => points[i - 1].Smoothed - points[i + 1].Smoothed;
    }
}
