namespace RbeMl.Text;

/// <summary>How much of a text has been read.</summary>
/// <param name="Read">Bytes so far.</param>
/// <param name="Total">Bytes in all; null where nobody knows, as of a pipe.</param>
public readonly record struct TextProgress(long Read, long? Total);

/// <summary>
/// A text that is read in pieces, from its start as often as needed: files, joined by line breaks, or a string. The bytes of a pipe, which come once, are kept
/// while they are read for the first time.
/// </summary>
public sealed class TextSource
{
    private readonly string? _text;
    private readonly IReadOnlyList<string> _paths = [];
    private readonly TextOptions _options = TextOptions.Default;
    private readonly Dictionary<string, KeptBytes> _kept = new(StringComparer.Ordinal);

    private TextSource(string text, string name) => (_text, Name) = (text, name);

    private TextSource(IReadOnlyList<string> paths, TextOptions options) => (_paths, _options, Name) = (paths, options, string.Join(", ", paths));

    /// <summary>What messages call it.</summary>
    public string Name { get; }

    /// <summary>Bytes of the files without their byte order marks, a line break between two counted as one; known when all has been read.</summary>
    public long TextBytes { get; private set; }

    /// <summary>Told of the beginning of each file, whenever it is read.</summary>
    private Action<string, ReadOnlyMemory<char>>? Begins { get; init; }

    /// <summary>A string.</summary>
    /// <param name="text">The text.</param>
    /// <param name="name">What messages call it.</param>
    public static TextSource Of(string text, string name) => new(text ?? throw new ArgumentNullException(nameof(text)), name);

    /// <summary>Files or pipes.</summary>
    /// <param name="paths">At least one.</param>
    /// <param name="options">How their bytes are read; null for strict UTF-8.</param>
    public static TextSource OfFiles(IReadOnlyList<string> paths, TextOptions? options = null) => OfFiles(paths, options, null);

    /// <summary>Files or pipes, of whose beginnings somebody is told.</summary>
    internal static TextSource OfFiles(IReadOnlyList<string> paths, TextOptions? options, Action<string, ReadOnlyMemory<char>>? begins)
    {
        Items.Require(paths, nameof(paths));
        return new TextSource(paths, options ?? TextOptions.Default) { Begins = begins };
    }

    /// <summary>The text in pieces, each of at least one character and valid until the next.</summary>
    /// <param name="progress">Told of every piece.</param>
    /// <param name="cancel">Ends the reading.</param>
    /// <exception cref="RbeFileException">A file cannot be read or is not of its encoding, or all are empty.</exception>
    public IEnumerable<ReadOnlyMemory<char>> Pieces(IProgress<TextProgress>? progress = null, CancellationToken cancel = default)
    {
        if (_text is not null)
        {
            if (_text.Length > 0) yield return _text.AsMemory();
            yield break;
        }

        long done = 0, bytes = _paths.Count - 1;
        bool empty = true;
        long? total = _paths.Select(KeptBytes.LengthOf).Aggregate((long?)0, (sum, length) => sum + length);
        for (int i = 0; i < _paths.Count; i++)
        {
            if (i > 0) yield return "\n".AsMemory();
            using TextFileReader reader = Open(_paths[i]);
            bool begins = true;
            for (ReadOnlyMemory<char> piece = reader.ReadPiece(); !piece.IsEmpty; piece = reader.ReadPiece())
            {
                cancel.ThrowIfCancellationRequested();
                if (begins) Begins?.Invoke(_paths[i], piece);
                begins = false;
                empty = empty && piece.Span.IsWhiteSpace();
                progress?.Report(new TextProgress(done + reader.BytesRead, total));
                yield return piece;
            }

            done += reader.BytesRead;
            bytes += reader.BytesRead - reader.MarkBytes;
        }

        TextBytes = bytes;
        if (empty) throw new RbeFileException(Name, "is empty. Give a text.");
    }

    /// <summary>The characters from one place to before another.</summary>
    /// <param name="from">First character.</param>
    /// <param name="to">The one after the last.</param>
    /// <param name="progress">Told of every piece.</param>
    /// <param name="cancel">Ends the reading.</param>
    public IEnumerable<ReadOnlyMemory<char>> Part(long from, long to, IProgress<TextProgress>? progress = null, CancellationToken cancel = default)
    {
        long start = 0;
        foreach (ReadOnlyMemory<char> piece in Pieces(progress, cancel))
        {
            long end = start + piece.Length;
            if (end > from && start < to) yield return piece[(int)Math.Max(0, from - start)..(int)(Math.Min(end, to) - start)];
            if (end >= to) yield break;
            start = end;
        }
    }

    /// <summary>Opens one of the files from its start.</summary>
    /// <exception cref="RbeFileException">It cannot be read.</exception>
    internal TextFileReader Open(string path)
    {
        if (_kept.TryGetValue(path, out KeptBytes? kept)) return new TextFileReader(kept.Again(), path, _options);
        if (KeptBytes.LengthOf(path) is not null) return TextFile.Open(path, _options);
        TextFile.Check(path, _options);
        return new TextFileReader((_kept[path] = new KeptBytes(TextFile.OpenStream(path), path)).First(), path, _options);
    }
}
