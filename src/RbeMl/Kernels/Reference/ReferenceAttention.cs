using System.Numerics;
using System.Runtime.InteropServices;

namespace RbeMl.Kernels.Reference;

/// <summary>softmax(scale q'k + mask) v with a score row at a time.</summary>
public static unsafe class ReferenceAttention
{
    /// <summary>Fills Output, RowStatistics and, when asked for, Weights.</summary>
    public static void Forward<T>(in AttentionProblem<T> p)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        T* row = Allocate<T>(p.Keys);
        for (int d = 0; d < p.HeadWidth; d++) new Span<T>(p.Output + (long)d * p.QueryStride, p.QueryStride).Clear();
        for (int t = 0; t < p.Queries; t++)
        {
            (p.RowStatistics[t], p.RowStatistics[p.QueryStride + t]) = Probabilities(p, t, row);
            DropRow(p, t, row);
            for (int d = 0; d < p.HeadWidth; d++)
            {
                T sum = T.Zero;
                for (int s = 0; s < p.Keys; s++) sum += row[s] * p.V[(long)d * p.KeyStride + s];
                p.Output[(long)d * p.QueryStride + t] = sum;
            }

            if (p.Weights != null) new Span<T>(row, p.Keys).CopyTo(new Span<T>(p.Weights + (long)t * p.Keys, p.Keys));
        }

        NativeMemory.Free(row);
    }

    /// <summary>Fills the gradients of q, k and v from OutputGradient; needs nothing of the forward but q, k, v.</summary>
    public static void Backward<T>(in AttentionProblem<T> p)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        T* row = Allocate<T>(p.Keys);
        T* dropped = Allocate<T>(p.Keys);
        T* gradient = Allocate<T>(p.Keys);
        T keep = T.One / (T.One - T.CreateTruncating(p.Dropout));
        for (int d = 0; d < p.HeadWidth; d++)
        {
            new Span<T>(p.QGradient + (long)d * p.QueryStride, p.QueryStride).Clear();
            new Span<T>(p.KGradient + (long)d * p.KeyStride, p.KeyStride).Clear();
            new Span<T>(p.VGradient + (long)d * p.KeyStride, p.KeyStride).Clear();
        }

        for (int t = 0; t < p.Queries; t++)
        {
            Probabilities(p, t, row);
            new Span<T>(row, p.Keys).CopyTo(new Span<T>(dropped, p.Keys));
            DropRow(p, t, dropped);
            T dot = T.Zero;
            for (int s = 0; s < p.Keys; s++)
            {
                T sum = T.Zero;
                for (int d = 0; d < p.HeadWidth; d++)
                {
                    T g = p.OutputGradient[(long)d * p.QueryStride + t];
                    sum += g * p.V[(long)d * p.KeyStride + s];
                    p.VGradient[(long)d * p.KeyStride + s] += g * dropped[s];
                }

                // A dropped probability passes no gradient, a kept one 1 / (1 - p) of it.
                bool hidden = p.Dropout > 0 && Philox.Word(p.DropoutKey, (ulong)(p.DropoutRow + t), (uint)s) < Philox.Threshold(p.Dropout);
                gradient[s] = hidden ? T.Zero : p.Dropout > 0 ? sum * keep : sum;
                dot += gradient[s] * row[s];
            }

            for (int s = 0; s < p.Keys; s++)
            {
                T ds = row[s] * (gradient[s] - dot) * p.Scale;
                for (int d = 0; d < p.HeadWidth; d++)
                {
                    p.QGradient[(long)d * p.QueryStride + t] += ds * p.K[(long)d * p.KeyStride + s];
                    p.KGradient[(long)d * p.KeyStride + s] += ds * p.Q[(long)d * p.QueryStride + t];
                }
            }
        }

        NativeMemory.Free(row);
        NativeMemory.Free(dropped);
        NativeMemory.Free(gradient);
    }

    // The probabilities of query t before dropout (all zero where it sees nothing); returns the maximum of the scores and the inverse of the sum of exponentials.
    private static (T Max, T Inverse) Probabilities<T>(in AttentionProblem<T> p, int t, T* row)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        T max = T.NegativeInfinity;
        int position = p.Keys - p.Queries + t;
        for (int s = 0; s < p.Keys; s++)
        {
            bool hidden = (p.Causal && s > position) || (p.KeyPadding != null && p.KeyPadding[s] == 0);
            T score = T.NegativeInfinity;
            if (!hidden)
            {
                score = T.Zero;
                for (int d = 0; d < p.HeadWidth; d++) score += p.Q[(long)d * p.QueryStride + t] * p.K[(long)d * p.KeyStride + s];
                score *= p.Scale;
                if (p.AdditiveMask != null) score += p.AdditiveMask[(long)t * p.Keys + s];
            }

            row[s] = score;
            max = T.Max(max, score);
        }

        if (T.IsNegativeInfinity(max))
        {
            new Span<T>(row, p.Keys).Clear();
            return (max, T.Zero);
        }

        T sum = T.Zero;
        for (int s = 0; s < p.Keys; s++) sum += row[s] = T.Exp(row[s] - max);
        for (int s = 0; s < p.Keys; s++) row[s] /= sum;
        return (max, T.One / sum);
    }

    private static void DropRow<T>(in AttentionProblem<T> p, int t, T* row)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        if (p.Dropout == 0) return;
        uint threshold = Philox.Threshold(p.Dropout);
        T keep = T.One / (T.One - T.CreateTruncating(p.Dropout));
        for (int s = 0; s < p.Keys; s++)
        {
            bool hidden = Philox.Word(p.DropoutKey, (ulong)(p.DropoutRow + t), (uint)s) < threshold;
            row[s] = hidden ? T.Zero : row[s] * keep;
        }
    }

    private static T* Allocate<T>(int count)
        where T : unmanaged => (T*)NativeMemory.Alloc((nuint)count, (nuint)sizeof(T));
}
