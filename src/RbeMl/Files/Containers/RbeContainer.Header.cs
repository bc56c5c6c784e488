using System.Buffers.Binary;
using RbeMl.Storage;

namespace RbeMl.Files;

/// <content>Reading and checking of preface, header and gaps.</content>
internal sealed partial class RbeContainer
{
    private static RbeHeader ReadHeader(string path, ByteSource source)
    {
        Span<byte> preface = stackalloc byte[RbeContainerWriter.PrefaceLength];
        int read = ReadUpTo(source, preface);
        if (read < 8 || !preface[..8].SequenceEqual(RbeContainerWriter.Magic)) throw new RbeFileException(path, ForeignFile.Describe(preface[..read]));
        if (read < preface.Length) throw Damaged(path, $"it ends after {Amount.Of(read, "byte")}, within the preface");
        uint version = BinaryPrimitives.ReadUInt32LittleEndian(preface[8..]);
        if (version > RbeContainerWriter.Version)
        {
            throw new RbeFileException(path,
                $"has format version {version}, written by a newer version of RbeMl (this one reads up to {RbeContainerWriter.Version}), or is "
                    + $"damaged. Update RbeMl.");
        }

        ulong headerLength = BinaryPrimitives.ReadUInt64LittleEndian(preface[16..]);
        if (headerLength > RbeContainerWriter.HeaderLimit)
        {
            throw Damaged(path, $"its header claims {headerLength} bytes, more than the limit of {RbeContainerWriter.HeaderLimit}");
        }

        long length = source.LengthUpTo(preface.Length + (long)headerLength);
        if ((long)headerLength > length - preface.Length)
        {
            throw Damaged(path, $"its header claims {Amount.Of((long)headerLength, "byte")}, but only {length - preface.Length} follow");
        }

        byte[] header = new byte[(int)headerLength];
        Fill(path, source, header, preface.Length);
        if (BinaryPrimitives.ReadUInt64LittleEndian(preface[24..]) != RbeContainerWriter.HeaderHash(preface[..RbeContainerWriter.HashedPreface], header))
        {
            throw Damaged(path, "the checksum of its header is wrong");
        }

        if (version == 0) throw Damaged(path, "its version is 0");
        uint unknown = BinaryPrimitives.ReadUInt32LittleEndian(preface[12..]) & ~RbeContainerWriter.KnownFeatures;
        if (unknown != 0)
        {
            throw new RbeFileException(path, $"needs features that this version of RbeMl does not know (bits 0x{unknown:X} of its preface). Update RbeMl.");
        }

        long end = preface.Length + header.Length;
        RbeHeader parsed = RbeHeader.Parse(path, header, end, source.Length);
        Span<byte> zeros = stackalloc byte[RbeContainerWriter.Alignment];
        foreach (RbeTensorInfo tensor in parsed.Tensors)
        {
            Span<byte> gap = zeros[..(int)(tensor.Offset - end)];
            Fill(path, source, gap, end);
            if (gap.ContainsAnyExcept((byte)0)) throw Damaged(path, $"the gap before tensor \"{tensor.Name}\" is not zero");
            end = tensor.Offset + tensor.ByteLength;
        }

        if (source.LengthUpTo(parsed.End) < parsed.End) throw Damaged(path, $"it ends at byte {source.LengthUpTo(parsed.End)}, inside its data");
        return parsed;
    }

    internal static RbeFileException Damaged(string path, string what) => new(path, $"is damaged: {what}. Copy it again or write it anew.");

    private static int ReadUpTo(ByteSource source, Span<byte> destination)
    {
        int read = 0;
        while (read < destination.Length && source.Read(destination[read..], read) is > 0 and int more) read += more;
        return read;
    }

    private static void Fill(string path, ByteSource source, Span<byte> destination, long offset)
    {
        try
        {
            for (int read = 0; read < destination.Length;)
            {
                int more = source.Read(destination[read..], offset + read);
                if (more == 0) throw Damaged(path, $"it ends at byte {offset + read}, inside its data");
                read += more;
            }
        }
        catch (IOException error)
        {
            throw FileReading.Unreadable(path, error);
        }
    }
}
