using System.Buffers;
using System.Globalization;
using System.Text;
using RbeMl.Storage;

namespace RbeMl.Text;

/// <summary>
/// Reads a text from its bytes, in pieces and with little memory. Bytes that are not of the encoding, and zero bytes, which no text has, are refused with
/// their place, unless <see cref="TextOptions.Lossy"/> accepts them. A byte order mark of the encoding is skipped.
/// </summary>
public sealed class TextFileReader : TextReader
{
    private const int PieceBytes = 1 << 16;
    private readonly Stream _stream;
    private readonly TextOptions _options;
    private readonly byte[] _bytes = new byte[PieceBytes];
    private readonly Encoding _wanted;
    private Decoder? _decoder;
    private char[] _characters = [];
    private int _next, _count;
    private string _name = "";
    private bool _narrow, _done;

    /// <summary>Reads a stream.</summary>
    /// <param name="stream">The bytes; closed with the reader.</param>
    /// <param name="name">What messages call it: the file, or such as "standard input".</param>
    /// <param name="options">How bytes are read; null for strict UTF-8.</param>
    /// <exception cref="InvalidSettingException">There is no such encoding.</exception>
    public TextFileReader(Stream stream, string name, TextOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(stream);
        ArgumentNullException.ThrowIfNull(name);
        (_stream, Name, _options) = (stream, name, options ?? TextOptions.Default);
        _wanted = _options.Find();
    }

    /// <summary>What messages call the text.</summary>
    public string Name { get; }

    /// <summary>Bytes read so far, a byte order mark included.</summary>
    public long BytesRead { get; private set; }

    /// <summary>Bytes of the byte order mark that was skipped; known after the first read.</summary>
    public int MarkBytes { get; private set; }

    /// <summary>The next characters, at least one; empty at the end. They are valid until the next read.</summary>
    /// <exception cref="RbeFileException">The bytes cannot be read or are not of the encoding.</exception>
    public ReadOnlyMemory<char> ReadPiece()
    {
        if (!Fill()) return ReadOnlyMemory<char>.Empty;
        ReadOnlyMemory<char> piece = _characters.AsMemory(_next, _count - _next);
        _next = _count;
        return piece;
    }

    /// <inheritdoc/>
    public override int Peek() => Fill() ? _characters[_next] : -1;

    /// <inheritdoc/>
    public override int Read() => Fill() ? _characters[_next++] : -1;

    /// <inheritdoc/>
    public override int Read(Span<char> buffer)
    {
        if (buffer.IsEmpty || !Fill()) return 0;
        int count = Math.Min(buffer.Length, _count - _next);
        _characters.AsSpan(_next, count).CopyTo(buffer);
        _next += count;
        return count;
    }

    /// <inheritdoc/>
    public override int Read(char[] buffer, int index, int count)
    {
        ArgumentNullException.ThrowIfNull(buffer);
        return Read(buffer.AsSpan(index, count));
    }

    /// <inheritdoc/>
    public override string? ReadLine()
    {
        if (!Fill()) return null;
        StringBuilder? longer = null;
        while (true)
        {
            ReadOnlySpan<char> rest = _characters.AsSpan(_next, _count - _next);
            int end = rest.IndexOfAny('\r', '\n');
            if (end < 0)
            {
                (longer ??= new StringBuilder()).Append(rest);
                _next = _count;
                if (Fill()) continue;
                return longer.ToString();
            }

            string? line = longer is null ? rest[..end].ToString() : longer.Append(rest[..end]).ToString();
            char mark = rest[end];
            _next += end + 1;
            if (mark == '\r' && Peek() == '\n') _next++;
            return line;
        }
    }

