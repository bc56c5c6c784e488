using System.Numerics;

namespace RbeMl.Training;

/// <summary>
/// The fixed binary tree that the gradients of a step's micro-batches are added by. A node is a range of leaves; one of n leaves has the
/// largest power of two below n of them on its left. Its shape is a function of the number of leaves alone, so that whoever adds whole nodes
/// gets the same bits, wherever the others are added.
/// </summary>
/// <param name="leaves">Micro-batches of a step, at least 1.</param>
internal readonly struct SumTree(int leaves)
{
    /// <summary>Micro-batches of a step.</summary>
    public int Leaves => leaves;

    /// <summary>The leaves of a rank: neighbours, and as many as those of another or one more.</summary>
    public (int First, int Last) ShareOf(int rank, int size) => ((int)((long)leaves * rank / size), (int)((long)leaves * (rank + 1) / size));

    /// <summary>Where the right child of a node begins.</summary>
    public static int Split(int first, int last) => first + (1 << BitOperations.Log2((uint)(last - first - 1)));

    /// <summary>Whether two neighbouring nodes are the children of one.</summary>
    public bool AreSiblings(int first, int middle, int last)
    {
        (int low, int high) = (0, leaves);
        while (high - low > 1)
        {
            int split = Split(low, high);
            if (low == first && high == last) return split == middle;
            if (last <= split) high = split;
            else if (first >= split) low = split;
            else return false;
        }

        return false;
    }

    /// <summary>The fewest nodes that make up a range: what whoever has these leaves alone can add.</summary>
    public List<(int First, int Last)> Cover(int first, int last)
    {
        List<(int, int)> open = [];
        for (int leaf = first; leaf < last; leaf++) Push(open, leaf);
        return open;
    }

    /// <summary>The most nodes that are open at a time while the leaves of a range come one after the other.</summary>
    public int MostOpen(int first, int last)
    {
        int most = 0;
        List<(int, int)> open = [];
        for (int leaf = first; leaf < last; leaf++)
        {
            most = Math.Max(most, open.Count + 1);
            Push(open, leaf);
        }

        return most;
    }

    /// <summary>The additions that make the root of nodes.</summary>
    /// <param name="nodes">Nodes that together have every leaf once, in any order.</param>
    /// <returns>Pairs of places in <paramref name="nodes"/>: in this order the right one is added to the left one. The root is then at the last left
    /// place.</returns>
    public List<(int Left, int Right)> SumsOf(IReadOnlyList<(int First, int Last)> nodes)
    {
        Dictionary<(int, int), int> places = nodes.Select((node, place) => (node, place)).ToDictionary(each => each.node, each => each.place);
        List<(int, int)> sums = [];
        Sum(0, leaves);
        return sums;

        int Sum(int first, int last)
        {
            if (places.TryGetValue((first, last), out int place)) return place;
            int split = Split(first, last), left = Sum(first, split), right = Sum(split, last);
            sums.Add((left, right));
            return left;
        }
    }

    private void Push(List<(int First, int Last)> open, int leaf)
    {
        open.Add((leaf, leaf + 1));
        while (open.Count > 1 && AreSiblings(open[^2].First, open[^1].First, open[^1].Last))
        {
            open[^2] = (open[^2].First, open[^1].Last);
            open.RemoveAt(open.Count - 1);
        }
    }
}
