using System.Globalization;

namespace RbeMl;

/// <summary>Base of every error this library raises for bad input. The message names both sides and the mend.</summary>
public abstract class RbeException : Exception
{
    private protected RbeException(string message, Exception? inner = null)
        : base(message, inner)
    {
    }
}

/// <summary>Two shapes that must agree do not.</summary>
public sealed class ShapeMismatchException : RbeException
{
    /// <summary>Creates the error.</summary>
    /// <param name="what">The thing whose shape is wrong, e.g. <c>"input of block 3"</c>.</param>
    /// <param name="expected">The shape required.</param>
    /// <param name="actual">The shape found.</param>
    /// <param name="mend">What the caller can do about it.</param>
    public ShapeMismatchException(string what, string expected, string actual, string mend)
        : base($"{what}: expected {expected}, got {actual}. {mend}")
    {
    }
}

/// <summary>A setting is outside its range or contradicts another.</summary>
public sealed class InvalidSettingException : RbeException
{
    /// <summary>Creates the error.</summary>
    /// <param name="setting">Name of the setting.</param>
    /// <param name="value">The value given.</param>
    /// <param name="mend">The values that are allowed.</param>
    public InvalidSettingException(string setting, object? value, string mend)
        : base($"{setting} = {value}: {mend}")
    {
        Setting = setting;
    }

    /// <summary>Name of the offending setting.</summary>
    public string Setting { get; }
}

/// <summary>Two calls at the same time on an object that serves one at a time: a workspace, a context, a cache, a generator.</summary>
public sealed class ConcurrentUseException : RbeException
{
    /// <summary>Creates the error.</summary>
    /// <param name="what">Type of the object.</param>
    public ConcurrentUseException(string what)
        : base($"{what}: a call is in the middle of using it, a second one at the same time was refused. Give each thread an object of "
            + $"its own, or let one call end before the next.")
    {
    }
}

/// <summary>A training does not fit into the memory it may use, whatever is recomputed or offloaded.</summary>
public sealed class MemoryLimitException : RbeException
{
    /// <summary>Creates the error.</summary>
    /// <param name="limitBytes">The limit.</param>
    /// <param name="leastBytes">The least limit that would do.</param>
    /// <param name="what">What the least is made of, and the settings that were given.</param>
    public MemoryLimitException(long limitBytes, long leastBytes, string what)
        : base(string.Create(
            System.Globalization.CultureInfo.InvariantCulture,
            $"memory limit of {limitBytes / MiB} MiB: the least possible is {(leastBytes + MiB - 1) / MiB} MiB ({what}). Raise the limit, or use fewer "
                + $"or shorter sequences."))
    {
        (LimitBytes, LeastBytes) = (limitBytes, leastBytes);
    }

    private MemoryLimitException(string message, long limitBytes, long leastBytes)
        : base(message) => (LimitBytes, LeastBytes) = (limitBytes, leastBytes);

    /// <summary>The error for what, without a limit of its own, does not fit into the machine.</summary>
    /// <param name="machineBytes">What the process may have.</param>
    /// <param name="bytes">What it would take.</param>
    /// <param name="what">What that is made of, and the settings that were given.</param>
    internal static MemoryLimitException OfMachine(long machineBytes, long bytes, string what) => new(
        string.Create(
            System.Globalization.CultureInfo.InvariantCulture,
            $"this machine gives {machineBytes / MiB} MiB of memory: {(bytes + MiB - 1) / MiB} MiB are needed ({what}). Use fewer or shorter sequences "
                + $"or a smaller model; a memory limit finds the way to train that takes least."),
        machineBytes,
        bytes);

    /// <summary>The limit.</summary>
    public long LimitBytes { get; }

    /// <summary>The least limit that would do, for the same batch and settings.</summary>
    public long LeastBytes { get; }

    private const long MiB = 1 << 20;
}

/// <summary>A token id is outside the vocabulary, or a sequence is longer than the model's positions.</summary>
public sealed class TokenException : RbeException
{
    /// <summary>Creates the error with a full message.</summary>
    public TokenException(string message)
        : base(message)
    {
    }
}

/// <summary>A NaN or an infinity, reported where it was made.</summary>
public sealed class NonFiniteException : RbeException
{
    private readonly string _detail;

    /// <summary>Creates the error.</summary>
    /// <param name="where">The layer or tensor that holds the value.</param>
    /// <param name="detail">Value, index, step, and the mend.</param>
    public NonFiniteException(string where, string detail)
        : base($"{where}: {detail}")
    {
        Where = where;
        _detail = detail;
    }

    /// <summary>The layer or tensor that holds the value.</summary>
    public string Where { get; }

    /// <summary>Value, index, step, and the mend.</summary>
    internal string Detail => _detail;

    /// <summary>The same error, with what it happened in before its place.</summary>
    /// <param name="outer">Such as <c>step 7</c>.</param>
    internal NonFiniteException Within(string outer) => new($"{outer}, {Where}", _detail);
}

