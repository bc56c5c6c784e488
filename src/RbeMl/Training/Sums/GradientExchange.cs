using System.Runtime.InteropServices;
using RbeMl.Memory;
using RbeMl.Numerics;

namespace RbeMl.Training;

/// <summary>
/// Makes of the nodes of the sum tree that each rank has added the sum of all leaves, on every rank. A part of the vector at a time is
/// divided among the ranks: each receives all nodes of its slice (all-to-all), adds them in the tree's order, and gives the sum to the
/// others (all-gather). The transport adds nothing, so that the bits are those of one process.
/// </summary>
internal sealed unsafe class GradientExchange : IGradientExchange
{
    private readonly ICollective _ranks;
    private readonly VectorShares _shares;
    private readonly SumTree _tree;
    private readonly bool _gathers;
    private readonly int[] _nodes; // of each rank
    private readonly int _most; // of any
    private readonly (int Left, int Right)[] _sums;
    private readonly int[] _slices, _send, _receive; // bytes
    private readonly NativeBuffer<float>? _received;

    /// <summary>Prepares it.</summary>
    /// <param name="ranks">The ranks.</param>
    /// <param name="tree">The tree over the micro-batches of a step.</param>
    /// <param name="shares">What each rank adds up.</param>
    /// <param name="gathers">Whether each rank gets all of the sum, and not its own slices alone.</param>
    public GradientExchange(ICollective ranks, SumTree tree, VectorShares shares, bool gathers)
    {
        (_ranks, _shares, _tree, _gathers) = (ranks, shares, tree, gathers);
        (_slices, _send, _receive) = (new int[ranks.Size], new int[ranks.Size], new int[ranks.Size]);
        List<(int First, int Last)>[] covers = [.. Enumerable.Range(0, ranks.Size).Select(rank => CoverOf(tree, rank, ranks.Size))];
        _nodes = [.. covers.Select(cover => cover.Count)];
        _most = _nodes.Max();

        // In the order in which they are received: the first node of each rank, the second of each that has one, ...
        _sums = [.. tree.SumsOf([.. Enumerable.Range(0, _most).SelectMany(j => covers.Where(cover => j < cover.Count).Select(cover => cover[j]))])];
        if (ranks.Size > 1) _received = new NativeBuffer<float>(ElementsOf(tree, shares));
    }

    /// <summary>Bytes of the memory that it works in.</summary>
    public static long BytesOf(SumTree tree, VectorShares shares) => shares.Size == 1 ? 0 : sizeof(float) * ElementsOf(tree, shares);

    /// <inheritdoc/>
    public long BytesSent => Bytes(_tree, _ranks.Rank, _shares);

    /// <summary>Bytes that a rank sends to others in a step: of its nodes, and of the sum, or the weights that were made of it.</summary>
    /// <param name="tree">The tree over the micro-batches of a step.</param>
    /// <param name="rank">The rank.</param>
    /// <param name="shares">What each rank adds up.</param>
    public static long Bytes(SumTree tree, int rank, VectorShares shares)
    {
        long bytes = 0, nodes = CoverOf(tree, rank, shares.Size).Count;
        for (int part = 0; part < shares.Parts; part++)
        {
            long own = shares.Slice(part, rank).Count;
            bytes += sizeof(float) * ((nodes * (shares.Part(part).Count - own)) + (own * (shares.Size - 1)));
        }

        return bytes;
    }

    /// <summary>
    /// Adds up the open nodes of all ranks, leaves the sum in the tree's root, and begins the next. Where it does not gather, what is left outside
    /// of this rank's slices is no sum.
    /// </summary>
    /// <param name="gradients">This rank's nodes.</param>
    public void Sum(GradientTree<float> gradients)
    {
        if (_ranks.Size == 1) return;
        for (int part = 0; part < _shares.Parts; part++) SumPart(gradients, part);
        gradients.Close();
    }

    /// <inheritdoc/>
    public void Forget()
    {
    }

    /// <inheritdoc/>
    public void Dispose() => _received?.Dispose();

    private void SumPart(GradientTree<float> gradients, int part)
    {
        int place = 0;
        (long at, int count) = _shares.Part(part);
        for (int rank = 0; rank < _ranks.Size; rank++) _slices[rank] = checked(sizeof(float) * _shares.Slice(part, rank).Count);
        (int begins, int own) = _shares.Slice(part, _ranks.Rank);
        float* received = _received!.Pointer;
        for (int node = 0; node < _most; node++)
        {
            bool some = node < _nodes[_ranks.Rank];
            int nodes = 0;
            for (int rank = 0; rank < _ranks.Size; rank++)
            {
                _send[rank] = some ? _slices[rank] : 0;
                _receive[rank] = node < _nodes[rank] ? _slices[_ranks.Rank] : 0;
                if (node < _nodes[rank]) nodes++;
            }

            ReadOnlySpan<float> sent = some ? new(gradients.Node(node).Pointer + at, count) : [];
            Span<float> into = new(received + ((long)place * own), checked(nodes * own));
            _ranks.AllToAll(MemoryMarshal.AsBytes(sent), _send, MemoryMarshal.AsBytes(into), _receive);
            place += nodes;
        }

        foreach ((int left, int right) in _sums)
        {
            float* sum = received + ((long)left * own);
            Elementwise.Add(sum, received + ((long)right * own), sum, own);
        }

        Span<float> all = new(gradients.Root.Pointer + at, count);
        int root = _sums.Length > 0 ? _sums[^1].Left : 0;
        if (own > 0) new ReadOnlySpan<float>(received + ((long)root * own), own).CopyTo(all[begins..]);
        if (_gathers) _ranks.AllGather(MemoryMarshal.AsBytes(all), _slices);
    }

    private static List<(int First, int Last)> CoverOf(SumTree tree, int rank, int size)
    {
        (int first, int last) = tree.ShareOf(rank, size);
        return tree.Cover(first, last);
    }

    private static long ElementsOf(SumTree tree, VectorShares shares) =>
        shares.MostOfSlice * Enumerable.Range(0, shares.Size).Sum(rank => (long)CoverOf(tree, rank, shares.Size).Count);
}
