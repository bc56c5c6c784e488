using RbeMl.Layers;
using RbeMl.Models;
using RbeMl.Training;

namespace RbeMl.Tests.Sequences;

public class SequenceEvaluatorTests
{
    [Theory]
    [InlineData("runs of 16")]
    [InlineData("4 bits")]
    public void A_row_is_the_same_alone_and_in_company_and_equals_the_models_loss(string format)
    {
        using TransformerModel<float> model = RaggedCase.Model(RaggedCase.Formats[format]);
        using SequenceEvaluator evaluator = new(model, 2);
        using Workspace<float> workspace = new(1);
        using TransformerContext<float> context = new(model, workspace);
        int[][] sequences = RaggedCase.Sequences(30);
        (double[] all, int[] counts) = Run(evaluator, sequences);
        for (int i = 0; i < sequences.Length; i++)
        {
            (double[] alone, int[] count) = Run(evaluator, [sequences[i]]);
            Assert.Equal(sequences[i].Length - 1, counts[i]);
            Assert.Equal(counts[i], count[0]);
            Assert.Equal(BitConverter.DoubleToInt64Bits(all[i]), BitConverter.DoubleToInt64Bits(alone[0]));
            Assert.Equal(sequences[i].Length == 1, double.IsNaN(all[i]));
            if (sequences[i].Length == 1) continue;

            // The training's loss rounds each token's loss of about 3 nats to float.
            double expected = model.Loss(sequences[i].AsSpan(0, counts[i]), sequences[i].AsSpan(1), 1, counts[i], context);
            Assert.Equal(expected, all[i], 1e-5);
        }
    }

    [Fact]
    public void Bad_input_is_refused()
    {
        using TransformerModel<float> model = RaggedCase.Model(RaggedCase.Formats["runs of 16"]);
        using SequenceEvaluator evaluator = new(model, 1);
        Assert.Throws<TokenException>(() => evaluator.SequenceLosses([1], [0, 1], new double[2], new int[2]));
        Assert.Throws<ShapeMismatchException>(() => evaluator.SequenceLosses([1], [1], new double[2], new int[1]));
        model.Parameters.Of(model.Parameters.Find("final.gamma"))[0] = float.NaN;
        Assert.Throws<NonFiniteException>(() => evaluator.SequenceLosses([1, 2], [2], new double[1], new int[1]));
    }

    private static (double[] Losses, int[] Counts) Run(SequenceEvaluator evaluator, int[][] sequences)
    {
        (int[] tokens, int[] lengths) = RaggedCase.Join(sequences);
        double[] losses = new double[lengths.Length];
        int[] counts = new int[lengths.Length];
        evaluator.SequenceLosses(tokens, lengths, losses, counts);
        return (losses, counts);
    }
}
