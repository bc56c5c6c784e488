using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using RbeMl.Cli.Output;
using RbeMl.Models;
using RbeMl.Training;

namespace RbeMl.Cli.Finetune;

/// <summary>What only tells and writes nothing to <c>--out</c>: a dry run, and the search for a learning rate.</summary>
/// <param name="settings">What was asked for.</param>
/// <param name="delta">What is trained of the model; null for all.</param>
/// <param name="json">Where JSON goes.</param>
/// <param name="host">Where the rest goes.</param>
internal sealed class RunForecast(FinetuneSettings settings, DeltaModel? delta, JsonTarget json, CommandHost host)
{
    private const double HighestRate = 10; // of --learning-rate
    private const int RateChart = 64, RateMargin = 10, LeastRateChart = 20;

    /// <summary>Two steps of the model in memory: one to begin with, one to measure.</summary>
    /// <param name="model">The model.</param>
    /// <param name="data">The data.</param>
    /// <param name="context">Tokens of a sequence.</param>
    /// <param name="keptBytes">Bytes that the run keeps beside what the trainer counts.</param>
    /// <returns>An <see cref="ExitCode"/>.</returns>
    public int DryRun(TransformerModel<float> model, TrainingData data, int context, long keptBytes)
    {
        TrainerOptions options = settings.ToTrainer(context, int.MaxValue, keptBytes, delta);
        options = options with { SpillFolder = null }; // writes nothing to --out
        using Trainer trainer = new(model, data.Train, null, options, settings.Threads);
        long memory = (trainer.Plan?.Estimate ?? trainer.Estimate).Total, bytes = ModelSize.Of(FinetuneJob.Served(settings, trainer)).Bytes;
        trainer.Step(0, host.Cancel);
        long started = Stopwatch.GetTimestamp();
        trainer.Step(0, host.Cancel);
        double step = Stopwatch.GetElapsedTime(started).TotalSeconds;
        double limit = settings.Seconds ?? double.PositiveInfinity, asked = settings.Steps ?? double.PositiveInfinity;
        double seconds = Math.Min(step * asked, limit), steps = Math.Min(asked, Math.Max(1, Math.Floor(limit / step)));
        string told = $"About {Format.Bytes(bytes)} of weights, {Format.Bytes(memory)} of memory, "
            + $"{step.ToString("G3", CultureInfo.InvariantCulture)} s a step: "
            + $"{Format.Count(steps, "step")} in {Format.Seconds(seconds)}, and what measuring and saving take. Nothing was written.";
        if (!json.OnOutput) host.Say(told);
        json.Write(host, JsonSerializer.Serialize(
            new { DryRun = true, settings.Out, Bytes = bytes, PeakBytes = memory, SecondsPerStep = step, Steps = steps, Seconds = seconds },
            JsonStyle.Indented));
        return ExitCode.Done;
    }

    /// <summary>Tries learning rates on a copy of the model.</summary>
    /// <param name="most">Steps at most.</param>
    /// <param name="model">The model.</param>
    /// <param name="data">The data.</param>
    /// <param name="context">Tokens of a sequence.</param>
    /// <returns>An <see cref="ExitCode"/>.</returns>
    public int FindRate(int most, TransformerModel<float> model, TrainingData data, int context)
    {
        TrainerOptions options = settings.ToTrainer(context, int.MaxValue, 0, delta) with { SpillFolder = null }; // writes nothing to --out
        LearningRateFinderOptions search = new() { Steps = most, Highest = Math.Min(HighestRate, options.Optimizer.RateFor(1)) };
        ProgressView view = ProgressView.For(host, json.OnOutput);
        LearningRateSweep? sweep = null;
        view.Run(() => sweep = LearningRateFinder.Find(model, data.Train, options, search, settings.Threads, new RateView(view, most), host.Cancel));
        IReadOnlyList<string>? next = sweep!.Suggested is { } rate ? Next(rate, options) : null;
        if (!json.OnOutput) Show(sweep, next);
        json.Write(host, JsonSerializer.Serialize(
            new { FindRate = true, sweep.Suggested, sweep.Diverged, Lowest = sweep.Lowest.LearningRate, Next = next, sweep.Points }, JsonStyle.Indented));
        return ExitCode.Done;
    }

    // The rate of coefficients keeps its ratio to the other.
    private List<string> Next(double rate, TrainerOptions options)
    {
        List<string> words = [.. settings.Words, "--learning-rate", Text(rate)];
        if (options.CoefficientLearningRate is { } own) words.AddRange(["--coefficient-learning-rate", Text(own * rate / options.LearningRate)]);
        return words;
    }

    private void Show(LearningRateSweep sweep, IReadOnlyList<string>? next)
    {
        LearningRatePoint first = sweep.Points[0], last = sweep.Points[^1], lowest = sweep.Lowest;
        double top = first.Smoothed + Math.Max(0.1, 0.5 * (first.Smoothed - lowest.Smoothed)); // what runs away would flatten all else
        int width = Math.Clamp((host.Columns ?? int.MaxValue) - RateMargin, LeastRateChart, RateChart);
        host.Out.WriteLine();
        host.Say($"Training loss, nats a token, smoothed, by learning rate{(sweep.Diverged ? ", until it ran away" : "")}");
        host.Out.WriteLine(LossChart.Draw([.. sweep.Points.Select(point => (Math.Min(point.Smoothed, top), 1L))], width,
            axis: (Text(first.LearningRate), "rate", Text(last.LearningRate))));
        host.Say(sweep.Suggested is { } rate
            ? $"Suggested learning rate: {Text(rate)}, where the loss fell fastest. It was lowest at {Text(lowest.LearningRate)}, "
                + $"{(sweep.Diverged ? "and ran away at" : "and the smoothed loss did not run away up to")} {Text(last.LearningRate)}. Nothing was written. "
                + "To train at that rate:"
            : "The loss hardly fell at any rate, so none is suggested, and nothing was written. Take more steps, such as --find-rate 300, or a larger "
                + "--batch; of a model that knows the text already there may be nothing to learn.", 0);
        if (next is not null) host.Out.WriteLine($"  {CommandLine.Of(host.Program, next)}"); // to copy, so it is not broken
    }

    // Three digits, and no exponent where it is short without.
    private static string Text(double rate) => rate is >= 1e-4 and < 1e3 ? Rounded(rate).ToString("0.#######", CultureInfo.InvariantCulture)
        : rate.ToString("0.##e-0", CultureInfo.InvariantCulture);

    private static double Rounded(double rate) => double.Parse(rate.ToString("G3", CultureInfo.InvariantCulture), CultureInfo.InvariantCulture);

    private sealed class RateView(ProgressView view, int most) : IProgress<LearningRatePoint>
    {
        private int _steps;

        public void Report(LearningRatePoint value)
        {
            _steps++;
            view.Show((double)_steps / most, $"step {_steps}/{most}", $"rate {Text(value.LearningRate)}", $"loss {Format.Loss(value.Loss)}");
        }
    }
}
