using System.Buffers.Binary;
using System.Text;

namespace RbeMl.Oracle.Tests.Native;

/// <summary>
/// The dynamic symbols and version needs of a 64-bit little-endian x86-64 ELF file, read and changed in place.
/// Every offset taken from the file is checked against its length.
/// </summary>
internal sealed class ElfFile
{
    /// <summary>Flag of a version need that the loader may leave unmet.</summary>
    public const ushort WeakFlag = 2;

    private const uint SymbolTable = 11, VersionSymbols = 0x6FFFFFFF, VersionNeedTable = 0x6FFFFFFE;
    private const int HeaderSize = 64, SectionSize = 64, SymbolSize = 24, NeedSize = 16;
    private readonly byte[] _bytes;
    private readonly string _name;
    private readonly Section _symbols, _strings, _versions;
    private readonly Section? _needs;

    /// <summary>Reads the tables; changes go to <paramref name="bytes"/>.</summary>
    /// <param name="bytes">The whole file.</param>
    /// <param name="name">Its name, for errors.</param>
    /// <exception cref="InvalidDataException">Not such a file, or a damaged one.</exception>
    public ElfFile(byte[] bytes, string name)
    {
        _bytes = bytes;
        _name = name;
        if (bytes.Length < HeaderSize) throw Bad($"it has {bytes.Length} bytes, an ELF header has {HeaderSize}");
        if (!bytes.AsSpan(0, 4).SequenceEqual("\u007fELF"u8)) throw Bad("it does not start with the ELF magic");
        if (bytes[4] != 2 || bytes[5] != 1 || U16(18) != 62) throw Bad("it is not a 64-bit little-endian x86-64 library");

        Section[] sections = ReadSections();
        _symbols = Find(sections, SymbolTable) ?? throw Bad("it has no dynamic symbols");
        if (_symbols.Link >= sections.Length) throw Bad($"its symbols name string table {_symbols.Link} of {sections.Length} sections");
        _strings = sections[_symbols.Link];
        _versions = Find(sections, VersionSymbols) ?? throw Bad("its symbols have no versions");
        _needs = Find(sections, VersionNeedTable);
        SymbolCount = (int)(_symbols.Size / SymbolSize);
        if (_versions.Size / 2 < SymbolCount) throw Bad($"it has {SymbolCount} symbols but {_versions.Size / 2} versions");
    }

    /// <summary>Number of dynamic symbols.</summary>
    public int SymbolCount { get; }

    /// <summary>Offset of a symbol's name in the string table.</summary>
    public uint NameOffset(int symbol) => U32(SymbolAt(symbol));

    /// <summary>Name of a symbol.</summary>
    public string NameOf(int symbol) => Text(NameOffset(symbol));

    /// <summary>Version index of a symbol, without the hidden bit.</summary>
    public int VersionOf(int symbol) => U16(VersionAt(symbol)) & 0x7FFF;

    /// <summary>Changes the version index of a symbol.</summary>
    public void SetVersion(int symbol, ushort version) => BinaryPrimitives.WriteUInt16LittleEndian(_bytes.AsSpan((int)VersionAt(symbol)), version);

    /// <summary>Points a symbol at another name of the string table.</summary>
    public void SetNameOffset(int symbol, uint offset) => BinaryPrimitives.WriteUInt32LittleEndian(_bytes.AsSpan((int)SymbolAt(symbol)), offset);

    /// <summary>Writes a name, zero included, over the string table from <paramref name="offset"/>; it is not longer than the one there.</summary>
    public void OverwriteName(uint offset, string name)
    {
        byte[] text = Encoding.ASCII.GetBytes(name + '\0');
        if (text.Length > Text(offset).Length + 1) throw Bad($"'{name}' does not fit over '{Text(offset)}'");
        text.CopyTo(_bytes, (int)(_strings.Offset + offset));
    }

