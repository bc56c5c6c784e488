using System.Globalization;
using Microsoft.Win32.SafeHandles;
using RbeMl.Storage;

namespace RbeMl.Text;

/// <summary>The bytes of a pipe, kept in memory while they are read, to be read again.</summary>
/// <param name="source">The pipe.</param>
/// <param name="path">Its name.</param>
internal sealed class KeptBytes(Stream source, string path)
{
    private const int Block = 1 << 20;
    private readonly List<byte[]> _blocks = [];
    private long _length;

    /// <summary>Bytes of a file; null for a pipe.</summary>
    public static long? LengthOf(string path)
    {
        if (FileKinds.Of(path) != FileKind.Plain) return null;
        using SafeFileHandle handle = FileReading.Open(path, "a text file");
        return RandomAccess.GetLength(handle);
    }

    /// <summary>Reads the pipe.</summary>
    public Stream First() => new Reading(this, keeps: true);

    /// <summary>Reads what is kept.</summary>
    public Stream Again() => new Reading(this, keeps: false);

    private int Take(Span<byte> room)
    {
        int place = (int)(_length % Block);
        if (place == 0)
        {
            long free = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / 2;
            if (_length + Block > free) throw new RbeFileException(path, string.Create(CultureInfo.InvariantCulture, $"gave {_length >> 20} MiB and does not end; {free >> 20} MiB, half of this machine's memory, are the most that is kept of a pipe. Write it to a file."));
            _blocks.Add(new byte[Block]);
        }

        Span<byte> kept = _blocks[^1].AsSpan(place, Math.Min(room.Length, Block - place));
        int count = source.Read(kept);
        kept[..count].CopyTo(room);
        if (count == 0 && place == 0) _blocks.RemoveAt(_blocks.Count - 1);
        _length += count;
        return count;
    }

    private sealed class Reading(KeptBytes bytes, bool keeps) : Stream
    {
        private long _place;

        public override bool CanRead => true;

        public override bool CanSeek => false;

        public override bool CanWrite => false;

        public override long Length => throw new NotSupportedException();

        public override long Position { get => _place; set => throw new NotSupportedException(); }

        public override int Read(Span<byte> buffer)
        {
            if (keeps) return bytes.Take(buffer);
            int place = (int)(_place % Block), count = (int)Math.Min(Math.Min(buffer.Length, Block - place), bytes._length - _place);
            if (count <= 0) return 0;
            bytes._blocks[(int)(_place / Block)].AsSpan(place, count).CopyTo(buffer);
            _place += count;
            return count;
        }

        public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

        public override void Flush()
        {
        }

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        protected override void Dispose(bool disposing)
        {
            if (disposing && keeps) bytes.Close();
            base.Dispose(disposing);
        }
    }

    private void Close() => source.Dispose();
}
