using System.Numerics;
using RbeMl.Layers;
using RbeMl.Memory;
using RbeMl.Numerics;

namespace RbeMl.Training;

/// <summary>
/// The sum of the gradients of a step's M micro-batches by the fixed <see cref="SumTree"/>, or of a range of them, of which whole nodes are
/// left; each leaf starts from zero. The leaves come one after the other, so that the vectors in use are those of a binary counter: of all M
/// at most log2(M) + 1.
/// </summary>
/// <typeparam name="T">Element type.</typeparam>
internal sealed unsafe class GradientTree<T> : IDisposable
    where T : unmanaged, IFloatingPointIeee754<T>
{
    private const int Piece = 1 << 14; // elements of an item
    private readonly ParameterVector<T>[] _vectors; // of the open nodes, from left to right; those after them are zero
    private readonly (int First, int Last)[] _nodes; // the open ones
    private readonly SumTree _tree;
    private readonly int _first, _last;
    private int _open, _next;

    /// <summary>Makes room for a sum.</summary>
    /// <param name="parameters">What the gradients are of.</param>
    /// <param name="leaves">Micro-batches M of a step, at least 1.</param>
    /// <param name="wanted">Whether the gradient of a slice is wanted; no vector holds the others. Null wants all.</param>
    public GradientTree(ParameterVector<T> parameters, int leaves, Func<ParameterSlice, bool>? wanted = null)
        : this(parameters, new SumTree(leaves), (0, leaves), wanted)
    {
    }

    /// <summary>Makes room for the sum of a range.</summary>
    /// <param name="parameters">What the gradients are of.</param>
    /// <param name="tree">The tree of all leaves.</param>
    /// <param name="share">The leaves that are added here, at least one.</param>
    /// <param name="wanted">Whether the gradient of a slice is wanted; no vector holds the others. Null wants all.</param>
    public GradientTree(ParameterVector<T> parameters, SumTree tree, (int First, int Last) share, Func<ParameterSlice, bool>? wanted = null)
    {
        (_tree, (_first, _last)) = (tree, share);
        _next = _first;
        _vectors = [.. Enumerable.Range(0, tree.MostOpen(_first, _last)).Select(_ => parameters.CreateLike(wanted))];
        _nodes = new (int, int)[_vectors.Length];
    }

    /// <summary>The sum once all leaves of the tree are added; the optimiser leaves it zero for the next step.</summary>
    public ParameterVector<T> Root => _vectors[0];

    /// <summary>Vectors held.</summary>
    public int Vectors => _vectors.Length;

    /// <summary>Where the next leaf is added up; zero.</summary>
    public ParameterVector<T> Leaf => _vectors[_open];

    /// <summary>The sum of an open node, from left to right.</summary>
    public ParameterVector<T> Node(int open) => _vectors[open];

    /// <summary>Closes the leaf, and with it every node that it is the last leaf of.</summary>
    /// <param name="workers">Threads; the result is the same for any number.</param>
    public void Add(WorkerPool workers)
    {
        _nodes[_open++] = (_next, ++_next);
        while (_open > 1 && _tree.AreSiblings(_nodes[_open - 2].First, _nodes[_open - 1].First, _nodes[_open - 1].Last))
        {
            _open--;
            _nodes[_open - 1].Last = _nodes[_open].Last;
            AddWork work = new(_vectors[_open - 1].Pointer, _vectors[_open].Pointer, Root.Length);
            workers.For((int)((Root.Length + Piece - 1) / Piece), ref work);
        }

        if (_nodes[0] == (0, _tree.Leaves)) Begin();
    }

    /// <summary>Begins the next sum; the root holds that of this one, and the other vectors become zero.</summary>
    public void Close()
    {
        for (int open = 1; open < _open; open++) _vectors[open].Clear();
        Begin();
    }

    /// <summary>Forgets what a step that failed has left.</summary>
    public void Clear()
    {
        Begin();
        foreach (ParameterVector<T> vector in _vectors) vector.Clear();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (ParameterVector<T> vector in _vectors) vector.Dispose();
    }

    private void Begin() => (_open, _next) = (0, _first);

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
