using System.Diagnostics;
using System.Diagnostics.Metrics;
using RbeMl.Codec;
using RbeMl.Layers;
using RbeMl.Models;
using RbeMl.Tests.Support;
using RbeMl.Training;

namespace RbeMl.Tests.Training;

public class ProfileTests
{
    private const int Steps = 3, Accumulate = 2, Layers = 2;
    private static readonly TransformerConfig s_config = new() { Width = 32, Heads = 2, Layers = Layers, Vocabulary = 11, MaxSequenceLength = 16 };
    private static readonly TrainerOptions s_training =
        new() { Steps = Steps, BatchSize = 4, Context = 16, Accumulate = Accumulate, WarmupSteps = 0, ValidationSequences = 8, Profile = true };

    private static Trainer Trainer(TrainerOptions options, int threads) =>
        new(TransformerModel<float>.Create(s_config, new RbeOptions { Tile = 32, Format = RbeFormat.Sparse(128, SupportRule.Runs(8)) }, 3),
            new CountingTokens(11), new CountingTokens(11), options, threads);

    [Theory]
    [InlineData(1, CheckpointPolicy.None)]
    [InlineData(2, CheckpointPolicy.Selective)]
    [InlineData(2, CheckpointPolicy.Full)]
    public void Every_stage_is_counted_and_the_parts_are_at_most_the_whole(int threads, CheckpointPolicy policy)
    {
        using Trainer trainer = Trainer(s_training with { Checkpointing = policy }, threads);
        trainer.Run();
        StepProfile profile = trainer.Profile!;
        Dictionary<ProfileStage, long> counts = profile.Entries.ToDictionary(e => e.Stage, e => e.Count);
        foreach (ProfileStage stage in Enum.GetValues<ProfileStage>())
        {
            long runs = stage switch
            {
                ProfileStage.Optimizer => Steps,
                ProfileStage.Exchange => 0, // of one process
                ProfileStage.Recomputation when policy == CheckpointPolicy.None => 0,
                ProfileStage.Data or ProfileStage.Embedding or ProfileStage.HeadAndLoss or ProfileStage.EmbeddingGradients => Steps * Accumulate,
                _ => Steps * Accumulate * Layers,
            };
            Assert.Equal(runs, counts.GetValueOrDefault(stage));
        }

        Assert.Equal(Steps, profile.Steps);
        Assert.All(profile.Entries, e => Assert.True(e.Total > TimeSpan.Zero && e.Average <= e.Total, e.Stage.ToString()));
        Assert.InRange(profile.Entries.Sum(e => e.Total.TotalSeconds), 0, profile.Total.TotalSeconds);
        Assert.True(profile.Rest >= TimeSpan.Zero);
    }

    [Fact]
    public void A_profile_changes_no_bit_and_is_off_by_default()
    {
        using Trainer plain = Trainer(new TrainerOptions { BatchSize = 4, Context = 16 }, 1);
        Assert.Null(plain.Profile);
        Assert.Equal(Bits(profile: false), Bits(profile: true));

        static int[] Bits(bool profile)
        {
            using Trainer trainer = Trainer(s_training with { Profile = profile }, 2);
            trainer.Run();
            ParameterVector<float> parameters = trainer.Model.Parameters;
            return [.. parameters.Slices.SelectMany(s => parameters.Of(s).ToArray()).Select(BitConverter.SingleToInt32Bits)];
        }
    }

    [Fact]
    public void A_validation_is_not_profiled()
    {
        using Trainer trainer = Trainer(s_training, 1);
        trainer.Validate();
        Assert.Empty(trainer.Profile!.Entries);
    }

    [Fact]
    public void A_failed_step_still_has_a_whole_for_its_parts()
    {
        using Trainer trainer = Trainer(s_training, 1);
        trainer.Model.Parameters.Of(trainer.Model.Parameters.Slices[0]).Fill(float.NaN);
        Assert.Throws<NonFiniteException>(() => trainer.Step());
        Assert.True(trainer.Profile!.Rest >= TimeSpan.Zero);
        Assert.NotEmpty(trainer.Profile.Entries);
    }

    [Fact]
    public void A_profiled_step_allocates_no_more_managed_memory_than_another()
    {
        // One thread: the count is the calling thread's. Twenty steps of warm-up reach the last allocation of tiers and caches.
        Assert.InRange(BytesOf(profile: true), 0, BytesOf(profile: false));

        static long BytesOf(bool profile)
        {
            using Trainer trainer = Trainer(s_training with { Steps = 1000, Profile = profile }, 1);
            for (int i = 0; i < 20; i++) trainer.Step();
            return Allocations.Least(20, () => trainer.Step());
        }
    }

    [Fact]
    public void Listeners_hear_of_tokens_times_losses_and_steps()
    {
        // Other tests may train at the same time: only what this thread's steps report counts.
        int thread = Environment.CurrentManagedThreadId;
        long tokens = 0;
        List<double> seconds = [], losses = [], norms = [], rates = [];
        List<object?> steps = [];
        using MeterListener meters = new();
        meters.InstrumentPublished = (instrument, listener) =>
        {
            if (instrument.Meter.Name == TrainingTelemetry.Name) listener.EnableMeasurementEvents(instrument);
        };
        meters.SetMeasurementEventCallback<long>((instrument, value, _, _) => tokens += Mine(instrument.Name == TrainingTelemetry.Tokens) ? value : 0);
        meters.SetMeasurementEventCallback<double>((instrument, value, _, _) =>
        {
            if (Mine(instrument.Name == TrainingTelemetry.StepDuration)) seconds.Add(value);
            if (Mine(instrument.Name == TrainingTelemetry.Loss)) losses.Add(value);
            if (Mine(instrument.Name == TrainingTelemetry.GradientNorm)) norms.Add(value);
            if (Mine(instrument.Name == TrainingTelemetry.LearningRate)) rates.Add(value);
        });
        meters.Start();
        using ActivityListener activities = new()
        {
            ShouldListenTo = source => source.Name == TrainingTelemetry.Name,
            Sample = (ref ActivityCreationOptions<ActivityContext> _) => ActivitySamplingResult.AllData,
            ActivityStopped = activity =>
            {
                if (Mine(activity.OperationName == TrainingTelemetry.StepActivity)) steps.Add(activity.GetTagItem(TrainingTelemetry.StepTag));
            },
        };
        ActivitySource.AddActivityListener(activities);

        List<TrainingProgress> reports = [];
        using Trainer trainer = Trainer(s_training, 1);
        trainer.Run(reports.Add);
        Assert.Equal(Steps * Accumulate * 4 * 16, tokens);
        Assert.Equal(reports.Select(r => (r.Loss, r.GradientNorm, r.LearningRate)), losses.Zip(norms, rates));
        Assert.Equal(Steps, seconds.Count);
        Assert.All(seconds, s => Assert.True(s > 0));
        Assert.Equal([1, 2, 3], steps);

        bool Mine(bool matches) => matches && Environment.CurrentManagedThreadId == thread;
    }
}
