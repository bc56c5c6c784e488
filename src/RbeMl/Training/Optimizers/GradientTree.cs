using System.Numerics;
using RbeMl.Layers;
using RbeMl.Memory;
using RbeMl.Numerics;

namespace RbeMl.Training;

/// <summary>
/// The sum of the gradients of a step's M micro-batches by a fixed binary tree. A node of n leaves has the largest power of two below n of
/// them on its left; each leaf starts from zero. The order of the additions is thus a function of M alone: whoever adds whole nodes gets
/// the same bits, wherever the others are added. The leaves come one after the other, so that the vectors in use are those of a binary
/// counter, at most log2(M) + 1.
/// </summary>
/// <typeparam name="T">Element type.</typeparam>
internal sealed unsafe class GradientTree<T> : IDisposable
    where T : unmanaged, IFloatingPointIeee754<T>
{
    private const int Piece = 1 << 14; // elements of an item
    private readonly ParameterVector<T>[] _vectors; // of the open nodes, the largest first; those after them are zero
    private readonly int _leaves;
    private int _open, _added;

    /// <summary>Makes room for a sum.</summary>
    /// <param name="parameters">What the gradients are of.</param>
    /// <param name="leaves">Micro-batches M of a step, at least 1.</param>
    public GradientTree(ParameterVector<T> parameters, int leaves)
    {
        _leaves = leaves;
        _vectors = [.. Enumerable.Range(0, VectorsFor(leaves)).Select(_ => parameters.CreateLike())];
    }

    /// <summary>The sum once all leaves are added; the optimiser leaves it zero for the next step.</summary>
    public ParameterVector<T> Root => _vectors[0];

    /// <summary>Vectors held.</summary>
    public int Vectors => _vectors.Length;

    /// <summary>Where the next leaf is added up; zero.</summary>
    public ParameterVector<T> Leaf => _vectors[_open];

    /// <summary>Vectors of a sum of so many leaves: the nodes open before a leaf are as many as its index has bits, and then there is the leaf.</summary>
    public static int VectorsFor(int leaves) => BitOperations.Log2((uint)leaves) + 1;

    /// <summary>Closes the leaf, and with it every node that it is the last leaf of.</summary>
    /// <param name="workers">Threads; the result is the same for any number.</param>
    public void Add(WorkerPool workers)
    {
        _open++;
        _added++;
        int closed = _added == _leaves ? _open - 1 : BitOperations.TrailingZeroCount(_added);
        for (; closed > 0; closed--)
        {
            _open--;
            AddWork work = new(_vectors[_open - 1].Pointer, _vectors[_open].Pointer, Root.Length);
            workers.For((int)((Root.Length + Piece - 1) / Piece), ref work);
        }

        if (_added == _leaves) _open = _added = 0;
    }

    /// <summary>Forgets what a step that failed has left.</summary>
    public void Clear()
    {
        _open = _added = 0;
        foreach (ParameterVector<T> vector in _vectors) vector.Clear();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (ParameterVector<T> vector in _vectors) vector.Dispose();
    }

    // left += right, and right = 0 for the leaf that takes its place.
    private readonly struct AddWork(T* left, T* right, long length) : IParallelWork
    {
        public void Execute(int item, int worker)
        {
            long first = (long)item * Piece, count = Math.Min(Piece, length - first);
            Elementwise.Add(left + first, right + first, left + first, count);
            new Span<T>(right + first, (int)count).Clear();
        }
    }
}
