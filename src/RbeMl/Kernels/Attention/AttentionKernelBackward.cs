using System.Runtime.CompilerServices;
using RbeMl.Numerics;

namespace RbeMl.Kernels;

/// <summary>
/// The fast backward of <see cref="AttentionKernel"/>. With P the probabilities, F the dropout factors and dP = v' do:
/// dv = do (P F)', dS = scale P (F dP - sum over features of do o), dq = k dS, dk = q dS'.
/// </summary>
internal static unsafe class AttentionKernelBackward
{
    private const int Size = AttentionKernelBlock.Size;

    // Scores, mask, dP and two transposed blocks, then maximum, inverse sum, dot product and positions of the queries.
    private const int Scratch = (5 * Size + 4) * Size * sizeof(float) + 64;

    internal readonly struct RunWork(AttentionProblem<float> p) : ILaneWork
    {
        public void Run<TLanes>()
            where TLanes : unmanaged, ILanes<TLanes> => AttentionKernelBackward.Run<TLanes>(p);
    }

    [SkipLocalsInit]
    private static void Run<TLanes>(in AttentionProblem<float> p)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        byte* memory = stackalloc byte[Scratch];
        Blocks blocks = new(AttentionKernelBlock.Align(memory));
        DropoutStream stream = new(p.DropoutKey, p.Dropout);
        AttentionRows.ClearGradients(p);
        if (p.Gradients != AttentionGradients.KeysAndValues)
        {
            for (int query = p.FirstQuery; query < p.LastQuery; query += Size)
            {
                StartQueries<TLanes>(p, ref blocks, query);
                for (int key = 0; blocks.Block.StartKeys<TLanes>(p, key); key += Size) Pair<TLanes>(p, blocks, stream);
            }

            return;
        }

