using RbeMl.Layers;
using RbeMl.Memory;
using RbeMl.Training;

namespace RbeMl.Tests.Training;

public sealed class GradientTreeTests : IDisposable
{
    private const int Length = 40_000; // more than two items of the threads
    private readonly ParameterVector<float> _layout = Layout();

    public void Dispose() => _layout.Dispose();

    /// <summary>The largest power of two below the number of leaves on the left, as its doc comment says.</summary>
    [Fact]
    public void The_sum_is_the_recursive_one_bit_for_bit_on_any_number_of_threads()
    {
        for (int leaves = 1; leaves <= 17; leaves++)
        {
            float[][] values = Leaves(leaves);
            int[] expected = Bits(Recursive(values));
            Assert.Equal(leaves > 3, !expected.AsSpan().SequenceEqual(Bits(InOrder(values)))); // else nothing is tested
            for (int threads = 1; threads <= 3; threads++)
            {
                using WorkerPool workers = new(threads);
                using GradientTree<float> tree = new(_layout, leaves);
                for (int step = 0; step < 2; step++)
                {
                    Assert.Equal(expected, Bits(Sum(tree, values, workers)));
                    tree.Root.Clear(); // as the optimiser does
                }
            }
        }
    }

    /// <summary>What another rank adds of whole nodes are leaves of the nodes above.</summary>
    [Theory]
    [InlineData(8, 4)]
    [InlineData(8, 2)]
    [InlineData(12, 4)]
    [InlineData(16, 8)]
    [InlineData(10, 2)]
    public void Whole_nodes_added_elsewhere_give_the_same_bits(int leaves, int node)
    {
        using WorkerPool workers = new(2);
        using GradientTree<float> whole = new(_layout, leaves), above = new(_layout, leaves / node);
        float[][] values = Leaves(leaves), nodes = [.. values.Chunk(node).Select(Part)];
        Assert.Equal(Bits(Sum(whole, values, workers)), Bits(Sum(above, nodes, workers)));

        float[] Part(float[][] some)
        {
            using GradientTree<float> tree = new(_layout, node);
            return Sum(tree, some, workers);
        }
    }

    [Fact]
    public void The_vectors_are_one_more_than_the_binary_logarithm()
    {
        Assert.Equal([1, 2, 2, 3, 3, 3, 3, 4, 4, 5], new[] { 1, 2, 3, 4, 5, 6, 7, 8, 15, 16 }.Select(leaves => new SumTree(leaves).MostOpen(0, leaves)));
        using MemoryCounter counter = MemoryCounter.Open();
        using GradientTree<float> tree = new(_layout, 8);
        Assert.Equal(4, tree.Vectors);
        Assert.Equal(4 * _layout.AllocatedBytes, counter.Bytes);
    }

    [Fact]
    public void A_cleared_tree_begins_anew()
    {
        using WorkerPool workers = new(1);
        using GradientTree<float> tree = new(_layout, 4);
        float[][] values = Leaves(4);
        for (int i = 0; i < 3; i++) Push(tree, values[i], workers);
        tree.Clear();
        Assert.Equal(Bits(Recursive(values)), Bits(Sum(tree, values, workers)));
    }

    private static ParameterVector<float> Layout()
    {
        ParameterVector<float> layout = new();
        layout.Add("a", ParameterKind.Embedding, new float[Length - 7]);
        layout.Add("b", ParameterKind.Bias, new float[7]);
        layout.Freeze();
        return layout;
    }

    private static float[][] Leaves(int count)
    {
        Random random = new(count);
        return [.. Enumerable.Range(0, count)
            .Select(_ => Enumerable.Range(0, Length).Select(_ => (float)((random.NextDouble() - 0.5) * Math.Pow(10, random.Next(-3, 4)))).ToArray())];
    }

    private static float[] Sum(GradientTree<float> tree, float[][] leaves, WorkerPool workers)
    {
        foreach (float[] leaf in leaves) Push(tree, leaf, workers);
        return [.. tree.Root.Slices.SelectMany(tree.Root.ToFloats)];
    }

    private static void Push(GradientTree<float> tree, float[] leaf, WorkerPool workers)
    {
        ParameterVector<float> vector = tree.Leaf;
        int first = 0;
        foreach (ParameterSlice slice in vector.Slices)
        {
            Assert.DoesNotContain(vector.ToFloats(slice), value => value != 0);
            leaf.AsSpan(first, slice.Length).CopyTo(vector.Of(slice));
            first += slice.Length;
        }

        tree.Add(workers);
    }

    private static float[] Recursive(float[][] leaves)
    {
        if (leaves.Length == 1) return leaves[0];
        int left = 1;
        while (left * 2 < leaves.Length) left *= 2;
        return Add(Recursive(leaves[..left]), Recursive(leaves[left..]));
    }

    private static float[] InOrder(float[][] leaves) => leaves.Aggregate(Add);

    private static float[] Add(float[] a, float[] b) => [.. a.Zip(b, (x, y) => x + y)];

    private static int[] Bits(float[] values) => [.. values.Select(BitConverter.SingleToInt32Bits)];
}
