using System.Reflection.Metadata;
using System.Reflection.PortableExecutable;

namespace RbeMl.Packing;

/// <summary>Resources embedded in a package's library, read as data: the library is not loaded and none of its code runs.</summary>
internal static class PackageResources
{
    private const int PartBytes = 1 << 20;

    /// <summary>Writes a resource to a file.</summary>
    /// <param name="library">The library.</param>
    /// <param name="name">End of the resource's name, such as <c>Resources.vocab.txt</c>.</param>
    /// <param name="target">The file.</param>
    /// <exception cref="InvalidDataException">The library has no such resource, or is damaged.</exception>
    public static void Extract(string library, string name, string target)
    {
        using FileStream stream = File.OpenRead(library);
        using PEReader image = new(stream, PEStreamOptions.LeaveOpen);
        MetadataReader metadata = image.GetMetadataReader();
        ManifestResource[] found = [.. metadata.ManifestResources.Select(metadata.GetManifestResource)
            .Where(r => r.Implementation.IsNil && metadata.GetString(r.Name).EndsWith(name, StringComparison.Ordinal))];
        if (found.Length != 1) throw new InvalidDataException($"{library} has {found.Length} resources named {name}, one is needed.");

        // A resource is its length and its bytes, at its offset in the directory of resources.
        DirectoryEntry directory = image.PEHeaders.CorHeader!.ResourcesDirectory;
        if (!image.PEHeaders.TryGetDirectoryOffset(directory,
            out int start)) throw new InvalidDataException($"{library} has no resources.");
        stream.Position = start + found[0].Offset;
        Span<byte> length = stackalloc byte[sizeof(int)];
        stream.ReadExactly(length);
        int left = BitConverter.ToInt32(length);
        if (left < 0 || left > stream.Length - stream.Position) throw Damaged(library, name);
        using FileStream written = File.Create(target);
        for (byte[] part = new byte[PartBytes]; left > 0;)
        {
            int count = stream.Read(part, 0, Math.Min(left, part.Length));
            if (count == 0) throw Damaged(library, name);
            written.Write(part, 0, count);
            left -= count;
        }
    }

    private static InvalidDataException Damaged(string library, string name) =>
        new($"{library}: the resource {name} ends beyond the file.");
}
