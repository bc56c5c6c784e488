using System.Runtime.CompilerServices;

namespace RbeMl.Kernels;

/// <summary>
/// The fast backward of <see cref="AttentionKernel"/>. With P the probabilities, F the dropout factors and dP = v' do:
/// dv = do (P F)', dS = scale P (F dP - sum over features of do o), dq = k dS, dk = q dS'.
/// </summary>
internal static unsafe class AttentionKernelBackward
{
    private const int Size = AttentionKernelBlock.Size;

    // Scores, mask, dP and two transposed blocks, then log-sum-exp, dot product and positions of the queries.
    private const int Scratch = (5 * Size + 3) * Size * sizeof(float) + 64;

    [SkipLocalsInit]
    internal static void Run<TLanes>(in AttentionProblem<float> p)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        byte* memory = stackalloc byte[Scratch];
        float* scratch = AttentionKernelBlock.Align(memory);
        AttentionKernelBlock block = new() { Scores = scratch, Mask = scratch + Size * Size, Positions = scratch + 5 * Size * Size };
        float* gradient = block.Mask + Size * Size, transposedP = gradient + Size * Size, transposedS = transposedP + Size * Size;
        float* logSum = block.Positions + Size, dot = logSum + Size;
        DropoutStream stream = new(p.DropoutKey, p.Dropout);
        for (int d = 0; d < p.HeadWidth; d++)
        {
            new Span<float>(p.QGradient + (long)d * p.QueryStride, p.QueryStride).Clear();
            new Span<float>(p.KGradient + (long)d * p.KeyStride, p.KeyStride).Clear();
            new Span<float>(p.VGradient + (long)d * p.KeyStride, p.KeyStride).Clear();
        }

        for (int query = 0; query < p.Queries; query += Size)
        {
            block.StartQueries(p, query);
            Dot<TLanes>(p, block, dot);

            // +infinity makes the probabilities of padding, and of queries that see nothing, zero.
            for (int i = 0; i < block.Lanes; i++)
            {
                float value = query + i < p.Queries ? p.LogSumExp[query + i] : float.PositiveInfinity;
                logSum[i] = float.IsNegativeInfinity(value) ? float.PositiveInfinity : value;
            }

            for (int key = 0; block.StartKeys(p, key); key += Size)
            {
                int lanes = block.Lanes, keys = block.Keys, padded = (keys + 15) & ~15;
                block.Score<TLanes>(p);
                GemmLanes.Multiply<TLanes>(keys, lanes, p.HeadWidth, p.V + key, 1, p.KeyStride, p.OutputGradient + query, p.QueryStride, gradient, lanes, false);
                ScoreGradients<TLanes>(p, block, stream, gradient, logSum, dot);
                new Span<float>(block.Scores + keys * lanes, (padded - keys) * lanes).Clear();
                new Span<float>(gradient + keys * lanes, (padded - keys) * lanes).Clear();
                Elementwise.Transpose(block.Scores, padded, lanes, lanes, transposedP, padded);
                Elementwise.Transpose(gradient, padded, lanes, lanes, transposedS, padded);
                GemmLanes.Multiply<TLanes>(p.HeadWidth, lanes, keys, p.K + key, p.KeyStride, 1, gradient, lanes, p.QGradient + query, p.QueryStride, true);
                GemmLanes.Multiply<TLanes>(p.HeadWidth, padded, lanes, p.Q + query, p.QueryStride, 1, transposedS, padded, p.KGradient + key, p.KeyStride, true);
                GemmLanes.Multiply<TLanes>(p.HeadWidth, padded, lanes, p.OutputGradient + query, p.QueryStride, 1, transposedP, padded, p.VGradient + key, p.KeyStride, true);
            }
        }
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
            float* o = p.Output + block.Query + i, g = p.OutputGradient + block.Query + i;
            for (int d = 0; d < p.HeadWidth; d++) sum = TLanes.Fma(TLanes.Load(o + d * stride), TLanes.Load(g + d * stride), sum);
            TLanes.Store(sum, dot + i);
        }
    }

    // Scores become P F, and dP becomes dS.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void ScoreGradients<TLanes>(in AttentionProblem<float> p, in AttentionKernelBlock block, in DropoutStream stream, float* gradient, float* logSum, float* dot)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        bool dropout = p.Dropout > 0;
        long lanes = block.Lanes;
        TLanes scale = TLanes.Set(p.Scale);
        for (int i = 0; i < lanes; i += TLanes.Count)
        {
            TLanes log = TLanes.Load(logSum + i), delta = TLanes.Load(dot + i), f0 = TLanes.Set(1f), f1 = f0, f2 = f0, f3 = f0;
            ulong row = (ulong)(p.DropoutRow + block.Query + i);
            for (int s = 0; s < block.Keys; s++)
            {
                float* score = block.Scores + s * lanes + i, g = gradient + s * lanes + i;
                if (dropout && s % 4 == 0) PhiloxLanes.Factors(stream, row, (uint)(block.Key + s) / 4, out f0, out f1, out f2, out f3);
                TLanes probability = VectorMath.ExpNotLarge(TLanes.Subtract(TLanes.Load(score), log));
                TLanes.Store(TLanes.Multiply(probability, f0), score);
                TLanes inner = TLanes.Subtract(TLanes.Multiply(TLanes.Load(g), f0), delta);
                TLanes.Store(TLanes.Multiply(TLanes.Multiply(probability, inner), scale), g);
                (f0, f1, f2) = (f1, f2, f3);
            }
        }
    }
}