/// <summary>A compressed matrix claims less error than its bits can give: the codec, the count of bits or the measurement is at fault, not the input.</summary>
public sealed class CodecDefectException : RbeException
{
    /// <summary>Creates the error.</summary>
    /// <param name="matrix">Name of the matrix.</param>
    /// <param name="relativeError">The error claimed.</param>
    /// <param name="bitsPerWeight">The bits counted for a weight.</param>
    /// <param name="floor">The least error that they can give on these weights.</param>
    public CodecDefectException(string matrix, double relativeError, double bitsPerWeight, double floor)
        : base(string.Create(CultureInfo.InvariantCulture,
            $"{matrix}: relative error {relativeError:G4} at {bitsPerWeight:F3} bits a weight, expected at least {floor:G4}. This is a defect of the "
                + $"codec or of its bookkeeping: report it with the matrix and its options, and do not trust the result."))
    {
        Matrix = matrix;
        RelativeError = relativeError;
        BitsPerWeight = bitsPerWeight;
        Floor = floor;
    }

    /// <summary>Name of the matrix.</summary>
    public string Matrix { get; }

    /// <summary>The error claimed.</summary>
    public double RelativeError { get; }

    /// <summary>The bits counted for a weight.</summary>
    public double BitsPerWeight { get; }

    /// <summary>The least error that they can give on these weights.</summary>
    public double Floor { get; }
}

/// <summary>A file is unreadable, truncated, damaged, of an unknown kind or version, or cannot be written.</summary>
public sealed class RbeFileException : RbeException
{
    /// <summary>Creates the error.</summary>
    /// <param name="path">The file.</param>
    /// <param name="problem">What is wrong and what to do about it.</param>
    /// <param name="inner">The cause, if any.</param>
    public RbeFileException(string path, string problem, Exception? inner = null)
        : base($"{path}: {problem}", inner)
    {
        Path = path;
    }

    /// <summary>The file.</summary>
    public string Path { get; }
}

/// <summary>A training state is of another run than the one that is to resume it: another model, data or setting, or its run is complete.</summary>
public sealed class StateMismatchException : RbeException
{
    /// <summary>Creates the error.</summary>
    /// <param name="path">The state's file.</param>
    /// <param name="what">What differs.</param>
    /// <param name="saved">What the state says of it.</param>
    /// <param name="asked">What the run has that is to resume it.</param>
    /// <param name="mend">What the caller can do about it.</param>
    public StateMismatchException(string path, string what, string saved, string asked, string mend)
        : base($"{path}: {what}: the training state has {saved}, this run has {asked}. {mend}")
    {
        Path = path;
        What = what;
        Saved = saved;
        Asked = asked;
        Mend = mend;
    }

    /// <summary>The state's file.</summary>
    public string Path { get; }

    /// <summary>What differs.</summary>
    public string What { get; }

    /// <summary>What the state says of it.</summary>
    public string Saved { get; }

    /// <summary>What the run has that is to resume it.</summary>
    public string Asked { get; }

    /// <summary>What the caller can do about it.</summary>
    public string Mend { get; }
}

/// <summary>A delta is of another model than the one that it is to be used on.</summary>
public sealed class DeltaMismatchException : RbeException
{
    /// <summary>Creates the error.</summary>
    /// <param name="path">The delta's file.</param>
    /// <param name="saved">The model that the delta is of, in words.</param>
    /// <param name="given">The model that is there.</param>
    public DeltaMismatchException(string path, string saved, string given)
        : base($"{path}: the delta belongs to a model of {saved}; this one has {given}. Give the model that it was trained on.")
    {
        Path = path;
    }

    /// <summary>The delta's file.</summary>
    public string Path { get; }
}

/// <summary>No choice of formats meets a target of size or error.</summary>
public sealed class UnreachableTargetException : RbeException
{
    /// <summary>Creates the error.</summary>
    /// <param name="target">What was asked for.</param>
    /// <param name="best">The best that can be reached, in the target's unit.</param>
    /// <param name="mend">What the caller can do about it.</param>
    public UnreachableTargetException(string target, double best, string mend)
        : base(FormattableString.Invariant($"{target} cannot be reached: the best is {best:G4}. {mend}")) => Best = best;

    /// <summary>The best that can be reached, in the target's unit.</summary>
    public double Best { get; }
}

/// <summary>A training of several ranks cannot go on: one failed, or they differ in what they must share, or there is no way from one to another.</summary>
public sealed class DistributedException : RbeException
{
    /// <summary>Creates the error.</summary>
    /// <param name="rank">The rank that it is about; null where it is about all.</param>
    /// <param name="problem">What is wrong and what to do about it.</param>
    /// <param name="inner">The cause, if it happened in this rank.</param>
    public DistributedException(int? rank, string problem, Exception? inner = null)
        : base(rank is { } number ? string.Create(CultureInfo.InvariantCulture, $"rank {number}: {problem}") : problem, inner)
    {
        Rank = rank;
    }

    /// <summary>The rank that it is about; null where it is about all.</summary>
    public int? Rank { get; }
}
