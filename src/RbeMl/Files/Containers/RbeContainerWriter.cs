using System.Buffers.Binary;
using System.Globalization;
using System.IO.Hashing;
using System.Text;
using System.Text.Json.Nodes;
using RbeMl.Storage;

namespace RbeMl.Files;

/// <summary>
/// Writes a <c>.rbe</c> container. Little-endian:
/// <code>
/// 0   8 bytes   magic 89 'R' 'B' 'E' 0D 0A 1A 0A
/// 8   u32       version
/// 12  u32       features a reader must know, one a bit
/// 16  u64       header length H
/// 24  u64       XxHash3 of bytes 0 .. 23 and the header
/// 32  H bytes   header, UTF-8 JSON: { "metadata": {...}, "tensors": [{ "name", "type", "shape", "offset", "bytes", "hash" }] }
/// </code>
/// Payloads follow in the order of the table, each at the next multiple of 64 (gaps are zero); offsets count from the first such place
/// after the header. The file ends with the last payload. FORMAT.md in the folder above describes every byte and says what later versions may add.
/// </summary>
internal static class RbeContainerWriter
{
    internal const uint Version = 1;

    /// <summary>Feature bit of models whose scores of attention are scaled in another way than by 1 / sqrt(D / H).</summary>
    internal const uint AttentionScaleFeature = 1;

    /// <summary>Feature bit of models whose blocks have another order than GPT-2's.</summary>
    internal const uint BlockOrderFeature = 2;

    /// <summary>Feature bit of encoders: what comes out is a vector, made as the metadata says, and no tokens.</summary>
    internal const uint EncoderFeature = 4;

    /// <summary>Feature bit of classifiers whose head reads rows of length 1.</summary>
    internal const uint UnitRowFeature = 8;

    internal const uint KnownFeatures = AttentionScaleFeature | BlockOrderFeature | EncoderFeature | UnitRowFeature;
    internal const int PrefaceLength = 32, HashedPreface = 24, Alignment = 64;

    // Some 70,000 tensors: an entry has about 200 bytes with its share of the metadata. A tokenizer of 100,000 merges has 1.5 MB.
    internal const long HeaderLimit = 16L << 20;

    internal static ReadOnlySpan<byte> Magic => ForeignFile.ContainerMagic;

    /// <summary>Writes a container as a whole or not at all.</summary>
    /// <param name="path">The file.</param>
    /// <param name="metadata">Free metadata; readers ignore keys they do not know.</param>
    /// <param name="tensors">The tensors; names are unique. They are read twice: once for checksums, once to be written.</param>
    /// <exception cref="RbeFileException">The file cannot be written, or a name occurs twice.</exception>
    public static void Write(string path, JsonObject metadata, IReadOnlyList<RbeTensor> tensors) => Write(path, metadata, tensors, 0);

    internal static void Write(string path, JsonObject metadata, IReadOnlyList<RbeTensor> tensors, uint features)
    {
        ArgumentNullException.ThrowIfNull(metadata);
        Items.Require(tensors, nameof(tensors));
        byte[] header = Header(path, metadata, tensors);
        AtomicFile.Write(path, stream => Write(stream, header, tensors, features));
    }

    /// <summary>Writes a container to a stream, which need not be able to seek.</summary>
    /// <param name="stream">The stream; it stays open. Its own errors pass through, and leave a part of the container in it.</param>
    /// <param name="metadata">Free metadata; readers ignore keys they do not know.</param>
    /// <param name="tensors">The tensors; names are unique. They are read twice: once for checksums, once to be written.</param>
    /// <exception cref="RbeFileException">A name occurs twice; nothing is written.</exception>
    public static void Write(Stream stream, JsonObject metadata, IReadOnlyList<RbeTensor> tensors) => Write(stream, metadata, tensors, 0);

    internal static void Write(Stream stream, JsonObject metadata, IReadOnlyList<RbeTensor> tensors, uint features)
    {
        ArgumentNullException.ThrowIfNull(stream);
        ArgumentNullException.ThrowIfNull(metadata);
        Items.Require(tensors, nameof(tensors));
        Write(stream, Header("stream", metadata, tensors), tensors, features);
    }

    private static void Write(Stream stream, byte[] header, IReadOnlyList<RbeTensor> tensors, uint features)
    {
        Span<byte> preface = stackalloc byte[PrefaceLength];
        Magic.CopyTo(preface);
        BinaryPrimitives.WriteUInt32LittleEndian(preface[8..], Version);
        BinaryPrimitives.WriteUInt32LittleEndian(preface[12..], features);
        BinaryPrimitives.WriteUInt64LittleEndian(preface[16..], (ulong)header.Length);
        BinaryPrimitives.WriteUInt64LittleEndian(preface[24..], HeaderHash(preface[..HashedPreface], header));
        stream.Write(preface);
        stream.Write(header);
        long position = PrefaceLength + header.Length;
        Span<byte> zeros = stackalloc byte[Alignment];
        zeros.Clear();
        foreach (RbeTensor tensor in tensors)
        {
            stream.Write(zeros[..(int)(Align(position) - position)]);
            tensor.Read(part => stream.Write(part));
            position = Align(position) + tensor.ByteLength;
        }
    }

    internal static long Align(long offset) => (offset + Alignment - 1) & -Alignment;

    internal static ulong HeaderHash(ReadOnlySpan<byte> preface, ReadOnlySpan<byte> header)
    {
        XxHash3 hash = new();
        hash.Append(preface);
        hash.Append(header);
        return hash.GetCurrentHashAsUInt64();
    }

    private static byte[] Header(string path, JsonObject metadata, IReadOnlyList<RbeTensor> tensors)
    {
        HashSet<string> names = [];
        JsonArray table = [];
        long offset = 0;
        foreach (RbeTensor tensor in tensors)
        {
            if (!names.Add(tensor.Name)) throw new RbeFileException(path, $"tensor \"{tensor.Name}\" is given twice. Give each its own name.");
            XxHash3 hash = new();
            tensor.Read(part => hash.Append(part));
            offset = Align(offset);
            table.Add((JsonNode)new JsonObject
            {
                ["name"] = tensor.Name,
                ["type"] = RbeElements.Name(tensor.Element),
                ["shape"] = new JsonArray([.. tensor.Shape.Select(side => (JsonNode)side)]),
                ["offset"] = offset,
                ["bytes"] = tensor.ByteLength,
                ["hash"] = hash.GetCurrentHashAsUInt64().ToString("x16", CultureInfo.InvariantCulture),
            });
            offset += tensor.ByteLength;
        }

        byte[] header = Encoding.UTF8.GetBytes(new JsonObject { ["metadata"] = metadata.DeepClone(), ["tensors"] = table }.ToJsonString());
        return header.Length <= HeaderLimit
            ? header
            : throw new RbeFileException(path,
                $"its header would be {Amount.Of(header.Length, "byte")}, more than {HeaderLimit}. Store large metadata as tensors.");
    }
}
