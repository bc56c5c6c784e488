using System.Globalization;
using RbeMl.Files;
using RbeMl.Storage;

namespace RbeMl.Cli;

/// <summary>
/// The files of a run in its folder. Those of an earlier run are kept when the first of this run is written: <c>model.rbe</c> becomes <c>model-1.rbe</c>,
/// <c>metrics.json</c> becomes <c>metrics-1.json</c> and so on, with the first number that none of them has yet; training states that it left
/// likewise. Where a run was stopped before it replaced all files of the one before, those of each have a number of their own.
/// </summary>
internal sealed class RunFiles
{
    /// <summary>Name of the model's file.</summary>
    public const string ModelName = ModelSource.FileName;

    private readonly string _folder;
    private readonly string[] _earlier, _states;
    private readonly HashSet<string> _kept = [];
    private readonly Dictionary<string, int> _numbers = []; // of the earlier files, the same for those of one run

    /// <summary>Looks at a folder, and changes nothing there.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="overwrite">Whether files of an earlier run are replaced.</param>
    /// <param name="resumed">The run that is resumed, whose files are no earlier run's; null for a new one.</param>
    /// <exception cref="RbeFileException">They are to be replaced, and one is not of this command.</exception>
    public RunFiles(string folder, bool overwrite, string? resumed = null)
    {
        _folder = folder;
        string[] present = [.. All.Where(file => Path.Exists(file) && (resumed is null || RunOf(file) != resumed))];
        _states = [.. StateFiles.StepsIn(folder).Select(step => StateFiles.Of(folder, step)).Where(file => resumed is null || !StateFiles.IsOf(file, resumed))];
        if (overwrite && present.FirstOrDefault(file => !IsOurs(file)) is { } other)
        {
            throw new RbeFileException(other, "was not written by finetune, and --overwrite would replace it. Move it, or choose another --out.");
        }

        _earlier = overwrite ? [] : [.. present, .. _states];
        string[] runs = [.. present.Select(RunOf).OfType<string>().Distinct()];
        foreach (IGrouping<string?, string> files in _earlier.GroupBy(file =>
            _states.Contains(file) ? runs.FirstOrDefault(run => StateFiles.IsOf(file, run)) ?? RunOf(Model) : RunOf(file)))
        {
            int number = 1;
            while (_numbers.ContainsValue(number) || !IsFree(number, files.Key, [.. files])) number++;
            foreach (string file in files) _numbers[file] = number;
        }
    }

    public string Model => Path.Combine(_folder, ModelName);

    public string Zip => Path.Combine(_folder, "model.zip");

    public string Metrics => Path.Combine(_folder, "metrics.json");

    public string Report => Path.Combine(_folder, "report.html");

    /// <summary>A line a step.</summary>
    public string Lines => Path.Combine(_folder, "metrics.jsonl");

    /// <summary>Every option.</summary>
    public string Config => Path.Combine(_folder, "run.json");

    /// <summary>Every file that a run writes to its folder.</summary>
    public string[] All => [Model, Zip, Metrics, Report, Lines, Config];

    /// <summary>Where the files of the earlier run are once this one has written, by their kind.</summary>
    public IReadOnlyDictionary<string, string>? Kept => _earlier.Length == 0 ? null : _earlier.ToDictionary(file => Path.GetFileName(file)!, Numbered);

    /// <summary>A sentence that says where they are; null when there are none.</summary>
    public string? Earlier => Kept is { } kept
        ? $"The files of an earlier run in {_folder} are kept: {string.Join(", ", kept.Select(file => $"{file.Key} as {Path.GetFileName(file.Value)}"))}."
        : null;

    /// <summary>
    /// Renames the files of the earlier run, before the first of this one is written; of one that is replaced its training states are deleted.
    /// Its model has both names until then, so that one is always there.
    /// </summary>
    /// <exception cref="RbeFileException">They cannot be renamed; nothing is lost.</exception>
    public void KeepEarlier()
    {
        foreach (string file in _earlier.Where(file => !_kept.Contains(file)))
        {
            if (file == Model) AtomicFile.Link(file, Numbered(file));
            else AtomicFile.Move(file, Numbered(file));
            _kept.Add(file);
        }

        if (_earlier.Length > 0) return;
        foreach (string state in _states) TemporaryNames.Delete(state);
    }

    /// <summary>Renames one file of the earlier run, before this one writes its own of that name.</summary>
    /// <exception cref="RbeFileException">It cannot be renamed.</exception>
    public void Keep(string file)
    {
        if (!_earlier.Contains(file) || _kept.Contains(file)) return;
        AtomicFile.Move(file, Numbered(file));
        _kept.Add(file);
    }

    // The lines of the steps say nothing of their run, and are of that whose options stand beside them.
    private string? RunOf(string file) => file == Config || file == Lines ? RunMixture.RunIdOf(Config) : RunMixture.MarkOf(file)?.RunId;

    private string Numbered(string file) => Numbered(file, _numbers[file]);

    private string Numbered(string file, int number) =>
        Path.Combine(_folder, string.Create(CultureInfo.InvariantCulture, $"{Path.GetFileNameWithoutExtension(file)}-{number}{Path.GetExtension(file)}"));

    // No file has the number yet, or others of the same run alone.
    private bool IsFree(int number, string? run, string[] files)
    {
        if (files.Any(file => Path.Exists(Numbered(file, number)))) return false;
        if (!All.Any(file => Path.Exists(Numbered(file, number)))) return true;
        string? kept = RunMixture.RunIdOf(Numbered(Config, number)) ?? RunMixture.MarkOf(Numbered(Model, number))?.RunId;
        return run is not null && kept == run;
    }

    // By how it begins.
    private static bool IsOurs(string file)
    {
        if (!File.Exists(file)) return false;
        byte[] start = FileBeginning.Read(file);
        return Path.GetExtension(file) switch
        {
            ".rbe" => start.AsSpan().StartsWith((ReadOnlySpan<byte>)[0x89, (byte)'R', (byte)'B', (byte)'E']),
            ".zip" => start.AsSpan().StartsWith("PK"u8),
            ".jsonl" => start.Length == 0 || start.AsSpan().StartsWith("{\"step\":"u8),
            ".json" => start.AsSpan().IndexOf("\"steps\""u8) >= 0 || start.AsSpan().IndexOf("\"runId\""u8) >= 0,
            _ => start.AsSpan().IndexOf("RbeMl"u8) >= 0,
        };
    }
}

/// <summary>The first bytes of a file, where it says what it is.</summary>
internal static class FileBeginning
{
    private const int Most = 4096;

    /// <summary>Reads them.</summary>
    /// <exception cref="RbeFileException">The file cannot be read.</exception>
    public static byte[] Read(string file)
    {
        try
        {
            using FileStream stream = new(file, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
            byte[] bytes = new byte[Most];
            return bytes[..stream.ReadAtLeast(bytes, Most, throwOnEndOfStream: false)];
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new RbeFileException(file, $"cannot be read ({error.Message.TrimEnd('.')}). Check its permissions.", error);
        }
    }
}
