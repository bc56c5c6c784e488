using System.Globalization;
using System.Text.Json;

namespace RbeMl.Files;

/// <summary>The parsed and checked header of a container.</summary>
internal sealed record RbeHeader(JsonElement Metadata, IReadOnlyList<RbeTensorInfo> Tensors, long End)
{
    // Far from what overflows when lengths are added.
    private const long LongestFile = long.MaxValue / 2;

    private static readonly JsonDocumentOptions Options = new() { AllowDuplicateProperties = false, MaxDepth = 64 };

    /// <summary>Parses a header and checks its table against the file.</summary>
    /// <param name="path">The file, for messages.</param>
    /// <param name="json">The header.</param>
    /// <param name="headerEnd">Where the header ends in the file.</param>
    /// <param name="fileLength">Bytes of the file; null where only reading can tell.</param>
    public static RbeHeader Parse(string path, ReadOnlyMemory<byte> json, long headerEnd, long? fileLength)
    {
        JsonElement root;
        try
        {
            root = JsonDocument.Parse(json, Options).RootElement; // lives as long as the metadata, on the header's own bytes
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException)
        {
            throw RbeContainer.Damaged(path, $"its header is no JSON ({error.Message.TrimEnd('.')})");
        }

        if (root.ValueKind != JsonValueKind.Object
            || !root.TryGetProperty("metadata", out JsonElement metadata) || metadata.ValueKind != JsonValueKind.Object
            || !root.TryGetProperty("tensors", out JsonElement table) || table.ValueKind != JsonValueKind.Array)
        {
            throw RbeContainer.Damaged(path, "its header lacks metadata or tensors");
        }

        List<RbeTensorInfo> tensors = [];
        HashSet<string> names = [];
        long start = RbeContainerWriter.Align(headerEnd), end = headerEnd;
        foreach (JsonElement entry in table.EnumerateArray())
        {
            RbeTensorInfo tensor = Entry(path, entry, tensors.Count, start, fileLength ?? LongestFile);
            if (!names.Add(tensor.Name)) throw RbeContainer.Damaged(path, $"tensor \"{tensor.Name}\" is listed twice");
            if (tensor.Offset != RbeContainerWriter.Align(end))
            {
                throw RbeContainer.Damaged(path, $"tensor \"{tensor.Name}\" starts at byte {tensor.Offset}, expected {RbeContainerWriter.Align(end)}");
            }

            end = tensor.Offset + tensor.ByteLength;
            tensors.Add(tensor);
        }

        if (fileLength is not null && end != fileLength)
        {
            throw RbeContainer.Damaged(path, $"it has {Amount.Of(fileLength.Value, "byte")}, its tensors end at {end}");
        }

        return new RbeHeader(metadata, tensors, end);
    }

    private static RbeTensorInfo Entry(string path, JsonElement entry, int index, long start, long fileLength)
    {
        if (entry.ValueKind != JsonValueKind.Object) throw RbeContainer.Damaged(path, $"entry {index} of its table is no object");
        string? name = Text(entry, "name");
        if (string.IsNullOrEmpty(name)) throw RbeContainer.Damaged(path, $"entry {index} of its table has no name");
        string type = Text(entry, "type") ?? throw RbeContainer.Damaged(path, $"tensor \"{name}\" has no type");
        if (!RbeElements.TryParse(type, out RbeElement element))
        {
            throw new RbeFileException(path,
                $"tensor \"{name}\" has elements of type \"{type}\"; this version knows {string.Join(", ", RbeElements.Names)}. Update RbeMl.");
        }

        long offset = Whole(path, entry, name, "offset"), bytes = Whole(path, entry, name, "bytes");
        if (offset > fileLength - start || bytes > fileLength - start - offset)
        {
            throw RbeContainer.Damaged(path, $"tensor \"{name}\" lies beyond its end at byte {fileLength}");
        }

        if (Text(entry, "hash") is not { Length: 16 } hex || !ulong.TryParse(hex, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out ulong hash))
        {
            throw RbeContainer.Damaged(path, $"tensor \"{name}\" has no checksum");
        }

        return new RbeTensorInfo(name, element, Shape(path, entry, name, element, bytes), start + offset, bytes, hash);
    }

    private static long[] Shape(string path, JsonElement entry, string name, RbeElement element, long bytes)
    {
        if (!entry.TryGetProperty("shape", out JsonElement sides) || sides.ValueKind != JsonValueKind.Array || sides.GetArrayLength() > 8)
        {
            throw RbeContainer.Damaged(path, $"tensor \"{name}\" has no shape");
        }

        long[] shape = new long[sides.GetArrayLength()];
        Int128 size = RbeElements.Size(element);
        for (int i = 0; i < shape.Length; i++)
        {
            if (sides[i].ValueKind != JsonValueKind.Number || !sides[i].TryGetInt64(out shape[i]) || shape[i] < 0)
            {
                throw RbeContainer.Damaged(path, $"tensor \"{name}\" has a wrong shape");
            }

            size = size > long.MaxValue ? size : size * shape[i];
        }

        return size == bytes ? shape
            : throw RbeContainer.Damaged(path,
                $"tensor \"{name}\": its shape [{string.Join(", ", shape.Select(side => $"{side}"))}] does not need {Amount.Of(bytes, "byte")}");
    }

    private static string? Text(JsonElement entry, string key) =>
        entry.TryGetProperty(key, out JsonElement value) && value.ValueKind == JsonValueKind.String ? Unpaired(value) : null;

    // Escapes of unpaired surrogates are valid JSON but no text.
    private static string? Unpaired(JsonElement value)
    {
        try
        {
            return value.GetString();
        }
        catch (InvalidOperationException)
        {
            return null;
        }
    }

    private static long Whole(string path, JsonElement entry, string name, string key) =>
        entry.TryGetProperty(key, out JsonElement value) && value.ValueKind == JsonValueKind.Number && value.TryGetInt64(out long number) && number >= 0
            ? number
            : throw RbeContainer.Damaged(path, $"tensor \"{name}\" has no {key}");
}
