using System.Buffers.Binary;
using System.Text;

namespace RbeMl.Oracle.Tests.Native;

/// <summary>A small but complete ELF file: dynamic symbols, their names and versions, and the version needs of libstdc++.so.6.</summary>
internal static class SyntheticElf
{
    /// <summary>Makes the file. Version i of <paramref name="versions"/> gets index 2 + i; a symbol's version is named or null.</summary>
    public static byte[] Make(string[] versions, (string Name, string? Version)[] symbols)
    {
        StringTable strings = new();
        byte[] symbolTable = new byte[24 * (symbols.Length + 1)];
        byte[] versionTable = new byte[2 * (symbols.Length + 1)];
        for (int i = 0; i < symbols.Length; i++)
        {
            (string name, string? version) = symbols[i];
            Write32(symbolTable, 24 * (i + 1), strings.Add(name));
            symbolTable[24 * (i + 1) + 4] = 0x12; // global function
            int index = version is null ? 1 : 2 + Array.IndexOf(versions, version);
            BinaryPrimitives.WriteUInt16LittleEndian(versionTable.AsSpan(2 * (i + 1)), (ushort)index);
        }

        byte[] needs = new byte[16 * (versions.Length + 1)];
        needs[0] = 1;
        needs[2] = (byte)versions.Length;
        Write32(needs, 4, strings.Add("libstdc++.so.6"));
        Write32(needs, 8, 16);
        for (int i = 0; i < versions.Length; i++)
        {
            int at = 16 * (i + 1);
            needs[at + 6] = (byte)(2 + i);
            Write32(needs, at + 8, strings.Add(versions[i]));
            Write32(needs, at + 12, i + 1 < versions.Length ? 16u : 0u);
        }

        (uint Type, byte[] Content, uint Link)[] sections =
            [(0, [], 0), (11, symbolTable, 2), (3, strings.ToArray(), 0), (0x6FFFFFFF, versionTable, 1), (0x6FFFFFFE, versions.Length == 0 ? [] : needs, 2)];
        return Assemble(sections);
    }

    private static byte[] Assemble((uint Type, byte[] Content, uint Link)[] sections)
    {
        byte[] header = new byte[64];
        byte[] magic = [0x7F, (byte)'E', (byte)'L', (byte)'F', 2, 1, 1];
        magic.CopyTo(header, 0);
        header[16] = 3;  // shared object
        header[18] = 62; // x86-64
        header[0x3A] = 64;
        header[0x3C] = (byte)sections.Length;
        List<byte> file = [.. header];
        List<byte> table = [];
        foreach ((uint type, byte[] content, uint link) in sections)
        {
            while (file.Count % 8 != 0) file.Add(0);
            byte[] entry = new byte[64];
            Write32(entry, 4, type);
            BinaryPrimitives.WriteUInt64LittleEndian(entry.AsSpan(24), (ulong)file.Count);
            BinaryPrimitives.WriteUInt64LittleEndian(entry.AsSpan(32), (ulong)content.Length);
            Write32(entry, 40, link);
            table.AddRange(entry);
            file.AddRange(content);
        }

        while (file.Count % 8 != 0) file.Add(0);
        byte[] bytes = [.. file, .. table];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(0x28), (ulong)file.Count);
        return bytes;
    }

    private static void Write32(byte[] bytes, int at, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(at), value);

    private sealed class StringTable
    {
        private readonly List<byte> _bytes = [0];

        public uint Add(string text)
        {
            uint at = (uint)_bytes.Count;
            _bytes.AddRange(Encoding.ASCII.GetBytes(text));
            _bytes.Add(0);
            return at;
        }

        public byte[] ToArray() => [.. _bytes];
    }
}
