using System.Diagnostics;
using RbeMl.Memory;
using RbeMl.Tests.Cli;
using RbeMl.Tests.Files;
using RbeMl.Tests.Support;

namespace RbeMl.Tests.Memory;

public sealed class SpillFileTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private string Folder => Path.GetDirectoryName(_folder.File("x"))!;

    private string[] Files => Directory.GetFiles(Folder, "*.spill");

    [Fact]
    public void Regions_give_back_what_was_written_and_the_file_goes_with_its_owner()
    {
        using (SpillFile file = new(Folder))
        {
            Assert.Empty(Files); // nothing before it is needed
            file.Prepare(100, 3);
            Assert.Equal([file.Path], Files);
            Assert.Equal(300, new FileInfo(file.Path).Length);
            for (int region = 2; region >= 0; region--)
            {
                byte[] bytes = [.. Enumerable.Range(0, 90).Select(i => (byte)(i + (region * 50)))];
                Write(file, region, 10, bytes);
            }

            byte[] back = new byte[80];
            for (int region = 0; region < 3; region++)
            {
                Read(file, region, 20, back);
                Assert.Equal(Enumerable.Range(10, 80).Select(i => (byte)(i + (region * 50))), back);
            }

            file.Prepare(80, 2); // fits already
            Assert.Equal((100, 3), (file.RegionBytes, file.Regions));
            file.Prepare(200, 3);
            Assert.Equal(600, new FileInfo(file.Path).Length);
            Assert.Throws<ArgumentOutOfRangeException>(() => Write(file, 0, 200, [1]));
            Assert.Throws<ArgumentOutOfRangeException>(() => Write(file, 3, 0, [1]));
        }

        Assert.Empty(Files);
    }

    [Fact]
    public void A_disk_without_that_much_space_is_a_typed_error_that_leaves_nothing()
    {
        using SpillFile file = new(Folder);
        RbeFileException error = Assert.Throws<RbeFileException>(() => file.Prepare(1L << 50, 8));
        Assert.Contains("no room for", error.Message, StringComparison.Ordinal);
        Assert.Equal(file.Path, error.Path);
        Assert.Empty(Files);
        file.Prepare(10, 1); // and a smaller one is fine
        Assert.Single(Files);
    }

    [Fact]
    public void A_missing_folder_is_a_typed_error() => Assert.Throws<RbeFileException>(() => new SpillFile(_folder.File("none")));

    [Fact]
    public void Only_the_files_of_dead_processes_are_deleted()
    {
        using SpillFile living = new(Folder);
        living.Prepare(10, 1);
        using Process self = Process.GetCurrentProcess();
        long ticks = self.StartTime.ToUniversalTime().Ticks;
        string dead = _folder.Write($"rbeml-{int.MaxValue}-{ticks}-1.spill", "dead"); // no system has that many processes
        string reused = _folder.Write($"rbeml-{self.Id}-{ticks - TimeSpan.FromHours(1).Ticks}-1.spill", "of an earlier process with this number");
        string[] kept =
            [living.Path, _folder.Write($"rbeml-{self.Id}-{ticks}-77.spill", "ours"), _folder.Write("rbeml-notes.spill", "a user's"),
                _folder.Write("rbeml-1-2.spill", "a user's")];
        new SpillFile(Folder).Dispose();
        Assert.False(File.Exists(dead) || File.Exists(reused));
        Assert.All(kept, file => Assert.True(File.Exists(file), file));
    }

    [Fact]
    public async Task What_a_killed_process_leaves_is_deleted_by_the_next_while_a_living_one_keeps_its_file()
    {
        using CancellationTokenSource patience = Patience.Start();
        using Process process = ProcessTests.Start(TinyJob.Args(_folder, "--steps", "100000000", "--offload", "spill"));
        Task<string> error = process.StandardError.ReadToEndAsync(patience.Token);
        string output = _folder.File("out");
        while (await process.StandardOutput.ReadLineAsync(patience.Token) is { } line)
        {
            if (line.Contains("step ", StringComparison.Ordinal)) break; // training
        }

        string spilled = Assert.Single(Directory.GetFiles(output, "*.spill"));
        new SpillFile(output).Dispose();
        Assert.True(File.Exists(spilled)); // its process lives
        process.Kill();
        await process.WaitForExitAsync(patience.Token);
        Assert.Equal("", await error);
        Assert.True(File.Exists(spilled));
        new SpillFile(output).Dispose();
        Assert.False(File.Exists(spilled));
    }

    private static unsafe void Write(SpillFile file, int region, long offset, byte[] bytes)
    {
        fixed (byte* p = bytes) file.Write(region, offset, p, bytes.Length);
    }

    private static unsafe void Read(SpillFile file, int region, long offset, byte[] bytes)
    {
        fixed (byte* p = bytes) file.Read(region, offset, p, bytes.Length);
    }
}
