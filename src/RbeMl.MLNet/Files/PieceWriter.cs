using System.Buffers.Binary;

namespace RbeMl.MLNet.Files;

/// <summary>Cuts what is written into checksummed pieces; see <see cref="ComponentFile"/>.</summary>
internal sealed class PieceWriter(Stream target) : Stream
{
    private readonly byte[] _piece = new byte[ComponentFile.PieceBytes];
    private int _filled;
    private long _number;

    public override bool CanRead => false;

    public override bool CanSeek => false;

    public override bool CanWrite => true;

    public override long Length => throw new NotSupportedException();

    public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

    public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

    public override void Write(ReadOnlySpan<byte> buffer)
    {
        while (buffer.Length > 0)
        {
            int part = Math.Min(buffer.Length, _piece.Length - _filled);
            buffer[..part].CopyTo(_piece.AsSpan(_filled));
            _filled += part;
            buffer = buffer[part..];
            if (_filled == _piece.Length) WritePiece();
        }
    }

    /// <summary>Writes what is left and the end.</summary>
    public void End()
    {
        if (_filled > 0) WritePiece();
        target.Write(stackalloc byte[4]);
    }

    public override void Flush()
    {
    }

    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    private void WritePiece()
    {
        Span<byte> number = stackalloc byte[8];
        BinaryPrimitives.WriteInt32LittleEndian(number, _filled);
        target.Write(number[..4]);
        target.Write(_piece, 0, _filled);
        BinaryPrimitives.WriteUInt64LittleEndian(number, ComponentFile.Hash(_piece.AsSpan(0, _filled), _number++));
        target.Write(number);
        _filled = 0;
    }
}
