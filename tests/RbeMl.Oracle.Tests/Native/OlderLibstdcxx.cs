using System.Runtime.InteropServices;

namespace RbeMl.Oracle.Tests.Native;

/// <summary>
/// TorchSharp's native library is linked with gcc 13: it needs version GLIBCXX_3.4.32 of libstdc++, and of that version a single symbol, a marker
/// that nothing calls. On a system with an older libstdc++ the loader refuses it. There, and only there, <see cref="MendOutput"/> changes the copy
/// in the build output: the need becomes weak, and the marker becomes <c>std::ios_base::Init::Init()</c>, which does the same work in every version.
/// </summary>
internal static class OlderLibstdcxx
{
    /// <summary>The symbol that older libraries lack.</summary>
    public const string NewSymbol = "_ZSt21ios_base_library_initv";

    /// <summary>std::ios_base::Init::Init(), which every version has.</summary>
    public const string OldSymbol = "_ZNSt8ios_base4InitC1Ev";

    /// <summary>The version of <see cref="NewSymbol"/>.</summary>
    public const string NewVersion = "GLIBCXX_3.4.32";

    /// <summary>The version of <see cref="OldSymbol"/>.</summary>
    public const string OldVersion = "GLIBCXX_3.4";

    private const string Library = "libLibTorchSharp.so", StandardLibrary = "libstdc++.so.6";

    /// <summary>Whether this is a Linux x64 whose libstdc++, the one this process has loaded, lacks the symbol.</summary>
    public static bool IsNeeded =>
        OperatingSystem.IsLinux()
        && RuntimeInformation.ProcessArchitecture == Architecture.X64
        && NativeLibrary.TryLoad(StandardLibrary, out nint library)
        && !NativeLibrary.TryGetExport(library, NewSymbol, out _);

    /// <summary>Mends TorchSharp's native library in the build output where that is needed. Call it before the first use of TorchSharp.</summary>
    /// <exception cref="InvalidDataException">The library is damaged or needs more than one symbol of the newer version.</exception>
    public static void MendOutput()
    {
        if (IsNeeded && FindInOutput() is { } path) MendFile(path);
    }

    /// <summary>The file the runtime loads, if it lies in the build output; a package cache is not ours to change.</summary>
    public static string? FindInOutput()
    {
        string output = Path.GetFullPath(AppContext.BaseDirectory);
        string? search = AppContext.GetData("NATIVE_DLL_SEARCH_DIRECTORIES") as string;
        IEnumerable<string> folders = (search ?? "").Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries)
            .Append(Path.Combine(output, "runtimes", "linux-x64", "native"))
            .Append(output);
        string? found = folders.Select(folder => Path.GetFullPath(Path.Combine(folder, Library))).FirstOrDefault(File.Exists);
        return found is not null && found.StartsWith(output, StringComparison.Ordinal) ? found : null;
    }

    /// <summary>Mends one file. It is replaced as a whole, so that processes that do this at the same time, or have it loaded, come to no harm.</summary>
    /// <returns>Whether it was changed; a mended file and one that needs no mending are left as they are.</returns>
    /// <exception cref="InvalidDataException">The file is damaged or needs more than one symbol of the newer version.</exception>
    public static bool MendFile(string path)
    {
        byte[] bytes = File.ReadAllBytes(path);
        if (!Mend(bytes, path)) return false;
        string temporary = $"{path}.{Environment.ProcessId}.{Guid.NewGuid():N}";
        try
        {
            File.WriteAllBytes(temporary, bytes);
            if (!OperatingSystem.IsWindows()) File.SetUnixFileMode(temporary, File.GetUnixFileMode(path));
            File.SetLastWriteTimeUtc(temporary, File.GetLastWriteTimeUtc(path)); // so that the next build finds nothing to copy
            File.Move(temporary, path, overwrite: true);
        }
        finally
        {
            File.Delete(temporary);
        }

        return true;
    }

    /// <summary>Mends the bytes of a library in place.</summary>
    /// <returns>Whether they were changed.</returns>
    /// <exception cref="InvalidDataException">The library is damaged or needs more than one symbol of the newer version.</exception>
    public static bool Mend(byte[] bytes, string name)
    {
        ElfFile elf = new(bytes, name);
        List<ElfFile.VersionNeed> needs = [.. elf.VersionNeeds().Where(need => need.Library == StandardLibrary)];
        if (needs.Find(need => need.Version == NewVersion) is not { } newer) return false;

        List<int> users = [.. Enumerable.Range(0, elf.SymbolCount).Where(symbol => elf.VersionOf(symbol) == newer.Index)];
        if (users.Count == 0 && (newer.Flags & ElfFile.WeakFlag) != 0) return false;
        if (users.FirstOrDefault(symbol => elf.NameOf(symbol) != NewSymbol, -1) is >= 0 and int other)
        {
            throw elf.Bad($"it needs {elf.NameOf(other)} of {NewVersion}, for which older libraries have no substitute");
        }

        if (needs.Find(need => need.Version == OldVersion) is not { } older) throw elf.Bad($"it needs {NewVersion} but not {OldVersion}");
        foreach (int symbol in users)
        {
            Rename(elf, symbol);
            elf.SetVersion(symbol, checked((ushort)older.Index));
        }

        elf.SetFlags(newer, (ushort)(newer.Flags | ElfFile.WeakFlag));
        return true;
    }

    // Points the symbol at the old name where the library has it, otherwise writes the old (shorter) name over the new one.
    private static void Rename(ElfFile elf, int symbol)
    {
        List<int> others = [.. Enumerable.Range(0, elf.SymbolCount).Where(other => other != symbol)];
        if (others.FirstOrDefault(other => elf.NameOf(other) == OldSymbol, -1) is >= 0 and int old)
        {
            elf.SetNameOffset(symbol, elf.NameOffset(old));
            return;
        }

        uint place = elf.NameOffset(symbol);
        if (others.FirstOrDefault(other => elf.NameOffset(other) is var offset && offset >= place && offset < place + NewSymbol.Length,
            -1) is >= 0 and int shared)
        {
            throw elf.Bad($"the name {NewSymbol} is shared with {elf.NameOf(shared)}");
        }

        elf.OverwriteName(place, OldSymbol);
    }
}
