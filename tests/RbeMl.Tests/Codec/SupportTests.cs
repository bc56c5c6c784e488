using RbeMl.Codec;
using RbeMl.Tests.Support;

namespace RbeMl.Tests.Codec;

public class SupportTests
{
    public static TheoryData<SupportKind, int> Rules => new()
    {
        { SupportKind.TopK, 1 }, { SupportKind.Random, 1 }, { SupportKind.LowFrequency, 1 }, { SupportKind.Runs, 4 }, { SupportKind.Runs, 8 },
            { SupportKind.Runs, 16 },
    };

    [Theory]
    [MemberData(nameof(Rules))]
    public void PlacesOfTheAlphasAreLeftOut(SupportKind kind, int length)
    {
        float[] weights = [.. Numbers.Normal(64 * 64, 1).Select(v => v + 3)]; // a mean, that TopK and Runs would like to keep
        int k = SupportSelector.AllowedStarts(64, length, reserveBasisPlaces: true).Length * length; // the most there is room for
        RbeMatrix matrix = RbeCompressor.Compress(weights, 64, 64, new RbeOptions { Format = RbeFormat.Sparse(k, new SupportRule(kind, length)) });
        HashSet<int> places = [.. Enumerable.Range(0, k).Select(e => matrix.Support!.PositionOf(0, e))];
        Assert.Equal(k, places.Count);
        foreach ((int row, int column) in new[] { (0, 0), (0, 2), (2, 0), (0, 4), (4, 0), (2, 2) }) Assert.DoesNotContain(row * 64 + column, places);
        InvalidSettingException error = Assert.Throws<InvalidSettingException>(
            () => RbeCompressor.Compress(weights, 64, 64, new RbeOptions { Format = RbeFormat.Sparse(k + length, new SupportRule(kind, length)) }));
        Assert.Contains(k.ToString(), error.Message);
        Assert.Equal(4096 - k, length switch { 1 => 6, 4 => 16, 8 => 24, _ => 48 });
    }

    [Fact]
    public void NothingIsLeftOutWithoutAlphasOrWithAnotherTransform()
    {
        float[] weights = new float[64 * 64];
        weights.AsSpan().Fill(1);
        foreach (RbeOptions options in new[] { new RbeOptions { Alphas = false }, new RbeOptions { Transform = TileTransform.Haar } })
        {
            RbeMatrix matrix = RbeCompressor.Compress(weights, 64, 64, options with { Format = RbeFormat.Sparse(4095, SupportRule.LowFrequency) });
            Assert.Equal(0, matrix.Support!.PositionOf(0, 0));
            Assert.Equal(4095, matrix.Support.CoefficientsPerTile);
        }
    }

    [Fact]
    public void LowFrequencyGoesByDiagonalThenRow()
    {
        RbeMatrix matrix = RbeCompressor.CreateRandom(64, 64, new RbeOptions { Alphas = false, Format = RbeFormat.Sparse(8, SupportRule.LowFrequency) }, 1, 0);
        // u + v = 0, 1, 2 whole, and of u + v = 3 the smallest rows: (0,3), (1,2).
        Assert.Equal([0, 1, 2, 3, 64, 65, 66, 128], matrix.Support!.Starts.Select(s => (int)s));
    }

    [Fact]
    public void TopKTakesTheLargest()
    {
        float[] weights = Numbers.Normal(64 * 64, 2);
        RbeMatrix matrix =
            RbeCompressor.Compress(weights, 64, 64,
                new RbeOptions { Alphas = false, Transform = TileTransform.None, Format = RbeFormat.Sparse(50, SupportRule.TopK) });
        int[] largest = [.. Enumerable.Range(0, 4096).OrderByDescending(e => Math.Abs(weights[e])).Take(50).Order()];
        Assert.Equal(largest, matrix.Support!.Starts.Select(s => (int)s));
        Assert.Equal(largest.Select(e => weights[e]), matrix.Coefficients);
    }

    [Fact]
    public void RunsTakeTheMostEnergy()
    {
        float[] weights = Numbers.Normal(64 * 64, 3);
        RbeMatrix matrix =
            RbeCompressor.Compress(weights, 64, 64,
                new RbeOptions { Alphas = false, Transform = TileTransform.None, Format = RbeFormat.Sparse(40, SupportRule.Runs(8)) });
        int[] best = [.. Enumerable.Range(0, 512).Select(n => n / 64 * 512 + n % 64)
            .OrderByDescending(s => Enumerable.Range(0, 8).Sum(o => weights[s + o * 64] * (double)weights[s + o * 64])).Take(5).Order()];
        Assert.Equal(best, matrix.Support!.Starts.Select(s => (int)s));
        for (int e = 0; e < 40; e++) Assert.Equal(weights[matrix.Support.PositionOf(0, e)], matrix.Coefficients[e]);
    }

    [Theory]
    [InlineData(1, 16)]
    [InlineData(23, 16)]
    [InlineData(24, 32)]
    [InlineData(300, 304)]
    public void CoefficientsAreRoundedToRuns(int coefficients, int kept)
    {
        RbeMatrix matrix = RbeCompressor.CreateRandom(64, 64, new RbeOptions { Format = RbeFormat.Sparse(coefficients) }, 1, 0);
        Assert.Equal(kept, matrix.Support!.CoefficientsPerTile);
    }

    [Fact]
    public void TiesAreBrokenByOrder()
    {
        RbeMatrix matrix = RbeCompressor.Compress(new float[4096], 64, 64, new RbeOptions { Alphas = false, Format = RbeFormat.Sparse(3, SupportRule.TopK) });
        Assert.Equal([0, 1, 2], matrix.Support!.Starts.Select(s => (int)s));
    }
}
