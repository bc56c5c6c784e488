using RbeMl.Oracle.Tests.Support;
using RbeMl.Training;
using TorchSharp.Modules;
using Xunit.Abstractions;
using static TorchSharp.torch;

namespace RbeMl.Oracle.Tests.Kernels;

/// <summary>The losses over given rows, through their normalisation, against torch's autograd in double.</summary>
public sealed unsafe class SimilarityOracleTests(ITestOutputHelper output) : OracleTest(output)
{
    private const int Rows = 10, Features = 37;
    private const double Temperature = 0.07, Tolerance = 1e-12;
    private static readonly int[] s_groups = [0, 0, 1, 1, 0, 2, 3, 1, 4, 4];
    private static readonly float[] s_targets = [1, -0.5f, 0, 0.25f, 0.75f];

    [Theory]
    [InlineData(SimilarityLoss.Cosine)]
    [InlineData(SimilarityLoss.Contrastive)]
    public void LossAndGradients(SimilarityLoss kind)
    {
        double[] x = Numbers.Normal(Rows * Features, 3, 2);
        Parameter leaf = new(Tensors.From(x, Rows, Features));
        Tensor unit = nn.functional.normalize(leaf, dim: 1);
        Tensor loss = kind == SimilarityLoss.Cosine ? Cosine(unit) : Contrastive(unit);
        loss.backward();
        (double actual, double[] gradient) = Ours(kind, x);
        Check("loss", Math.Abs(actual - loss.item<double>()) / loss.item<double>(), Tolerance);
        double[] expected = leaf.Gradient();
        Check("gradient", Numbers.Distance<double, double>(expected, gradient) / Numbers.Norm<double>(expected), Tolerance);
    }

    private static Tensor Cosine(Tensor unit)
    {
        Tensor pairs = unit.reshape(Rows / 2, 2, Features), targets = tensor(s_targets.Select(t => (double)t).ToArray());
        return nn.functional.mse_loss((pairs.select(1, 0) * pairs.select(1, 1)).sum(1), targets);
    }

    private static Tensor Contrastive(Tensor unit)
    {
        Tensor scores = unit.matmul(unit.t()) / Temperature;
        Tensor others = scores.masked_fill(eye(Rows, dtype: ScalarType.Bool), double.NegativeInfinity);
        Tensor logs = nn.functional.log_softmax(others, 1);
        List<Tensor> losses = [];
        for (int i = 0; i < Rows; i++)
        {
            long[] partners = [.. Enumerable.Range(0, Rows).Where(j => j != i && s_groups[j] == s_groups[i]).Select(j => (long)j)];
            if (partners.Length > 0) losses.Add(-logs[i].index_select(0, tensor(partners)).mean());
        }

        return stack(losses).mean();
    }

    private static (double Loss, double[] Gradient) Ours(SimilarityLoss kind, double[] x)
    {
        double[] units = [.. x], norms = new double[Rows], losses = new double[Rows], slopes = new double[Rows * Rows], gradient = new double[x.Length];
        fixed (double* u = units, g = gradient, l = losses, s = slopes)
        fixed (int* groups = s_groups)
        fixed (float* targets = s_targets)
        {
            for (int r = 0; r < Rows; r++) norms[r] = UnitRow.Forward(u + (r * Features), u + (r * Features), Features);
            SimilarityRows<double> rows = new(u, Rows, Features, Temperature);
            int counted = kind == SimilarityLoss.Cosine ? rows.Cosine(targets, l, s) : rows.WithPartner(groups);
            for (int r = 0; r < Rows && kind == SimilarityLoss.Contrastive; r++) l[r] = rows.Contrastive(r, groups, counted, s + (r * Rows));
            for (int r = 0; r < Rows; r++)
            {
                if (kind == SimilarityLoss.Cosine) rows.CosineGradient(r, s, g + (r * Features));
                else rows.ContrastiveGradient(r, s, g + (r * Features));
                UnitRow.Backward(u + (r * Features), norms[r], g + (r * Features), Features);
            }

            return (losses.Sum() / counted, gradient);
        }
    }
}
