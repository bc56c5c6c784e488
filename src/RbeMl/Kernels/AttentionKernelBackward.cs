using System.Runtime.CompilerServices;

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

    [SkipLocalsInit]
    internal static void Run<TLanes>(in AttentionProblem<float> p)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        byte* memory = stackalloc byte[Scratch];
        float* scratch = AttentionKernelBlock.Align(memory);
        AttentionKernelBlock block = new() { Scores = scratch, Mask = scratch + Size * Size, Positions = scratch + 5 * Size * Size };
        float* gradient = block.Mask + Size * Size, transposedP = gradient + Size * Size, transposedS = transposedP + Size * Size;
        float* max = block.Positions + Size, inverse = max + Size, dot = inverse + Size;
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

            // Exponentials of padding, and of queries that see nothing, are zero with +infinity in place of the maximum.
            for (int i = 0; i < block.Lanes; i++)
            {
                bool real = query + i < p.Queries;
                max[i] = !real || float.IsNegativeInfinity(p.RowStatistics[query + i]) ? float.PositiveInfinity : p.RowStatistics[query + i];
                inverse[i] = real ? p.RowStatistics[p.QueryStride + query + i] : 0f;
            }

            for (int key = 0; block.StartKeys(p, key); key += Size)
            {
                int lanes = block.Lanes, keys = block.Keys, padded = (keys + 15) & ~15;
                block.Score<TLanes>(p);
                block.Product<TLanes>(p, p.V, p.OutputGradient, gradient);
                ScoreGradients<TLanes>(p, block, stream, gradient, max, inverse, dot);
                new Span<float>(block.Scores + keys * lanes, (padded - keys) * lanes).Clear();
                new Span<float>(gradient + keys * lanes, (padded - keys) * lanes).Clear();
                Elementwise.Transpose(block.Scores, padded, lanes, lanes, transposedP, padded);
                Elementwise.Transpose(gradient, padded, lanes, lanes, transposedS, padded);
                block.SumOverKeys<TLanes>(p, p.K, gradient, p.QGradient, true);
                block.SumOverQueries<TLanes>(p, p.Q, transposedS, padded, p.KGradient);
                block.SumOverQueries<TLanes>(p, p.OutputGradient, transposedP, padded, p.VGradient);
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
}
