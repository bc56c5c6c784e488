using RbeMl.Codec;
using RbeMl.Layers;
using RbeMl.Tests.Support;

namespace RbeMl.Tests.Layers;

/// <summary>
/// Chunks that a thread works on together, a decoded tile of the base for all of them: every part of the weights (codes, sparse delta,
/// alphas) reaches every chunk.
/// </summary>
public sealed class ChunkGroupTests
{
    private const int Length = 64; // a sequence is a chunk

    // Width 72 and hidden 136 leave a part of a tile over.
    private static readonly TransformerConfig s_config = new() { Width = 72, FeedForwardWidth = 136, Heads = 3, Layers = 1, MaxSequenceLength = Length };

    /// <summary>
    /// The reference has the decoded weights as coefficients, all of them, so it knows neither codes nor groups. Sums of at most 136
    /// rounded products, five of them one after the other, are off by a random walk of 2^-24 each, 2e-6; random weights magnify that a few
    /// hundredfold in softmax and LayerNorm. A part that is missing in a chunk is some per cent of it.
    /// </summary>
    [Theory]
    [InlineData("quantized", 32, 6, 1)]
    [InlineData("quantized", 64, 5, 2)]
    [InlineData("trellis", 32, 5, 1)]
    [InlineData("trellis", 64, 6, 2)]
    [InlineData("alphas", 32, 6, 1)]
    [InlineData("alphas", 64, 3, 1)]
    public void Every_chunk_has_every_part_of_the_weights(string format, int tile, int batch, int threads)
    {
        RbeOptions options = new()
        {
            Tile = tile,
            Alphas = true,
            Format = format switch
            {
                "quantized" => RbeFormat.Quantized(4) with { Delta = RbeFormat.Sparse(64, SupportRule.Runs(8)) },
                "trellis" => RbeFormat.Trellis(3) with { Delta = RbeFormat.Sparse(64, SupportRule.Random(1)) },
                _ => RbeFormat.Quantized(4),
            },
        };
        using BlockFixture<float> f = new(s_config, options, batch, Length, threads);
        MoveAlphas(f.Block);
        BlockWeights weights = f.Block.GetCompressedWeights();
        Assert.All([weights.Query, weights.Output, weights.UpProjection, weights.DownProjection],
            m => Assert.True(m.Base is not null && m.HasAlphas && (m.Support is null) == (format == "alphas")));
        float[] actual = f.Block.Forward(f.X, batch, Length, null, null, f.Workspace).Output;
        using RbeTransformerBlock<double> decoded = new(s_config, Decoded(weights), layer: 3);
        using Workspace<double> workspace = new(1);
        int size = Length * s_config.Width;
        for (int b = 0; b < batch; b++)
        {
            float[] x = f.X[(b * size)..((b + 1) * size)], part = actual[(b * size)..((b + 1) * size)];
            Assert.Equal(f.Block.Forward(x, 1, Length, null, null, f.Workspace).Output, part);
            float[] expected = [.. decoded.Forward(BlockFixture<double>.Convert(x), 1, Length, null, null, workspace).Output.Select(v => (float)v)];
            Assert.InRange(Numbers.RelativeError(Branch(expected, x), Branch(part, x)), 0, 1e-3);
        }

        static float[] Branch(float[] y, float[] x) => [.. y.Zip(x, (a, b) => a - b)];
    }

    // Alphas of some per cent of the weights: a basis function has the norm B, a weight is about 1 / sqrt(72).
    private static void MoveAlphas(RbeTransformerBlock<float> block)
    {
        foreach (ParameterSlice slice in block.Parameters.Slices.Where(s => s.Kind == ParameterKind.Alpha))
        {
            float[] noise = Numbers.Normal(slice.Length, 5, 0.01);
            Span<float> alphas = block.Parameters.Of(slice);
            for (int i = 0; i < noise.Length; i++) alphas[i] += noise[i];
        }
    }

    private static BlockWeights Decoded(BlockWeights weights) => BlockWeights.Compress(
        new DenseBlockWeights
        {
            Query = weights.Query.ToDense(),
            Key = weights.Key.ToDense(),
            Value = weights.Value.ToDense(),
            Output = weights.Output.ToDense(),
            UpProjection = weights.UpProjection.ToDense(),
            DownProjection = weights.DownProjection.ToDense(),
            Vectors = weights.Vectors,
        },
        s_config,
        new RbeOptions { Tile = 32, Format = RbeFormat.Sparse(1024) });
}
