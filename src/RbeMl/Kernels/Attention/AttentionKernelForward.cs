using System.Runtime.CompilerServices;
using RbeMl.Numerics;

namespace RbeMl.Kernels;

/// <summary>The fast forward of <see cref="AttentionKernel"/>: softmax with a running maximum and sum over the blocks of keys.</summary>
internal static unsafe class AttentionKernelForward
{
    private const int Size = AttentionKernelBlock.Size;

    // Scores and mask, then maximum, sum, rescaling and positions of the queries.
    private const int Scratch = (2 * Size + 4) * Size * sizeof(float) + 64;

    internal readonly struct RunWork(AttentionProblem<float> p) : ILaneWork
    {
        public void Run<TLanes>()
            where TLanes : unmanaged, ILanes<TLanes>
        {
            if (AttentionKernelSingle.Fits(p)) AttentionKernelSingle.Run<TLanes>(p);
            else Blocks<TLanes>(p);
        }
    }

    [SkipLocalsInit]
    private static void Blocks<TLanes>(in AttentionProblem<float> p)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        byte* memory = stackalloc byte[Scratch];
        float* scratch = AttentionKernelBlock.Align(memory);
        AttentionKernelBlock block = new() { Scores = scratch, Mask = scratch + Size * Size, Positions = scratch + 2 * Size * Size };
        float* max = block.Positions + Size, sum = max + Size, rescale = sum + Size;
        DropoutStream stream = new(p.DropoutKey, p.Dropout);
        AttentionRows.ClearEnd(p.Output, p.HeadWidth, p.QueryStride, p.OutputBlock, p.LastQuery, p.Queries);
        for (int query = p.FirstQuery; query < p.LastQuery; query += Size)
        {
            block.StartQueries(p, query);
            new Span<float>(max, block.Lanes).Fill(float.NegativeInfinity);
            new Span<float>(sum, block.Lanes).Clear();
            float* output = p.Output + block.OutputAt;
            bool first = true;
            for (int key = 0; block.StartKeys<TLanes>(p, key); key += Size)
            {
                block.Score<TLanes>(p);
                Softmax<TLanes>(p, block, stream, max, sum, rescale);
                if (!first) ScaleRows<TLanes>(output, p.HeadWidth, p.QueryStride, block.Lanes, rescale);

                // o[d][query] += v[d][key] probabilities[key][query]
                block.SumOverKeys<TLanes>(p, block.ValueTile, block.Scores, output, !first);
                first = false;
            }

            for (int i = 0; i < block.Lanes; i++)
            {
                // The sum is at least 1 where a key is seen: the largest score gives exp(0).
                bool real = query + i < p.Queries;
                rescale[i] = !real || sum[i] == 0 ? 0f : 1f / sum[i];
                if (!real) continue;
                p.RowStatistics[query + i] = max[i];
                p.RowStatistics[p.Inverse + query + i] = rescale[i];
            }

            for (int d = 0; d < p.HeadWidth && first; d++) new Span<float>(output + (long)d * p.QueryStride, block.Lanes).Clear();
            ScaleRows<TLanes>(output, p.HeadWidth, p.QueryStride, block.Lanes, rescale);
            if (p.Weights != null) WriteWeights<TLanes>(p, block, stream, max, rescale);
        }
    }

    // Replaces the scores by exp(score - maximum so far), with dropout; updates maximum and sum; rescale = exp(old maximum - new one).
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Softmax<TLanes>(in AttentionProblem<float> p, in AttentionKernelBlock block, in DropoutStream stream, float* max,
        float* sum, float* rescale)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        long lanes = block.Lanes;
        bool dropout = p.Dropout > 0;
        for (int i = 0; i < lanes; i += TLanes.Count)
        {
            int keys = block.VisibleKeys(p, i, TLanes.Count);
            float* column = block.Scores + i;
            TLanes old = TLanes.Load(max + i), top = old;
            for (int s = 0; s < keys; s++) top = TLanes.Max(top, TLanes.Load(column + s * lanes));

            // Nothing seen yet: any finite number serves, exp(-infinity - 0) = 0.
            TLanes shift = TLanes.SelectLess(TLanes.Set(float.NegativeInfinity), top, top, TLanes.Zero);
            TLanes change = VectorMath.ExpNotLarge(TLanes.Subtract(old, shift)), total = TLanes.Multiply(TLanes.Load(sum + i), change);
            for (int s = 0; s < keys; s++)
            {
                TLanes value = VectorMath.ExpNotLarge(TLanes.Subtract(TLanes.Load(column + s * lanes), shift));
                total = TLanes.Add(total, value);
                TLanes.Store(value, column + s * lanes);
            }

            for (int s = keys; s < block.Keys; s++) TLanes.Store(TLanes.Zero, column + s * lanes);
            TLanes.Store(top, max + i);
            TLanes.Store(total, sum + i);
            TLanes.Store(change, rescale + i);
            if (dropout) Drop<TLanes>(p, block, stream, column, i);
        }
    }

    // Rows of the random stream are queries, columns keys; a block starts at a multiple of four keys.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Drop<TLanes>(in AttentionProblem<float> p, in AttentionKernelBlock block, in DropoutStream stream, float* column, int lane)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        ulong row = (ulong)(p.DropoutRow + block.Query + lane);
        long lanes = block.Lanes;
        for (int s = 0; s < block.Keys; s += 4)
        {
            float* q = column + s * lanes;
            PhiloxLanes.Factors(stream, row, (uint)(block.Key + s) / 4, out TLanes f0, out TLanes f1, out TLanes f2, out TLanes f3);
            TLanes.Store(TLanes.Multiply(TLanes.Load(q), f0), q);
            if (s + 1 < block.Keys) TLanes.Store(TLanes.Multiply(TLanes.Load(q + lanes), f1), q + lanes);
            if (s + 2 < block.Keys) TLanes.Store(TLanes.Multiply(TLanes.Load(q + 2 * lanes), f2), q + 2 * lanes);
            if (s + 3 < block.Keys) TLanes.Store(TLanes.Multiply(TLanes.Load(q + 3 * lanes), f3), q + 3 * lanes);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void ScaleRows<TLanes>(float* y, int rows, long stride, int lanes, float* factors)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        for (int r = 0; r < rows; r++)
        {
            for (int i = 0; i < lanes; i += TLanes.Count)
            {
                TLanes.Store(TLanes.Multiply(TLanes.Load(y + r * stride + i), TLanes.Load(factors + i)), y + r * stride + i);
            }
        }
    }

    // A second pass over the keys, now that the sums are known.
    private static void WriteWeights<TLanes>(in AttentionProblem<float> p, AttentionKernelBlock block, in DropoutStream stream, float* max, float* inverse)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        int queries = Math.Min(block.Lanes, p.Queries - block.Query), written = 0;
        for (int key = 0; block.StartKeys<TLanes>(p, key); key += Size)
        {
            block.Score<TLanes>(p);
            Probabilities<TLanes>(block, max, inverse);
            for (int i = 0; i < block.Lanes && p.Dropout > 0; i += TLanes.Count) Drop<TLanes>(p, block, stream, block.Scores + i, i);
            Elementwise.Transpose(block.Scores, block.Keys, queries, block.Lanes, p.Weights + (long)block.Query * p.Keys + key, p.Keys);
            written = key + block.Keys;
        }

        for (int i = 0; i < queries; i++) new Span<float>(p.Weights + (long)(block.Query + i) * p.Keys + written, p.Keys - written).Clear();
    }

    // Scores become exp(score - maximum) / sum.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Probabilities<TLanes>(in AttentionKernelBlock block, float* max, float* inverse)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        for (int i = 0; i < block.Lanes; i += TLanes.Count)
        {
            TLanes top = TLanes.Load(max + i), factor = TLanes.Load(inverse + i);
            TLanes shift = TLanes.SelectLess(TLanes.Set(float.NegativeInfinity), top, top, TLanes.Zero);
            for (int s = 0; s < block.Keys; s++)
            {
                float* score = block.Scores + s * block.Lanes + i;
                TLanes.Store(TLanes.Multiply(VectorMath.ExpNotLarge(TLanes.Subtract(TLanes.Load(score), shift)), factor), score);
            }
        }
    }
}
