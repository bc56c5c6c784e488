using System.IO.Compression;

namespace RbeMl.MLNet.Files;

/// <summary>
/// Looks at the zip of an ML.NET model before ML.NET reads it, which takes memory or disk for whatever entries say they expand to, and of two entries of one
/// name takes either.
/// </summary>
internal static class ModelArchive
{
    // Weights hardly compress; untrained ones are mostly zeros. Deflate makes 1,032 bytes of one at most.
    private const long Harmless = 64L << 20, MostTimes = 100;

    /// <summary>Checks names and sizes; the stream is left where it was.</summary>
    /// <param name="stream">The archive, seekable.</param>
    /// <param name="name">What messages call it.</param>
    /// <exception cref="RbeFileException">It is no zip, an entry's name leads out of it or comes twice, or its entries expand beyond measure.</exception>
    public static void Check(Stream stream, string name)
    {
        long start = stream.Position;
        try
        {
            using ZipArchive archive = new(stream, ZipArchiveMode.Read, leaveOpen: true);
            HashSet<string> names = new(StringComparer.Ordinal);
            Int128 expanded = 0, stored = 0;
            foreach (ZipArchiveEntry entry in archive.Entries)
            {
                string path = entry.FullName;
                if (!IsWithin(path))
                {
                    throw new RbeFileException(name,
                        $"holds an entry \"{path}\", whose name leads out of the archive. It is no model that ML.NET wrote; do not trust it.");
                }

                if (!names.Add(path)) throw new RbeFileException(name, $"holds two entries \"{path}\". It is no model that ML.NET wrote; save it again.");
                (expanded, stored) = (expanded + entry.Length, stored + entry.CompressedLength);
            }

            if (expanded > Harmless && expanded > MostTimes * stored)
            {
                throw new RbeFileException(name,
                    $"has {stored} bytes that expand to {expanded}, more than {MostTimes} times as many. It is no model that ML.NET wrote; do not trust it.");
            }
        }
        catch (InvalidDataException error)
        {
            throw new RbeFileException(name, $"is no ML.NET model, or damaged ({error.Message.TrimEnd('.')}). Save it again.", error);
        }
        finally
        {
            stream.Position = start;
        }
    }

    // ML.NET on Windows writes backslashes.
    private static bool IsWithin(string path) =>
        path.Length > 0 && path[0] is not ('/' or '\\') && !path.AsSpan().ContainsAny(':', '\0') && !path.Split('/', '\\').Contains("..");
}
