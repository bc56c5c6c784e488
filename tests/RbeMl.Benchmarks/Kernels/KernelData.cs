using RbeMl.Memory;

namespace RbeMl.Benchmarks.Kernels;

/// <summary>Aligned memory of random values for a class of kernel benchmarks.</summary>
public abstract unsafe class KernelData
{
    /// <summary>Lanes of a panel's chunk.</summary>
    protected const int Lanes = 64;

    private readonly List<IDisposable> _owned = [];

    /// <summary>Uniform values of variance 1, of a seed.</summary>
    protected float* Values(long count, int seed = 1)
    {
        float* values = Zeros(count);
        Random random = new(seed);
        for (long i = 0; i < count; i++) values[i] = (float)((2 * random.NextDouble()) - 1) * MathF.Sqrt(3);
        return values;
    }

    /// <summary>Zeros.</summary>
    protected float* Zeros(long count) => Own(new NativeBuffer<float>(count)).Pointer;

    /// <summary>Keeps something until the end.</summary>
    protected T Own<T>(T disposable)
        where T : IDisposable
    {
        _owned.Add(disposable);
        return disposable;
    }

    /// <summary>Frees everything.</summary>
    protected void Free()
    {
        foreach (IDisposable one in _owned) one.Dispose();
        _owned.Clear();
    }
}
