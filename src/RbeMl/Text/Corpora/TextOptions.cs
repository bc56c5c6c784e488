using System.Text;

namespace RbeMl.Text;

/// <summary>How the bytes of a text are read. A byte order mark of the encoding is skipped.</summary>
public sealed record TextOptions
{
    /// <summary>UTF-8, and nothing but UTF-8.</summary>
    public static TextOptions Default { get; } = new();

    /// <summary>
    /// Name of the encoding, the same on every machine: utf-8, utf-16 (the byte order mark decides, little-endian without one), utf-16le, utf-16be, utf-32,
    /// latin1, windows-1252, shift_jis, gb18030, and all others that .NET has.
    /// </summary>
    public string Encoding { get; init; } = "utf-8";

    /// <summary>Whether bytes that are not of the encoding become U+FFFD instead of an error.</summary>
    public bool Lossy { get; init; }

    /// <summary>The encoding's name in one spelling.</summary>
    internal string Name => Encoding.ToLowerInvariant() switch { "utf8" => "utf-8", "utf16" => "utf-16", "utf32" => "utf-32", var name => name };

    /// <summary>Fails where there is no such encoding.</summary>
    /// <exception cref="InvalidSettingException">There is none.</exception>
    public void Check() => Find();

    /// <summary>The encoding of the name; it throws at bytes that are not of it, or replaces them.</summary>
    /// <exception cref="InvalidSettingException">There is none.</exception>
    internal Encoding Find()
    {
        DecoderFallback bad = Lossy ? new DecoderReplacementFallback("\uFFFD") : DecoderFallback.ExceptionFallback;
        try
        {
            return CodePagesEncodingProvider.Instance.GetEncoding(Name, EncoderFallback.ReplacementFallback, bad)
                ?? System.Text.Encoding.GetEncoding(Name, EncoderFallback.ReplacementFallback, bad);
        }
        catch (Exception error) when (error is ArgumentException or NotSupportedException)
        {
            throw new InvalidSettingException("encoding", Encoding,
                "there is no such encoding. Use utf-8, utf-16, utf-16le, utf-16be, latin1, windows-1252 or another name that .NET knows.");
        }
    }
}
