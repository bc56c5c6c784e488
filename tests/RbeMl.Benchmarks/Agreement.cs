using System.Globalization;
using RbeMl.Codec;
using RbeMl.Layers;
using static TorchSharp.torch;

namespace RbeMl.Benchmarks;

/// <summary>Both sides hold the same weights, so what they compute must agree before a time of it means anything.</summary>
internal static class Agreement
{
    /// <summary>
    /// Tolerance of a relative error: each of <paramref name="products"/> products one after the other adds a random walk of <paramref name="terms"/>
    /// roundings of 2^-24; the factor 8 allows for LayerNorm, softmax and GELU between them.
    /// </summary>
    public static double Tolerance(int terms, int products) => 8 * Math.Sqrt((double)terms * products) * Math.Pow(2, -24);

    /// <summary>Requires ‖expected − actual‖ &lt; tolerance ‖unit‖; the unit is the expected when not given.</summary>
    /// <exception cref="InvalidDataException">They differ by more.</exception>
    public static void Require(string what, ReadOnlySpan<double> expected, ReadOnlySpan<float> actual, double tolerance, double? unit = null)
    {
        if (expected.Length != actual.Length) throw new InvalidDataException($"{what}: torch has {expected.Length} values, the library {actual.Length}.");
        double difference = 0;
        for (int i = 0; i < expected.Length; i++) difference += (expected[i] - actual[i]) * (expected[i] - actual[i]);
        double error = Math.Sqrt(difference) / (unit ?? Norm(expected));
        if (error < tolerance) return; // not true for NaN
        throw new InvalidDataException(
            string.Create(CultureInfo.InvariantCulture, $"{what}: torch and the library differ by {error:E2}, allowed are {tolerance:E2}. No time was taken."));
    }

    /// <summary>Requires all of a block's gradients to be torch's, those of a dense matrix pulled back to alphas and coefficients.</summary>
    public static void RequireGradients(RbeTransformerBlock<float> block, ParameterVector<float> gradients, DenseBlock dense, double tolerance)
    {
        Tensor qkvWeight = dense.QkvWeight.grad!, qkvBias = dense.QkvBias.grad!;
        int d = (int)dense.QkvBias.shape[0] / 3;
        (RbeLinear<float> Linear, Tensor Weight, Tensor Bias)[] linears =
        [
            (block.Attention.Query, qkvWeight.narrow(0, 0, d), qkvBias.narrow(0, 0, d)),
            (block.Attention.Key, qkvWeight.narrow(0, d, d), qkvBias.narrow(0, d, d)),
            (block.Attention.Value, qkvWeight.narrow(0, 2 * d, d), qkvBias.narrow(0, 2 * d, d)),
            (block.Attention.Output, dense.OutputWeight.grad!, dense.OutputBias.grad!),
            (block.FeedForward.UpProjection, dense.ExpandWeight.grad!, dense.ExpandBias.grad!),
            (block.FeedForward.DownProjection, dense.ContractWeight.grad!, dense.ContractBias.grad!),
        ];
        double queryBias = Norm(linears[0].Bias.ToDoubles());
        foreach ((RbeLinear<float> linear, Tensor weight, Tensor bias) in linears)
        {
            RbeMatrix matrix = linear.ToMatrix();
            double[] alphas = new double[matrix.Alphas.Length], coefficients = new double[matrix.Coefficients.Length];
            RbeMatrix.PullBack(matrix, weight.ToDoubles(), alphas, coefficients);
            if (linear.Alphas is { } a) Require(a.Name, alphas, gradients.Of(a), tolerance);
            if (linear.Coefficients is { } c) Require(c.Name, coefficients, gradients.Of(c), tolerance);

            // The gradient of a key bias is zero but for rounding: it is measured against the query bias's.
            if (linear.Bias is { } b) Require(b.Name, bias.ToDoubles(), gradients.Of(b), tolerance, linear == block.Attention.Key ? queryBias : null);
        }

        foreach ((LayerNorm<float> norm, Tensor gamma,
            Tensor beta) in ((LayerNorm<float>, Tensor, Tensor)[])[(block.LayerNorm1, dense.Gamma1, dense.Beta1),
                (block.LayerNorm2, dense.Gamma2, dense.Beta2)])
        {
            Require(norm.Gamma.Slice.Name, gamma.grad!.ToDoubles(), gradients.Of(norm.Gamma.Slice), tolerance);
            Require(norm.Beta.Slice.Name, beta.grad!.ToDoubles(), gradients.Of(norm.Beta.Slice), tolerance);
        }
    }

    /// <summary>The values in row-major order.</summary>
    public static double[] ToDoubles(this Tensor tensor) => tensor.detach().to(float64).contiguous().data<double>().ToArray();

    private static double Norm(ReadOnlySpan<double> values)
    {
        double sum = 0;
        foreach (double value in values) sum += value * value;
        return Math.Sqrt(sum);
    }
}
