using RbeMl.Codec;
using RbeMl.Kernels;

namespace RbeMl.Tests.Kernels;

public sealed unsafe class SparsityPatternTests
{
    [Fact]
    public void Another_grid_is_refused_with_both_sizes()
    {
        CoefficientSupport support = SparseCases.Support(32, 6, 16, 2, 1);
        ShapeMismatchException error = Assert.Throws<ShapeMismatchException>(() => new SparsityPattern(support, 2, 2));
        Assert.Contains("6 tiles", error.Message, StringComparison.Ordinal);
        Assert.Contains("2 x 2", error.Message, StringComparison.Ordinal);
    }

    // 300 of 4096 coefficients: 16 KB dense, 1.2 KB of values. Runs of L need 8 bytes each (place, two 16-bit numbers forward, one back at most);
    // single places 1 byte by row, 3 by column and a step of 4 bytes for one to four of them, twice. Tables of starts come on top.
    [Theory]
    [InlineData(16, 8 * 19 + 64)]
    [InlineData(8, 8 * 38 + 96)]
    [InlineData(4, 8 * 75 + 160)]
    [InlineData(1, 300 * (1 + 3 + 4))]
    public void Indices_stay_small(int runLength, int limit)
    {
        using SparsityPattern pattern = new(SparseCases.Support(64, 144, runLength, (300 + runLength - 1) / runLength, 2), 12, 12);
        Assert.InRange(pattern.IndexBytes / 144, 1, limit);
    }

    [Theory]
    [InlineData(32, 75)]
    [InlineData(64, 300)]
    [InlineData(64, 64 * 64)]
    [InlineData(128, 1)]
    public void Steps_of_single_places_visit_each_once_the_longest_first(int tile, int places)
    {
        const int Tiles = 6;
        using SparsityPattern pattern = new(SparseCases.Support(tile, Tiles, 1, places, 3), 2, 3);
        foreach ((SparsePositionOrder order, bool byColumn) in new[] { (pattern.Rows!, false), (pattern.Columns!, true) })
        {
            for (int t = 0; t < Tiles; t++)
            {
                ReadOnlySpan<ushort> starts = pattern.Support.StartsOf(t);
                int[] visits = new int[places], used = new int[places], counts = new int[tile];
                foreach (ushort start in starts) counts[byColumn ? start % tile : start / tile]++;
                for (int pass = 0; pass < 3; pass++)
                {
                    int size = 4 >> pass, first = order.Starts[(3 * t) + pass], end = order.Starts[(3 * t) + pass + 1];
                    Assert.Equal(counts.Sum(c => pass == 0 ? c / 4 : c / size % 2), end - first);
                    for (int s = first; s < end; s++)
                    {
                        for (int e = order.Steps[s].Entry; e < order.Steps[s].Entry + size; e++)
                        {
                            visits[e]++;
                            int value = order.Values == null ? e : order.Values[(t * places) + e], place = starts[value];
                            used[value]++;
                            Assert.Equal(order.Steps[s].Line, byColumn ? place % tile : place / tile);
                            Assert.Equal(order.Across[(t * places) + e], byColumn ? place / tile : place % tile);
                            if (e > order.Steps[s].Entry) Assert.True(order.Across[(t * places) + e - 1] < order.Across[(t * places) + e]);
                        }
                    }
                }

                Assert.All(visits, count => Assert.Equal(1, count));
                Assert.All(used, count => Assert.Equal(1, count));
            }
        }
    }

    [Theory]
    [InlineData(4)]
    [InlineData(8)]
    [InlineData(16)]
    public void Forward_steps_visit_every_run_once(int runLength)
    {
        using SparsityPattern pattern = new(SparseCases.Support(64, 6, runLength, 21, 3), 2, 3);
        List<(int Tile, int Run, int Row, int Column)> expected = [], actual = [];
        for (int t = 0; t < 6; t++)
        {
            ReadOnlySpan<ushort> places = pattern.Support.StartsOf(t);
            for (int r = 0; r < places.Length; r++) expected.Add((t, r, places[r] / 64, places[r] % 64));
        }

        SparseRunOrder order = pattern.Runs!;
        for (int i = 0; i < 2; i++)
        {
            for (int group = 0; group < order.Groups; group++)
            {
                int* starts = order.StartsOf(i, group);
                for (int j = 0; j < 3; j++)
                {
                    for (int s = starts[j]; s < starts[j + 1]; s++)
                    {
                        RunStep step = order.Steps[s];
                        actual.Add((i * 3 + j, step.Run - j * 21, group * runLength, step.Column - j * 64));
                    }
                }
            }
        }

        Assert.Equal(expected, actual.Order());
    }
}