    /// <summary>The versions the file needs of other libraries, in file order.</summary>
    public List<VersionNeed> VersionNeeds()
    {
        List<VersionNeed> needs = [];
        if (_needs is not { Size: > 0 } section) return needs;
        long need = 0;
        while (true)
        {
            string library = Text(U32(In(section, need, NeedSize) + 4));
            int count = U16(In(section, need, NeedSize) + 2);
            long version = need + U32(In(section, need, NeedSize) + 8);
            for (int i = 0; i < count; i++)
            {
                long at = In(section, version, NeedSize);
                needs.Add(new VersionNeed(library, Text(U32(at + 8)), U16(at + 6), U16(at + 4), at + 4));
                uint step = U32(at + 12);
                if (step == 0 && i + 1 < count) throw Bad($"the versions it needs of {library} end after {i + 1} of {count}");
                version += step;
            }

            uint next = U32(In(section, need, NeedSize) + 12);
            if (next == 0) return needs;
            need += next;
        }
    }

    /// <summary>Changes the flags of a version need.</summary>
    public void SetFlags(VersionNeed need, ushort flags) => BinaryPrimitives.WriteUInt16LittleEndian(_bytes.AsSpan((int)need.FlagsOffset), flags);

    /// <summary>An error about this file.</summary>
    public InvalidDataException Bad(string problem) => new($"{_name}: {problem}. Restore the package and build again.");

    private Section[] ReadSections()
    {
        ulong table = U64(0x28);
        int size = U16(0x3A), count = U16(0x3C);
        if (size != SectionSize) throw Bad($"its section headers have {size} bytes, not {SectionSize}");
        if (table > (ulong)_bytes.Length || (ulong)count * SectionSize > (ulong)_bytes.Length - table)
        {
            throw Bad($"its {count} section headers at byte {table} lie beyond its {_bytes.Length} bytes (cut off?)");
        }

        Section[] sections = new Section[count];
        for (int i = 0; i < count; i++)
        {
            long at = (long)table + i * SectionSize;
            uint type = U32(at + 4);
            ulong offset = U64(at + 24), length = U64(at + 32);
            bool empty = type == 8; // takes no room in the file
            if (!empty && (offset > (ulong)_bytes.Length || length > (ulong)_bytes.Length - offset))
            {
                throw Bad($"section {i}, {length} bytes at byte {offset}, lies beyond its {_bytes.Length} bytes (cut off?)");
            }

            sections[i] = new Section(type, empty ? 0 : (long)offset, empty ? 0 : (long)length, U32(at + 40));
        }

        return sections;
    }

    private static Section? Find(Section[] sections, uint type)
    {
        foreach (Section section in sections)
        {
            if (section.Type == type) return section;
        }

        return null;
    }

    private string Text(uint offset)
    {
        if (offset >= _strings.Size) throw Bad($"a name at {offset} lies beyond the string table's {_strings.Size} bytes");
        ReadOnlySpan<byte> rest = _bytes.AsSpan((int)(_strings.Offset + offset), (int)(_strings.Size - offset));
        int end = rest.IndexOf((byte)0);
        return end < 0 ? throw Bad("a name has no end") : Encoding.Latin1.GetString(rest[..end]);
    }

    private long SymbolAt(int symbol) => In(_symbols, (long)symbol * SymbolSize, SymbolSize);

    private long VersionAt(int symbol) => In(_versions, (long)symbol * 2, 2);

    private long In(Section section, long offset, int size)
    {
        if (offset < 0 || offset > section.Size - size) throw Bad($"an entry at {offset} lies beyond its table's {section.Size} bytes");
        return section.Offset + offset;
    }

    private ushort U16(long offset) => BinaryPrimitives.ReadUInt16LittleEndian(_bytes.AsSpan((int)offset));

    private uint U32(long offset) => BinaryPrimitives.ReadUInt32LittleEndian(_bytes.AsSpan((int)offset));

    private ulong U64(long offset) => BinaryPrimitives.ReadUInt64LittleEndian(_bytes.AsSpan((int)offset));

    /// <summary>A version of a library that the file needs.</summary>
    /// <param name="Library">The library, e.g. libstdc++.so.6.</param>
    /// <param name="Version">The version, e.g. GLIBCXX_3.4.</param>
    /// <param name="Index">The index symbols refer to it by.</param>
    /// <param name="Flags">Its flags.</param>
    /// <param name="FlagsOffset">Where the flags are in the file.</param>
    public sealed record VersionNeed(string Library, string Version, int Index, ushort Flags, long FlagsOffset);

    private readonly record struct Section(uint Type, long Offset, long Size, uint Link);
}
