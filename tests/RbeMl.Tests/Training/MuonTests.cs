using RbeMl.Codec;
using RbeMl.Kernels;
using RbeMl.Layers;
using RbeMl.Memory;
using RbeMl.Models;
using RbeMl.Tests.Support;
using RbeMl.Training;

namespace RbeMl.Tests.Training;

/// <summary>Muon is its formula, on tiles and on whole matrices, and leaves to AdamW what is no matrix.</summary>
public sealed class MuonTests
{
    private static readonly TrainerOptions s_options = new() { LearningRate = 0.02, CoefficientLearningRate = 0.1, WeightDecay = 0.5, Clip = 0 };

    [Theory]
    [InlineData(300, 16, 96, 64)]
    [InlineData(500, 1, 64, 96)]
    [InlineData(1024, 16, 96, 64)]
    [InlineData(1024, 16, 40, 96)]
    [InlineData(520, 8, 64, 64)]
    [InlineData(512, 8, 96, 64)]
    public void It_is_the_formula(int kept, int run, int rows, int columns)
    {
        const int Tile = 32;
        RbeMatrix matrix = RbeCompressor.CreateRandom(rows, columns,
            new RbeOptions { Tile = Tile, Format = RbeFormat.Sparse(kept, run == 1 ? SupportRule.Random(3) : SupportRule.Runs(run)) }, 0.1, 7);
        using ParameterVector<double> parameters = new();
        RbeLinear<double> linear = new(parameters, "layer", matrix, Numbers.Normal(rows, 5));
        parameters.Freeze();
        using ParameterVector<double> gradients = parameters.CreateLike();
        using WorkerPool workers = new(2);
        MuonOptions options = new() { Momentum = 0.8 };
        using Optimizer<double> optimizer = options.Create(parameters, s_options);
        using Optimizer<double> adam = options.Others.Create(parameters, s_options, slice => slice.Kind == ParameterKind.Bias);

        CoefficientSupport support = matrix.Support!;
        int count = support.CoefficientsPerTile, tiles = support.TileCount;
        bool whole = 2 * count >= Tile * Tile;
        double[] w = parameters.Of(linear.Coefficients!).ToArray(), m = new double[w.Length];
        for (int step = 1; step <= 3; step++)
        {
            double[] g = Array.ConvertAll(Numbers.Normal(w.Length, step), value => (double)value);
            g.CopyTo(gradients.Of(linear.Coefficients!));
            Array.ConvertAll(Numbers.Normal(rows, 10 + step), value => (double)value).CopyTo(gradients.Of(linear.Bias!));
            optimizer.Step(gradients, 1, workers);
            double[] direction = new double[w.Length];
            for (int i = 0; i < w.Length; i++)
            {
                m[i] = (0.8 * m[i]) + (0.2 * g[i]);
                direction[i] = (0.8 * m[i]) + (0.2 * g[i]);
            }

            foreach (int[] part in whole ? [[.. Enumerable.Range(0, tiles)]] : Enumerable.Range(0, tiles).Select(t => new[] { t }))
            {
                double[] orthogonal = Orthogonal(support, whole ? matrix.TileColumns : 1, part, direction);
                double size = Math.Sqrt(orthogonal.Average(value => value * value));
                for (int i = 0; i < orthogonal.Length; i++)
                {
                    int at = (part[0] * count) + i;
                    w[at] = (w[at] * (1 - (0.1 * 0.5))) - (0.1 * 0.2 * orthogonal[i] / size);
                }
            }

            Assert.All(gradients.Slices, slice => Assert.True(gradients.Of(slice).IndexOfAnyExcept(0.0) < 0));
        }

        double[] now = parameters.Of(linear.Coefficients!).ToArray();
        for (int i = 0; i < w.Length; i++) Assert.Equal(w[i], now[i], 1e-10);
    }

