using System.Runtime.InteropServices;

namespace RbeMl.Training;

/// <summary>Losses of which each rank computes neighbours, told to all and added up in their order, as in one process.</summary>
internal sealed class StepLosses
{
    private readonly ICollective _ranks;
    private readonly double[] _losses;
    private readonly int[] _bytes; // of each rank

    /// <summary>Prepares it.</summary>
    /// <param name="ranks">The ranks.</param>
    /// <param name="count">Losses.</param>
    public StepLosses(ICollective ranks, int count)
    {
        (_ranks, _losses) = (ranks, new double[count]);
        SumTree tree = new(count);
        _bytes = [.. Enumerable.Range(0, ranks.Size).Select(rank => tree.ShareOf(rank, ranks.Size))
            .Select(share => sizeof(double) * (share.Last - share.First))];
    }

    /// <summary>One of this rank's.</summary>
    public double this[int index]
    {
        set => _losses[index] = value;
    }

    /// <summary>The sum of all.</summary>
    public double Sum()
    {
        _ranks.AllGather(MemoryMarshal.AsBytes(_losses.AsSpan()), _bytes);
        double sum = 0;
        foreach (double loss in _losses) sum += loss;
        return sum;
    }
}
