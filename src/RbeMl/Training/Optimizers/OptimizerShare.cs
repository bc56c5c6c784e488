using System.Numerics;
using System.Runtime.InteropServices;
using RbeMl.Layers;
using RbeMl.Memory;

namespace RbeMl.Training;

/// <summary>
/// What a rank does of an optimiser's step where all share it (ZeRO, stage 1: Rajbhandari et al., "ZeRO: Memory optimizations toward training
/// trillion parameter models"): each has the summed gradients, the state and the update of its own pieces, and gets the weights of the
/// others. Sums over pieces are those of one process, and so is every bit.
/// </summary>
internal sealed unsafe class OptimizerShare
{
    private readonly RankTalk _ranks;
    private readonly (int Slice, int First, int Length)[] _all;
    private readonly long[] _starts; // of all pieces in the vector of what is trained
    private readonly int[] _order; // pieces, rank by rank
    private readonly int _first; // of the own ones in that order
    private readonly double[] _sums; // in that order
    private readonly int[] _sumBytes, _bytes; // of each rank

    /// <summary>Divides what is trained.</summary>
    /// <param name="ranks">The ranks.</param>
    /// <param name="slices">The slices of the parameters.</param>
    /// <param name="trained">Whether a slice is trained; null trains all.</param>
    /// <param name="optimizer">What is divided must suit it.</param>
    public OptimizerShare(RankTalk ranks, IReadOnlyList<ParameterSlice> slices, Func<ParameterSlice, bool>? trained, OptimizerOptions optimizer)
    {
        (_ranks, _all) = (ranks, GradientPieces.Of(slices, trained));
        (int size, int own) = (ranks.Ranks.Size, ranks.Ranks.Rank);
        _starts = GradientPieces.Starts(_all);
        bool[] whole = [.. slices.Select(optimizer.TakesWhole)];
        Shares = VectorShares.OnPieces(_starts, piece => _all[piece].First > 0 && whole[_all[piece].Slice], size);
        int[][] pieces = [.. Enumerable.Range(0, size).Select(PiecesOf)];
        (Pieces, _order) = (pieces[own], [.. pieces.SelectMany(each => each)]);
        _first = pieces.Take(own).Sum(each => each.Length);
        long[] places = GradientPieces.Starts([.. Pieces.Select(piece => _all[piece])]);
        Length = places[^1];
        Places = new long[_all.Length];
        for (int i = 0; i < Pieces.Length; i++) Places[Pieces[i]] = places[i];
        _sums = new double[_order.Length];
        (_sumBytes, _bytes) = ([.. pieces.Select(each => sizeof(double) * each.Length)], new int[size]);
    }

    /// <summary>Who has what of the vector of what is trained.</summary>
    public VectorShares Shares { get; }

    /// <summary>The pieces of this rank, by their place among all.</summary>
    public int[] Pieces { get; }

    /// <summary>Elements of a state vector of this rank, alignment gaps included.</summary>
    public long Length { get; }

    /// <summary>By piece where it begins in such a vector; 0 of other ranks' pieces.</summary>
    public long[] Places { get; }

    /// <summary>Bytes of the state of this rank.</summary>
    public long StateBytes(OptimizerOptions optimizer) =>
        (sizeof(float) * Length * optimizer.StateVectors) + Pieces.Sum(piece => optimizer.CodedBytes(_all[piece].Length));

    /// <summary>Gives every rank the sums of all pieces.</summary>
    /// <param name="sums">By piece; those of this rank are there.</param>
    public void Gather(double[] sums)
    {
        for (int i = 0; i < Pieces.Length; i++) _sums[_first + i] = sums[Pieces[i]];
        _ranks.Ranks.AllGather(MemoryMarshal.AsBytes(_sums.AsSpan()), _sumBytes);
        for (int i = 0; i < _order.Length; i++) sums[_order[i]] = _sums[i];
    }

    /// <summary>
    /// Makes the fault of a gradient, where a rank found one, that of all: of several the first in the vector, as one process would find it.
    /// All ranks look for one together, or none does.
    /// </summary>
    /// <param name="found">What this rank found; null for nothing.</param>
    /// <param name="piece">Where.</param>
    /// <exception cref="NonFiniteException">One was found.</exception>
    public void Agree(NonFiniteException? found, int piece)
    {
        int[] pieces = new int[_bytes.Length];
        Array.Fill(_bytes, sizeof(int));
        pieces[_ranks.Ranks.Rank] = found is null ? int.MaxValue : piece;
        _ranks.Ranks.AllGather(MemoryMarshal.AsBytes(pieces.AsSpan()), _bytes);
        if (found is not null && piece == pieces.Min()) _ranks.Failed(found);
        _ranks.Agree(RankTask.Update);
    }

