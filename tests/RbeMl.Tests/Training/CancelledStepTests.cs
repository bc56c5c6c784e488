using RbeMl.Codec;
using RbeMl.Layers;
using RbeMl.Models;
using RbeMl.Tests.Support;
using RbeMl.Training;

namespace RbeMl.Tests.Training;

/// <summary>A step that is cancelled has never begun: weights, optimiser and the steps after it are as without it.</summary>
public class CancelledStepTests
{
    private static readonly TransformerConfig s_config = new() { Width = 32, Heads = 2, Layers = 2, Vocabulary = 11, MaxSequenceLength = 16, Dropout = 0.1f };

    // Cancels when batch 3 is asked for again: as the second of a step that has the gradients of the first already.
    private sealed class CancellingTokens(CancellationTokenSource source) : ITokenSource
    {
        private readonly CountingTokens _tokens = new(11);
        private int _asked;

        public int Vocabulary => _tokens.Vocabulary;

        public void Fill(long batchIndex, int batch, int context, Span<int> inputs, Span<int> targets)
        {
            _tokens.Fill(batchIndex, batch, context, inputs, targets);
            if (batchIndex == 3 && ++_asked == 2) source.Cancel();
        }
    }

    private static float[] Weights(bool cancelled)
    {
        using CancellationTokenSource source = new();
        TrainerOptions options = new() { Steps = 3, BatchSize = 4, Context = 16, Accumulate = 2, WarmupSteps = 0 };
        using TransformerModel<float> model =
            TransformerModel<float>.Create(s_config, new RbeOptions { Tile = 32, Format = RbeFormat.Sparse(128, SupportRule.Runs(8)) }, 3);
        using Trainer trainer = new(model, cancelled ? new CancellingTokens(source) : new CountingTokens(11), null, options, 1);
        trainer.Step();
        if (cancelled)
        {
            float[] before = All(model);
            Assert.Throws<OperationCanceledException>(() => trainer.Step(cancel: source.Token));
            Assert.Equal(1, trainer.StepsDone);
            Assert.Equal(before, All(model));
        }

        trainer.Step();
        trainer.Step();
        return All(model);
    }

    private static float[] All(TransformerModel<float> model) => [.. model.Parameters.Slices.SelectMany(slice => model.Parameters.Of(slice).ToArray())];

    [Fact]
    public void A_cancelled_step_changes_nothing() => Assert.Equal(Weights(cancelled: false), Weights(cancelled: true));
}
