using System.Diagnostics;
using RbeMl.Storage;
using RbeMl.Tests.Support;

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

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_pipe_is_written_to_and_stays_a_pipe(bool throughLinks)
    {
        if (OperatingSystem.IsWindows()) return;
        string pipe = _folder.File("pipe"), path = pipe;
        using (Process make = Process.Start("mkfifo", [pipe])) await make.WaitForExitAsync();
        if (throughLinks)
        {
            path = _folder.File("link");
            File.CreateSymbolicLink(_folder.File("middle"), "pipe");
            File.CreateSymbolicLink(path, _folder.File("middle"));
        }

        foreach (string text in new[] { "first", "second" })
        {
            Task<string> reader = Read(pipe);
            await Task.Run(() => AtomicFile.WriteText(path, text)).WaitAsync(Patience.Limit);
            Assert.Equal(text, await reader.WaitAsync(Patience.Limit));
        }

        Assert.Equal(throughLinks ? 3 : 1, Directory.GetFileSystemEntries(_folder.Path).Length);
        AtomicFile.CheckFile(path);
        Assert.False(AtomicFile.IsSame(path, pipe));
    }

    // In a process of its own: a reader that waits for a writer cannot be stopped otherwise.
    private static async Task<string> Read(string pipe)
    {
        using Process reader = Process.Start(new ProcessStartInfo("timeout", ["20", "cat", pipe]) { RedirectStandardOutput = true })!;
        return await reader.StandardOutput.ReadToEndAsync();
    }

    [Fact]
    public void A_file_in_shared_memory_is_replaced_as_a_whole()
    {
        if (!Directory.Exists("/dev/shm")) return;
        string folder = Path.Combine("/dev/shm", Path.GetRandomFileName()), path = Path.Combine(folder, "a.txt");
        Directory.CreateDirectory(folder);
        try
        {
            File.WriteAllText(path, "a longer old text");
            AtomicFile.WriteText(path, "new");
            Assert.Equal("new", File.ReadAllText(path));
            Assert.Throws<RbeFileException>(() => AtomicFile.Write(path, stream =>
            {
                stream.Write("half of the newest"u8);
                throw new IOException("stop");
            }));
            Assert.Equal("new", File.ReadAllText(path));
            Assert.Single(Directory.GetFileSystemEntries(folder));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public void Links_in_a_circle_are_a_file_error()
    {
        if (OperatingSystem.IsWindows()) return;
        File.CreateSymbolicLink(_folder.File("a"), _folder.File("b"));
        File.CreateSymbolicLink(_folder.File("b"), _folder.File("a"));
        Assert.Contains("circle", Assert.Throws<RbeFileException>(() => AtomicFile.WriteText(_folder.File("a"), "x")).Message);
        Assert.Contains("circle", Assert.Throws<RbeFileException>(() => AtomicFile.CheckFile(_folder.File("a"))).Message);
    }

    [Fact]
    public void An_open_descriptor_is_written_after_what_is_there()
    {
        if (!OperatingSystem.IsLinux()) return;
        string path = _folder.Write("log.txt", "line\n");
        using FileStream open = new(path, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite);
        AtomicFile.WriteText($"/proc/self/fd/{open.SafeFileHandle.DangerousGetHandle()}", "json");
        Assert.Equal("line\njson", File.ReadAllText(path));
        Assert.Equal(9, open.Length);
    }

    [Fact]
    public void Checking_a_file_finds_what_writing_would()
    {
        AtomicFile.CheckFile(_folder.File("new/a.txt"));
        AtomicFile.WriteText(_folder.File("new/a.txt"), "x");
        Assert.Contains("is a folder", Assert.Throws<RbeFileException>(() => AtomicFile.CheckFile(_folder.File("new"))).Message);
        Assert.Contains("cannot write to this folder", Assert.Throws<RbeFileException>(() => AtomicFile.CheckFile(_folder.File("new/a.txt/b"))).Message);
        Assert.True(AtomicFile.IsSame(_folder.File("new/../a"), _folder.File("a")));
        Assert.False(AtomicFile.IsSame(_folder.File("a"), _folder.File("b")));
    }

    [Theory]
    [InlineData("x", 255)]
    [InlineData("x", 240)]
    [InlineData("é", 254)]
    [InlineData("語", 255)]
    [InlineData("😀", 252)]
    public void Names_as_long_as_file_systems_have_room_for_are_written(string character, int bytes)
    {
        string name = string.Concat(Enumerable.Repeat(character, bytes / System.Text.Encoding.UTF8.GetByteCount(character)));
        if (!OperatingSystem.IsLinux()) return; // others count otherwise, or change names
        string path = _folder.File(name), folder = _folder.File("deep"), inner = Path.Combine(folder, name);
        AtomicFile.CheckFile(path);
        AtomicFile.WriteText(path, "first");
        AtomicFile.WriteText(path, "second");
        Assert.Equal("second", File.ReadAllText(path));
        Directory.CreateDirectory(folder);
        AtomicFolder.Write(inner, _ => true, target => File.WriteAllText(Path.Combine(target, "a"), "x"));
        AtomicFolder.Write(inner, _ => true, target => File.WriteAllText(Path.Combine(target, "b"), "y"));
        Assert.Equal([Path.Combine(inner, "b")], Directory.GetFileSystemEntries(inner));
        Assert.Equal([inner], Directory.GetFileSystemEntries(folder));
    }
}
