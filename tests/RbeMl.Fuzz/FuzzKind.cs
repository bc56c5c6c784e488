namespace RbeMl.Fuzz;

/// <summary>A kind of file: makes sound samples and damages them, loads what came of it, and uses what loaded.</summary>
internal abstract class FuzzKind
{
    /// <summary>Its name on the command line and in findings.</summary>
    public abstract string Name { get; }

    /// <summary>Bytes that loading may allocate beside twice those of the files: buffers of a fixed size, objects of a reader.</summary>
    public virtual long Room => 3 << 20;

    /// <summary>The damaged files of a case.</summary>
    public abstract IReadOnlyList<(string Name, byte[] Bytes)> Make(Dice dice);

    /// <summary>Loads them.</summary>
    public abstract object? Load(CaseFiles files, Dice dice);

    /// <summary>Uses what loaded.</summary>
    public virtual void Use(object loaded, Dice dice)
    {
    }

    /// <summary>Whether an error is one that this library promises.</summary>
    public virtual bool IsPromised(Exception error) => error is RbeException;
}

/// <summary>A kind of a single file.</summary>
internal abstract class SingleFileKind(Func<IReadOnlyList<byte[]>> samples) : FuzzKind
{
    private readonly Lazy<IReadOnlyList<byte[]>> _samples = new(samples);

    /// <summary>The file's name where it is written to a folder.</summary>
    protected virtual string FileName => "file.bin";

    /// <inheritdoc/>
    public override IReadOnlyList<(string Name, byte[] Bytes)> Make(Dice dice) =>
        [(FileName, Mutate(dice.Pick(_samples.Value), dice, dice.Pick(_samples.Value)))];

    /// <summary>Damages one sample; <paramref name="other"/> is another to take parts of.</summary>
    protected abstract byte[] Mutate(byte[] sample, Dice dice, byte[] other);
}
