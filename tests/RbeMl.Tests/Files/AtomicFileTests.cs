using RbeMl.Models.Files;

namespace RbeMl.Tests.Files;

public sealed class AtomicFileTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Replaces_the_whole_file()
    {
        string path = _folder.Write("a.txt", "a longer old text");
        AtomicFile.WriteText(path, "new");
        Assert.Equal("new", File.ReadAllText(path));
        Assert.Single(Directory.GetFileSystemEntries(_folder.Path));
    }

    [Fact]
    public void An_error_while_writing_keeps_the_old_file_and_leaves_nothing_behind()
    {
        string path = _folder.Write("a.txt", "old");
        InvalidOperationException error = Assert.Throws<InvalidOperationException>(() => AtomicFile.Write(path, stream =>
        {
            stream.Write("half of the new"u8);
            throw new InvalidOperationException("stop");
        }));
        Assert.Equal("stop", error.Message);
        Assert.Equal("old", File.ReadAllText(path));
        Assert.Single(Directory.GetFileSystemEntries(_folder.Path));
    }

    [Fact]
    public void A_full_disk_is_a_file_error_that_names_the_path()
    {
        string path = _folder.File("a.txt");
        RbeFileException error = Assert.Throws<RbeFileException>(() => AtomicFile.Write(path, _ => throw new IOException("No space left on device")));
        Assert.Equal(path, error.Path);
        Assert.Contains("No space left on device", error.Message);
        Assert.Empty(Directory.GetFileSystemEntries(_folder.Path));
    }

    [Fact]
    public void A_folder_that_cannot_be_written_to_is_a_file_error_with_the_mend()
    {
        string file = _folder.Write("file", "no folder");
        foreach (string path in new[] { _folder.File("missing/a.txt"), Path.Combine(file, "a.txt"), _folder.Path })
        {
            RbeFileException error = Assert.Throws<RbeFileException>(() => AtomicFile.WriteText(path, "x"));
            Assert.StartsWith(path, error.Message);
            Assert.Contains("Choose a folder", error.Message);
        }

        Assert.Throws<RbeFileException>(() => AtomicFile.CheckFolder(Path.Combine(file, "below")));
        Assert.Equal("no folder", File.ReadAllText(file));
    }

    [Fact]
    public void Checking_a_folder_makes_it_and_leaves_it_empty()
    {
        string folder = _folder.File("new/deep");
        AtomicFile.CheckFolder(folder);
        Assert.Empty(Directory.GetFileSystemEntries(folder));
    }

    [Fact]
    public void A_link_stays_a_link_and_permissions_stay()
    {
        if (OperatingSystem.IsWindows()) return;
        string target = _folder.Write("target.txt", "old"), link = _folder.File("link.txt");
        File.SetUnixFileMode(target, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        File.CreateSymbolicLink(link, target);
        AtomicFile.WriteText(link, "new");
        Assert.Equal(target, File.ResolveLinkTarget(link, true)?.FullName);
        Assert.Equal("new", File.ReadAllText(target));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(target));
    }

    [Fact]
    public void The_null_device_survives()
    {
        if (OperatingSystem.IsWindows()) return;
        AtomicFile.WriteText("/dev/null", "gone");
        Assert.Equal("", File.ReadAllText("/dev/null"));
    }
}
