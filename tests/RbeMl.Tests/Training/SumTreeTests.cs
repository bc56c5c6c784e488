using System.Numerics;
using RbeMl.Training;

namespace RbeMl.Tests.Training;

public sealed class SumTreeTests
{
    [Fact]
    public void Neighbours_are_siblings_where_the_tree_divides_a_node()
    {
        for (int leaves = 1; leaves <= 20; leaves++)
        {
            HashSet<(int, int, int)> divided = [];
            Divide(0, leaves, divided);
            for (int first = 0; first < leaves; first++)
            {
                for (int middle = first + 1; middle < leaves; middle++)
                {
                    for (int last = middle + 1; last <= leaves; last++)
                    {
                        Assert.Equal(divided.Contains((first, middle, last)), new SumTree(leaves).AreSiblings(first, middle, last));
                    }
                }
            }
        }
    }

    [Fact]
    public void Shares_cover_all_leaves_in_order_and_differ_by_one_at_most()
    {
        for (int leaves = 1; leaves <= 20; leaves++)
        {
            for (int size = 1; size <= leaves; size++)
            {
                (int First, int Last)[] shares = [.. Enumerable.Range(0, size).Select(rank => new SumTree(leaves).ShareOf(rank, size))];
                Assert.Equal(0, shares[0].First);
                Assert.Equal(leaves, shares[^1].Last);
                Assert.All(Enumerable.Range(1, size - 1), rank => Assert.Equal(shares[rank - 1].Last, shares[rank].First));
                Assert.InRange(shares.Max(share => share.Last - share.First) - shares.Min(share => share.Last - share.First), 0, 1);
            }
        }
    }

    /// <summary>Of powers of two a rank sends one node; 12 over 2 takes two of each.</summary>
    [Fact]
    public void A_range_is_covered_by_the_fewest_nodes()
    {
        Assert.Equal([(0, 4)], new SumTree(8).Cover(0, 4));
        Assert.Equal([(0, 4), (4, 6)], new SumTree(12).Cover(0, 6));
        Assert.Equal([(6, 8), (8, 12)], new SumTree(12).Cover(6, 12));
        Assert.Equal([(0, 12)], new SumTree(12).Cover(0, 12));
        Assert.Equal([(3, 4), (4, 7)], new SumTree(7).Cover(3, 7));
    }

    [Fact]
    public void Additions_in_their_order_make_the_root()
    {
        for (int leaves = 1; leaves <= 17; leaves++)
        {
            for (int size = 1; size <= leaves; size++)
            {
                SumTree tree = new(leaves);
                (int First, int Last)[] nodes = [.. Enumerable.Range(0, size).Reverse().SelectMany(rank => tree.Cover(tree.ShareOf(rank, size).First,
                    tree.ShareOf(rank, size).Last))];
                List<(int Left, int Right)> sums = tree.SumsOf(nodes);
                Assert.Equal(nodes.Length - 1, sums.Count);
                foreach ((int left, int right) in sums)
                {
                    Assert.True(tree.AreSiblings(nodes[left].First, nodes[right].First, nodes[right].Last));
                    nodes[left].Last = nodes[right].Last;
                }

                Assert.Equal((0, leaves), nodes[sums.Count == 0 ? 0 : sums[^1].Left]);
            }
        }
    }

    [Fact]
    public void All_leaves_take_the_vectors_of_a_binary_counter()
    {
        for (int leaves = 1; leaves <= 40; leaves++) Assert.Equal(BitOperations.Log2((uint)leaves) + 1, new SumTree(leaves).MostOpen(0, leaves));
    }

    private static void Divide(int first, int last, HashSet<(int, int, int)> found)
    {
        if (last - first < 2) return;
        int left = 1;
        while (left * 2 < last - first) left *= 2;
        found.Add((first, first + left, last));
        Divide(first, first + left, found);
        Divide(first + left, last, found);
    }
}