    /// <summary>Reads the next line as UTF-8, without its end: half the bytes of a string, which matters where lines are long.</summary>
    /// <param name="line">Receives it, in place of what it holds.</param>
    /// <returns>False at the end of the text.</returns>
    internal bool ReadLine(ArrayBufferWriter<byte> line)
    {
        line.ResetWrittenCount();
        if (!Fill()) return false;
        Encoder encoder = Encoding.UTF8.GetEncoder();
        while (true)
        {
            ReadOnlySpan<char> rest = _characters.AsSpan(_next, _count - _next);
            int end = rest.IndexOfAny('\r', '\n');
            encoder.Convert(end < 0 ? rest : rest[..end], line, flush: end >= 0, out _, out _);
            if (end < 0)
            {
                _next = _count;
                if (Fill()) continue;
                return true;
            }

            char mark = rest[end];
            _next += end + 1;
            if (mark == '\r' && Peek() == '\n') _next++;
            return true;
        }
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing) _stream.Dispose();
        base.Dispose(disposing);
    }

    // Whether there are characters.
    private bool Fill()
    {
        while (_next == _count && !_done)
        {
            long start = BytesRead;
            int length = Next(_bytes);
            if (_decoder is null)
            {
                while (length is > 0 and < ByteOrderMark.Longest && Next(_bytes.AsSpan(length)) is > 0 and int more) length += more;
                Start(_bytes.AsSpan(0, length));
                start = MarkBytes;
                Decode(_bytes.AsSpan(MarkBytes, length - MarkBytes), start, end: length == 0);
                continue;
            }

            Decode(_bytes.AsSpan(0, length), start, end: length == 0);
        }

        return _next < _count;
    }

    private int Next(Span<byte> room)
    {
        try
        {
            int count = _stream.Read(room);
            BytesRead += count;
            return count;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or NotSupportedException)
        {
            throw FileReading.Unreadable(Name, error);
        }
    }

    // Chooses the decoder by the first bytes.
    private void Start(ReadOnlySpan<byte> bytes)
    {
        Encoding encoding = _wanted;
        if (ByteOrderMark.Of(bytes) is { } mark)
        {
            bool undecided = _options.Name is "utf-16" or "utf-32" && mark.Name.StartsWith(_options.Name, StringComparison.Ordinal);
            Encoding marked = (_options with { Encoding = mark.Name }).Find();
            if (undecided || marked.CodePage == encoding.CodePage)
            {
                (encoding, MarkBytes) = (marked, mark.Length);
            }
            else if (encoding.WebName.StartsWith("utf", StringComparison.Ordinal) && !_options.Lossy)
            {
                throw new RbeFileException(Name,
                    $"byte 0 starts the mark of {mark.Name.ToUpperInvariant()} text, not {_options.Name.ToUpperInvariant()}. Convert it to UTF-8, or "
                        + $"read it as it is with --encoding {mark.Name}.");
            }
        }

        _narrow = encoding.GetByteCount("\n") == 1;
        _name = encoding.WebName;
        _decoder = encoding.GetDecoder();
        _characters = new char[encoding.GetMaxCharCount(PieceBytes)];
    }

    private void Decode(ReadOnlySpan<byte> bytes, long start, bool end)
    {
        _done = end;
        if (_narrow && !_options.Lossy && bytes.IndexOf((byte)0) is >= 0 and int zero)
        {
            _ = Characters(bytes[..zero], start, end: true); // an earlier fault is named first
            ReadOnlySpan<byte> around = bytes.Slice(zero & ~1, Math.Min(64, bytes.Length - (zero & ~1)));
            string mend = ByteOrderMark.Guess(around, start + (zero & ~1)) is { } guess
                ? $"it looks like UTF-16 without a mark. Convert it to UTF-8, or read it as it is with --encoding {guess}."
                : "which text does not have: it looks like binary data. Give a text file, or read it with --lossy if it is one nonetheless.";
            throw new RbeFileException(Name, string.Create(CultureInfo.InvariantCulture, $"byte {start + zero} is 0, {mend}"));
        }

        (_next, _count) = (0, Characters(bytes, start, end));
    }

    private int Characters(ReadOnlySpan<byte> bytes, long start, bool end)
    {
        try
        {
            return _decoder!.GetChars(bytes, _characters, flush: end);
        }
        catch (DecoderFallbackException error)
        {
            byte[] unknown = error.BytesUnknown ?? [];
            string found = string.Join(' ', unknown.Select(b => b.ToString("X2", CultureInfo.InvariantCulture)));
            string what = _options.Name.ToUpperInvariant(), other = what == "UTF-8" ? "Convert it to UTF-8, name" : "Name";
            long place = start + error.Index - (end ? 0 : FoundLate(unknown));
            throw new RbeFileException(Name,
                string.Create(CultureInfo.InvariantCulture,
                $"byte {place} ({found}) is not {what}. {other} the encoding it has (--encoding latin1, for example), or accept U+FFFD "
                + $"for such bytes (--lossy)."), error);
        }
    }

    // The decoder of UTF-16 finds the first half of a pair to be alone one character later, and names that place.
    private int FoundLate(ReadOnlySpan<byte> unknown) => _name switch
    {
        "utf-16" when unknown.Length == 2 && char.IsHighSurrogate((char)(unknown[0] | (unknown[1] << 8))) => 2,
        "utf-16BE" when unknown.Length == 2 && char.IsHighSurrogate((char)(unknown[1] | (unknown[0] << 8))) => 2,
        _ => 0,
    };
}
