using RbeMl.Numerics;

namespace RbeMl.Memory;

/// <summary>What becomes of a block's saved activations between its forward and its backward.</summary>
public enum ActivationOffload
{
    /// <summary>They stay where the forward wrote them.</summary>
    None,

    /// <summary>
    /// Panels are held as bf16 and expanded into shared scratch for the backward: half the memory, gradients change by the rounding (at
    /// most 2^-8 of a value, in the norm less than 2^-9).
    /// </summary>
    BFloat16,

    /// <summary>They go to a temporary file as they are and come back for the backward: the same gradients, bit for bit.</summary>
    Spill,
}

/// <summary>Holds arrays of one block's forward, one after the other, and gives them back in the same order.</summary>
/// <typeparam name="T">Element type.</typeparam>
internal abstract unsafe class ActivationStore<T> : IDisposable
    where T : unmanaged
{
    private const int Piece = 1 << 18; // elements that one thread moves at a time
    private const int Alignment = 64;
    private long _next;

    /// <summary>Bytes of native memory held.</summary>
    public abstract long AllocatedBytes { get; }

    /// <summary>Whether arrays that may be rounded are.</summary>
    protected abstract bool Rounds { get; }

    /// <summary>Bytes that an array takes, rounded to bf16 or as it is.</summary>
    public static long BytesOf(long count, bool rounded) => ((count * (rounded ? sizeof(ushort) : sizeof(T))) + Alignment - 1) / Alignment * Alignment;

    /// <summary>Makes room for that many bytes.</summary>
    public abstract void Prepare(long bytes);

    /// <summary>Starts again with the first array.</summary>
    public void Rewind() => _next = 0;

    /// <summary>Puts the next array away, or brings it back; one that may be <paramref name="rounded"/> is if this store does so.</summary>
    public void Move(T* values, long count, bool rounded, bool save, WorkerPool workers)
    {
        rounded &= Rounds;
        Work work = new(this, values, count, _next, rounded, save);
        workers.For(checked((int)((count + Piece - 1) / Piece)), ref work);
        _next += BytesOf(count, rounded);
    }

    /// <inheritdoc/>
    public abstract void Dispose();

    /// <summary>Puts elements away at an offset.</summary>
    protected abstract void Save(T* values, int count, long offset, bool rounded);

    /// <summary>Brings them back.</summary>
    protected abstract void Load(T* values, int count, long offset, bool rounded);

    private readonly struct Work(ActivationStore<T> store, T* values, long count, long offset, bool rounded, bool save) : IParallelWork
    {
        public void Execute(int item, int worker)
        {
            long first = (long)item * Piece;
            int elements = (int)Math.Min(Piece, count - first);
            long at = offset + (first * (rounded ? sizeof(ushort) : sizeof(T)));
            if (save) store.Save(values + first, elements, at, rounded);
            else store.Load(values + first, elements, at, rounded);
        }
    }
}

/// <summary>Panels as bf16 in memory.</summary>
internal sealed unsafe class BFloat16Store : ActivationStore<float>
{
    private readonly GrowableBuffer<byte> _bytes = new();

    public override long AllocatedBytes => _bytes.AllocatedBytes;

    protected override bool Rounds => true;

    public override void Prepare(long bytes) => _bytes.Ensure(bytes);

    public override void Dispose() => _bytes.Dispose();

    protected override void Save(float* values, int count, long offset, bool rounded)
    {
        if (rounded) BFloat16Kernel.Round(values, (ushort*)(_bytes.Pointer + offset), count);
        else new Span<float>(values, count).CopyTo(new Span<float>(_bytes.Pointer + offset, count));
    }

    protected override void Load(float* values, int count, long offset, bool rounded)
    {
        if (rounded) BFloat16Kernel.Expand((ushort*)(_bytes.Pointer + offset), values, count);
        else new Span<float>(_bytes.Pointer + offset, count).CopyTo(new Span<float>(values, count));
    }
}

/// <summary>One region of a spill file.</summary>
/// <typeparam name="T">Element type.</typeparam>
internal sealed unsafe class SpillStore<T>(SpillFile file, int region, bool ownsFile) : ActivationStore<T>
    where T : unmanaged
{
    public override long AllocatedBytes => 0;

    protected override bool Rounds => false;

    public override void Prepare(long bytes)
    {
        if (ownsFile) file.Prepare(bytes, 1);
        else if (bytes > file.RegionBytes) throw new InvalidOperationException(
            $"The spill file's regions have {Amount.Of(file.RegionBytes, "byte")}, {bytes} are needed. Prepare the file for the whole model first.");
    }

    public override void Dispose()
    {
        if (ownsFile) file.Dispose();
    }

    protected override void Save(T* values, int count, long offset, bool rounded) => file.Write(region, offset, (byte*)values, count * sizeof(T));

    protected override void Load(T* values, int count, long offset, bool rounded) => file.Read(region, offset, (byte*)values, count * sizeof(T));
}
