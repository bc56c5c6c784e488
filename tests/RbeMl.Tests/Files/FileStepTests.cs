using RbeMl.Storage;

namespace RbeMl.Tests.Files;

/// <summary>The steps that writers take, as they were taken: a name counts when the system has its folder on the disk.</summary>
public sealed class FileStepTests : IDisposable
{
    private const string Sync = "sync a file", SyncFolder = "sync a folder";
    private readonly TemporaryFolder _folder = new();
    private readonly List<(string Step, string Path, bool Done)> _taken = [];

    public FileStepTests() => FileSteps.After += Tell;

    public void Dispose()
    {
        FileSteps.After -= Tell;
        _folder.Dispose();
    }

    [Theory]
    [InlineData(KilledWork.File)]
    [InlineData(KilledWork.Model)]
    [InlineData(KilledWork.Folder)]
    [InlineData(KilledWork.HuggingFace)]
    [InlineData(KilledWork.Run)]
    public void After_every_new_name_its_folder_is_synced(string work)
    {
        if (OperatingSystem.IsWindows()) return; // it has no such call
        foreach (string text in (string[])["old", "new"])
        {
            _taken.Clear();
            KilledWork.Do(work, _folder.Path, text);
            int named = 0;
            for (int i = 0; i < _taken.Count; i++)
            {
                (string step, string path, bool done) = _taken[i];
                Assert.True(done, $"{step} {path}: the system did not");
                if (step is Sync or SyncFolder or "delete the old folder") continue;
                Assert.Equal((SyncFolder, Path.GetDirectoryName(path), true), _taken[i + 1]);
                named++;
            }

            Assert.True(named > 0, "no name was given");
        }
    }

    [Fact]
    public void A_file_is_synced_before_its_name_and_the_folder_after_it()
    {
        AtomicFile.WriteText(_folder.File("a"), "new");
        Assert.Equal([Sync, "rename a file", SyncFolder], Steps());
        AtomicFile.Link(_folder.File("a"), _folder.File("b"));
        AtomicFile.Move(_folder.File("b"), _folder.File("c"));
        Assert.Equal(["link", SyncFolder, "rename", SyncFolder], Steps()[3..]);
    }

    [Fact]
    public void All_files_and_folders_of_a_folder_are_synced_before_its_name()
    {
        string[] expected = [Sync, Sync, SyncFolder, SyncFolder, "rename a folder", SyncFolder];
        Write();
        Assert.Equal(expected, Steps());
        _taken.Clear();
        Write();
        Assert.Equal([.. expected[..4], OperatingSystem.IsWindows() ? "rename the old folder" : "exchange folders"], Steps()[..5]);
        Assert.Equal("delete the old folder", Steps()[^1]);

        void Write() => AtomicFolder.Write(_folder.File("f"), _ => true, folder =>
        {
            Directory.CreateDirectory(Path.Combine(folder, "inner"));
            File.WriteAllText(Path.Combine(folder, "one"), "x");
            File.WriteAllText(Path.Combine(folder, "inner", "two"), "x");
        });
    }

    private string[] Steps() => [.. _taken.Where(t => t.Done).Select(t => t.Step)];

    // Other tests write at the same time, elsewhere.
    private void Tell(string step, string path, bool done)
    {
        if (!path.StartsWith(_folder.Path, StringComparison.Ordinal)) return;
        lock (_taken) _taken.Add((step, path, done));
    }
}
