namespace RbeMl.Fuzz;

/// <summary>The files of one case, written to a folder when a path is asked for.</summary>
/// <param name="Files">Names and bytes; the first is the one that matters where only one does.</param>
/// <param name="Folder">An empty folder.</param>
internal sealed record CaseFiles(IReadOnlyList<(string Name, byte[] Bytes)> Files, string Folder)
{
    /// <summary>Bytes of the first file.</summary>
    public byte[] Bytes => Files[0].Bytes;

    /// <summary>Bytes of all files.</summary>
    public long Length => Files.Sum(file => (long)file.Bytes.Length);

    /// <summary>The first file as a stream.</summary>
    public MemoryStream Stream() => new(Bytes, writable: false);

    /// <summary>The folder with all files in it.</summary>
    public string Written()
    {
        foreach ((string name, byte[] bytes) in Files)
        {
            string path = Path.Combine(Folder, name);
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            File.WriteAllBytes(path, bytes);
        }

        return Folder;
    }

    /// <summary>The first file, written.</summary>
    public string WrittenFile() => Path.Combine(Written(), Files[0].Name);
}
