using System.Buffers;
using System.Buffers.Binary;
using System.Text.Json;
using RbeMl.Storage;

namespace RbeMl.Files;

/// <summary>
/// Writes safetensors files. Tensors come in the order of the format's own writer, larger element types first and then by name, so that
/// the same tensors give the same bytes whatever order they are given in; the header is padded with spaces to a multiple of 8 bytes.
/// </summary>
internal static class SafetensorsWriter
{
    private const int Alignment = 8;

    /// <summary>Writes a file as a whole or not at all; one tensor at a time is in memory.</summary>
    /// <param name="path">The file.</param>
    /// <param name="tensors">The tensors; names are unique.</param>
    /// <param name="metadata">Free texts for <c>__metadata__</c>; null for none.</param>
    /// <param name="cancel">Ends the work.</param>
    /// <exception cref="RbeFileException">The file cannot be written, or its header would be longer than the format allows.</exception>
    /// <exception cref="InvalidSettingException">A name occurs twice, is reserved or is no Unicode.</exception>
    /// <exception cref="NonFiniteException">A value is beyond the range of F16 or BF16.</exception>
    /// <exception cref="OperationCanceledException">Cancelled; nothing is written.</exception>
    public static void Write(
        string path, IEnumerable<SafetensorsSource> tensors, IReadOnlyDictionary<string, string>? metadata = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(tensors);
        SafetensorsSource[] ordered =
            [.. Items.Checked([.. tensors], nameof(tensors)).OrderByDescending(t => SafetensorsElements.Bits(t.Element))
                .ThenBy(t => t.Name, StringComparer.Ordinal)];
        byte[] header = Header(ordered, metadata);
        if (header.Length > SafetensorsHeader.Limit)
        {
            throw new RbeFileException(path,
                $"its header would be {Amount.Of(header.Length, "byte")}, more than {SafetensorsHeader.Limit}. Write fewer tensors to a file.");
        }

        AtomicFile.Write(path, stream =>
        {
            Span<byte> preface = stackalloc byte[SafetensorsHeader.PrefaceLength];
            BinaryPrimitives.WriteUInt64LittleEndian(preface, (ulong)header.Length);
            stream.Write(preface);
            stream.Write(header);
            foreach (SafetensorsSource tensor in ordered)
            {
                long written = 0;
                cancel.ThrowIfCancellationRequested();
                tensor.Read(part =>
                {
                    cancel.ThrowIfCancellationRequested();
                    stream.Write(part);
                    written += part.Length;
                });
                if (written != tensor.ByteLength)
                {
                    throw new ShapeMismatchException(tensor.Name, $"{Amount.Of(tensor.ByteLength, "byte")}", $"{written}",
                        "The tensor's source must give all of its bytes.");
                }
            }
        });
    }

    private static byte[] Header(SafetensorsSource[] tensors, IReadOnlyDictionary<string, string>? metadata)
    {
        ArrayBufferWriter<byte> buffer = new();
        using (Utf8JsonWriter json = new(buffer))
        {
            json.WriteStartObject();
            if (metadata is not null)
            {
                json.WriteStartObject(SafetensorsHeader.MetadataName);
                foreach ((string key, string value) in metadata.OrderBy(item => item.Key, StringComparer.Ordinal)) json.WriteString(Unicode(key),
                    Unicode(value));
                json.WriteEndObject();
            }

            long start = 0;
            HashSet<string> names = new(StringComparer.Ordinal) { SafetensorsHeader.MetadataName };
            foreach (SafetensorsSource tensor in tensors)
            {
                if (!names.Add(tensor.Name))
                {
                    throw new InvalidSettingException("tensor name", $"\"{tensor.Name}\"", $"give each its own, other than {SafetensorsHeader.MetadataName}.");
                }

                json.WriteStartObject(Unicode(tensor.Name));
                json.WriteString("dtype", SafetensorsElements.Name(tensor.Element));
                json.WriteStartArray("shape");
                foreach (long side in tensor.Shape) json.WriteNumberValue(side);
                json.WriteEndArray();
                json.WriteStartArray("data_offsets");
                json.WriteNumberValue(start);
                json.WriteNumberValue(start = checked(start + tensor.ByteLength));
                json.WriteEndArray();
                json.WriteEndObject();
            }

            json.WriteEndObject();
        }

        byte[] header = new byte[(buffer.WrittenCount + Alignment - 1) / Alignment * Alignment];
        header.AsSpan().Fill((byte)' ');
        buffer.WrittenSpan.CopyTo(header);
        return header;
    }

    private static string Unicode(string text)
    {
        for (int i = 0; i < text.Length; i++)
        {
            if (!char.IsSurrogate(text[i])) continue;
            if (i + 1 == text.Length || !char.IsSurrogatePair(text[i], text[i + 1]))
            {
                throw new InvalidSettingException("text of a header", $"\"{text}\"", "it holds half a surrogate pair; use Unicode text.");
            }

            i++;
        }

        return text;
    }
}
