using RbeMl.Layers;
using RbeMl.Memory;

namespace RbeMl.Training;

/// <summary>
/// Steps that each rank does by itself, after which weights and moments become their means over the ranks (local SGD: Stich, "Local SGD converges fast and
/// communicates little"). The means are sums by a fixed tree over the ranks, so that replicas are equal then, and a run repeated has the same bits.
/// </summary>
internal sealed unsafe class LocalSteps : IDisposable
{
    private const int Piece = 1 << 14;
    private readonly ParameterVector<float>[] _vectors;
    private readonly GradientTree<float> _room;
    private readonly GradientExchange _exchange;
    private readonly WorkerPool _workers;
    private readonly int _size, _every;

    /// <summary>Prepares it.</summary>
    /// <param name="ranks">The ranks.</param>
    /// <param name="every">Steps between two means.</param>
    /// <param name="vectors">What is averaged.</param>
    /// <param name="room">This rank's gradients, zero between steps, by way of which the vectors go.</param>
    /// <param name="workers">Threads.</param>
    public LocalSteps(ICollective ranks, int every, IEnumerable<ParameterVector<float>> vectors, GradientTree<float> room, WorkerPool workers)
    {
        (_vectors, _room, _workers, _size, _every) = ([.. vectors], room, workers, ranks.Size, every);
        _exchange = new GradientExchange(ranks, new SumTree(ranks.Size), VectorShares.Even(room.Root.Length, ranks.Size), gathers: true);
    }

    /// <summary>Steps since the last mean: 0 where all ranks have the same weights.</summary>
    public int Done { get; private set; }

    /// <summary>Bytes that this rank sends to others, in the mean over the steps.</summary>
    public long BytesSent => _exchange.BytesSent * _vectors.Length / _every;

    /// <summary>Bytes of the memory that it works in.</summary>
    public static long BytesOf(int size, long length) => GradientExchange.BytesOf(new SumTree(size), VectorShares.Even(length, size));

    /// <summary>Counts a step of this rank.</summary>
    /// <returns>Whether it is time for the mean.</returns>
    public bool Step() => ++Done >= _every;

    /// <summary>Begins anew from weights that all ranks have.</summary>
    public void Restart() => Done = 0;

    /// <summary>Makes the vectors of all ranks their mean.</summary>
    public void Average()
    {
        foreach (ParameterVector<float> vector in _vectors)
        {
            _room.Root.CopyFrom(vector);
            _exchange.Sum(_room);
            DivideWork work = new(_room.Root.Pointer, 1f / _size, _room.Root.Length);
            _workers.For((int)((_room.Root.Length + Piece - 1) / Piece), ref work);
            vector.CopyFrom(_room.Root);
            _room.Root.Clear();
        }

        Done = 0;
    }

    /// <inheritdoc/>
    public void Dispose() => _exchange.Dispose();

    private readonly struct DivideWork(float* values, float part, long length) : IParallelWork
    {
        public void Execute(int item, int worker)
        {
            long first = (long)item * Piece, end = Math.Min(length, first + Piece);
            for (long i = first; i < end; i++) values[i] *= part;
        }
    }
}
