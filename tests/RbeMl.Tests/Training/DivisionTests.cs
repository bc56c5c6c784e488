using System.Diagnostics.Metrics;
using RbeMl.Layers;
using RbeMl.Models;
using RbeMl.Tests.Support;
using RbeMl.Training;

namespace RbeMl.Tests.Training;

/// <summary>Eight sequences of unequal length: whatever divides them, a mean is that over their tokens.</summary>
public class DivisionTests
{
    private static readonly int[][] s_sequences =
        [.. new[] { 2, 17, 3, 9, 5, 13, 4, 16 }.Select((length, i) => Enumerable.Range(i, length).Select(t => t * (i + 1) % 11).ToArray())];
    private static readonly TrainerOptions s_options = new() { Steps = 4, Context = 16, WarmupSteps = 0, Clip = 0, LearningRate = 3e-3 };
    private static readonly long s_predicted = s_sequences.Sum(s => s.Length - 1L);

    public static TheoryData<int, int> Divisions => new() { { 8, 1 }, { 4, 2 }, { 2, 4 }, { 1, 8 } };

    [Theory]
    [MemberData(nameof(Divisions))]
    public void A_step_is_the_mean_over_its_tokens(int batch, int accumulate)
    {
        (double loss, double gradient) = Whole();
        using Trainer trainer = Trainer(s_options with { BatchSize = batch, Accumulate = accumulate });
        TrainingProgress step = trainer.Step();
        Assert.InRange(Math.Abs(step.Loss / loss - 1), 0, 1e-6);
        Assert.InRange(Math.Abs(step.GradientNorm / gradient - 1), 0, 1e-5);
        Assert.Equal(s_predicted, step.Tokens);
    }

    [Theory]
    [MemberData(nameof(Divisions))]
    public void A_validation_is_the_mean_over_its_tokens(int batch, int times)
    {
        using Trainer trainer = Trainer(s_options with { BatchSize = batch, ValidationSequences = 8 * times });
        Assert.InRange(Math.Abs(trainer.Validate() / Whole().Loss - 1), 0, 1e-6);
    }

    public static TheoryData<TokenOrder, int> Validations =>
        new() { { TokenOrder.Random, 5 }, { TokenOrder.Shuffled, 5 }, { TokenOrder.Sequential, 5 }, { TokenOrder.Random, 1000 },
            { TokenOrder.Sequential, 11 } };

    [Theory]
    [MemberData(nameof(Validations))]
    public void A_validation_has_the_same_bits_for_any_batch(TokenOrder order, int sequences)
    {
        TokenDataset stream = TokenDataset.FromStream([.. Enumerable.Range(0, 11 * 16 + 9).Select(i => i * i % 11)], 11, 5, order);
        double[] losses = [.. new[] { 1, 2, 3, 4, 8, 12 }.SelectMany(batch => new[] { 1, 3 }.Select(threads =>
        {
            using Trainer trainer = new(SmallModel.Create(), stream, stream, s_options with { BatchSize = batch, ValidationSequences = sequences }, threads);
            return trainer.Validate();
        }))];
        Assert.All(losses, loss => Assert.Equal(losses[0], loss));
    }

    [Theory]
    [InlineData(1, 3)]
    [InlineData(2, 6)]
    [InlineData(8, 40)]
    public void A_validation_takes_each_piece_once(int batch, int sequences)
    {
        // Eleven pieces, of which every token is the piece's number.
        TokenDataset stream =
            TokenDataset.FromStream([0, .. Enumerable.Range(0, 11).SelectMany(piece => Enumerable.Repeat(piece, 16))], 11, 5, TokenOrder.Random);
        Recorder recorder = new(stream.WithoutRepeats());
        using Trainer trainer = new(SmallModel.Create(), stream, recorder, s_options with { BatchSize = batch, ValidationSequences = sequences }, 1);
        double one = trainer.Validate();
        Assert.Equal(one, trainer.Validate());
        int taken = Math.Min(11, sequences);
        Assert.Equal(taken, recorder.Pieces.Take(taken).Distinct().Count());
        Assert.InRange(recorder.Pieces.Count / 2, taken, taken + batch - 1);
    }

    [Fact]
    public void A_validation_that_is_cancelled_leaves_the_trainer_usable()
    {
        using Trainer trainer = Trainer(s_options with { BatchSize = 2 });
        double loss = trainer.Validate();
        Assert.Throws<OperationCanceledException>(() => trainer.Validate(cancel: new CancellationToken(canceled: true)));
        Assert.Equal(loss, trainer.Validate());
    }

