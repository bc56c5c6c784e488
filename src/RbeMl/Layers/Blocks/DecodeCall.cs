using System.Numerics;
using RbeMl.Memory;

namespace RbeMl.Layers;

/// <summary>
/// The vectors of a block's decoding of one new token a sequence; owned by a workspace and used again by the next call. B tokens, Dp and Fp features in whole
/// tiles; a hat is a vector in the coefficient domain.
/// </summary>
/// <typeparam name="T">Element type.</typeparam>
internal sealed unsafe class DecodeCall<T> : IDisposable
    where T : unmanaged, IFloatingPointIeee754<T>
{
    // Elements that may be read behind the last vector.
    private const int Margin = 16;
    private readonly Slab<T> _memory = new();

    public int Batch { get; private set; }

    public LayerKvCache<T> Cache { get; private set; } = null!;

    /// <summary>Input [B][Dp].</summary>
    public T* X { get; private set; }

    /// <summary>Output [B][Dp].</summary>
    public T* Y { get; private set; }

    /// <summary>Decoded gamma1, beta1, gamma2, beta2, each [Dp].</summary>
    public T* LayerNormVectors { get; private set; }

    /// <summary>[B][Dp].</summary>
    public T* Normal { get; private set; }

    /// <summary>[B][Dp].</summary>
    public T* Hat { get; private set; }

    /// <summary>Moments of <see cref="Hat"/>.</summary>
    public T* Moments { get; private set; }

    /// <summary>Queries, keys, values: [B][3 Dp].</summary>
    public T* Qkv { get; private set; }

    /// <summary>[B][Dp], zero beyond the features.</summary>
    public T* Att { get; private set; }

    /// <summary>[B][Dp].</summary>
    public T* Middle { get; private set; }

    /// <summary>[B][Fp].</summary>
    public T* HiddenHat { get; private set; }

    /// <summary>Moments of <see cref="HiddenHat"/>.</summary>
    public T* HiddenMoments { get; private set; }

    public long AllocatedBytes => _memory.AllocatedBytes;

    public void Begin(T* x, T* y, int batch, LayerKvCache<T> cache, int width, int hidden, int moments, int hiddenMoments)
    {
        X = x;
        Y = y;
        (Batch, Cache) = (batch, cache);
        long b = batch;
        T* next = _memory.Ensure((4L * width) + (b * ((8L * width) + hidden + moments + hiddenMoments)) + Margin);
        LayerNormVectors = Take(4L * width);
        Normal = Take(b * width);
        Hat = Take(b * width);
        Moments = Take(b * moments);
        Qkv = Take(b * 3 * width);
        Att = Take(b * width);
        Middle = Take(b * width);
        HiddenHat = Take(b * hidden);
        HiddenMoments = Take(b * hiddenMoments);

        T* Take(long count)
        {
            T* piece = next;
            next += count;
            return piece;
        }
    }

    public void End()
    {
        X = Y = null;
        Cache = null!;
    }

    public void Dispose() => _memory.Dispose();
}
