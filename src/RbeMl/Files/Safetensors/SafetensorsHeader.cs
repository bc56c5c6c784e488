using System.Buffers.Binary;
using System.Text.Json;
using Microsoft.Win32.SafeHandles;
using RbeMl.Storage;

namespace RbeMl.Files;

/// <summary>The parsed and checked header of a safetensors file: 8 bytes of length, then JSON; the data follow without gaps.</summary>
internal sealed record SafetensorsHeader(IReadOnlyDictionary<string, string> Metadata, IReadOnlyList<SafetensorsTensor> Tensors)
{
    public const int PrefaceLength = ForeignFile.SafetensorsPreface;
    /// <summary>Most bytes of a header: some 150,000 tensors, more than real models have. (The format allows 100,000,000.)</summary>
    public const long Limit = 16L << 20;

    public const string MetadataName = "__metadata__";
    private const int MostSides = 64;
    private static readonly JsonDocumentOptions Options = new() { AllowDuplicateProperties = false };

    /// <summary>Reads and checks everything but the data.</summary>
    /// <param name="path">The file, for messages.</param>
    /// <param name="handle">The open file.</param>
    public static SafetensorsHeader Read(string path, SafeFileHandle handle)
    {
        long fileLength = RandomAccess.GetLength(handle);
        Span<byte> preface = stackalloc byte[PrefaceLength];
        if (fileLength < PrefaceLength)
        {
            throw Foreign(path, handle) ?? Damaged(path, $"it has {Amount.Of(fileLength, "byte")}, a safetensors file has at least {PrefaceLength}");
        }

        Fill(path, handle, preface, 0);
        ulong length = BinaryPrimitives.ReadUInt64LittleEndian(preface);
        if (length > Limit)
        {
            throw Foreign(path, handle)
                ?? Damaged(path, $"its header claims {length} bytes, more than {Limit}, the most that is read, or it is no safetensors file");
        }

        if ((long)length > fileLength - PrefaceLength)
        {
            throw Foreign(path, handle) ?? Damaged(path, $"its header claims {length} bytes, but only {fileLength - PrefaceLength} follow");
        }

        byte[] json = new byte[(int)length];
        Fill(path, handle, json, PrefaceLength);
        try
        {
            using JsonDocument document = JsonDocument.Parse(json, Options);
            return Parse(path, document.RootElement, PrefaceLength + (long)length, fileLength);
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException)
        {
            // InvalidOperationException: a name that is no Unicode.
            throw Damaged(path, $"its header is no JSON ({error.Message.TrimEnd('.')})");
        }
    }

    private static RbeFileException? Foreign(string path, SafeFileHandle handle) => ForeignFile.DescribeSafetensors(handle) is { } problem
        ? new RbeFileException(path, problem) : null;

    internal static RbeFileException Damaged(string path, string what) => new(path, $"is damaged: {what}. Copy it again or write it anew.");

    private static SafetensorsHeader Parse(string path, JsonElement root, long dataStart, long fileLength)
    {
        if (root.ValueKind != JsonValueKind.Object) throw Damaged(path, "its header is no JSON object");
        Dictionary<string, string> metadata = new(StringComparer.Ordinal);
        List<SafetensorsTensor> tensors = [];
        foreach (JsonProperty property in root.EnumerateObject())
        {
            if (property.Name == MetadataName) ReadMetadata(path, property.Value, metadata);
            else tensors.Add(Entry(path, property.Name, property.Value, dataStart, fileLength));
        }

        SafetensorsTensor[] ordered = [.. tensors.OrderBy(t => t.Offset).ThenBy(t => t.ByteLength)];
        long end = dataStart;
        foreach (SafetensorsTensor tensor in ordered)
        {
            if (tensor.Offset < end)
            {
                throw Damaged(path, $"tensor \"{tensor.Name}\" starts at byte {tensor.Offset}, within the one before it, which ends at {end}");
            }

            if (tensor.Offset > end) throw Damaged(path, $"bytes {end} .. {tensor.Offset - 1} before tensor \"{tensor.Name}\" belong to no tensor");
            end += tensor.ByteLength;
        }

        return end == fileLength ? new SafetensorsHeader(metadata, ordered)
            : throw Damaged(path, $"it has {Amount.Of(fileLength, "byte")}, its tensors end at {end}");
    }

    private static void ReadMetadata(string path, JsonElement value, Dictionary<string, string> metadata)
    {
        if (value.ValueKind == JsonValueKind.Null) return;
        if (value.ValueKind != JsonValueKind.Object) throw Damaged(path, $"its {MetadataName} is no object");
        foreach (JsonProperty item in value.EnumerateObject())
        {
            if (item.Value.ValueKind != JsonValueKind.String) throw Damaged(path, $"its {MetadataName} \"{item.Name}\" is no text");
            metadata.Add(item.Name, item.Value.GetString()!);
        }
    }

    private static SafetensorsTensor Entry(string path, string name, JsonElement entry, long dataStart, long fileLength)
    {
        if (name.Length == 0) throw Damaged(path, "one of its tensors has no name");
        if (entry.ValueKind != JsonValueKind.Object) throw Damaged(path, $"tensor \"{name}\" is described by no object");
        string? type = entry.TryGetProperty("dtype", out JsonElement dtype) && dtype.ValueKind == JsonValueKind.String ? dtype.GetString() : null;
        if (!SafetensorsElements.TryParse(type, out SafetensorsElement element))
        {
            throw Damaged(path, $"tensor \"{name}\" has {(type is null ? "no dtype" : $"the unknown dtype \"{type}\"")}");
        }

        long[] shape = Numbers(path, name, entry, "shape", MostSides), range = Numbers(path, name, entry, "data_offsets", 2);
        if (range.Length != 2 || range[0] > range[1]) throw Damaged(path, $"tensor \"{name}\" has no data_offsets of a start and an end");
        if (range[1] > fileLength - dataStart)
        {
            throw Damaged(path, $"tensor \"{name}\" ends at byte {range[1]} of the data, which are {Amount.Of(fileLength - dataStart, "byte")}");
        }

        SafetensorsTensor tensor = new(name, element, shape, dataStart + range[0], range[1] - range[0]);
        return SafetensorsElements.ByteLength(element, shape) == tensor.ByteLength
            ? tensor
            : throw Damaged(path, $"tensor \"{name}\" is {tensor.Describe()}, which does not take {Amount.Of(tensor.ByteLength, "byte")}");
    }

    private static long[] Numbers(string path, string name, JsonElement entry, string key, int most)
    {
        if (!entry.TryGetProperty(key, out JsonElement list) || list.ValueKind != JsonValueKind.Array || list.GetArrayLength() > most)
        {
            throw Damaged(path, $"tensor \"{name}\" has no {key} of up to {most} numbers");
        }

        long[] numbers = new long[list.GetArrayLength()];
        int count = 0;
        foreach (JsonElement item in list.EnumerateArray())
        {
            if (item.ValueKind != JsonValueKind.Number || !item.TryGetInt64(out long number) || number < 0)
            {
                throw Damaged(path, $"tensor \"{name}\": {key}[{count}] is no whole number from 0 to 2^63 - 1");
            }

            numbers[count++] = number;
        }

        return numbers;
    }

    private static void Fill(string path, SafeFileHandle handle, Span<byte> destination, long offset)
    {
        for (int read = 0; read < destination.Length;)
        {
            int more = RandomAccess.Read(handle, destination[read..], offset + read);
            if (more == 0) throw Damaged(path, $"it ends at byte {offset + read}, inside its header");
            read += more;
        }
    }
}
