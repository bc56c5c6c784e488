using System.IO.Compression;

namespace RbeMl.Fuzz.Mutation;

/// <summary>A zip archive as its entries.</summary>
internal static class ZipParts
{
    /// <summary>Damages one entry, a name, or the archive itself. <paramref name="component"/> damages a component's bytes.</summary>
    public static byte[] Mutate(byte[] zip, Dice dice, Func<byte[], byte[]> component)
    {
        if (dice.Once(8)) return ByteMutator.Mutate(zip, dice);
        List<(string Name, byte[] Bytes)> entries = Read(zip);
        int index = dice.Once(2) ? entries.FindIndex(e => e.Name.EndsWith("Rbe.bin", StringComparison.Ordinal)) : dice.Below(entries.Count);
        (string name, byte[] bytes) = entries[index];
        switch (dice.Below(10))
        {
            case 0:
                entries.RemoveAt(index);
                break;
            case 1:
                entries.Add((name, bytes));
                break;
            case 2:
                entries[index] = (dice.Pick((string[])["../x", "/x", "a\0b", name + "x"]), bytes);
                break;
            case 3:
                entries[index] = (name, new byte[1 << dice.Below(20)]);
                break;
            case 4:
                entries[index] = (name, dice.Pick(entries).Bytes);
                break;
            default:
                entries[index] = (name, name.EndsWith("Rbe.bin", StringComparison.Ordinal) ? component(bytes) : ByteMutator.Mutate(bytes, dice));
                break;
        }

        using MemoryStream stream = new();
        using (ZipArchive archive = new(stream, ZipArchiveMode.Create, leaveOpen: true))
        {
            foreach ((string entry, byte[] content) in entries)
            {
                using Stream target = archive.CreateEntry(entry, content.Length > 1 << 14 ? CompressionLevel.Fastest : CompressionLevel.NoCompression).Open();
                target.Write(content);
            }
        }

        return stream.ToArray();
    }

    private static List<(string Name, byte[] Bytes)> Read(byte[] zip)
    {
        using ZipArchive archive = new(new MemoryStream(zip));
        List<(string, byte[])> entries = [];
        foreach (ZipArchiveEntry entry in archive.Entries)
        {
            using MemoryStream bytes = new();
            using (Stream source = entry.Open()) source.CopyTo(bytes);
            entries.Add((entry.FullName, bytes.ToArray()));
        }

        return entries;
    }
}
