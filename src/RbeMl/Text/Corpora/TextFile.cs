using System.Globalization;
using Microsoft.Win32.SafeHandles;
using RbeMl.Storage;

namespace RbeMl.Text;

/// <summary>
/// Opens texts. All that this library reads as text goes through here, so that the same bytes are the same text, or the same error,
/// everywhere.
/// </summary>
public static class TextFile
{
    /// <summary>Most characters that one string holds.</summary>
    public const int MostCharacters = 0x3FFFFFDF;

    private const int FirstRoom = 1 << 12;

    /// <summary>Opens a file or pipe. Folders and devices are refused.</summary>
    /// <param name="path">The file.</param>
    /// <param name="options">How bytes are read; null for strict UTF-8.</param>
    /// <exception cref="RbeFileException">There is no such file, or it may not be read.</exception>
    /// <exception cref="InvalidSettingException">There is no such encoding.</exception>
    public static TextFileReader Open(string path, TextOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(path);
        Check(path, options ?? TextOptions.Default);
        return new TextFileReader(OpenStream(path), path, options);
    }

    /// <summary>Refuses encodings, folders and devices.</summary>
    internal static void Check(string path, TextOptions options)
    {
        options.Check();
        switch (FileKinds.Of(path))
        {
            case FileKind.Folder: throw new RbeFileException(path, "is a folder, where a text file is needed. Give a file in it.");
            case FileKind.Device: throw new RbeFileException(path, "is a device, where a text file or a pipe is needed. Give one of them.");
        }
    }

    /// <summary>The bytes of a file or pipe.</summary>
    internal static FileStream OpenStream(string path)
    {
        SafeFileHandle handle = FileReading.Open(path, "a text file");
        try
        {
            if (FileKinds.Of(path) == FileKind.Plain) ForeignFile.RequireNoPointer(path, handle);
            return new FileStream(handle, FileAccess.Read, bufferSize: 0);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or NotSupportedException or ArgumentException)
        {
            handle.Dispose();
            throw FileReading.Unreadable(path, error);
        }
        catch (RbeFileException)
        {
            handle.Dispose();
            throw;
        }
    }

    /// <summary>A whole file as one string.</summary>
    /// <param name="path">The file.</param>
    /// <param name="options">How bytes are read; null for strict UTF-8.</param>
    /// <param name="most">Most characters.</param>
    /// <exception cref="RbeFileException">It cannot be read, is not of the encoding, or has more than <paramref name="most"/> characters.</exception>
    public static string ReadAll(string path, TextOptions? options = null, int most = MostCharacters)
    {
        using TextFileReader reader = Open(path, options);
        return ReadAll(reader, most);
    }

    /// <summary>The rest of a text as one string.</summary>
    /// <param name="reader">The text.</param>
    /// <param name="most">Most characters.</param>
    /// <exception cref="RbeFileException">It cannot be read, is not of the encoding, or has more than <paramref name="most"/> characters.</exception>
    public static string ReadAll(TextFileReader reader, int most = MostCharacters)
    {
        ArgumentNullException.ThrowIfNull(reader);
        char[] text = new char[Math.Min(FirstRoom, most)];
        int length = 0;
        for (ReadOnlyMemory<char> piece = reader.ReadPiece(); !piece.IsEmpty; piece = reader.ReadPiece())
        {
            if (piece.Length > most - length)
            {
                throw new RbeFileException(reader.Name,
                    string.Create(CultureInfo.InvariantCulture, $"has more than {most} characters, the most that is read here. Give a shorter text."));
            }

            if (length + piece.Length > text.Length) Array.Resize(ref text, (int)Math.Min(most, Math.Max(2L * text.Length, (long)length + piece.Length)));
            piece.Span.CopyTo(text.AsSpan(length));
            length += piece.Length;
        }

        return new string(text, 0, length);
    }

    /// <summary>Bytes in memory as text.</summary>
    /// <param name="bytes">The bytes.</param>
    /// <param name="name">What messages call them: the file they are of.</param>
    /// <param name="options">How bytes are read; null for strict UTF-8.</param>
    /// <exception cref="RbeFileException">They are not of the encoding.</exception>
    public static string Decode(byte[] bytes, string name, TextOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(bytes);
        using TextFileReader reader = new(new MemoryStream(bytes, writable: false), name, options);
        return ReadAll(reader);
    }

    /// <summary>The lines of a file, without what ends them (LF, CR or both).</summary>
    /// <param name="path">The file.</param>
    /// <param name="options">How bytes are read; null for strict UTF-8.</param>
    /// <exception cref="RbeFileException">It cannot be read, or is not of the encoding.</exception>
    public static IEnumerable<string> ReadLines(string path, TextOptions? options = null)
    {
        using TextFileReader reader = Open(path, options);
        while (reader.ReadLine() is { } line) yield return line;
    }
}
