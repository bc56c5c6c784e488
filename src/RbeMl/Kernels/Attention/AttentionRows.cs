using System.Numerics;

namespace RbeMl.Kernels;

/// <summary>Clears parts of an attention problem's matrices, contiguous or in blocks of 64.</summary>
internal static unsafe class AttentionRows
{
    private const int Size = 64;

    /// <summary>
    /// Clears tokens <paramref name="first"/> (a multiple of 64) to <paramref name="end"/> of all rows, and padding after the last of
    /// <paramref name="tokens"/>.
    /// </summary>
    internal static void Clear<T>(T* y, int rows, int stride, long block, int first, int end, int tokens)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        if (block == 0)
        {
            for (int d = 0; d < rows; d++) new Span<T>(y + ((long)d * stride) + first, (end == tokens ? stride : end) - first).Clear();
            return;
        }

        for (int t = first; t < end; t += Size)
        {
            T* part = y + (t / Size * block);
            for (int d = 0; d < rows; d++) new Span<T>(part + ((long)d * stride), Math.Min(Size, stride)).Clear();
        }
    }

    /// <summary>Clears the padding after the last token, from the next multiple of 16, if <paramref name="end"/> is the end of all.</summary>
    internal static void ClearEnd<T>(T* y, int rows, int stride, long block, int end, int tokens)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        int used = (tokens + 15) & ~15;
        if (end != tokens || (block != 0 && used % Size == 0)) return;
        T* part = block == 0 ? y : y + (used / Size * block);
        if (block != 0) used %= Size;
        int room = block == 0 ? stride : Math.Min(Size, stride);
        for (int d = 0; d < rows; d++) new Span<T>(part + ((long)d * stride) + used, room - used).Clear();
    }

    /// <summary>Clears the gradients that a backward fills.</summary>
    internal static void ClearGradients<T>(in AttentionProblem<T> p)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        if (p.Gradients != AttentionGradients.KeysAndValues) Clear(p.QGradient, p.HeadWidth, p.QueryStride, p.QueryBlock, p.FirstQuery, p.LastQuery, p.Queries);
        if (p.Gradients == AttentionGradients.Queries) return;
        Clear(p.KGradient, p.HeadWidth, p.KeyStride, p.KeyBlock, p.FirstKey, p.LastKey, p.Keys);
        Clear(p.VGradient, p.HeadWidth, p.KeyStride, p.KeyBlock, p.FirstKey, p.LastKey, p.Keys);
    }
}
