using System.Numerics;
using RbeMl.Codec;
using RbeMl.Kernels;
using RbeMl.Layers;
using RbeMl.Tests.Support;

namespace RbeMl.Tests.Layers;

public sealed class DecodeTests
{
    private const int Past = 21;

    public static TheoryData<string, int, TileTransform> Formats
    {
        get
        {
            TheoryData<string, int, TileTransform> cases = [];
            foreach (string format in Names) cases.Add(format, 32, TileTransform.Dct);
            foreach (string format in (string[])["runs16", "random", "quantized4", "trellis4"]) cases.Add(format, 64, TileTransform.Dct);
            foreach (string format in (string[])["runs16", "quantized5", "trellis3"]) cases.Add(format, 128, TileTransform.Cdf97);
            foreach (TileTransform transform in (TileTransform[])[TileTransform.Haar, TileTransform.WalshHadamard, TileTransform.None])
            {
                cases.Add("runs8", 32, transform);
            }

            return cases;
        }
    }

    private static string[] Names =>
        ["runs16", "runs8", "runs4", "random", "all", "plain", "quantized3", "quantized4", "quantized5", "quantized6", "quantized8", "delta",
            "outliers", "trellis2", "trellis4", "trellis6"];

    // Width 72 and hidden 136 leave every tile size a part of a tile over.
    private static TransformerConfig Config(LayerNormStorage storage = LayerNormStorage.Dense) =>
        new() { Width = 72, FeedForwardWidth = 136, Heads = 3, Layers = 1, MaxSequenceLength = 64, LayerNorm = storage };

    [Theory]
    [MemberData(nameof(Formats))]
    public void Vectors_give_what_panels_give(string format, int tile, TileTransform transform)
    {
        RbeOptions options = Options(format, tile, transform);
        using BlockFixture<float> f = new(Config(), options, 2, 1);
        using BlockFixture<double> exact = new(Config(), options, 2, 1);
        (float[] panels, float[] vectors) = Both(f, KvFormat.F32);
        using LayerKvCache<double> cache = exact.CacheWith(Past);
        float[] truth =
            [.. Enumerable.Range(0, 2)
                .SelectMany(step => exact.Block.Forward(Signed(exact.X, step), 2, 1, new() { Cache = cache }, null, exact.Workspace).Output)
                    .Select(v => (float)v)];

        // Random weights make some of these blocks magnify a rounding thousandfold, so how far single precision may be from the truth is what the panels show.
        double allowed = (2 * Numbers.RelativeError(truth, panels)) + Tolerance + VectorRounding.Of(options.Format);
        Assert.InRange(allowed, 0, 1e-3);
        Assert.InRange(Numbers.RelativeError(truth, vectors), 0, allowed);
    }

    [Theory]
    [InlineData(1, KvFormat.F16)]
    [InlineData(2, KvFormat.Int8)]
    [InlineData(3, KvFormat.F32)]
    [InlineData(4, KvFormat.Int8)]
    public void Every_number_of_sequences_and_cache_format(int batch, KvFormat format)
    {
        using BlockFixture<float> f = new(Config(), Options("runs16", 32), batch, 1);
        (float[] panels, float[] vectors) = Both(f, format);

        // A number on the edge between two codes may be stored as either, so they may be apart as far as the format's largest relative
        // error; in floats, as far as the panels of the same block are from double precision.
        double step = format switch { KvFormat.F16 => Math.Pow(2, -11), KvFormat.Int8 => 1.0 / 127, _ => 5e-4 };
        Assert.InRange(Numbers.RelativeError(panels, vectors), 0, step);
    }

    [Theory]
    [InlineData("runs16")]
    [InlineData("random")]
    [InlineData("quantized4")]
    [InlineData("trellis4")]
    public void Any_number_of_threads_gives_the_same_bits(string format)
    {
        float[][] outputs = [.. new[] { 1, 2, 3 }.Select(threads =>
        {
            using BlockFixture<float> f = new(Config(), Options(format, 32), 2, 1, threads);
            using LayerKvCache<float> cache = f.CacheWith(Past);
            return f.Block.Forward(f.X, 2, 1, new ForwardOptions<float> { Cache = cache }, null, f.Workspace).Output;
        })];
        Assert.Equal(outputs[0], outputs[1]);
        Assert.Equal(outputs[0], outputs[2]);
    }

