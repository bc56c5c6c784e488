using RbeMl.Codec;
using RbeMl.Layers;
using RbeMl.Memory;
using RbeMl.Models;
using RbeMl.Tests.Support;
using RbeMl.Training;

namespace RbeMl.Tests.Training;

/// <summary>
/// Memory and accuracy of one block that is trained under a limit, against the same dense weights: a quarter of the width and half the batch of what
/// <c>dotnet run -c Release --project tests/RbeMl.Benchmarks -- memory</c> measures in processes of their own.
/// </summary>
public sealed class BlockMemoryTests
{
    private const int Batch = 8, Length = 256, Tile = 64;
    private static readonly TransformerConfig s_config =
        new() { Width = 256, FeedForwardWidth = 1024, Heads = 4, Layers = 1, Vocabulary = 64, MaxSequenceLength = Length };

    /// <summary>6 bits each and their scales are 3200 bytes a tile, below the 3232 of eight alphas and 400 coefficients with their places.</summary>
    [Theory]
    [InlineData(null)]
    [InlineData(CheckpointPolicy.Full)]
    public void A_limit_saves_more_than_60_percent_and_the_output_stays(CheckpointPolicy? policy)
    {
        DenseBlockWeights dense = DenseBlockWeights.Gpt2Initialization(s_config, 1);
        BlockWeights block = BlockWeights.Compress(dense, s_config, new RbeOptions { Tile = Tile, Format = RbeFormat.Quantized(6) });
        Assert.All((RbeMatrix[])[block.Query, block.Key, block.Value, block.Output, block.UpProjection, block.DownProjection],
            m => Assert.InRange(m.Base!.StoredBits / 8 / m.TileCount, 1, 3232));
        using TransformerModel<float> model =
            new(TransformerWeights.CreateRandom(s_config, new RbeOptions { Tile = Tile, Format = RbeFormat.Sparse(16) }, 1) with { Blocks = [block] });
        DenseBlockBytes everything = DenseBlockBytes.StoresEverything(s_config, Batch, Length),
            liveness = DenseBlockBytes.PerfectLiveness(s_config, Batch, Length);

        // 40 % of the reference for weights, gradients, moments and activations, as if the runtime itself took nothing.
        MemoryPlanOptions options =
            new()
            {
                LimitBytes = everything.Total * 4 / 10,
                BatchSize = Batch,
                Context = Length,
                Threads = 2,
                RestingBytes = model.WeightBytes,
                Checkpointing = policy
            };
        MemoryPlan plan = MemoryPlan.Create(model, options);
        int[] inputs = new int[Batch * Length], targets = new int[Batch * Length];
        new CountingTokens(64).Fill(0, Batch, Length, inputs, targets);
        using MemoryCounter counter = MemoryCounter.Open();
        using Workspace<float> workspace = new(2);
        using TransformerContext<float> context = new(model, workspace, plan.Settings);
        using ParameterVector<float> gradients = model.Parameters.CreateLike(), first = model.Parameters.CreateLike(), second = model.Parameters.CreateLike();
        Assert.True(double.IsFinite(model.Loss(inputs, targets, Batch, Length, context, null, gradients)));
        long total = model.WeightBytes + counter.PeakBytes;
        Assert.InRange(total / (double)plan.Estimate.Total, 1, 1.01);
        Assert.True(total < 0.4 * everything.Total, $"{total} of {everything.Total}");
        Assert.True(total < liveness.Total);
        Assert.Throws<MemoryLimitException>(() => MemoryPlan.Create(model, options with { LimitBytes = total / 10 }));
        Assert.InRange(OutputError(dense, block), 0, 5e-2);
    }

    // The dense block is the compressed one with every coefficient kept exactly.
    private static double OutputError(DenseBlockWeights dense, BlockWeights compressed)
    {
        float[] x = Numbers.Normal(2 * 64 * s_config.Width, 3);
        BlockWeights exact = BlockWeights.Compress(dense, s_config, new RbeOptions { Tile = Tile, Format = RbeFormat.Sparse(Tile * Tile) });
        return Numbers.RelativeError(Output(exact), Output(compressed));

        float[] Output(BlockWeights weights)
        {
            using RbeTransformerBlock<float> block = new(s_config, weights);
            using Workspace<float> workspace = new(2);
            return block.Forward(x, 2, 64, null, null, workspace).Output;
        }
    }
}
