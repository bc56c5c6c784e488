using System.Numerics;
using RbeMl.Numerics;

namespace RbeMl.Kernels;

/// <summary>Dropout of a panel: an element is named by its token (row) and feature (column).</summary>
internal static unsafe class ReferenceDropout
{
    /// <summary>block[f][lane] = dropped ? 0 : block / (1 - p). The element's row is firstToken + lane, its column firstFeature + f.</summary>
    public static void Apply<T>(RandomKey key, float probability, T* block, int firstFeature, int rows, long firstToken, int width)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        uint threshold = Philox.Threshold(probability);
        T scale = T.One / (T.One - T.CreateTruncating(probability));
        for (int f = 0; f < rows; f++)
        {
            for (int lane = 0; lane < width; lane++)
            {
                bool dropped = Philox.Word(key, (ulong)(firstToken + lane), (uint)(firstFeature + f)) < threshold;
                block[f * width + lane] = dropped ? T.Zero : block[f * width + lane] * scale;
            }
        }
    }
}
