using RbeMl.Codec;
using RbeMl.Layers;
using RbeMl.Models;
using RbeMl.Tests.Files;
using RbeMl.Training;

namespace RbeMl.Tests.Training;

/// <summary>Steps that change nothing, a smaller rate, the best weights: what a run that goes wrong needs of its trainer.</summary>
public sealed class SkippedStepTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private static Trainer Create() => new(
        TransformerModel<float>.Create(new TransformerConfig { Width = 32, Heads = 2, Layers = 1, Vocabulary = 20, MaxSequenceLength = 8 },
            new RbeOptions { Tile = 32, Format = RbeFormat.Sparse(256) }, 1),
        TokenDataset.FromStream([.. Enumerable.Range(0, 400).Select(i => i * i % 17)], 20, 3), null,
        new TrainerOptions { Steps = 12, BatchSize = 2, Context = 8, WarmupSteps = 1, AverageHorizon = 10 }, 1);

    [Fact]
    public void A_skipped_step_changes_no_weight_and_is_counted()
    {
        using Trainer trainer = Create();
        trainer.Step();
        string before = RunMark.HashOf(trainer.Model);
        TrainingProgress skipped = trainer.Skip(null);
        Assert.Equal((2, 0L), (skipped.Step, skipped.Tokens));
        Assert.Equal(before, RunMark.HashOf(trainer.Model));
        trainer.Step();
        Assert.Equal(3, trainer.StepsDone);
        Assert.NotEqual(before, RunMark.HashOf(trainer.Model));
    }

    [Fact]
    public void A_smaller_rate_is_kept_by_the_state()
    {
        using Trainer trainer = Create(), other = Create(), plain = Create();
        trainer.Step();
        trainer.RateScale = 0.25;
        trainer.SaveState(_folder.File("state.rbe"));
        other.Resume(_folder.File("state.rbe"));
        Assert.Equal(0.25, other.RateScale);
        plain.Step();
        Assert.Equal(plain.Step().LearningRate * 0.25, trainer.Step().LearningRate, 12);
        other.Step();
        Assert.Equal(RunMark.HashOf(trainer.Model), RunMark.HashOf(other.Model));
        Assert.NotEqual(RunMark.HashOf(trainer.Model), RunMark.HashOf(plain.Model));
    }

    [Fact]
    public void The_best_weights_are_those_that_were_kept_and_the_average_begins_there()
    {
        using Trainer trainer = Create();
        using BestWeights best = trainer.KeepBest();
        trainer.Step();
        best.Keep();
        string kept = RunMark.HashOf(trainer.Model);
        trainer.Step();
        trainer.Apply(best);
        Assert.Equal(kept, RunMark.HashOf(trainer.Model));
        trainer.ApplyAverage();
        Assert.Equal(kept, RunMark.HashOf(trainer.Model));
    }
}
