using RbeMl.Codec;
using RbeMl.Tests.Support;

namespace RbeMl.Tests.Codec;

public class TransformChoiceTests
{
    private const int Side = 192;
    private static readonly RbeOptions s_sparse = new() { Tile = 32, Format = RbeFormat.Sparse(100, SupportRule.TopK) };
    private static readonly TileTransform[] s_all = Enum.GetValues<TileTransform>();

    // 4 comparisons in each of 20 choices; by chance one in 13000 of them would be wrong.
    [Fact]
    public void OnWhiteWeightsTheCosineTransformStays()
    {
        foreach (RbeFormat format in new RbeFormat[] { RbeFormat.Sparse(96), RbeFormat.Quantized(4) })
        {
            for (int seed = 1; seed <= 10; seed++)
            {
                float[] weights = Numbers.Normal(Side * Side, seed, 0.02);
                Assert.Equal(TileTransform.Dct, TransformChoice.Measure(weights, Side, Side, s_sparse with { Format = format }, s_all, 16, (ulong)seed, out _));
            }
        }
    }

    [Fact]
    public void SmoothWeightsGetASmoothTransform()
    {
        float[] weights = [.. WeightFamilies.Waves(Side, Side, new Random(1)).Zip(Numbers.Normal(Side * Side, 2, 0.02), (s, n) => s + n)];
        TileTransform[] others = [TileTransform.None, TileTransform.Haar, TileTransform.WalshHadamard, TileTransform.Dct, TileTransform.Cdf97];
        TileTransform chosen =
            TransformChoice.Measure(weights, Side, Side, s_sparse with { Format = RbeFormat.Sparse(20, SupportRule.TopK), Alphas = false },
                others, 16, 1, out IReadOnlyList<TransformScore> scores);
        Assert.Contains(chosen, new[] { TileTransform.Dct, TileTransform.Cdf97 });
        Assert.Equal(scores.MinBy(s => s.RelativeError)!.Transform, chosen);
    }

    [Fact]
    public void LoneEntriesAreLeftWhereTheyAre()
    {
        Random random = new(3);
        float[] weights = [.. Numbers.Normal(Side * Side, 4, 0.02).Select(w => random.Next(50) == 0 ? 40 * w : w)];
        TileTransform chosen = TransformChoice.Measure(weights, Side, Side, s_sparse, s_all, 16, 1, out IReadOnlyList<TransformScore> scores);
        Assert.Equal(TileTransform.None, chosen);
        TransformScore dct = scores[0], none = scores.Single(s => s.Transform == TileTransform.None);
        Assert.True(none.RelativeError < 0.5 * dct.RelativeError && none.Advantage > TransformChoice.RequiredAdvantage, $"{none} against {dct}");
    }

    [Fact]
    public void TheSameSeedMeasuresTheSame()
    {
        float[] weights = Numbers.Normal(Side * Side, 5);
        TransformChoice.Measure(weights, Side, Side, s_sparse, s_all, 8, 7, out IReadOnlyList<TransformScore> first);
        TransformChoice.Measure(weights, Side, Side, s_sparse, s_all, 8, 7, out IReadOnlyList<TransformScore> again);
        TransformChoice.Measure(weights, Side, Side, s_sparse, s_all, 8, 8, out IReadOnlyList<TransformScore> other);
        Assert.Equal(first, again);
        Assert.NotEqual(first, other);
        TransformChoice.Measure(weights, Side, Side, s_sparse, s_all, 1000, 7, out IReadOnlyList<TransformScore> everything);
        RbeCompressor.Compress(weights, Side, Side, s_sparse with { Transform = TileTransform.Haar }, out CompressionReport haar);
        Assert.Equal(haar.RelativeError, everything[(int)TileTransform.Haar].RelativeError, 1e-12);
    }

    [Fact]
    public void TooFewTilesDecideNothing()
    {
        float[] constant = [.. Enumerable.Repeat(1f, 64 * 64)];
        Assert.Equal(TileTransform.None,
            TransformChoice.Measure(constant, 64, 64, s_sparse, [TileTransform.None, TileTransform.Dct], 16, 1, out IReadOnlyList<TransformScore> scores));
        Assert.Equal(2, scores.Count);
        Assert.Equal(TileTransform.Dct, TransformChoice.Measure(new float[20 * 30], 20, 30, s_sparse));
    }

    [Fact]
    public void BadRequestsAreRefused()
    {
        float[] weights = new float[64 * 64];
        Assert.Throws<InvalidSettingException>(() => TransformChoice.Measure(weights, 64, 64, s_sparse, [], 16, 1, out _));
        Assert.Throws<InvalidSettingException>(() => TransformChoice.Measure(weights, 64, 64, s_sparse, s_all, 0, 1, out _));
        Assert.Throws<InvalidSettingException>(() => TransformChoice.Measure(weights, 64, 64, s_sparse, [(TileTransform)17], 16, 1, out _));
        Assert.Throws<ShapeMismatchException>(() => TransformChoice.Measure(weights, 64, 63, s_sparse));
    }
}
