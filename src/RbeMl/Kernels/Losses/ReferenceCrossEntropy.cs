using System.Numerics;

namespace RbeMl.Kernels;

/// <summary>Softmax cross-entropy of a panel of logits <c>[vocabulary][width]</c>.</summary>
internal static unsafe class ReferenceCrossEntropy
{
    /// <summary>
    /// losses[lane] = log-sum-exp - logit of the target; 0 where the target is negative. With a gradient, logits become
    /// (softmax - onehot) * scale, zero in lanes without a target.
    /// </summary>
    public static void Loss<T>(T* logits, int vocabulary, int width, int* targets, T* losses, bool gradient, T scale)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        for (int lane = 0; lane < width; lane++)
        {
            int target = targets[lane];
            losses[lane] = T.Zero;
            if (target < 0)
            {
                for (int v = 0; gradient && v < vocabulary; v++) logits[(long)v * width + lane] = T.Zero;
                continue;
            }

            T max = T.NegativeInfinity, sum = T.Zero;
            for (int v = 0; v < vocabulary; v++) max = T.Max(max, logits[(long)v * width + lane]);
            for (int v = 0; v < vocabulary; v++) sum += T.Exp(logits[(long)v * width + lane] - max);
            losses[lane] = max + T.Log(sum) - logits[(long)target * width + lane];
            for (int v = 0; gradient && v < vocabulary; v++)
            {
                T p = T.Exp(logits[(long)v * width + lane] - max) / sum;
                logits[(long)v * width + lane] = (v == target ? p - T.One : p) * scale;
            }
        }
    }
}