    /// <summary>A bias, a table and alphas move as AdamW alone moves them.</summary>
    [Fact]
    public void What_is_no_matrix_is_AdamWs()
    {
        float[] Run(OptimizerOptions options)
        {
            RbeOptions sparse = new() { Tile = 32, Format = RbeFormat.Sparse(64) };
            TransformerConfig config = new() { Width = 32, Heads = 2, Layers = 1, Vocabulary = 40, MaxSequenceLength = 8 };
            using TransformerModel<float> model = new(TransformerWeights.CreateRandom(config, sparse, 3, sparse));
            using ParameterVector<float> gradients = model.Parameters.CreateLike();
            using WorkerPool workers = new(1);
            using Optimizer<float> optimizer = options.Create(model.Parameters, s_options);
            foreach (ParameterSlice slice in gradients.Slices) Numbers.Normal(slice.Length, slice.Length).CopyTo(gradients.Of(slice));
            optimizer.Step(gradients, 1, workers);
            return [.. model.Parameters.Slices.Where(slice => slice.Matrix is null).SelectMany(model.Parameters.ToFloats)];
        }

        float[] muon = Run(new MuonOptions());
        Assert.Equal(Run(new AdamWOptions()), muon);
        Assert.True(muon.Length > 8 * 32); // tables, positions, LayerNorms, biases
    }

    [Fact]
    public void A_step_has_the_same_bits_for_any_threads_and_allocates_nothing()
    {
        float[] one = Run(1);
        Assert.Equal(one, Run(3));

        static float[] Run(int threads)
        {
            using ParameterVector<float> parameters = new();
            foreach (int kept in (int[])[300, 1024])
            {
                RbeOptions options = new() { Tile = 32, Format = RbeFormat.Sparse(kept, SupportRule.Runs(16)) };
                RbeMatrix matrix = RbeCompressor.CreateRandom(96, 64, options, 0.1, 7);
                _ = new RbeLinear<float>(parameters, $"layer{kept}", matrix, new float[96]);
            }

            parameters.Freeze();
            using ParameterVector<float> gradients = parameters.CreateLike();
            using WorkerPool workers = new(threads);
            using Optimizer<float> optimizer = new MuonOptions().Create(parameters, s_options);
            long least = long.MaxValue;
            for (int step = 0; step < 5; step++)
            {
                foreach (ParameterSlice slice in parameters.Slices) Numbers.Normal(slice.Length, (10 * step) + slice.Length).CopyTo(gradients.Of(slice));
                long before = GC.GetAllocatedBytesForCurrentThread();
                optimizer.Step(gradients, 1, workers);
                least = Math.Min(least, GC.GetAllocatedBytesForCurrentThread() - before);
            }

            Assert.Equal(0, least);
            return [.. optimizer.StateVectors.Prepend(parameters).SelectMany(vector => vector.Slices.SelectMany(vector.ToFloats))];
        }
    }

    // The part's direction, placed in its tiles, made orthogonal and read at the places again.
    private static double[] Orthogonal(CoefficientSupport support, int tileColumns, int[] part, double[] direction)
    {
        int tile = support.Tile, count = support.CoefficientsPerTile;
        int rows = part.Length / tileColumns * tile, columns = tileColumns * tile;
        double[] dense = new double[rows * columns];
        int[] places = [.. part.SelectMany(t => Enumerable.Range(0, count).Select(i => Place(t, support.PositionOf(t, i))))];
        for (int i = 0; i < places.Length; i++) dense[places[i]] = direction[(part[0] * count) + i];
        double[] result = rows >= columns ? ReferenceOrthogonal.Orthogonalise(rows, columns, dense)
            : Transpose(columns, rows, ReferenceOrthogonal.Orthogonalise(columns, rows, Transpose(rows, columns, dense)));
        return [.. places.Select(place => result[place])];

        int Place(int t, int position) =>
            ((((t - part[0]) / tileColumns * tile) + (position / tile)) * columns) + ((t - part[0]) % tileColumns * tile) + (position % tile);
    }

    private static double[] Transpose(int rows, int columns, double[] x)
    {
        double[] y = new double[x.Length];
        for (int r = 0; r < rows; r++)
        {
            for (int c = 0; c < columns; c++) y[(c * rows) + r] = x[(r * columns) + c];
        }

        return y;
    }
}
