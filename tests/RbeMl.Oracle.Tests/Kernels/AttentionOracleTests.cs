using System.Numerics;
using RbeMl.Kernels;
using RbeMl.Memory;
using RbeMl.Oracle.Tests.Reference;
using RbeMl.Oracle.Tests.Support;
using Xunit.Abstractions;
using static TorchSharp.torch;

namespace RbeMl.Oracle.Tests.Kernels;

/// <summary>Masks an attention test uses.</summary>
[Flags]
public enum Masks
{
    None = 0,
    Causal = 1,
    Padding = 2,
    Additive = 4,

    /// <summary>All keys hidden from every query.</summary>
    Blind = 8,
}

/// <summary>Attention of one head, its row statistics, probabilities and gradients, against torch in double.</summary>
public abstract unsafe class AttentionOracleTests<T> : OracleTest
    where T : unmanaged, IFloatingPointIeee754<T>
{
    private protected AttentionOracleTests(ITestOutputHelper output)
        : base(output)
    {
    }

    [Theory]
    [InlineData(8, 1, 1, Masks.Causal)]
    [InlineData(64, 1, 37, Masks.Causal)]
    [InlineData(64, 16, 16, Masks.Causal)]
    [InlineData(64, 130, 130, Masks.Causal)]
    [InlineData(32, 70, 70, Masks.None)]
    [InlineData(64, 33, 97, Masks.Causal)]
    [InlineData(64, 48, 48, Masks.Causal | Masks.Padding)]
    [InlineData(32, 20, 50, Masks.Additive)]
    [InlineData(24, 65, 65, Masks.Causal | Masks.Padding | Masks.Additive)]
    [InlineData(16, 5, 9, Masks.Blind)]
    public void ForwardAndBackward(int headWidth, int queries, int keys, Masks masks)
    {
        bool causal = masks.HasFlag(Masks.Causal);
        byte[]? padding = masks.HasFlag(Masks.Padding) ? [.. Enumerable.Range(0, keys).Select(s => (byte)(s < 3 || s % 7 == 4 ? 0 : 1))] : null;
        if (masks.HasFlag(Masks.Blind)) padding = new byte[keys];
        double[]? additive = masks.HasFlag(Masks.Additive) ? Numbers.Normal(queries * keys, 9, 2) : null;

        // Torch: [1, 1, tokens, headWidth]; the kernel: [headWidth][stride].
        Tensor q = Tensors.Leaf(Numbers.Normal(headWidth * queries, 1), headWidth, queries);
        Tensor k = Tensors.Leaf(Numbers.Normal(headWidth * keys, 2), headWidth, keys);
        Tensor v = Tensors.Leaf(Numbers.Normal(headWidth * keys, 3), headWidth, keys);
        double[] outputGradient = Numbers.Normal(headWidth * queries, 4);
        Tensor scores = TorchGpt2.Scores(Head(q), Head(k), new TorchBlockOptions(1)
        {
            Causal = causal,
            KeyPadding = padding is null ? null : tensor(padding).to(@bool).reshape(1, keys),
            AdditiveMask = additive is null ? null : Tensors.From(additive, 1, 1, queries, keys),
        });
        Tensor probabilities = TorchGpt2.Probabilities(scores);
        Tensor output = probabilities.matmul(Head(v));
        output.backward([Head(Tensors.From(outputGradient, headWidth, queries))]);

        int queryStride = Panel<T>.RoundUp(queries, 16), keyStride = Panel<T>.RoundUp(keys, 16);
        using NativeBuffer<T> qs = Tensors.Strided<T>(q.ToDoubles(), headWidth, queryStride), ks = Tensors.Strided<T>(k.ToDoubles(), headWidth, keyStride);
        using NativeBuffer<T> vs = Tensors.Strided<T>(v.ToDoubles(), headWidth, keyStride), dos = Tensors.Strided<T>(outputGradient, headWidth, queryStride);
        using NativeBuffer<T> os = new(qs.Length), statistics = new(2L * queryStride), weights = new((long)queries * keys), dqs = new(qs.Length),
            dks = new(ks.Length), dvs = new(vs.Length);
        using NativeBuffer<byte> pad = Tensors.Native<byte>([.. (padding ?? []).Select(b => (double)b)]);
        using NativeBuffer<T> add = Tensors.Native<T>(additive ?? []);
        AttentionProblem<T> problem = new()
        {
            HeadWidth = headWidth,
            Queries = queries,
            Keys = keys,
            QueryStride = queryStride,
            KeyStride = keyStride,
            Causal = causal,
            Scale = T.CreateTruncating(1 / Math.Sqrt(headWidth)),
            Q = qs.Pointer,
            K = ks.Pointer,
            V = vs.Pointer,
            Output = os.Pointer,
            RowStatistics = statistics.Pointer,
            KeyPadding = padding is null ? null : pad.Pointer,
            AdditiveMask = additive is null ? null : add.Pointer,
            Weights = weights.Pointer,
            OutputGradient = dos.Pointer,
            QGradient = dqs.Pointer,
            KGradient = dks.Pointer,
            VGradient = dvs.Pointer,
        };
        AttentionKernel.Forward(in problem);
        AttentionKernel.Backward(in problem);

        // Scores of a few units are rounded to some ulps of theirs; exp makes that a relative error of the probabilities.
        double tolerance = 4 * Numbers.Tolerance<T>(headWidth + keys);
        Check("output", Numbers.RelativeError<double, T>(output.reshape(queries, headWidth).t().ToDoubles(), os.Columns(queryStride, queries)), tolerance);
        Check("probabilities", Numbers.RelativeError<double, T>(probabilities.ToDoubles(), weights.Span), tolerance);
        Check("q gradient", Numbers.RelativeError<double, T>(q.Gradient(), dqs.Columns(queryStride, queries)), Single(keys, tolerance));
        Check("k gradient", Numbers.RelativeError<double, T>(k.Gradient(), dks.Columns(keyStride, keys)), Single(keys, tolerance));
        Check("v gradient", Numbers.RelativeError<double, T>(v.Gradient(), dvs.Columns(keyStride, keys)), tolerance);
        CheckLogSumExp(logsumexp(scores, -1).ToDoubles(), statistics.Span[..queries], statistics.Span.Slice(queryStride, queries), tolerance);
    }

    private static Tensor Head(Tensor t) => t.t().reshape(1, 1, t.shape[1], t.shape[0]);

    // With one key the gradient of the scores is p - p, zero but for rounding of products of size sqrt(headWidth).
    private static double Single(int keys, double tolerance) => keys == 1 ? tolerance * 8 : tolerance;

    // log of the sum of exponentials = maximum - log of the inverse sum relative to it; -infinity where no key is seen.
    private void CheckLogSumExp(double[] expected, ReadOnlySpan<T> max, ReadOnlySpan<T> inverse, double tolerance)
    {
        double worst = 0;
        for (int t = 0; t < expected.Length; t++)
        {
            double top = double.CreateTruncating(max[t]), factor = double.CreateTruncating(inverse[t]);
            bool blind = double.IsNegativeInfinity(top) && factor == 0;
            worst = Math.Max(worst, double.IsNegativeInfinity(expected[t]) ? (blind ? 0 : 1) : Math.Abs(expected[t] - (top - Math.Log(factor))));
        }

        Check("log-sum-exp", worst, tolerance);
    }
}

public sealed class AttentionOracleFloat(ITestOutputHelper output) : AttentionOracleTests<float>(output);

public sealed class AttentionOracleDouble(ITestOutputHelper output) : AttentionOracleTests<double>(output);
