using System.Buffers.Binary;

namespace RbeMl.Models.Files;

/// <content>Reading from a stream.</content>
public sealed partial class RbeContainer
{
    private const int FirstPiece = 1 << 20;

    /// <summary>
    /// Reads a container from a stream into memory: exactly its own bytes, so that others may follow. The stream need not seek, and no more memory is taken than
    /// bytes have come.
    /// </summary>
    /// <param name="stream">The stream.</param>
    /// <param name="name">What the messages call it.</param>
    /// <exception cref="RbeFileException">Not a container, of a newer version, damaged, cut, or of more than 2^31 bytes.</exception>
    public static RbeContainer Open(Stream stream, string name = "stream")
    {
        ArgumentNullException.ThrowIfNull(stream);
        ArgumentException.ThrowIfNullOrEmpty(name);
        try
        {
            byte[] bytes = new byte[RbeContainerWriter.PrefaceLength];
            int count = stream.ReadAtLeast(bytes, bytes.Length, throwOnEndOfStream: false);
            bool isOurs = count == bytes.Length && bytes.AsSpan(0, 8).SequenceEqual(RbeContainerWriter.Magic);
            ulong header = isOurs ? BinaryPrimitives.ReadUInt64LittleEndian(bytes.AsSpan(16)) : 0;
            if (isOurs && header <= RbeContainerWriter.HeaderLimit)
            {
                long end = count + (long)header;
                if (ReadUntil(end) && Intact() && RbeHeader.Parse(name, bytes.AsMemory(RbeContainerWriter.PrefaceLength, (int)header), end, null).End is var last)
                {
                    if (last > Array.MaxLength) throw new RbeFileException(name, $"has {last} bytes, more than the {Array.MaxLength} that can be read from a stream. Load it from a file.");
                    ReadUntil(last);
                }
            }

            // Whatever is wrong or missing is found and named here.
            ContainerBytes.OfMemory memory = new(bytes.AsMemory(0, count));
            return new RbeContainer(name, memory, ReadHeader(name, memory));

            bool Intact() => BinaryPrimitives.ReadUInt64LittleEndian(bytes.AsSpan(24)) == RbeContainerWriter.HeaderHash(bytes.AsSpan(0, RbeContainerWriter.HashedPreface), bytes.AsSpan(RbeContainerWriter.PrefaceLength, (int)header));

            bool ReadUntil(long end)
            {
                while (count < end)
                {
                    if (count == bytes.Length) Array.Resize(ref bytes, (int)Math.Min(end, Math.Max(FirstPiece, 2L * count)));
                    int more = stream.Read(bytes, count, bytes.Length - count);
                    if (more == 0) return false;
                    count += more;
                }

                return true;
            }
        }
        catch (Exception error) when (error is IOException or InvalidDataException or NotSupportedException)
        {
            throw new RbeFileException(name, $"cannot be read ({error.Message.TrimEnd('.')}).", error);
        }
    }
}
