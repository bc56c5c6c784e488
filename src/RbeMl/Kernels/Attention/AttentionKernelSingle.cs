using System.Runtime.CompilerServices;
using RbeMl.Numerics;

namespace RbeMl.Kernels;

/// <summary>
/// The forward of <see cref="AttentionKernel"/> for one query, as in generation: here a lane is a key, and k and v are read once, row by
/// row.
/// </summary>
internal static unsafe class AttentionKernelSingle
{
    // Keys whose scores are held at a time.
    private const int Size = 1024;

    // Up to here a product of AttentionKernelBlock is a single chain of multiply-adds, as here. The backward computes scores there, and
    // they must be the forward's to the last bit: next to a large mask a difference of one rounding would grow to one of the mask's own.
    private const int LargestHeadWidth = 256;

    /// <summary>Whether the problem is one for this class.</summary>
    internal static bool Fits(in AttentionProblem<float> p) =>
        p.Queries == 1 && p.HeadWidth <= LargestHeadWidth && p.KeyBlock == 0 && p.Weights == null && p.Dropout == 0;

    internal static void Run<TLanes>(in AttentionProblem<float> p)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        if (p.CompressedK.Format == KvFormat.F16) Run<TLanes, KvHalves>(p, p.CompressedK, p.CompressedV);
        else if (p.CompressedK.Format == KvFormat.Int8) Run<TLanes, KvBytes>(p, p.CompressedK, p.CompressedV);
        else Run<TLanes, KvFloats>(p, new KvRows(KvFormat.F32, (nint)p.K, 0, p.KeyStride), new KvRows(KvFormat.F32, (nint)p.V, 0, p.KeyStride));
    }

    [SkipLocalsInit]
    private static void Run<TLanes, TKv>(in AttentionProblem<float> p, in KvRows keyRows, in KvRows valueRows)
        where TLanes : unmanaged, ILanes<TLanes>
        where TKv : struct, IKvElements
    {
        byte* memory = stackalloc byte[Size * sizeof(float) + 64];
        float* scores = AttentionKernelBlock.Align(memory);
        for (int d = 0; d < p.HeadWidth; d++) new Span<float>(p.Output + (long)d * p.QueryStride, p.QueryStride).Clear();
        float max = float.NegativeInfinity, sum = 0;
        for (int key = 0; key < p.Keys; key += Size)
        {
            int keys = Math.Min(Size, p.Keys - key), padded = (keys + 15) & ~15;
            Score<TLanes, TKv>(p, keyRows, key, keys, padded, scores);
            float top = Math.Max(max, Largest<TLanes>(scores, padded));
            if (float.IsNegativeInfinity(top)) continue;
            float change = MathF.Exp(max - top);
            sum = sum * change + Exponentials<TLanes>(scores, padded, top);
            Values<TLanes, TKv>(p, valueRows, key, padded, scores, change);
            max = top;
        }

        float inverse = sum == 0 ? 0f : 1f / sum;
        p.RowStatistics[0] = max;
        p.RowStatistics[p.Inverse] = inverse;
        for (int d = 0; d < p.HeadWidth; d++) p.Output[(long)d * p.QueryStride] *= inverse;
    }

    // scores[key] = scale q'k + mask, -infinity where hidden or padding.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Score<TLanes, TKv>(in AttentionProblem<float> p, in KvRows rows, int key, int keys, int padded, float* scores)
        where TLanes : unmanaged, ILanes<TLanes>
        where TKv : struct, IKvElements
    {
        new Span<float>(scores, padded).Clear();
        long stride = (long)rows.Stride * TKv.Size;
        byte* k = (byte*)rows.Codes + ((long)key * TKv.Size);
        float* scales = (float*)rows.Scales + key;
        int d = 0;
        for (; d + 4 <= p.HeadWidth; d += 4, k += 4 * stride)
        {
            float* q = p.Q + (long)d * p.QueryStride;
            TLanes q0 = TLanes.Set(q[0]), q1 = TLanes.Set(q[p.QueryStride]);
            TLanes q2 = TLanes.Set(q[2L * p.QueryStride]), q3 = TLanes.Set(q[3L * p.QueryStride]);
            for (int s = 0; s < padded; s += TLanes.Count)
            {
                TLanes score = TLanes.Fma(q0, TKv.Load<TLanes>(k, s, scales), TLanes.Load(scores + s));
                score = TLanes.Fma(q1, TKv.Load<TLanes>(k + stride, s, scales), score);
                score = TLanes.Fma(q2, TKv.Load<TLanes>(k + 2 * stride, s, scales), score);
                TLanes.Store(TLanes.Fma(q3, TKv.Load<TLanes>(k + 3 * stride, s, scales), score), scores + s);
            }
        }

        for (; d < p.HeadWidth; d++, k += stride)
        {
            TLanes q = TLanes.Set(p.Q[(long)d * p.QueryStride]);
            for (int s = 0; s < padded; s += TLanes.Count) TLanes.Store(TLanes.Fma(q, TKv.Load<TLanes>(k, s, scales), TLanes.Load(scores + s)), scores + s);
        }

        TLanes scale = TLanes.Set(p.Scale);
        for (int s = 0; s < padded; s += TLanes.Count) TLanes.Store(TLanes.Multiply(TLanes.Load(scores + s), scale), scores + s);
        if (p.AdditiveMask != null) ElementwiseLanes.Add<TLanes>(scores, p.AdditiveMask + key, scores, keys);
        for (int s = 0; s < keys && p.KeyPadding != null; s++)
        {
            if (p.KeyPadding[key + s] == 0) scores[s] = float.NegativeInfinity;
        }

        new Span<float>(scores + keys, padded - keys).Fill(float.NegativeInfinity);
    }

    // NaN if any score is: Math.Max keeps it.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static float Largest<TLanes>(float* scores, int count)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        TLanes max = TLanes.Load(scores);
        for (int s = TLanes.Count; s < count; s += TLanes.Count) max = TLanes.Max(max, TLanes.Load(scores + s));
        float* lanes = stackalloc float[TLanes.Count];
        TLanes.Store(max, lanes);
        float top = lanes[0];
        for (int i = 1; i < TLanes.Count; i++) top = Math.Max(top, lanes[i]);
        return top;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static float Exponentials<TLanes>(float* scores, int count, float top)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        TLanes sum = TLanes.Zero, shift = TLanes.Set(top);
        for (int s = 0; s < count; s += TLanes.Count)
        {
            TLanes value = VectorMath.ExpNotLarge(TLanes.Subtract(TLanes.Load(scores + s), shift));
            sum = TLanes.Add(sum, value);
            TLanes.Store(value, scores + s);
        }

        return TLanes.Sum(sum);
    }

    // output[d] = output[d] * change + v[d] · probabilities.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Values<TLanes, TKv>(in AttentionProblem<float> p, in KvRows rows, int key, int count, float* probabilities, float change)
        where TLanes : unmanaged, ILanes<TLanes>
        where TKv : struct, IKvElements
    {
        long stride = (long)rows.Stride * TKv.Size;
        byte* v = (byte*)rows.Codes + ((long)key * TKv.Size);
        float* scales = (float*)rows.Scales + key, output = p.Output;
        int d = 0;
        for (; d + 4 <= p.HeadWidth; d += 4, v += 4 * stride, output += 4L * p.QueryStride)
        {
            TLanes o0 = TLanes.Zero, o1 = o0, o2 = o0, o3 = o0;
            for (int s = 0; s < count; s += TLanes.Count)
            {
                TLanes weight = TLanes.Load(probabilities + s);
                o0 = TLanes.Fma(weight, TKv.Load<TLanes>(v, s, scales), o0);
                o1 = TLanes.Fma(weight, TKv.Load<TLanes>(v + stride, s, scales), o1);
                o2 = TLanes.Fma(weight, TKv.Load<TLanes>(v + 2 * stride, s, scales), o2);
                o3 = TLanes.Fma(weight, TKv.Load<TLanes>(v + 3 * stride, s, scales), o3);
            }

            output[0] = output[0] * change + TLanes.Sum(o0);
            output[p.QueryStride] = output[p.QueryStride] * change + TLanes.Sum(o1);
            output[2L * p.QueryStride] = output[2L * p.QueryStride] * change + TLanes.Sum(o2);
            output[3L * p.QueryStride] = output[3L * p.QueryStride] * change + TLanes.Sum(o3);
        }

        for (; d < p.HeadWidth; d++, v += stride, output += p.QueryStride)
        {
            TLanes sum = TLanes.Zero;
            for (int s = 0; s < count; s += TLanes.Count) sum = TLanes.Fma(TLanes.Load(probabilities + s), TKv.Load<TLanes>(v, s, scales), sum);
            *output = *output * change + TLanes.Sum(sum);
        }
    }
}
