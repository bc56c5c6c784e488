using System.Numerics;
using RbeMl.Kernels;
using RbeMl.Tests.Support;

namespace RbeMl.Tests.Kernels;

/// <summary>Sequences in blocks of 64, as in panels, done in parts: the same bits as contiguous ones done at once.</summary>
public sealed unsafe class AttentionPartsTests
{
    public static TheoryData<int> Lanes => LaneCases.All;

    [Theory]
    [MemberData(nameof(Lanes))]
    public void Parts_of_blocked_sequences_have_the_bits_of_the_whole(int lanes)
    {
        foreach (AttentionShape shape in Shapes())
        {
            Check<float>(shape, p => AttentionKernelTests.Forward(lanes, p), p => AttentionKernelTests.Backward(lanes, p));
        }
    }

    [Fact]
    public void Parts_of_the_reference_have_the_bits_of_the_whole()
    {
        foreach (AttentionShape shape in Shapes()) Check<double>(shape, p => AttentionKernel.Forward(in p), p => AttentionKernel.Backward(in p));
    }

    private static IEnumerable<AttentionShape> Shapes() =>
    [
        new(5, 200, 200, Causal: true, Padding: true, Dropout: 0.2f),
        new(8, 128, 128, Causal: true, Weights: true),
        new(8, 70, 150, Causal: true, Additive: true),
        new(13, 130, 130, Causal: false),
    ];

    private static void Check<T>(AttentionShape shape, Action<AttentionProblem<T>> forward, Action<AttentionProblem<T>> backward)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        using AttentionCase<T> whole = new(shape), parts = new(shape);
        AttentionProblem<T> p = whole.Problem, b = parts.Problem;
        forward(p);
        backward(p);

        // Three matrices share a chunk, as q, k and v do; the output has chunks of its own.
        int d = shape.HeadWidth, tokens = Math.Max(shape.Queries, shape.Keys), chunks = (tokens + 63) / 64;
        using GuardedBuffer<T> qkv = new(chunks * 3 * d * 64), gradient = new(chunks * 3 * d * 64), output = new(chunks * d * 64),
            outputGradient = new(chunks * d * 64);
        gradient.Span.Fill(T.NaN);
        output.Span.Fill(T.NaN);
        (b.QueryStride, b.KeyStride, b.StatisticsStride) = (64, 64, p.QueryStride);
        b.QueryBlock = b.KeyBlock = 3 * d * 64;
        b.OutputBlock = d * 64;
        b.Q = qkv.Pointer;
        b.K = b.Q + (d * 64);
        b.V = b.K + (d * 64);
        b.QGradient = gradient.Pointer;
        b.KGradient = b.QGradient + (d * 64);
        b.VGradient = b.KGradient + (d * 64);
        b.Output = output.Pointer;
        b.OutputGradient = outputGradient.Pointer;
        Copy(p.Q, p.QueryStride, shape.Queries, b.Q, b.QueryBlock);
        Copy(p.K, p.KeyStride, shape.Keys, b.K, b.KeyBlock);
        Copy(p.V, p.KeyStride, shape.Keys, b.V, b.KeyBlock);
        Copy(p.OutputGradient, p.QueryStride, shape.Queries, b.OutputGradient, b.OutputBlock);
        Parts(b, 0, shape.Queries, forward);
        b.Gradients = AttentionGradients.Queries;
        Parts(b, 0, shape.Queries, backward);
        b.Gradients = AttentionGradients.KeysAndValues;
        for (int first = 0; first < shape.Keys; first += 128)
        {
            (b.FirstKey, b.EndKey) = (first, Math.Min(first + 128, shape.Keys));
            backward(b);
        }

        string what = $"{typeof(T).Name}, {shape}";
        Same(p.Output, p.QueryStride, shape.Queries, b.Output, b.OutputBlock, what + " output");
        Same(p.QGradient, p.QueryStride, shape.Queries, b.QGradient, b.QueryBlock, what + " dq");
        Same(p.KGradient, p.KeyStride, shape.Keys, b.KGradient, b.KeyBlock, what + " dk");
        Same(p.VGradient, p.KeyStride, shape.Keys, b.VGradient, b.KeyBlock, what + " dv");
        Assert.True(new Span<T>(p.RowStatistics, shape.Queries).SequenceEqual(new Span<T>(b.RowStatistics, shape.Queries)), what);
        if (shape.Weights) Assert.True(whole.Weights.Span.SequenceEqual(parts.Weights.Span), what + " weights");

        void Copy(T* from, int stride, int count, T* to, long block)
        {
            for (int i = 0; i < d * count; i++) to[(i % count / 64 * block) + (i / count * 64) + (i % count % 64)] = from[(i / count * stride) + (i % count)];
        }

        // Also, padding of the last block is zero.
        void Same(T* flat, int stride, int count, T* blocked, long block, string name)
        {
            for (int f = 0; f < d; f++)
            {
                for (int t = 0; t < (count + 63) / 64 * 64; t++)
                {
                    T expected = t < count ? flat[(f * stride) + t] : T.Zero, actual = blocked[(t / 64 * block) + (f * 64) + (t % 64)];
                    Assert.True(expected == actual, $"{name}: feature {f}, token {t} is {actual}, expected {expected}");
                }
            }
        }
    }

    private static void Parts<T>(AttentionProblem<T> p, int first, int count, Action<AttentionProblem<T>> run)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        for (int query = first; query < count; query += 64)
        {
            (p.FirstQuery, p.EndQuery) = (query, Math.Min(query + 64, count));
            run(p);
        }
    }
}
