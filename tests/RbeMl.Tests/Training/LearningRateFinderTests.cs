using RbeMl.Layers;
using RbeMl.Models;
using RbeMl.Tests.Support;
using RbeMl.Training;

namespace RbeMl.Tests.Training;

public sealed class LearningRateFinderTests
{
    private static readonly TrainerOptions s_options =
        new() { Steps = 1000, BatchSize = 4, Context = 16, LearningRate = 3e-3, AverageHorizon = 100, Clip = 0 };

    [Fact]
    public void The_suggestion_lies_where_the_loss_falls_and_the_model_stays_as_it_is()
    {
        using TransformerModel<float> model = SmallModel.Create(dropout: 0.1f);
        int[] before = Bits(model);
        List<LearningRatePoint> seen = [];
        LearningRateSweep sweep = LearningRateFinder.Find(model, Data(model), s_options, threads: 2, progress: new Sink<LearningRatePoint>(seen.Add));
        Assert.Equal(before, Bits(model));
        Assert.Equal(seen, sweep.Points);
        Assert.Equal(1e-6, sweep.Points[0].LearningRate, 12);
        Assert.Equal(sweep.Points[0].Loss, sweep.Points[0].Smoothed, 12);
        for (int i = 1; i < seen.Count; i++) Assert.Equal(Math.Pow(1e6, 1 / 99.0), seen[i].LearningRate / seen[i - 1].LearningRate, 9);

        double rate = Assert.NotNull(sweep.Suggested);
        Assert.InRange(rate, 2e-6, sweep.Lowest.LearningRate);
        int at = seen.FindIndex(point => point.LearningRate >= rate * 0.94);
        Assert.True(seen[at + 1].Smoothed < seen[at - 1].Smoothed, $"{seen[at - 1]} {seen[at + 1]}");
    }

    [Fact]
    public void A_loss_that_runs_away_ends_the_search()
    {
        using TransformerModel<float> model = SmallModel.Create(dropout: 0);
        LearningRateFinderOptions far = new() { Steps = 60, Lowest = 1e-3, Highest = 1e5 };
        LearningRateSweep sweep = LearningRateFinder.Find(model, Data(model), s_options, far, 1);
        Assert.True(sweep.Diverged);
        Assert.InRange(sweep.Points.Count, 5, 59);
        Assert.All(sweep.Points, point => Assert.True(double.IsFinite(point.Loss) && double.IsFinite(point.Smoothed)));
        Assert.True(Assert.NotNull(sweep.Suggested) < sweep.Points[^1].LearningRate);

        // What never falls suggests nothing.
        LearningRateSweep flat = LearningRateFinder.Find(model, Data(model), s_options, new() { Steps = 10, Lowest = 1e-9, Highest = 1e-8 }, 1);
        Assert.Equal((10, null, false), (flat.Points.Count, flat.Suggested, flat.Diverged));
    }

    [Fact]
    public void The_same_seed_gives_the_same_bits_and_the_run_follows_its_settings()
    {
        using TransformerModel<float> model = SmallModel.Create(dropout: 0.1f);
        LearningRateFinderOptions few = new() { Steps = 20 };
        LearningRateSweep one = Find(s_options, 1);
        Assert.Equal(one.Points, Find(s_options, 3).Points);
        Assert.Equal(one.Points, Find(s_options with { Schedule = RateSchedule.Linear, WarmupSteps = 7, Steps = 5, LearningRate = 1 }, 1).Points);
        Assert.NotEqual(one.Points, Find(s_options with { Seed = 2 }, 1).Points);
        Assert.NotEqual(one.Points, Find(s_options with { Optimizer = new LionOptions() }, 1).Points);
        Assert.NotEqual(one.Points, Find(s_options with { CoefficientLearningRate = 1e-3 }, 1).Points);
        Assert.Equal(2.5e-7, Find(s_options with { Optimizer = new LionOptions() }, 1).Points[0].LearningRate, 12);

        LearningRateSweep Find(TrainerOptions options, int threads) => LearningRateFinder.Find(model, Data(model), options, few, threads);
    }

    [Fact]
    public void Settings_out_of_range_and_models_that_predict_nothing_are_refused()
    {
        using TransformerModel<float> model = SmallModel.Create(dropout: 0);
        Refused(new() { Steps = 9 }, nameof(LearningRateFinderOptions.Steps));
        Refused(new() { Lowest = 0 }, nameof(LearningRateFinderOptions.Lowest));
        Refused(new() { Lowest = 1e-3, Highest = 1e-3 }, nameof(LearningRateFinderOptions.Highest));
        Refused(new() { Highest = double.NaN }, nameof(LearningRateFinderOptions.Highest));
        using CancellationTokenSource cancelled = new();
        cancelled.Cancel();
        Assert.ThrowsAny<OperationCanceledException>(() => LearningRateFinder.Find(model, Data(model), s_options, cancellation: cancelled.Token));
        ParameterSlice gamma = model.Parameters.Slices.First(slice => slice.Kind == ParameterKind.LayerNorm);
        model.Parameters.Write(gamma, [.. Enumerable.Repeat(float.NaN, gamma.Length)]);
        Assert.Throws<NonFiniteException>(() => LearningRateFinder.Find(model, Data(model), s_options));

        void Refused(LearningRateFinderOptions search, string name) => Assert.Equal(name,
            Assert.Throws<InvalidSettingException>(() => LearningRateFinder.Find(model, Data(model), s_options, search)).Setting);
    }

    private static CountingTokens Data(TransformerModel<float> model) => new(model.Config.Vocabulary);

    private static int[] Bits(TransformerModel<float> model) =>
        [.. model.Parameters.Slices.SelectMany(slice => model.Parameters.Of(slice).ToArray()).Select(BitConverter.SingleToInt32Bits)];

    private sealed class Sink<T>(Action<T> report) : IProgress<T>
    {
        public void Report(T value) => report(value);
    }
}
