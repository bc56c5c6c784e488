namespace RbeMl.Oracle.Tests.Native;

public sealed class OlderLibstdcxxTests : IDisposable
{
    private const string Newer = OlderLibstdcxx.NewVersion, Older = OlderLibstdcxx.OldVersion;
    private readonly string _folder = Directory.CreateTempSubdirectory("rbeml-elf-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void PointsTheSymbolAtTheConstructorAndWeakensTheNeed()
    {
        byte[] bytes = Typical();
        Assert.True(OlderLibstdcxx.Mend(bytes, "x"));

        ElfFile elf = new(bytes, "x");
        Assert.Equal(["", "_ZSt4cout", OlderLibstdcxx.OldSymbol, "memcpy"], Enumerable.Range(0, elf.SymbolCount).Select(elf.NameOf));
        Assert.Equal(elf.VersionOf(1), elf.VersionOf(2));
        ElfFile.VersionNeed weak = Assert.Single(elf.VersionNeeds(), need => need.Flags == ElfFile.WeakFlag);
        Assert.Equal(Newer, weak.Version);
    }

    [Fact]
    public void ChangesNothingElse()
    {
        byte[] before = Typical(), after = Typical();
        Assert.True(OlderLibstdcxx.Mend(after, "x"));
        Assert.Equal(before.Length, after.Length);
        int changed = before.Zip(after).Count(pair => pair.First != pair.Second);

        // At most the new name and its zero, one byte of the flags and one of the symbol's version.
        Assert.InRange(changed, 3, OlderLibstdcxx.OldSymbol.Length + 3);
    }

    [Fact]
    public void UsesTheConstructorsNameWhereTheFileHasIt()
    {
        byte[] bytes = SyntheticElf.Make([Older, Newer], [(OlderLibstdcxx.NewSymbol, Newer), (OlderLibstdcxx.OldSymbol, Older)]);
        Assert.True(OlderLibstdcxx.Mend(bytes, "x"));
        ElfFile elf = new(bytes, "x");
        Assert.Equal(elf.NameOffset(2), elf.NameOffset(1));
        Assert.Equal(elf.VersionOf(2), elf.VersionOf(1));
    }

    [Fact]
    public void TheSecondRunChangesNothing()
    {
        byte[] bytes = Typical();
        Assert.True(OlderLibstdcxx.Mend(bytes, "x"));
        byte[] once = [.. bytes];
        Assert.False(OlderLibstdcxx.Mend(bytes, "x"));
        Assert.Equal(once, bytes);
    }

    [Fact]
    public void AFileThatDoesNotNeedTheVersionIsLeftAlone()
    {
        byte[] bytes = SyntheticElf.Make([Older], [("_ZSt4cout", Older)]);
        byte[] before = [.. bytes];
        Assert.False(OlderLibstdcxx.Mend(bytes, "x"));
        Assert.Equal(before, bytes);
        Assert.False(OlderLibstdcxx.Mend(SyntheticElf.Make([], [("memcpy", null)]), "x"));
    }

    [Fact]
    public void AFileThatNeedsAnotherSymbolOfTheVersionIsRefused()
    {
        byte[] bytes = SyntheticElf.Make([Older, Newer], [(OlderLibstdcxx.NewSymbol, Newer), ("_ZSt7unknownv", Newer)]);
        byte[] before = [.. bytes];
        InvalidDataException error = Assert.Throws<InvalidDataException>(() => OlderLibstdcxx.Mend(bytes, "lib.so"));
        Assert.Contains("lib.so", error.Message, StringComparison.Ordinal);
        Assert.Contains("_ZSt7unknownv", error.Message, StringComparison.Ordinal);
        Assert.Equal(before, bytes);
    }

    [Fact]
    public void AFileWithoutTheOlderVersionIsRefused() =>
        Assert.Throws<InvalidDataException>(() => OlderLibstdcxx.Mend(SyntheticElf.Make([Newer], [(OlderLibstdcxx.NewSymbol, Newer)]), "x"));

    [Fact]
    public void ATruncatedFileIsRefusedAtEveryLength()
    {
        byte[] whole = Typical();
        for (int length = 0; length < whole.Length; length++)
        {
            InvalidDataException error = Assert.Throws<InvalidDataException>(() => OlderLibstdcxx.Mend(whole[..length], "lib.so"));
            Assert.StartsWith("lib.so: ", error.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void DamageIsRefusedOrHarmless()
    {
        Random random = new(7);
        int refused = 0;
        for (int round = 0; round < 3000; round++)
        {
            byte[] bytes = Typical();
            for (int i = random.Next(1, 6); i > 0; i--) bytes[random.Next(bytes.Length)] = (byte)random.Next(256);

            // Any other exception, such as an index out of range, fails the test.
            if (Record.Exception(() => OlderLibstdcxx.Mend(bytes, "x")) is { } error)
            {
                Assert.IsType<InvalidDataException>(error);
                refused++;
            }
        }

        Assert.InRange(refused, 300, 2900);
    }

    [Fact]
    public void GarbageIsRefused()
    {
        byte[] noise = new byte[4096];
        new Random(1).NextBytes(noise);
        Assert.Contains("ELF magic", Assert.Throws<InvalidDataException>(() => OlderLibstdcxx.Mend(noise, "x")).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void AFileKeepsItsModeAndTimeAndLeavesNothingBeside()
    {
        string path = Path.Combine(_folder, "lib.so");
        File.WriteAllBytes(path, Typical());
        DateTime time = new(2024, 3, 1, 12, 0, 0, DateTimeKind.Utc);
        File.SetLastWriteTimeUtc(path, time);
        UnixFileMode mode = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;
        if (!OperatingSystem.IsWindows()) File.SetUnixFileMode(path, mode);

        Assert.True(OlderLibstdcxx.MendFile(path));
        Assert.False(OlderLibstdcxx.MendFile(path));
        Assert.Equal(time, File.GetLastWriteTimeUtc(path));
        if (!OperatingSystem.IsWindows()) Assert.Equal(mode, File.GetUnixFileMode(path));
        Assert.Equal([path], Directory.GetFiles(_folder));
    }

    [Fact]
    public async Task ManyAtOnceLeaveAWholeMendedFile()
    {
        string path = Path.Combine(_folder, "lib.so");
        File.WriteAllBytes(path, Typical());
        byte[] expected = Typical();
        Assert.True(OlderLibstdcxx.Mend(expected, "x"));

        bool[] changed = await Task.WhenAll(Enumerable.Range(0, 16).Select(_ => Task.Run(() => OlderLibstdcxx.MendFile(path))));
        Assert.Contains(true, changed);
        Assert.Equal(expected, File.ReadAllBytes(path));
        Assert.Equal([path], Directory.GetFiles(_folder));
    }

    [Fact]
    public void TheLibraryInUseIsMendedWhereItMustBeAndOnlyThere()
    {
        if (!OperatingSystem.IsLinux())
        {
            Assert.False(OlderLibstdcxx.IsNeeded);
            return;
        }

        string? inUse = OlderLibstdcxx.FindInOutput();
        Assert.NotNull(inUse);
        string copy = Path.Combine(_folder, "copy.so");
        File.Copy(inUse, copy);

        // On an older system the start of this assembly has mended it already; elsewhere it is as it came, and a copy of it can be mended.
        Assert.Equal(!OlderLibstdcxx.IsNeeded, OlderLibstdcxx.MendFile(copy));
        Assert.False(OlderLibstdcxx.MendFile(copy));
        using TorchSharp.torch.Tensor sum = TorchSharp.torch.ones(3) + 2;
        Assert.Equal([3f, 3f, 3f], sum.data<float>().ToArray());
    }

    private static byte[] Typical() => SyntheticElf.Make([Older, Newer], [("_ZSt4cout", Older), (OlderLibstdcxx.NewSymbol, Newer), ("memcpy", null)]);
}
