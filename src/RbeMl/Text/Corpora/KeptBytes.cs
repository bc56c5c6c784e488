using System.Globalization;
using Microsoft.Win32.SafeHandles;
using RbeMl.Storage;

namespace RbeMl.Text;

/// <summary>The bytes of a pipe, kept in a temporary file while they are read, to be read again.</summary>
/// <param name="source">The pipe.</param>
/// <param name="path">Its name.</param>
internal sealed class KeptBytes(Stream source, string path)
{
    private SafeFileHandle? _kept;
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
        int count = source.Read(room);
        try
        {
            _kept ??= Spool();
            RandomAccess.Write(_kept, room[..count], _length);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new RbeFileException(path,
                string.Create(CultureInfo.InvariantCulture,
                $"is a pipe, whose bytes are kept to be read again, and after {_length >> 20} MiB {Path.GetTempPath()} took no more "
                    + $"({error.Message.TrimEnd('.')}). Make room there, set TMPDIR to a folder that has some, or write the text to a file."), error);
        }

        _length += count;
        return count;
    }

    // Without a name where the system allows it: nothing is left of it, however the process ends.
    private static SafeFileHandle Spool()
    {
        string folder = Path.GetTempPath();
        TemporaryNames.DeleteLeftovers(folder);
        string file = TemporaryNames.New(folder, "", TemporaryNames.Temporary);
        try
        {
            return File.OpenHandle(file, FileMode.CreateNew, FileAccess.ReadWrite, FileShare.Delete, FileOptions.DeleteOnClose);
        }
        finally
        {
            if (OperatingSystem.IsWindows()) TemporaryNames.Release(file);
            else TemporaryNames.Discard(file);
        }
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
            int count = (int)Math.Min(buffer.Length, bytes._length - _place);
            if (count == 0) return 0;
            count = RandomAccess.Read(bytes._kept!, buffer[..count], _place);
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
