using System.IO.MemoryMappedFiles;

namespace RbeMl.Fuzz;

/// <summary>What a worker has done, in a file that its supervisor reads even when the worker died: the case it is at, and counts of every kind.</summary>
internal sealed class Progress : IDisposable
{
    private const int Fields = 6;
    private readonly MemoryMappedFile _file;
    private readonly MemoryMappedViewAccessor _view;

    /// <summary>Opens or makes the file.</summary>
    public Progress(string path, int kinds)
    {
        _file = MemoryMappedFile.CreateFromFile(path, FileMode.OpenOrCreate, null, 8 * (1 + (kinds * Fields)));
        _view = _file.CreateViewAccessor();
    }

    /// <summary>The case that runs now: number x kinds + kind.</summary>
    public long Current { get => _view.ReadInt64(0); set => _view.Write(0, value); }

    /// <summary>Counts of a kind.</summary>
    public Counts this[int kind]
    {
        get => new(Read(kind, 0), Read(kind, 1), Read(kind, 2), Read(kind, 3), Read(kind, 4));
        set
        {
            long[] values = [value.Cases, value.Loaded, value.Faults, value.MostAllocated, value.Microseconds];
            for (int i = 0; i < values.Length; i++) _view.Write(8 * (1 + (kind * Fields) + i), values[i]);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _view.Dispose();
        _file.Dispose();
    }

    private long Read(int kind, int field) => _view.ReadInt64(8 * (1 + (kind * Fields) + field));
}

/// <summary>Counts of a kind.</summary>
/// <param name="Cases">Cases run.</param>
/// <param name="Loaded">Those that loaded.</param>
/// <param name="Faults">Those that were findings.</param>
/// <param name="MostAllocated">Most bytes that loading allocated.</param>
/// <param name="Microseconds">Processor time.</param>
internal readonly record struct Counts(long Cases, long Loaded, long Faults, long MostAllocated, long Microseconds)
{
    /// <summary>With one case more.</summary>
    public Counts With(CaseResult result) => new(
        Cases + 1, Loaded + (result.Loaded ? 1 : 0), Faults + (result.Fault is null ? 0 : 1), Math.Max(MostAllocated, result.Allocated),
        Microseconds + (long)(result.Seconds * 1e6));

    /// <summary>The counts of two workers together.</summary>
    public static Counts operator +(Counts a, Counts b) =>
        new(a.Cases + b.Cases, a.Loaded + b.Loaded, a.Faults + b.Faults, Math.Max(a.MostAllocated, b.MostAllocated), a.Microseconds + b.Microseconds);
}
