using RbeMl.Storage;

namespace RbeMl.Tests.Files;

/// <summary>A process that is killed at any step of a write leaves the old or the new, whole; the next write works and removes what it left.</summary>
public sealed class KilledTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData(KilledWork.File, true, 3)]
    [InlineData(KilledWork.Model, true, 3)]
    [InlineData(KilledWork.Folder, true, 9)]
    [InlineData(KilledWork.Folder, false, 11)]
    [InlineData(KilledWork.HuggingFace, true, 12)]
    [InlineData(KilledWork.Run, true, 10)]
    public void At_every_step_the_old_or_the_new_is_whole(string work, bool exchange, int steps)
    {
        List<string> found = [];
        for (int step = 1; ; step++)
        {
            string folder = Directory.CreateDirectory(_folder.File($"{step}")).FullName;
            KilledWork.Do(work, folder, "old");
            bool ended = KilledWork.DoUntil(work, folder, step, exchange);
            bool gone = !exchange && !Directory.Exists(Path.Combine(folder, "a"));
            if (gone) Assert.Contains(Directory.GetFileSystemEntries(folder), entry => entry.EndsWith(TemporaryNames.Replaced, StringComparison.Ordinal));
            found.Add(gone ? "gone" : KilledWork.Find(work, folder));
            if (work == KilledWork.Run) Assert.Equal("old", EarlierOrCurrent(folder)); // whatever happens, the earlier run's model is there

            if (gone)
            {
                Assert.Throws<InvalidOperationException>(() =>
                    AtomicFolder.Write(Path.Combine(folder, "a"), _ => true, _ => throw new InvalidOperationException("the next write fails too")));
            }

            Assert.Contains(KilledWork.Find(work, folder), new[] { "old", "new" });
            KilledWork.Do(work, folder, "new");
            Assert.Equal("new", KilledWork.Find(work, folder));
            Assert.DoesNotContain(Directory.GetFileSystemEntries(folder, "*", SearchOption.AllDirectories),
                entry => Path.GetFileName(entry).Contains("rbeml-", StringComparison.Ordinal));
            if (ended) break;
        }

        Assert.Equal(steps, found.Count - 1);
        Assert.Equal(("old", "new"), (found[0], found[^1]));
        Assert.Equal(found, found.OrderBy(state => state switch { "old" => 0, "gone" => 1, _ => 2 })); // once new, new
        Assert.Equal(exchange ? 0 : 1, found.Count(state => state == "gone"));
    }

    [Fact]
    public void What_living_processes_have_is_never_removed()
    {
        string file = TemporaryNames.New(_folder.Path, "a.txt", TemporaryNames.Temporary),
            folder = TemporaryNames.New(_folder.Path, "b", TemporaryNames.Temporary);
        File.WriteAllText(file, "half");
        Directory.CreateDirectory(folder);
        string[] dead =
            [.. new[] { file, folder }.Select(path => path.Replace($"rbeml-{Environment.ProcessId}-", $"rbeml-{int.MaxValue}-", StringComparison.Ordinal))];
        File.WriteAllText(dead[0], "half");
        Directory.CreateDirectory(Path.Combine(dead[1], "deep"));
        string[] others = [_folder.Write(".a.tmp", "a user's"), _folder.Write(".a.rbeml-x.tmp", "a user's"), _folder.Write("rbeml-notes.tmp", "a user's")];
        AtomicFile.WriteText(_folder.File("c.txt"), "new");
        Assert.All([file, folder, .. others], path => Assert.True(Path.Exists(path), path));
        Assert.All(dead, path => Assert.False(Path.Exists(path), path));
        TemporaryNames.Discard(file);
        TemporaryNames.Discard(folder);
    }

    [Fact]
    public void What_another_machine_has_locked_is_never_removed()
    {
        if (OperatingSystem.IsWindows()) return; // folders have no locks there
        string owner = $"rbeml-{int.MaxValue}-1-1";
        string file = _folder.Write($".a.{owner}.tmp", "half"), folder = Directory.CreateDirectory(_folder.File($".b.{owner}.tmp")).FullName;
        using (new FileStream(file, FileMode.Open, FileAccess.ReadWrite, FileShare.None))
        using (FolderLock.TryTake(folder))
        {
            AtomicFile.CheckFolder(_folder.Path);
            Assert.True(File.Exists(file) && Directory.Exists(folder), "removed under its owner");
        }

        AtomicFile.CheckFolder(_folder.Path);
        Assert.False(File.Exists(file) || Directory.Exists(folder), "kept without an owner");
    }

    [Fact]
    public void The_longest_names_that_a_file_system_has_are_written()
    {
        string name = new string('é', 127) + "a"; // 255 bytes
        if (OperatingSystem.IsWindows()) return; // counts characters, of the whole path
        AtomicFile.WriteText(_folder.File(name), "new");
        Assert.Equal("new", File.ReadAllText(_folder.File(name)));
        for (int i = 0; i < 2; i++)
        {
            AtomicFolder.Write(_folder.File(name + "/../" + new string('b', 255)), _ => true, folder => File.WriteAllText(Path.Combine(folder, "x"), "x"));
        }

        Assert.Equal(2, Directory.GetFileSystemEntries(_folder.Path).Length);
    }

    private static string EarlierOrCurrent(string folder)
    {
        string kept = Path.Combine(folder, "model-1.rbe");
        return File.ReadAllText(File.Exists(kept) ? kept : Path.Combine(folder, "model.rbe"))[..3];
    }
}