        // Each key takes its queries in the order that the other loop has for it, so the sums have the same bits.
        for (int key = p.FirstKey; key < p.LastKey; key += Size)
        {
            int first = p.Causal ? Math.Max(0, key - (p.Keys - p.Queries)) / Size * Size : 0;
            for (int query = first; query < p.Queries; query += Size)
            {
                StartQueries<TLanes>(p, ref blocks, query);
                if (blocks.Block.StartKeys<TLanes>(p, key)) Pair<TLanes>(p, blocks, stream);
            }
        }
    }

    private static void StartQueries<TLanes>(in AttentionProblem<float> p, ref Blocks blocks, int query)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        blocks.Block.StartQueries(p, query);
        Dot<TLanes>(p, blocks.Block, blocks.Dot);

        // Exponentials of padding, and of queries that see nothing, are zero with +infinity in place of the maximum.
        for (int i = 0; i < blocks.Block.Lanes; i++)
        {
            bool real = query + i < p.Queries;
            blocks.Max[i] = !real || float.IsNegativeInfinity(p.RowStatistics[query + i]) ? float.PositiveInfinity : p.RowStatistics[query + i];
            blocks.Inverse[i] = real ? p.RowStatistics[p.Inverse + query + i] : 0f;
        }
    }

    private static void Pair<TLanes>(in AttentionProblem<float> p, in Blocks blocks, in DropoutStream stream)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        ref readonly AttentionKernelBlock block = ref blocks.Block;
        int lanes = block.Lanes, keys = block.Keys, padded = (keys + 15) & ~15;
        block.Score<TLanes>(p);
        block.Product<TLanes>(p, block.ValueTile, p.OutputGradient + block.OutputAt, blocks.Gradient);
        ScoreGradients<TLanes>(p, block, stream, blocks.Gradient, blocks.Max, blocks.Inverse, blocks.Dot);
        if (p.Gradients != AttentionGradients.KeysAndValues) block.SumOverKeys<TLanes>(p, block.KeyTile, blocks.Gradient, p.QGradient + block.QueryAt, true);
        if (p.Gradients == AttentionGradients.Queries) return;
        new Span<float>(block.Scores + keys * lanes, (padded - keys) * lanes).Clear();
        new Span<float>(blocks.Gradient + keys * lanes, (padded - keys) * lanes).Clear();
        Elementwise.Transpose(block.Scores, padded, lanes, lanes, blocks.TransposedP, padded);
        Elementwise.Transpose(blocks.Gradient, padded, lanes, lanes, blocks.TransposedS, padded);
        block.SumOverQueries<TLanes>(p, p.Q + block.QueryAt, blocks.TransposedS, padded, p.KGradient + block.KeyAt);
        block.SumOverQueries<TLanes>(p, p.OutputGradient + block.OutputAt, blocks.TransposedP, padded, p.VGradient + block.KeyAt);
    }

    // dot[query] = sum over features of do o.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Dot<TLanes>(in AttentionProblem<float> p, in AttentionKernelBlock block, float* dot)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        long stride = p.QueryStride;
        for (int i = 0; i < block.Lanes; i += TLanes.Count)
        {
            TLanes sum = TLanes.Zero;
            float* o = p.Output + block.OutputAt + i, g = p.OutputGradient + block.OutputAt + i;
            for (int d = 0; d < p.HeadWidth; d++) sum = TLanes.Fma(TLanes.Load(o + d * stride), TLanes.Load(g + d * stride), sum);
            TLanes.Store(sum, dot + i);
        }
    }

    // Scores become P F, and dP becomes dS.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void ScoreGradients<TLanes>(
        in AttentionProblem<float> p, in AttentionKernelBlock block, in DropoutStream stream, float* gradient, float* max, float* inverse, float* dot)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        bool dropout = p.Dropout > 0;
        long lanes = block.Lanes;
        TLanes scale = TLanes.Set(p.Scale);
        for (int i = 0; i < lanes; i += TLanes.Count)
        {
            TLanes top = TLanes.Load(max + i), factor = TLanes.Load(inverse + i), delta = TLanes.Load(dot + i), f0 = TLanes.Set(1f), f1 = f0, f2 = f0, f3 = f0;
            ulong row = (ulong)(p.DropoutRow + block.Query + i);
            int keys = block.VisibleKeys(p, i, TLanes.Count);
            for (int s = 0; s < keys; s++)
            {
                float* score = block.Scores + s * lanes + i, g = gradient + s * lanes + i;
                if (dropout && s % 4 == 0) PhiloxLanes.Factors(stream, row, (uint)(block.Key + s) / 4, out f0, out f1, out f2, out f3);
                TLanes probability = TLanes.Multiply(VectorMath.ExpNotLarge(TLanes.Subtract(TLanes.Load(score), top)), factor);
                TLanes.Store(TLanes.Multiply(probability, f0), score);
                TLanes inner = TLanes.Subtract(TLanes.Multiply(TLanes.Load(g), f0), delta);
                TLanes.Store(TLanes.Multiply(TLanes.Multiply(probability, inner), scale), g);
                (f0, f1, f2) = (f1, f2, f3);
            }

            for (int s = keys; s < block.Keys; s++)
            {
                TLanes.Store(TLanes.Zero, block.Scores + s * lanes + i);
                TLanes.Store(TLanes.Zero, gradient + s * lanes + i);
            }
        }
    }

    // One block of scores and what belongs to its queries; the gradient holds dP, then dS.
    private struct Blocks
    {
        internal AttentionKernelBlock Block;
        internal readonly float* Gradient, TransposedP, TransposedS, Max, Inverse, Dot;

        internal Blocks(float* scratch)
        {
            Block = new() { Scores = scratch, Mask = scratch + Size * Size, Positions = scratch + 5 * Size * Size };
            Gradient = Block.Mask + Size * Size;
            TransposedP = Gradient + Size * Size;
            TransposedS = TransposedP + Size * Size;
            Max = Block.Positions + Size;
            Inverse = Max + Size;
            Dot = Inverse + Size;
        }
    }
}