    [Theory]
    [MemberData(nameof(Divisions))]
    public void Weights_after_some_steps_are_those_of_one_batch(int batch, int accumulate)
    {
        Assert.InRange(RbeMl.Codec.RbeCompressor.RelativeError(Weights(8, 1), Weights(batch, accumulate)), 0, 1e-3); // Adam magnifies what rounds differently

        static float[] Weights(int batch, int accumulate)
        {
            using Trainer trainer = Trainer(s_options with { BatchSize = batch, Accumulate = accumulate, Optimizer = new AdamWOptions { Epsilon = 1e-5 } });
            trainer.Run();
            return [.. trainer.Model.Parameters.Slices.SelectMany(trainer.Model.Parameters.ToFloats)];
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    [InlineData(4)]
    public void Threads_change_no_bit_of_an_accumulated_step(int accumulate)
    {
        Assert.Equal(Bits(1), Bits(2));

        int[] Bits(int threads)
        {
            using Trainer trainer = new(SmallModel.Create(), Data(), null, s_options with { BatchSize = 2, Accumulate = accumulate }, threads);
            trainer.Run();
            return [.. trainer.Model.Parameters.Slices.SelectMany(trainer.Model.Parameters.ToFloats).Select(BitConverter.SingleToInt32Bits)];
        }
    }

    [Fact]
    public void One_micro_batch_gives_the_bits_of_a_plain_loss_and_step()
    {
        using Trainer trainer = new(SmallModel.Create(), Data(), null, s_options with { BatchSize = 4 }, 1);
        TrainingProgress progress = trainer.Step();

        using TransformerModel<float> model = SmallModel.Create();
        using Workspace<float> workspace = new(1);
        using TransformerContext<float> context = new(model, workspace);
        using ParameterVector<float> gradients = model.Parameters.CreateLike();
        using Optimizer<float> optimizer = s_options.Optimizer.Create(model.Parameters, s_options);
        int[] inputs = new int[64], targets = new int[64];
        Data().Fill(0, 4, 16, inputs, targets);
        double loss = model.Loss(inputs, targets, 4, 16, context, new DropoutStep(s_options.Seed, 0), gradients);
        double norm = optimizer.Step(gradients, 1, workspace.Workers);
        Assert.Equal((loss, norm), (progress.Loss, progress.GradientNorm));
        foreach ((ParameterSlice one, ParameterSlice other) in model.Parameters.Slices.Zip(trainer.Model.Parameters.Slices))
        {
            Assert.Equal(model.Parameters.ToFloats(one), trainer.Model.Parameters.ToFloats(other));
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    public void A_micro_batch_that_predicts_nothing_counts_for_nothing(int empty)
    {
        using Trainer all = Trainer(s_options with { BatchSize = 4, Accumulate = 2 });
        using Trainer trainer = new(SmallModel.Create(dropout: 0), new WithEmpty(empty), null, s_options with { BatchSize = 4, Accumulate = 3 }, 1);
        TrainingProgress expected = all.Step(), actual = trainer.Step();
        Assert.Equal((expected.Loss, expected.GradientNorm, expected.Tokens), (actual.Loss, actual.GradientNorm, actual.Tokens));
    }

    [Fact]
    public void A_step_or_validation_that_predicts_nothing_is_refused_and_changes_nothing()
    {
        using Trainer trainer = new(SmallModel.Create(), new Empty(), new Empty(), s_options with { BatchSize = 2, Accumulate = 2 }, 1);
        float[] before = [.. trainer.Model.Parameters.Slices.SelectMany(trainer.Model.Parameters.ToFloats)];
        Assert.Contains("no token of the step has a target", Assert.Throws<TokenException>(() => trainer.Step()).Message, StringComparison.Ordinal);
        Assert.Contains("no token of the validation has a target", Assert.Throws<TokenException>(() => trainer.Validate()).Message, StringComparison.Ordinal);
        Assert.Equal(before, trainer.Model.Parameters.Slices.SelectMany(trainer.Model.Parameters.ToFloats));
        Assert.Equal(0, trainer.StepsDone);
    }

    [Fact]
    public void Counted_tokens_are_those_predicted()
    {
        long counted = 0;
        int thread = Environment.CurrentManagedThreadId;
        using MeterListener meters = new();
        meters.InstrumentPublished = (instrument, listener) =>
        {
            if (instrument.Meter.Name == TrainingTelemetry.Name && instrument.Name == TrainingTelemetry.Tokens) listener.EnableMeasurementEvents(instrument);
        };
        meters.SetMeasurementEventCallback<long>((_, value, _, _) => counted += Environment.CurrentManagedThreadId == thread ? value : 0);
        meters.Start();
        using Trainer trainer = Trainer(s_options with { BatchSize = 2, Accumulate = 4 });
        long started = System.Diagnostics.Stopwatch.GetTimestamp();
        TrainingProgress step = trainer.Step();
        double seconds = System.Diagnostics.Stopwatch.GetElapsedTime(started).TotalSeconds;
        Assert.Equal(s_predicted, counted);
        Assert.True(step.TokensPerSecond >= s_predicted / seconds, "more tokens than are predicted, or a step longer than it took");
    }

    [Theory]
    [InlineData(1, 1)]
    [InlineData(2, 2)]
    [InlineData(3, 2)]
    [InlineData(8, 4)]
    public void The_vectors_of_the_gradients_are_counted(int accumulate, int vectors)
    {
        using Trainer trainer = new(SmallModel.Create(), Data(), null, s_options with { BatchSize = 1, Accumulate = accumulate, MemoryLimit = 1 << 20 }, 1);
        Assert.Equal(vectors * trainer.Model.Parameters.TrainableCount * sizeof(float), trainer.Bytes.Gradients);
        Assert.Equal(vectors * trainer.Model.Parameters.Length * sizeof(float), trainer.Plan!.Estimate.Gradients);
    }

    // Nothing of what is tested: the mean over all sequences, each by itself.
    private static (double Loss, double GradientNorm) Whole()
    {
        using TransformerModel<float> model = SmallModel.Create(dropout: 0);
        using Workspace<float> workspace = new(1);
        using TransformerContext<float> context = new(model, workspace);
        using ParameterVector<float> gradients = model.Parameters.CreateLike();
        double sum = 0;
        double[] all = new double[model.Parameters.Slices.Sum(s => s.Length)];
        foreach (int[] sequence in s_sequences)
        {
            int count = sequence.Length - 1;
            gradients.Clear();
            sum += count * model.Loss(sequence.AsSpan(0, count), sequence.AsSpan(1), 1, count, context, null, gradients);
            float[] each = [.. gradients.Slices.SelectMany(gradients.ToFloats)];
            for (int i = 0; i < all.Length; i++) all[i] += count * (double)each[i] / s_predicted;
        }

        return (sum / s_predicted, Math.Sqrt(all.Sum(g => g * g)));
    }

    private static TokenDataset Data() => TokenDataset.FromSequences(s_sequences, 11);

    private static Trainer Trainer(TrainerOptions options) => new(SmallModel.Create(dropout: 0), Data(), Data(), options, 1);

    private class Empty : ITokenSource
    {
        public int Vocabulary => 11;

        public virtual void Fill(long batchIndex, int batch, int context, Span<int> inputs, Span<int> targets)
        {
            inputs.Clear();
            targets.Fill(-1);
        }
    }

    /// <summary>Notes the last target of each sequence it is asked for.</summary>
    private sealed class Recorder(ITokenSource source) : ITokenSource
    {
        public List<int> Pieces { get; } = [];

        public int Vocabulary => source.Vocabulary;

        public long? EpochSequences(int context) => source.EpochSequences(context);

        public void Fill(long batchIndex, int batch, int context, Span<int> inputs, Span<int> targets)
        {
            source.Fill(batchIndex, batch, context, inputs, targets);
            for (int b = 0; b < batch; b++) Pieces.Add(targets[(b * context) + context - 1]);
        }
    }

    /// <summary>The batches of the data with one of nothing between them.</summary>
    private sealed class WithEmpty(int empty) : Empty
    {
        private readonly TokenDataset _data = Data();

        public override void Fill(long batchIndex, int batch, int context, Span<int> inputs, Span<int> targets)
        {
            if (batchIndex == empty) base.Fill(batchIndex, batch, context, inputs, targets);
            else _data.Fill(batchIndex > empty ? batchIndex - 1 : batchIndex, batch, context, inputs, targets);
        }
    }
}
