using System.Buffers.Binary;
using System.Text;
using System.Text.Unicode;
using Microsoft.Win32.SafeHandles;

namespace RbeMl.Files;

/// <summary>A field of a protobuf message: its number, and either a number or a range of the file.</summary>
/// <param name="Number">Number of the field.</param>
/// <param name="Wire">0 varint, 1 eight bytes, 2 a range, 5 four bytes.</param>
/// <param name="Value">The number; 0 for a range.</param>
/// <param name="Start">First byte of the contents, from the start of the file.</param>
/// <param name="Length">Bytes of the contents.</param>
internal readonly record struct ProtoField(int Number, int Wire, ulong Value, long Start, long Length)
{
    public const int Varint = 0, Fixed64 = 1, Range = 2, Fixed32 = 5;

    /// <summary>First byte behind the contents.</summary>
    public long End => Start + Length;
}

/// <summary>
/// Walks through protobuf messages of a file by a window of 64 KiB: contents of ranges (texts, messages, tensors) are stepped over unless
/// asked for. Every length is checked against the message around it, and what is kept counts against a limit, so that a hostile file cannot
/// make the reader large.
/// </summary>
internal sealed class ProtoReader(string path, SafeFileHandle handle, long length, string wanted)
{
    private const int Window = 1 << 16, LongestVarint = 10;

    /// <summary>Most bytes of names and of objects made for them: some 300,000 nodes, more than real graphs have.</summary>
    private const long MostKept = 64L << 20;

    private readonly byte[] _window = new byte[(int)Math.Min(Window, Math.Max(length, 1))];
    private long _start, _kept;
    private int _count;

    /// <summary>Bytes of the file.</summary>
    public long Length => length;

    /// <summary>The fields of a message.</summary>
    /// <param name="start">First byte.</param>
    /// <param name="end">First byte behind it.</param>
    public IEnumerable<ProtoField> Fields(long start, long end)
    {
        long at = start;
        while (at < end)
        {
            ulong key = Varint(ref at, end);
            int number = key >> 3 is > 0 and <= int.MaxValue ? (int)(key >> 3)
                : throw Damaged($"byte {at} stands where a field begins and is none");
            int wire = (int)(key & 7);
            switch (wire)
            {
                case ProtoField.Varint:
                    long from = at;
                    ulong value = Varint(ref at, end);
                    yield return new ProtoField(number, wire, value, from, at - from);
                    break;
                case ProtoField.Fixed64:
                case ProtoField.Fixed32:
                    int size = wire == ProtoField.Fixed64 ? 8 : 4;
                    if (end - at < size) throw Damaged($"a number at byte {at} ends behind its message");
                    yield return new ProtoField(number, wire, Fixed(at, size), at, size);
                    at += size;
                    break;
                case ProtoField.Range:
                    ulong claimed = Varint(ref at, end);
                    if (claimed > (ulong)(end - at)) throw Damaged($"a part at byte {at} claims {claimed} bytes, {end - at} follow");
                    yield return new ProtoField(number, wire, 0, at, (long)claimed);
                    at += (long)claimed;
                    break;
                default:
                    throw Damaged($"byte {at} stands where a field begins and is none");
            }
        }
    }

    /// <summary>A text of at most 64 KiB, which counts as kept.</summary>
    public string Text(ProtoField field)
    {
        if (field.Wire != ProtoField.Range
            || field.Length > Window) throw Damaged($"the name at byte {field.Start} is none, or has more than {Window} bytes");
        Keep(field.Length * sizeof(char));
        byte[] bytes = new byte[(int)field.Length];
        Read(field.Start, bytes);
        return Utf8.IsValid(bytes) ? Encoding.UTF8.GetString(bytes) : throw Damaged($"the name at byte {field.Start} is no UTF-8");
    }

    /// <summary>The numbers of a repeated field, packed or one at a time.</summary>
    /// <param name="field">One of its occurrences.</param>
    /// <param name="numbers">Takes them.</param>
    /// <param name="most">Most that are read.</param>
    public void Varints(ProtoField field, List<long> numbers, int most)
    {
        if (field.Wire == ProtoField.Varint)
        {
            if (numbers.Count < most) numbers.Add((long)field.Value);
            return;
        }

        if (field.Wire != ProtoField.Range) throw Damaged($"the numbers at byte {field.Start} are none");
        long at = field.Start;
        while (at < field.End && numbers.Count < most) numbers.Add((long)Varint(ref at, field.End));
    }

    /// <summary>Some bytes of the file.</summary>
    public void Read(long start, Span<byte> destination)
    {
        int read = 0;
        while (read < destination.Length)
        {
            int more = RandomAccess.Read(handle, destination[read..], start + read);
            if (more <= 0) throw Damaged("it was shortened while it was read");
            read += more;
        }
    }

    /// <summary>Counts what is kept of the file.</summary>
    public void Keep(long bytes)
    {
        _kept += bytes + 64;
        if (_kept > MostKept)
        {
            throw new RbeFileException(path,
                $"describes a graph whose parts take more than {MostKept >> 20} MiB beside its weights. Give a model of fewer nodes.");
        }
    }

    /// <summary>The error of a file whose parts do not fit.</summary>
    public RbeFileException Damaged(string what) =>
        new(path, $"is no {wanted}, or it is damaged: {what}. Check that it is the right file, and copy it again.");

    private ulong Varint(ref long at, long end)
    {
        ulong value = 0;
        for (int i = 0; i < LongestVarint; i++)
        {
            if (at >= end) throw Damaged($"a number at byte {at} ends behind its message");
            byte next = Byte(at++);
            value |= (ulong)(next & 0x7F) << (7 * i);
            if (next < 0x80) return value;
        }

        throw Damaged($"a number before byte {at} has more than {LongestVarint} bytes");
    }

    private ulong Fixed(long at, int size)
    {
        Span<byte> bytes = stackalloc byte[sizeof(ulong)];
        bytes.Clear();
        for (int i = 0; i < size; i++) bytes[i] = Byte(at + i);
        return BinaryPrimitives.ReadUInt64LittleEndian(bytes);
    }

    private byte Byte(long at)
    {
        if (at < _start || at >= _start + _count)
        {
            int count = (int)Math.Min(_window.Length, length - at);
            Read(at, _window.AsSpan(0, count));
            (_start, _count) = (at, count);
        }

        return _window[(int)(at - _start)];
    }
}