    [Fact]
    public void Only_what_vectors_can_do_is_done_with_vectors()
    {
        using BlockFixture<float> f = new(Config(), Options("runs16", 32), 1, 1);
        using BlockFixture<double> g = new(Config(), Options("runs16", 32), 1, 1);
        using LayerKvCache<float> cache = f.CacheWith(0);
        using LayerKvCache<double> doubles = g.CacheWith(0);
        Assert.True(f.Block.DecodesVectors(1, 1, new() { Cache = cache }));
        Assert.True(f.Block.DecodesVectors(4, 1, new() { Cache = cache }));
        Assert.False(f.Block.DecodesVectors(5, 1, new() { Cache = cache }));
        Assert.False(f.Block.DecodesVectors(1, 2, new() { Cache = cache }));
        Assert.False(f.Block.DecodesVectors(1, 1, new()));
        Assert.False(f.Block.DecodesVectors(1, 1, new() { Cache = cache, PaddingMask = [1] }));
        Assert.False(f.Block.DecodesVectors(1, 1, new() { Cache = cache, AdditiveMask = [0] }));
        Assert.False(f.Block.DecodesVectors(1, 1, new() { Cache = cache, ReturnAttentionWeights = true }));
        Assert.False(g.Block.DecodesVectors(1, 1, new() { Cache = doubles }));
    }

    // The longest sums have 136 terms, five products follow each other; each adds a random walk of roundings of 2^-24, and the factor 8
    // allows for LayerNorm, softmax and GELU between them.
    private static double Tolerance => 8 * Math.Sqrt(136.0 * 5) * Math.Pow(2, -24);

    // A context to be filled makes the forward take panels. Two steps: the second sees what the first put into the cache.
    private static (float[] Panels, float[] Vectors) Both(BlockFixture<float> f, KvFormat format)
    {
        using LayerKvCache<float> one = f.CacheWith(Past, format), two = f.CacheWith(Past, format);
        using BlockContext<float> context = new(CheckpointPolicy.None);
        Assert.True(f.Block.DecodesVectors(f.Batch, 1, new() { Cache = two }));
        List<float> panels = [], vectors = [];
        for (int step = 0; step < 2; step++)
        {
            float[] x = Signed(f.X, step);
            panels.AddRange(f.Block.Forward(x, f.Batch, 1, new() { Cache = one }, context, f.Workspace).Output);
            vectors.AddRange(f.Block.Forward(x, f.Batch, 1, new() { Cache = two }, null, f.Workspace).Output);
        }

        Assert.Equal(Past + 2, two.Length);
        return ([.. panels], [.. vectors]);
    }

    private static T[] Signed<T>(T[] x, int step)
        where T : INumber<T> => [.. x.Select(v => step == 0 ? v : -v)];

    private static RbeOptions Options(string format, int tile, TileTransform transform = TileTransform.Dct)
    {
        int kept = tile * tile / 8;
        RbeFormat rule = format switch
        {
            "runs16" => RbeFormat.Sparse(kept, SupportRule.Runs(16)),
            "runs8" => RbeFormat.Sparse(kept, SupportRule.Runs(8)),
            "runs4" => RbeFormat.Sparse(kept, SupportRule.Runs(4)),
            "random" or "plain" => RbeFormat.Sparse(kept, SupportRule.Random(1)),
            "all" => RbeFormat.Sparse(tile * tile),
            "delta" => RbeFormat.Quantized(3) with { Delta = RbeFormat.Sparse(kept / 2, SupportRule.Runs(4)) },
            "outliers" => RbeFormat.Quantized(4) with { Outliers = 5 },
            _ when format.StartsWith("quantized", StringComparison.Ordinal) => RbeFormat.Quantized(format[^1] - '0'),
            _ => RbeFormat.Trellis(format[^1] - '0'),
        };
        return new RbeOptions { Tile = tile, Transform = transform, Format = rule, Alphas = format is not ("all" or "plain") };
    }
}
