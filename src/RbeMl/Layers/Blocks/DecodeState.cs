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
internal sealed unsafe class DecodeState<T> : IWorkspaceState
    where T : unmanaged, IFloatingPointIeee754<T>
{
    // Elements that may be read behind the last vector.
    private const int Margin = 16;

    // Values are used by the next step alone: coefficients of tokens share a place.
    private static readonly BlockPanel[] s_own = [X1Coefficients, Qkv, Att, Middle, HiddenCoefficients];
    private readonly GrowableBuffer<T> _memory = new();
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

    /// <summary>Moments of a panel of coefficients of a sequence, [blocks][16].</summary>
    public T* Moments(BlockPanel coefficients, int sequence) => _moments[(int)coefficients] + ((long)sequence * AlphaMoments(coefficients));

    public void Begin(BlockLayout layout, T* x, T* y, int batch, LayerKvCache<T> cache, Workspace<T> workspace)
    {
        (_layout, Batch, Cache, Workspace) = (layout, batch, cache, workspace);
        long rows = AlphaMoments(X1Coefficients) + AlphaMoments(HiddenCoefficients);
        foreach (BlockPanel panel in s_own) rows += layout.Rows(panel);
        T* next = _memory.Ensure(layout.NormVectors + layout.PaddedWidth + (batch * rows) + Margin);
        NormVectors = Take(layout.NormVectors);
        Normal = Take(layout.PaddedWidth);
        foreach (BlockPanel panel in s_own) _vectors[(int)panel] = Take((long)batch * layout.Rows(panel));
        _vectors[(int)AttCoefficients] = _vectors[(int)X2Coefficients] = _vectors[(int)X1Coefficients];
        T* moments = Take((long)batch * AlphaMoments(X1Coefficients));
        _moments[(int)X1Coefficients] = _moments[(int)AttCoefficients] = _moments[(int)X2Coefficients] = moments;
        _moments[(int)HiddenCoefficients] = Take((long)batch * AlphaMoments(HiddenCoefficients));
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

    private int AlphaMoments(BlockPanel coefficients) => _layout.Rows(coefficients) / _layout.Tile * VectorAlpha.Entries;
}
