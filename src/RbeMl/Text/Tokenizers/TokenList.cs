using System.Runtime.InteropServices;
using RbeMl.Memory;

namespace RbeMl.Text;

/// <summary>
/// Token ids in order, for texts of any length: in blocks outside the managed heap that are never joined, of 1, 2 or 4 bytes an id, by the
/// largest id of a block. Nobody changes them once they are handed out.
/// </summary>
public sealed class TokenList
{
    private const int BlockBits = 17, BlockIds = 1 << BlockBits;
    private readonly List<(NativeBuffer<byte> Bytes, int Width)> _blocks = [];
    private int[] _tail = []; // what fills no block yet
    private int _used, _least;

    /// <summary>Number of ids.</summary>
    public long Length => ((long)_blocks.Count << BlockBits) + _used;

    /// <summary>The largest id; -1 without any.</summary>
    public int Largest { get; private set; } = -1;

    /// <summary>Bytes that an id takes where they are largest.</summary>
    internal int IdBytes => Math.Max(WidthOf(_least), WidthOf(Largest));

    /// <summary>An id.</summary>
    /// <param name="index">Its place from 0.</param>
    /// <exception cref="ArgumentOutOfRangeException">There is none.</exception>
    public int this[long index]
    {
        get
        {
            Span<int> one = stackalloc int[1];
            CopyTo(index, one);
            return one[0];
        }
    }

    /// <summary>A copy of some ids.</summary>
    /// <param name="ids">The ids.</param>
    public static TokenList Of(ReadOnlySpan<int> ids)
    {
        TokenList list = new();
        list.Add(ids);
        return list;
    }

    /// <summary>Copies a stretch.</summary>
    /// <param name="start">Place of its first id.</param>
    /// <param name="ids">Written; its length is that of the stretch.</param>
    /// <exception cref="ArgumentOutOfRangeException">It reaches beyond the ids.</exception>
    public void CopyTo(long start, Span<int> ids)
    {
        if (start < 0 || start > Length - ids.Length)
        {
            throw new ArgumentOutOfRangeException(nameof(start), start,
                FormattableString.Invariant($"{ids.Length} ids from there reach beyond the {Length} there are."));
        }

        while (!ids.IsEmpty)
        {
            int block = (int)(start >> BlockBits), place = (int)(start & (BlockIds - 1)), some = Math.Min(ids.Length, BlockIds - place);
            if (block == _blocks.Count) _tail.AsSpan(place, some).CopyTo(ids);
            else Widen(_blocks[block], place, ids[..some]);
            ids = ids[some..];
            start += some;
        }

        GC.KeepAlive(this); // its blocks are freed with it
    }

    /// <summary>All ids as one array.</summary>
    /// <exception cref="TokenException">They are more than an array holds.</exception>
    public int[] ToArray()
    {
        if (Length > Array.MaxLength) throw new TokenException($"{Length} token ids are more than one array holds, {Array.MaxLength}. Use a part of them.");
        int[] all = GC.AllocateUninitializedArray<int>((int)Length);
        CopyTo(0, all);
        return all;
    }

    /// <summary>Appends ids; only while the list is made.</summary>
    internal void Add(ReadOnlySpan<int> ids)
    {
        while (!ids.IsEmpty)
        {
            int some = Math.Min(ids.Length, BlockIds - _used);
            if (_used + some > _tail.Length) Array.Resize(ref _tail, Math.Min(BlockIds, Math.Max(2 * _tail.Length, _used + some)));
            ids[..some].CopyTo(_tail.AsSpan(_used));
            _used += some;
            Note(ids[..some]);
            ids = ids[some..];
            if (_used == BlockIds) CloseBlock();
        }
    }

    /// <summary>The first id outside a vocabulary; false where there is none.</summary>
    internal bool FindOutside(int vocabulary, out long place, out int id)
    {
        (place, id) = (0, 0);
        if (_least >= 0 && Largest < vocabulary) return false;
        while ((uint)(id = this[place]) < (uint)vocabulary) place++;
        return true;
    }

    private static int WidthOf(int id) => id is >= 0 and <= byte.MaxValue ? sizeof(byte) : id is >= 0 and <= ushort.MaxValue ? sizeof(ushort) : sizeof(int);

    private static void Widen((NativeBuffer<byte> Bytes, int Width) block, int place, Span<int> ids)
    {
        if (block.Width == sizeof(int))
        {
            MemoryMarshal.Cast<byte, int>(block.Bytes.Span).Slice(place, ids.Length).CopyTo(ids);
        }
        else if (block.Width == sizeof(ushort))
        {
            ReadOnlySpan<ushort> narrow = MemoryMarshal.Cast<byte, ushort>(block.Bytes.Span).Slice(place, ids.Length);
            for (int i = 0; i < ids.Length; i++) ids[i] = narrow[i];
        }
        else
        {
            ReadOnlySpan<byte> narrow = block.Bytes.Span.Slice(place, ids.Length);
            for (int i = 0; i < ids.Length; i++) ids[i] = narrow[i];
        }
    }

    private void Note(ReadOnlySpan<int> ids)
    {
        foreach (int id in ids) (_least, Largest) = (Math.Min(_least, id), Math.Max(Largest, id));
    }

    private void CloseBlock()
    {
        int width = sizeof(byte);
        foreach (int id in _tail) width = Math.Max(width, WidthOf(id));
        NativeBuffer<byte> block = new(BlockIds * width);
        Span<byte> bytes = block.Span;
        if (width == sizeof(int))
        {
            _tail.AsSpan().CopyTo(MemoryMarshal.Cast<byte, int>(bytes));
        }
        else if (width == sizeof(ushort))
        {
            Span<ushort> narrow = MemoryMarshal.Cast<byte, ushort>(bytes);
            for (int i = 0; i < BlockIds; i++) narrow[i] = (ushort)_tail[i];
        }
        else
        {
            for (int i = 0; i < BlockIds; i++) bytes[i] = (byte)_tail[i];
        }

        _blocks.Add((block, width));
        _used = 0;
    }
}
