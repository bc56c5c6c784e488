using System.Buffers;
using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace RbeMl.Cli.Embed;

/// <summary>A text with where it stands.</summary>
/// <param name="File">Its file; null where all are of one.</param>
/// <param name="Line">The line it starts in, from 1.</param>
/// <param name="Text">The text.</param>
internal readonly record struct TextPlace(string? File, int Line, string Text);

/// <summary>Writes vectors, one text after the other.</summary>
internal static class VectorWriter
{
    /// <summary>The words of <c>--out-format</c>, which are also what names end in.</summary>
    public const string JsonLines = "jsonl", Npy = "npy", Tsv = "tsv";

    private static readonly JsonWriterOptions s_json = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>What people call a format.</summary>
    public static string Name(string format) => format switch
    {
        Npy => "NumPy float32",
        Tsv => "tab-separated",
        _ => "JSON lines",
    };

    /// <summary>What stands before the first vector.</summary>
    /// <param name="format">A word.</param>
    /// <param name="count">Vectors.</param>
    /// <param name="dimensions">Numbers of each.</param>
    public static byte[] Head(string format, int count, int dimensions)
    {
        const int Fixed = 10, Multiple = 64; // NumPy's format 1.0: a mark, a length, a dictionary in ASCII that ends at a multiple of 64
        if (format != Npy) return [];
        string header = $"{{'descr': '<f4', 'fortran_order': False, 'shape': ({count}, {dimensions}), }}";
        int length = ((Fixed + header.Length + Multiple) / Multiple * Multiple) - Fixed;
        byte[] head = new byte[Fixed + length];
        ReadOnlySpan<byte> mark = [0x93, (byte)'N', (byte)'U', (byte)'M', (byte)'P', (byte)'Y', 1, 0];
        mark.CopyTo(head);
        BinaryPrimitives.WriteUInt16LittleEndian(head.AsSpan(8), (ushort)length);
        Encoding.ASCII.GetBytes(header.PadRight(length - 1) + "\n").CopyTo(head, Fixed);
        return head;
    }

    /// <summary>A text's vector as a line, without its end.</summary>
    public static string Line(string format, TextPlace place, ReadOnlySpan<float> vector)
    {
        if (format == Tsv)
        {
            StringBuilder line = new();
            foreach (float value in vector) line.Append(CultureInfo.InvariantCulture, $"{(line.Length > 0 ? "\t" : "")}{value}");
            return line.ToString();
        }

        ArrayBufferWriter<byte> bytes = new();
        using (Utf8JsonWriter json = new(bytes, s_json))
        {
            json.WriteStartObject();
            if (place.File is { } file) json.WriteString("file", file);
            json.WriteNumber("line", place.Line);
            json.WriteString("text", place.Text);
            json.WriteStartArray("embedding");
            foreach (float value in vector) json.WriteNumberValue(value);
            json.WriteEndArray();
            json.WriteEndObject();
        }

        return PlainText.Json(Encoding.UTF8.GetString(bytes.WrittenSpan));
    }

    /// <summary>A text's vector as bytes of a file.</summary>
    public static byte[] Bytes(string format, TextPlace place, ReadOnlySpan<float> vector)
    {
        if (format != Npy) return Encoding.UTF8.GetBytes(Line(format, place, vector) + "\n");
        byte[] bytes = new byte[vector.Length * sizeof(float)];
        for (int i = 0; i < vector.Length; i++) BinaryPrimitives.WriteSingleLittleEndian(bytes.AsSpan(i * sizeof(float)), vector[i]);
        return bytes;
    }
}
