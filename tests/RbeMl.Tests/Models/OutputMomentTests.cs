using RbeMl.Codec;
using RbeMl.Compression;
using RbeMl.Files;
using RbeMl.Layers;
using RbeMl.Numerics;
using RbeMl.Tests.Files;
using RbeMl.Tests.Support;

namespace RbeMl.Tests.Models;

/// <summary>What outputs are worth: gradients of blocks' outputs, and their second moments.</summary>
public sealed class OutputMomentTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    // Of a single token the gradient of a bias is that of the matrix's output; the block in double makes it.
    [Theory]
    [InlineData(BlockOrder.PreNorm)]
    [InlineData(BlockOrder.PostNorm)]
    public void MomentsAreThoseOfTheGradientsInDouble(BlockOrder order)
    {
        TransformerConfig config = new() { Width = 40, FeedForwardWidth = 72, Heads = 4, Layers = 1, MaxSequenceLength = 8, Order = order, Causal = false };
        DenseBlockWeights dense = DenseBlockWeights.Gpt2Initialization(config, seed: 3);
        const int tokens = 3;
        float[] x = Numbers.Normal(tokens * 40, 1), dy = Numbers.Normal(tokens * 40, 2);
        BlockCalibration calibration = BlockCalibration.Run(dense, config, new BlockActivationData(x, tokens, 1, 40),
            outputGradient: new BlockActivationData(dy, tokens, 1, 40));
        using RbeTransformerBlock<double> block = new(config, BlockWeights.Compress(dense, config, RbeOptions.Dense));
        double[][] gradients = new double[tokens * 6][];
        for (int t = 0; t < tokens; t++)
        {
            using BlockContext<double> context = new();
            using ParameterVector<double> sums = block.Parameters.CreateLike();
            block.Forward([.. x.Skip(t * 40).Take(40).Select(v => (double)v)], 1, 1, null, context);
            block.Backward([.. dy.Skip(t * 40).Take(40).Select(v => (double)v)], context, sums);
            for (int m = 0; m < 6; m++) gradients[(t * 6) + m] = sums.Of(block.Linears[m].Bias!).ToArray();
        }

        foreach (BlockMatrix m in PerMatrix.All)
        {
            SecondMoment moment = calibration.Outputs![m].Moment;
            Assert.Equal(tokens, moment.Tokens);
            double largest = Enumerable.Range(0, moment.Features).Max(i => moment[i, i]);
            for (int i = 0; i < moment.Features; i++)
            {
                for (int j = 0; j < moment.Features; j++)
                {
                    double expected = Enumerable.Range(0, tokens).Sum(t => gradients[(t * 6) + (int)m][i] * gradients[(t * 6) + (int)m][j]);
                    Assert.Equal(expected, moment[i, j], 1e-4 * largest);
                }
            }
        }
    }

    // Of an encoder its vector along a direction drawn for each sequence, of a language model the loss of a token drawn for each: a step of a block's output
    // along its gradient says how much that changes.
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void GradientsAreThoseOfWhatTheModelIsAskedFor(bool encoder)
    {
        string folder = encoder ? new BertModel(width: 32, hidden: 64).Write(_folder.File("bert")) : new HuggingFaceModel(64, 96).Write(_folder.File("gpt"));
        using IModelFolder source = ModelFolders.Open(folder);
        TransformerConfig config = source.Config;
        int[][] windows = [.. Enumerable.Range(0, 3).Select(w => Enumerable.Range(0, 6).Select(t => 1 + ((w + (t * t)) % 9)).ToArray())];
        using Workspace<float> workspace = new(1);
        BlockActivationData x = CalibrationWindows.Embed(source, windows);
        IReadOnlyList<BlockActivationData> gradients = OutputGradients.Of(source, x, workspace, 5, default);
        Assert.Equal(config.Layers, gradients.Count);
        (float[] gamma, float[] beta) = source.ReadFinalNorm();
        float[] head = encoder ? [] : config.TiedHead ? source.ReadTokenEmbedding() : source.ReadHead()!;
        int[]? drawn = null;
        Objective(From(0, x)); // draws
        for (int layer = 0; layer < config.Layers; layer++)
        {
            float[] y = Through(layer, x.Values);
            float[] gradient = gradients[layer].Values;
            double slope = gradient.Sum(g => (double)g * g), step = 0.03 / Math.Sqrt(slope);
            double measured = (Along(step) - Along(-step)) / (2 * step);
            Assert.Equal(slope, measured, 0.02 * slope); // a difference of floats, and the curve's third derivative
            x = x.With(y);

            double Along(double length) => Objective(From(layer + 1, x.With([.. y.Zip(gradient, (v, g) => (float)(v + (length * g)))])));
        }

        float[] Through(int layer, float[] values) =>
            BlockExample.Run(source.ReadBlock(layer), config.OfBlock(layer), x.With(values), workspace).Expected.Values;

        float[] From(int layer, BlockActivationData at)
        {
            float[] values = at.Values;
            for (; layer < config.Layers; layer++) values = Through(layer, values);
            return values;
        }

        double Objective(float[] hidden)
        {
            double sum = 0;
            if (encoder)
            {
                float[] vectors = new EmbeddingYardstick(config, source.Encoder!, gamma, beta).Vectors(hidden, windows.Length);
                for (int w = 0; w < windows.Length; w++)
                {
                    DeterministicRandom random = new(5, OutputGradients.Stream + (ulong)w);
                    for (int f = 0; f < config.Width; f++) sum += vectors[(w * config.Width) + f] * random.NextNormal();
                }

                return sum;
            }

            float[][] logits = [.. hidden.Chunk(config.Width).Select(Logits)];
            drawn ??= [.. logits.Select((l, t) => OutputGradients.Draw(l, new DeterministicRandom(5, OutputGradients.Stream + (ulong)t)))];
            return logits.Zip(drawn).Sum(p => Math.Log(p.First.Sum(l => Math.Exp(l))) - p.First[p.Second]);
        }

        float[] Logits(float[] row)
        {
            double mean = row.Average(), deviation = Math.Sqrt(row.Average(v => (v - mean) * (v - mean)) + config.LayerNormEpsilon);
            double[] normal = [.. row.Select((v, f) => ((v - mean) / deviation * gamma[f]) + beta[f])];
            return [.. Enumerable.Range(0, config.Vocabulary).Select(t => (float)normal.Select((v, f) => v * head[(t * config.Width) + f]).Sum())];
        }
    }
}
