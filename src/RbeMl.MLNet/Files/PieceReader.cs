using System.Buffers.Binary;

namespace RbeMl.MLNet.Files;

/// <summary>Joins checksummed pieces; see <see cref="ComponentFile"/>.</summary>
internal sealed class PieceReader(Stream source, string component) : Stream
{
    private byte[] _piece = [];
    private int _length;
    private int _used;
    private long _number;
    private bool _ended;

    public override bool CanRead => true;

    public override bool CanSeek => false;

    public override bool CanWrite => false;

    public override long Length => throw new NotSupportedException();

    public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

    public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

    public override int Read(Span<byte> buffer)
    {
        if (buffer.Length == 0 || (_used == _length && !Next())) return 0;
        int part = Math.Min(buffer.Length, _length - _used);
        _piece.AsSpan(_used, part).CopyTo(buffer);
        _used += part;
        return part;
    }

    /// <summary>Checks that everything was read.</summary>
    public void ExpectEnd()
    {
        if (_used < _length || Next()) throw ComponentFile.Bad(component, "are longer than they should be. Save the component again.");
    }

    public override void Flush()
    {
    }

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    private bool Next()
    {
        if (_ended) return false;
        Span<byte> number = stackalloc byte[8];
        source.ReadExactly(number[..4]);
        int length = BinaryPrimitives.ReadInt32LittleEndian(number);
        if (length is < 0 or > ComponentFile.PieceBytes)
        {
            throw ComponentFile.Bad(component,
                $"hold a piece of {length} bytes, more than {ComponentFile.PieceBytes}. They are damaged; save the component again.");
        }

        if (length == 0)
        {
            _ended = true;
            return false;
        }

        if (_piece.Length < length) _piece = new byte[length];
        source.ReadExactly(_piece, 0, length);
        source.ReadExactly(number);
        if (BinaryPrimitives.ReadUInt64LittleEndian(number) != ComponentFile.Hash(_piece.AsSpan(0, length), _number))
        {
            throw ComponentFile.Bad(component, $"are damaged: the checksum of piece {_number} does not agree. Save the component again.");
        }

        (_number, _length, _used) = (_number + 1, length, 0);
        return true;
    }
}
