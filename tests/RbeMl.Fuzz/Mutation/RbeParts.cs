using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;
using RbeMl.Files;

namespace RbeMl.Fuzz.Mutation;

/// <summary>A sound <c>.rbe</c> file taken apart, to be damaged and put together again with checksums that agree.</summary>
internal sealed class RbeParts
{
    private const int Preface = RbeContainerWriter.PrefaceLength;
    private readonly byte[] _bytes;

    private RbeParts(byte[] bytes, int headerLength) =>
        (_bytes, Header, Data) =
            (bytes, bytes[Preface..(Preface + headerLength)], bytes[(int)Math.Min(bytes.Length, RbeContainerWriter.Align(Preface + headerLength))..]);

    private byte[] Header { get; }

    private byte[] Data { get; }

    /// <summary>Damages a file; <paramref name="other"/> is another to take parts of.</summary>
    public static byte[] Mutate(byte[] bytes, Dice dice, byte[] other)
    {
        RbeParts parts = Of(bytes);
        switch (dice.Below(12))
        {
            case 0:
                return ByteMutator.Mutate(bytes, dice, other);
            case 1:
                return parts.Assemble(ByteMutator.Mutate(parts.Header, dice), parts.Data);
            case 2:
                return [.. bytes, .. new byte[1 + dice.Below(100)]];
            case 3:
                return parts.Assemble(parts.Header, Of(other).Data);
            case 4 or 5:
                return parts.Table(dice, Of(other));
            case 6 or 7:
                return parts.Payload(dice);
            default:
                return parts.Assemble(JsonMutator.Mutate(parts.Header, dice), parts.Data);
        }
    }

    private static RbeParts Of(byte[] bytes) => new(bytes, (int)BinaryPrimitives.ReadUInt64LittleEndian(bytes.AsSpan(16)));

    // Values of one tensor, with the checksum of what they are now.
    private byte[] Payload(Dice dice)
    {
        JsonObject header = JsonNode.Parse(Header)!.AsObject();
        JsonArray table = header["tensors"]!.AsArray();
        JsonNode entry = table[dice.Below(table.Count)]!;
        int offset = (int)entry["offset"]!, length = (int)entry["bytes"]!;
        if (length == 0) return _bytes;
        byte[] data = [.. Data], part = ByteMutator.Mutate(data[offset..(offset + length)], dice);
        part.AsSpan(0, Math.Min(length, part.Length)).CopyTo(data.AsSpan(offset));
        entry["hash"] = Hash(data.AsSpan(offset, length));
        return Assemble(Encoding.UTF8.GetBytes(header.ToJsonString()), data);
    }

    // Tensors left out, doubled, renamed, exchanged or of other lengths, in a table that agrees with them.
    private byte[] Table(Dice dice, RbeParts other)
    {
        JsonObject header = JsonNode.Parse(Header)!.AsObject();
        List<(JsonObject Entry, byte[] Bytes)> tensors = [.. Tensors(header, Data)];
        List<(JsonObject Entry, byte[] Bytes)> more = [.. Tensors(JsonNode.Parse(other.Header)!.AsObject(), other.Data)];
        int index = dice.Below(tensors.Count);
        (JsonObject entry, byte[] bytes) = tensors[index];
        switch (dice.Below(6))
        {
            case 0:
                tensors.RemoveAt(index);
                break;
            case 1:
                tensors.Add(((JsonObject)entry.DeepClone(), bytes));
                tensors[^1].Entry["name"] = dice.Once(2) ? "../extra" : (string)entry["name"]!;
                break;
            case 2:
                entry["name"] = dice.Pick(tensors).Entry["name"]!.DeepClone();
                break;
            case 3:
                tensors[index] = ((JsonObject)dice.Pick(more).Entry.DeepClone(), dice.Pick(more).Bytes);
                break;
            case 4:
                byte[] longer = [.. bytes, .. bytes];
                entry["shape"] = new JsonArray(longer.Length / Math.Max(1, Size((string)entry["type"]!)));
                tensors[index] = (entry, longer);
                break;
            default:
                entry["shape"] = new JsonArray(0);
                tensors[index] = (entry, []);
                break;
        }

        using MemoryStream data = new();
        JsonArray table = [];
        foreach ((JsonObject tensor, byte[] payload) in tensors)
        {
            while (data.Length % RbeContainerWriter.Alignment != 0) data.WriteByte(0);
            JsonObject clone = (JsonObject)tensor.DeepClone();
            clone["offset"] = data.Length;
            clone["bytes"] = payload.Length;
            clone["hash"] = Hash(payload);
            table.Add(clone);
            data.Write(payload);
        }

        header["tensors"] = table;
        byte[] json = Encoding.UTF8.GetBytes(header.ToJsonString());
        return Assemble(dice.Once(3) ? JsonMutator.Mutate(json, dice) : json, data.ToArray());
    }

    private static IEnumerable<(JsonObject Entry, byte[] Bytes)> Tensors(JsonObject header, byte[] data) =>
        header["tensors"]!.AsArray().Select(entry => (entry!.AsObject(), data[(int)entry["offset"]!..((int)entry["offset"]! + (int)entry["bytes"]!)]));

    private static int Size(string type) => RbeElements.TryParse(type, out RbeElement element) ? RbeElements.Size(element) : 1;

    private static string Hash(ReadOnlySpan<byte> bytes) => System.IO.Hashing.XxHash3.HashToUInt64(bytes).ToString("x16", CultureInfo.InvariantCulture);

    // A file whose preface agrees with its header.
    private byte[] Assemble(byte[] header, byte[] data)
    {
        int start = (int)RbeContainerWriter.Align(Preface + header.Length);
        byte[] bytes = new byte[data.Length == 0 ? Preface + header.Length : start + data.Length];
        RbeContainerWriter.Magic.CopyTo(bytes);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(8), RbeContainerWriter.Version);
        _bytes.AsSpan(12, 4).CopyTo(bytes.AsSpan(12)); // features
        BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(16), (ulong)header.Length);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(24), RbeContainerWriter.HeaderHash(bytes.AsSpan(0, RbeContainerWriter.HashedPreface), header));
        header.CopyTo(bytes.AsSpan(Preface));
        data.CopyTo(bytes.AsSpan(Math.Min(start, bytes.Length)));
        return bytes;
    }
}
