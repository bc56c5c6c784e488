using System.Buffers.Binary;
using System.IO.Hashing;
using System.Text;
using System.Text.Json;

namespace RbeMl.MLNet.Files;

/// <summary>
/// The bytes of a component, alike in a file of its own and inside an ML.NET zip. Little-endian: magic <c>RBEMLNET</c>, u32 version, u16 length and UTF-8
/// of the component's name, then pieces of u32 length (1 .. 1 MiB), the bytes, and u64 XxHash3 of the bytes seeded by the piece's number; a length of 0
/// ends. A component's own bytes begin with the u16 version of that component. Nothing needs the whole length beforehand, and no byte is
/// used before its checksum agreed.
/// </summary>
internal static class ComponentFile
{
    /// <summary>The newest version this library reads and the one it writes.</summary>
    public const uint Version = 1;

    internal const int PieceBytes = 1 << 20;

    private static ReadOnlySpan<byte> Magic => "RBEMLNET"u8;

    /// <summary>Writes a component.</summary>
    public static void Write(Stream stream, string component, Action<BinaryWriter> body)
    {
        Span<byte> head = stackalloc byte[14];
        byte[] name = Encoding.UTF8.GetBytes(component);
        Magic.CopyTo(head);
        BinaryPrimitives.WriteUInt32LittleEndian(head[8..], Version);
        BinaryPrimitives.WriteUInt16LittleEndian(head[12..], checked((ushort)name.Length));
        stream.Write(head);
        stream.Write(name);
        using PieceWriter pieces = new(stream);
        using BinaryWriter writer = new(pieces, Encoding.UTF8, leaveOpen: true);
        body(writer);
        writer.Flush();
        pieces.End();
    }

    /// <summary>Reads a component, the last thing in its stream.</summary>
    /// <exception cref="RbeFileException">The bytes are of something else, of a newer version, cut or damaged, or others follow.</exception>
    public static T Read<T>(Stream stream, string component, Func<BinaryReader, T> body)
    {
        try
        {
            Span<byte> head = stackalloc byte[14];
            stream.ReadExactly(head);
            if (!head[..8].SequenceEqual(Magic)) throw Bad(component, "are of something else. Save the component again.");
            uint version = BinaryPrimitives.ReadUInt32LittleEndian(head[8..]);
            if (version is 0 or > Version) throw Bad(component, $"are of version {version}; this library reads up to {Version}. Update RbeMl.");
            byte[] name = new byte[BinaryPrimitives.ReadUInt16LittleEndian(head[12..])];
            stream.ReadExactly(name);
            if (Encoding.UTF8.GetString(name) is var found && found != component) throw Bad(component, $"are of a {found}. Load them with that component.");
            using PieceReader pieces = new(stream, component);
            using BinaryReader reader = new(pieces, Encoding.UTF8, leaveOpen: true);
            T result = body(reader);
            pieces.ExpectEnd();
            if (stream.ReadByte() >= 0)
            {
                throw Bad(component,
                    "are followed by others, which no component wrote. Give a stream that ends with them; if it is a file, save the component again.");
            }

            return result;
        }
        catch (EndOfStreamException e)
        {
            throw new RbeFileException(component, "the saved bytes end too early. Save the component again.", e);
        }
        catch (Exception e) when (e is InvalidSettingException or TokenException or JsonException or FormatException or IOException)
        {
            // IOException: a text with a length below 0, or a stream that cannot be read.
            throw new RbeFileException(component,
                $"the saved bytes hold what no component wrote ({e.Message.TrimEnd('.')}). They are damaged; save the component again.", e);
        }
    }

    internal static RbeFileException Bad(string component, string problem) => new(component, $"the saved bytes {problem}");

    internal static ulong Hash(ReadOnlySpan<byte> piece, long number) => XxHash3.HashToUInt64(piece, number);
}
