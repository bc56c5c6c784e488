using System.Numerics;
using System.Runtime.InteropServices;
using RbeMl.Numerics;

namespace RbeMl.Kernels;

/// <summary>softmax(scale q'k + mask) v with a score row at a time.</summary>
internal static unsafe class ReferenceAttention
{
    /// <summary>Fills Output, RowStatistics and, when asked for, Weights.</summary>
    public static void Forward<T>(in AttentionProblem<T> p)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        T* row = Allocate<T>(p.Keys);
        AttentionRows.Clear(p.Output, p.HeadWidth, p.QueryStride, p.OutputBlock, p.FirstQuery, p.LastQuery, p.Queries);
        for (int t = p.FirstQuery; t < p.LastQuery; t++)
        {
            (p.RowStatistics[t], p.RowStatistics[p.Inverse + t]) = Probabilities(p, t, row);
            DropRow(p, t, row);
            for (int d = 0; d < p.HeadWidth; d++)
            {
                T sum = T.Zero;
                for (int s = 0; s < p.Keys; s++) sum += row[s] * Value(p, d, s);
                p.Output[(long)d * p.QueryStride + p.OutputAt(t)] = sum;
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
        AttentionRows.ClearGradients(p);
        bool ofQueries = p.Gradients != AttentionGradients.KeysAndValues, ofKeys = p.Gradients != AttentionGradients.Queries;
        for (int t = p.FirstQuery; t < p.LastQuery; t++)
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
                    T g = p.OutputGradient[(long)d * p.QueryStride + p.OutputAt(t)];
                    sum += g * Value(p, d, s);
                    if (ofKeys && s >= p.FirstKey && s < p.LastKey) p.VGradient[(long)d * p.KeyStride + p.KeyAt(s)] += g * dropped[s];
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
                    long q = (long)d * p.QueryStride + p.QueryAt(t);
                    if (ofQueries) p.QGradient[q] += ds * Key(p, d, s);
                    if (ofKeys && s >= p.FirstKey && s < p.LastKey) p.KGradient[(long)d * p.KeyStride + p.KeyAt(s)] += ds * p.Q[q];
                }
            }
        }

        NativeMemory.Free(row);
        NativeMemory.Free(dropped);
        NativeMemory.Free(gradient);
    }

    // The probabilities of query t before dropout (all zero where it sees nothing); returns the maximum of the scores and the inverse of
    // the sum of exponentials.
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
                for (int d = 0; d < p.HeadWidth; d++) score += p.Q[(long)d * p.QueryStride + p.QueryAt(t)] * Key(p, d, s);
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

    private static T Key<T>(in AttentionProblem<T> p, int feature, int key)
        where T : unmanaged, IFloatingPointIeee754<T> => p.IsCompressed ? p.CompressedK.Value<T>(feature, key)
            : p.K[(long)feature * p.KeyStride + p.KeyAt(key)];

    private static T Value<T>(in AttentionProblem<T> p, int feature, int key)
        where T : unmanaged, IFloatingPointIeee754<T> => p.IsCompressed ? p.CompressedV.Value<T>(feature, key)
            : p.V[(long)feature * p.KeyStride + p.KeyAt(key)];

    private static T* Allocate<T>(int count)
        where T : unmanaged => (T*)NativeMemory.Alloc((nuint)count, (nuint)sizeof(T));
}
