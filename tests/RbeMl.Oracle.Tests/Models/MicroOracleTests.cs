using Micro;
using RbeMl.Codec;
using RbeMl.Layers;
using RbeMl.Models;
using RbeMl.Training;

namespace RbeMl.Oracle.Tests.Models;

/// <summary>
/// The library learns what notebooks/micro.cs learns: the same losses from the same numbers, places, batches and optimiser. That file computes
/// in double and by the definitions, so it is an oracle that needs no libtorch.
/// </summary>
public sealed class MicroOracleTests
{
    private const int Steps = 100;

    // At three times this rate, that of micro.cs, training carries the roundings of floats on to 1e-5 after 60 steps, where the same steps
    // in double are within 4e-8 still after 100.
    private const double LearningRate = 3e-3;

    private static readonly TrainerOptions s_options = new()
    {
        Steps = Program.Steps,
        BatchSize = Program.Batch,
        Context = Program.Context,
        LearningRate = LearningRate,
        WarmupSteps = Program.Warmup,
        WeightDecay = Program.Decay,
        Clip = Program.Clip,
        PreconditionAlphas = false, // micro.cs takes the alphas' gradients as they are
    };

    /// <summary>Losses differ by 8e-7 of themselves at most, measured; 1e-5 are allowed.</summary>
    [Fact]
    public void TrainingHasTheLossesOfTheWholeAlgorithmInOneFile()
    {
        Model micro = Program.Create(seed: 1);
        using TransformerModel<float> model = new(Weights(micro));
        using Trainer trainer = new(model, new MicroTokens(), validation: null, s_options, threads: 1);
        Compare(micro, _ => trainer.Step().Loss, 1e-5);
    }

    /// <summary>In double by 9e-10: all that differs is the function d, which eight products give the library to 1e-6 of its norm.</summary>
    [Fact]
    public void InDoubleTheyAreCloser()
    {
        Model micro = Program.Create(seed: 1);
        using TransformerModel<double> model = new(Weights(micro));
        using Workspace<double> workspace = new(threads: 1);
        using TransformerContext<double> context = new(model, workspace);
        using ParameterVector<double> gradients = model.Parameters.CreateLike();
        using Optimizer<double> optimizer = s_options.Optimizer.Create(model.Parameters, s_options);
        Compare(
            micro,
            step =>
            {
                (int[] inputs, int[] targets) = Program.Pieces(step);
                double loss = model.Loss(inputs, targets, Program.Batch, Program.Context, context, dropout: null, gradients);
                double factor = RbeMl.Training.LearningRate.Factor(s_options, step, step / (double)Program.Steps);
                optimizer.Step(gradients, factor, workspace.Workers);
                return loss;
            },
            1e-8);
    }

    private static void Compare(Model micro, Func<int, double> lossOfStep, double tolerance)
    {
        double first = 0, last = 0;
        for (int step = 0; step < Steps; step++)
        {
            double expected = Program.Train(micro, step, LearningRate), actual = lossOfStep(step);
            Assert.True(
                Math.Abs(actual - expected) <= tolerance * expected,
                FormattableString.Invariant($"step {step}: {actual} in the library, {expected} in micro.cs"));
            (first, last) = (step == 0 ? actual : first, actual);
        }

        Assert.True(last < 0.7 * first, FormattableString.Invariant($"from {first} to {last} little was learnt, so little was compared"));
        Assert.Contains(micro.Blocks, block => block.Up.Alphas.Values.Any(alpha => Math.Abs(alpha) > 1e-4)); // they were zero
    }

    private static TransformerWeights Weights(Model micro) => new()
    {
        Config = new TransformerConfig
        {
            Width = Program.Width,
            Heads = Program.Heads,
            Layers = Program.Layers,
            Vocabulary = Program.Letters.Length,
            MaxSequenceLength = Program.Context,
        },
        TokenEmbedding = Floats(micro.Tokens),
        PositionEmbedding = Floats(micro.Positions),
        Blocks = [.. micro.Blocks.Select(block => new BlockWeights
        {
            Query = Matrix(block.Attention.Query, Program.Width, Program.Width),
            Key = Matrix(block.Attention.Key, Program.Width, Program.Width),
            Value = Matrix(block.Attention.Value, Program.Width, Program.Width),
            Output = Matrix(block.Attention.Output, Program.Width, Program.Width),
            UpProjection = Matrix(block.Up, 4 * Program.Width, Program.Width),
            DownProjection = Matrix(block.Down, Program.Width, 4 * Program.Width),
            Vectors = BlockVectors.Initial(Program.Width, 4 * Program.Width),
        })],
        FinalGamma = Floats(micro.Norm.Gamma),
        FinalBeta = Floats(micro.Norm.Beta),
    };

    private static RbeMatrix Matrix(Linear linear, int rows, int columns)
    {
        const int tile = Micro.Codec.S;
        ushort[] starts = [.. linear.Runs.Select(run => (ushort)((run.Row % tile * tile) + (run.Column % tile)))]; // of a run in its tile
        CoefficientSupport support = new(tile, rows / tile * (columns / tile), Micro.Codec.Run, starts);
        RbeFormat format = RbeFormat.Sparse(Program.Kept);
        float[] alphas = Floats(linear.Alphas), coefficients = Floats(linear.Coefficients);
        return new RbeMatrix(rows, columns, tile, TileTransform.Dct, alphas, support, coefficients, null, format);
    }

    private static float[] Floats(Parameter parameter) => [.. parameter.Values.Select(value => (float)value)];

    private sealed class MicroTokens : ITokenSource
    {
        public int Vocabulary => Program.Letters.Length;

        public void Fill(long batchIndex, int batch, int context, Span<int> inputs, Span<int> targets)
        {
            (int[] from, int[] to) = Program.Pieces((int)batchIndex);
            from.CopyTo(inputs);
            to.CopyTo(targets);
        }
    }
}