    /// <summary>Gives every rank the weights that the others have moved, and leaves all gradients zero.</summary>
    /// <param name="weights">The weights.</param>
    /// <param name="gradients">The gradients of what is trained and nothing else, by way of which the weights go.</param>
    /// <param name="workers">Threads.</param>
    public void Exchange<T>(ParameterVector<T> weights, ParameterVector<T> gradients, WorkerPool workers)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        CopyWork<T> give = new(this, weights, gradients, ToOthers: true), take = give with { ToOthers = false };
        workers.For(Pieces.Length, ref give);
        for (int part = 0; part < Shares.Parts; part++)
        {
            (long first, int count) = Shares.Part(part);
            for (int rank = 0; rank < _bytes.Length; rank++) _bytes[rank] = sizeof(T) * Shares.Slice(part, rank).Count;
            _ranks.Ranks.AllGather(MemoryMarshal.AsBytes(new Span<T>(gradients.Pointer + first, count)), _bytes);
        }

        workers.For(_all.Length, ref take);
    }

    /// <summary>Requires gradients of what is trained and nothing else.</summary>
    /// <exception cref="ShapeMismatchException">They hold more.</exception>
    public void Require(long elements)
    {
        if (elements == _starts[^1]) return;
        throw new ShapeMismatchException("optimizer: gradients", $"{_starts[^1]} elements, those of what is trained alone", $"{elements}",
            "Use the trainer's Gradients, where ranks share the optimiser.");
    }

    /// <summary>One part after the other, gives every rank what the others have of something, and then does something with it.</summary>
    /// <param name="part">The part.</param>
    /// <param name="room">Room for the part, of which each rank writes its own.</param>
    /// <param name="bytesOf">Bytes of a piece of so many elements, at most 4 each.</param>
    /// <param name="own">Where a piece of this rank lies.</param>
    /// <returns>The part, piece by piece.</returns>
    public ReadOnlySpan<byte> Gather(int part, byte* room, Func<int, int> bytesOf, Func<int, nint> own)
    {
        int all = 0;
        for (int rank = 0; rank < _bytes.Length; rank++)
        {
            (int from, int to) = Shares.PiecesOf(part, rank);
            int at = all;
            for (int piece = from; piece < to; piece++)
            {
                int bytes = bytesOf(_all[piece].Length);
                if (rank == _ranks.Ranks.Rank) Buffer.MemoryCopy((void*)own(piece), room + all, bytes, bytes);
                all += bytes;
            }

            _bytes[rank] = all - at;
        }

        Span<byte> gathered = new(room, all);
        _ranks.Ranks.AllGather(gathered, _bytes);
        return gathered;
    }

    /// <summary>Copies what of values of a slice belongs to this rank's pieces.</summary>
    /// <param name="slice">The slice.</param>
    /// <param name="place">First of the values in it.</param>
    /// <param name="values">The values.</param>
    /// <param name="state">The state vector of this rank.</param>
    public void Fill(ParameterSlice slice, int place, ReadOnlySpan<float> values, float* state)
    {
        foreach (int piece in Pieces)
        {
            (int s, int first, int length) = _all[piece];
            int from = Math.Max(first, place), to = Math.Min(first + length, place + values.Length);
            if (s == slice.Index && from < to) values[(from - place)..(to - place)].CopyTo(new Span<float>(state + Places[piece] + from - first, to - from));
        }
    }

    private int[] PiecesOf(int rank) => [.. Enumerable.Range(0, Shares.Parts).SelectMany(part =>
    {
        (int first, int last) = Shares.PiecesOf(part, rank);
        return Enumerable.Range(first, last - first);
    })];

    // Own weights to where the gradients were; or from there the others', which leaves zeros.
    private readonly record struct CopyWork<T>(OptimizerShare Share, ParameterVector<T> Weights, ParameterVector<T> Gradients, bool ToOthers) : IParallelWork
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        public void Execute(int item, int worker)
        {
            int piece = ToOthers ? Share.Pieces[item] : item;
            (int s, int first, int length) = Share._all[piece];
            Span<T> weights = new(Weights.At(Weights.Slices[s]) + first, length), moved = new(Gradients.Pointer + Share._starts[piece], length);
            if (ToOthers)
            {
                weights.CopyTo(moved);
                return;
            }

            moved.CopyTo(weights);
            moved.Clear();
        }
    }
}
