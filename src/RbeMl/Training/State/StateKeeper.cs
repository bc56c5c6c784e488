using System.Diagnostics;
using RbeMl.Storage;

namespace RbeMl.Training;

/// <summary>
/// Keeps the state of a run in a file while the run lasts: goes on from one that is there, saves it when it is time and when the run is
/// cancelled, and deletes it when the run is complete. Without a path it does nothing.
/// </summary>
/// <param name="path">The file; null for none.</param>
/// <param name="every">How often it is saved.</param>
/// <param name="writes">Whether this rank writes it. All ranks go on from it.</param>
/// <param name="together">The ranks, where each has a part of the state and all save together, when it is time by the first one's clock; else null.</param>
internal sealed class StateKeeper(string? path, SaveInterval every, bool writes = true, RankTalk? together = null)
{
    private long _saved = Stopwatch.GetTimestamp();
    private int? _savedStep;

    /// <summary>Checks, before the first step, that the file can be written, and goes on from it if it is there.</summary>
    /// <param name="bytes">Bytes of a state.</param>
    /// <param name="resume">Resumes it.</param>
    /// <exception cref="RbeFileException">The file cannot be written, there is too little space, or what is there is no sound state.</exception>
    public void Begin(long bytes, Action<string> resume)
    {
        if (path is null) return;
        if (writes)
        {
            AtomicFile.CheckFile(path);
            AtomicFile.CheckSpace(Path.GetDirectoryName(Path.GetFullPath(path))!, bytes, "the training state");
        }

        if (File.Exists(path)) resume(path);
        _saved = Stopwatch.GetTimestamp();
    }

    /// <summary>Counts steps from here. Without it the run begins with the first that is told.</summary>
    public void StartAt(int step) => _savedStep = step;

    /// <summary>Saves after a step if it is time.</summary>
    /// <param name="step">Steps done.</param>
    /// <param name="save">Saves the state.</param>
    public void AfterStep(int step, Action<string> save)
    {
        if (path is null) return;
        bool due = every.IsDue(step, _savedStep ??= step - 1, Stopwatch.GetElapsedTime(_saved));
        if (together is not null) due = together.OfFirst(due ? 1 : 0) != 0;
        if (due) Save(step, save);
    }

    /// <summary>Saves when the run is cancelled. A state that nobody could go on from leaves the earlier one: the next step says what is wrong.</summary>
    public void Save(int step, Action<string> save)
    {
        if (path is null || !(writes || together is not null) || step == 0) return;
        (_saved, _savedStep) = (Stopwatch.GetTimestamp(), step);
        try
        {
            save(path);
        }
        catch (NonFiniteException)
        {
        }
    }

    /// <summary>Deletes the state of a run that is complete.</summary>
    public void Complete()
    {
        if (path is not null && writes) TemporaryNames.Delete(path);
    }
}
