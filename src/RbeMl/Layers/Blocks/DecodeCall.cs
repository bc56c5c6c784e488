using System.Numerics;
using RbeMl.Kernels;
using RbeMl.Memory;
using static RbeMl.Layers.BlockPanel;

namespace RbeMl.Layers;

/// <summary>
/// The vectors of a block's decoding of one new token a sequence, each as long as a column of the panel of its name; owned by a workspace
/// and used again by the next call.
/// </summary>
/// <typeparam name="T">Element type.</typeparam>
internal sealed unsafe class DecodeCall<T> : IDisposable
    where T : unmanaged, IFloatingPointIeee754<T>
{
    // Elements that may be read behind the last vector.
    private const int Margin = 16;

    // Values are used by the next step alone: hats of tokens share a place.
    private static readonly BlockPanel[] s_own = [X1Hat, Qkv, Att, Middle, HiddenHat];
    private readonly Slab<T> _memory = new();
    private readonly T*[] _vectors = new T*[Enum.GetValues<BlockPanel>().Length], _moments = new T*[Enum.GetValues<BlockPanel>().Length];
    private BlockLayout _layout = null!;

    public int Batch { get; private set; }

    public LayerKvCache<T> Cache { get; private set; } = null!;

    public Workspace<T> Workspace { get; private set; } = null!;

    /// <summary>Decoded gamma1, beta1, gamma2, beta2, each [Dp].</summary>
    public T* NormVectors { get; private set; }

    /// <summary>A normalised vector, [Dp].</summary>
    public T* Normal { get; private set; }

    public long AllocatedBytes => _memory.AllocatedBytes;

    /// <summary>The vector of a sequence.</summary>
    public T* this[BlockPanel panel, int sequence] => _vectors[(int)panel] + ((long)sequence * _layout.Rows(panel));

    /// <summary>Moments of a hat of a sequence, [blocks][16].</summary>
    public T* Moments(BlockPanel hat, int sequence) => _moments[(int)hat] + ((long)sequence * MomentsOf(hat));

    public void Begin(BlockLayout layout, T* x, T* y, int batch, LayerKvCache<T> cache, Workspace<T> workspace)
    {
        (_layout, Batch, Cache, Workspace) = (layout, batch, cache, workspace);
        long rows = MomentsOf(X1Hat) + MomentsOf(HiddenHat);
        foreach (BlockPanel panel in s_own) rows += layout.Rows(panel);
        T* next = _memory.Ensure(layout.NormVectors + layout.PaddedWidth + (batch * rows) + Margin);
        NormVectors = Take(layout.NormVectors);
        Normal = Take(layout.PaddedWidth);
        foreach (BlockPanel panel in s_own) _vectors[(int)panel] = Take((long)batch * layout.Rows(panel));
        _vectors[(int)AttHat] = _vectors[(int)X2Hat] = _vectors[(int)X1Hat];
        T* moments = Take((long)batch * MomentsOf(X1Hat));
        _moments[(int)X1Hat] = _moments[(int)AttHat] = _moments[(int)X2Hat] = moments;
        _moments[(int)HiddenHat] = Take((long)batch * MomentsOf(HiddenHat));
        _vectors[(int)Input] = x;
        _vectors[(int)Result] = y;

        T* Take(long count)
        {
            T* piece = next;
            next += count;
            return piece;
        }
    }

    public void End() => (Cache, Workspace) = (null!, null!);

    public void Dispose() => _memory.Dispose();

    private int MomentsOf(BlockPanel hat) => _layout.Rows(hat) / _layout.Tile * VectorAlpha.Entries;
}
