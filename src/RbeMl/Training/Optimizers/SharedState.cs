using RbeMl.Layers;
using RbeMl.Storage;

namespace RbeMl.Training;

/// <summary>
/// The state of an optimiser that ranks share, while the first of them writes it to a file: a part at a time, so that none ever holds it all. A file is
/// read twice by its writer, once for checksums; the other ranks send as often, and go on sending if the first can write no more.
/// </summary>
/// <param name="share">Who has what.</param>
/// <param name="room">The gradients of what is trained, zero between steps, by way of which the state goes.</param>
internal sealed unsafe class SharedState(OptimizerShare share, ParameterVector<float> room)
{
    private const int Passes = 2;
    private readonly List<(Func<int, int> BytesOf, Func<int, nint> Own)> _vectors = [];
    private int _done; // parts of all vectors and passes

    /// <summary>Vectors added.</summary>
    public int Vectors => _vectors.Count;

    /// <summary>Adds something that pieces have; all ranks add the same in the same order.</summary>
    /// <param name="bytesOf">Bytes of a piece of so many elements, at most 4 each.</param>
    /// <param name="own">Where a piece of this rank lies.</param>
    /// <returns>Reads all of it, in the order of the pieces.</returns>
    public Action<BytesSink> Add(Func<int, int> bytesOf, Func<int, nint> own)
    {
        int vector = _vectors.Count;
        _vectors.Add((bytesOf, own));
        return sink =>
        {
            int from = _done;
            if (from / share.Shares.Parts % _vectors.Count != vector) throw new InvalidOperationException("A shared state is read in another order.");
            while (_done < from + share.Shares.Parts) Next(sink);
        };
    }

    /// <summary>Sends what is left, in vain where the first rank does not write it.</summary>
    public void Finish()
    {
        while (_done < Passes * _vectors.Count * share.Shares.Parts) Next(null);
        room.Clear();
    }

    private void Next(BytesSink? sink)
    {
        int part = _done % share.Shares.Parts;
        (Func<int, int> bytesOf, Func<int, nint> own) = _vectors[_done / share.Shares.Parts % _vectors.Count];
        ReadOnlySpan<byte> gathered = share.Gather(part, (byte*)(room.Pointer + share.Shares.Part(part).First), bytesOf, own);
        _done++;
        sink?.Invoke(gathered);
    }
}
