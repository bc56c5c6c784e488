using System.Numerics;
using RbeMl.Layers;
using RbeMl.Models;
using RbeMl.Oracle.Tests.Reference;
using RbeMl.Oracle.Tests.Support;
using RbeMl.Training;
using Xunit.Abstractions;
using static TorchSharp.torch;

namespace RbeMl.Oracle.Tests.Models;

/// <summary>A whole model against torch in double: logits, loss, all gradients, and ten AdamW steps on the same parameters.</summary>
public abstract class ModelOracleTests<T> : OracleTest
    where T : unmanaged, IFloatingPointIeee754<T>
{
    private const int Steps = 10, B = ModelCase.Batch, L = ModelCase.Length;

    private protected ModelOracleTests(ITestOutputHelper output)
        : base(output)
    {
    }

    public static TheoryData<string> Cases => [.. ModelCase.All.Keys];

    // Two blocks and the head: some thirty sums of up to 200 terms one after the other, multiplied by softmax and LayerNorm.
    private static double Tolerance => 100 * Numbers.Tolerance<T>(200);

    // Half as many on the way forward, and the residual stream carries most of a logit past them.
    private static double ForwardTolerance => 5 * Numbers.Tolerance<T>(200);

    /// <summary>
    /// Demanded of the losses of ten steps are 1e-4. Adam divides by the size of a gradient, so rounding of elements whose gradient is near zero turns into
    /// steps of up to the learning rate; that is why double cannot be held to its own rounding either.
    /// </summary>
    private static double LossTolerance => typeof(T) == typeof(float) ? 1e-4 : 1e-9;

    [Theory]
    [MemberData(nameof(Cases))]
    public void LogitsGradientsAndTenSteps(string name)
    {
        ModelCase c = ModelCase.All[name];
        TransformerWeights weights = c.Dense.ToLibrary(c.Config, c.Options);
        TorchModel torchModel = c.Dense.ToTorch(float64, weights.Blocks);
        TransformerModel<T> model = new(weights);
        using ParameterVector<T> parameters = model.Parameters, gradients = parameters.CreateLike();
        Dictionary<string, Tensor> leaves = torchModel.Parameters.ToDictionary(p => p.Name, p => p.Tensor);
        Assert.Equal(leaves.Keys.Order(), parameters.Slices.Select(s => s.Name).Order());
        TorchTrainer trainer = new(torchModel, parameters.Slices.ToDictionary(s => s.Name), c.Training);
        TorchBlockOptions options = c.TorchOptions;
        using Workspace<T> workspace = new(1);
        using TransformerContext<T> context = new(model, workspace, c.Policy);
        using Optimizer<T> optimizer = c.Training.Optimizer.Create(parameters, c.Training);

        if (c.Documents is null) // logits are those of whole rows
        {
            using IDisposable gradientless = no_grad();
            Tensor logits = TorchGpt2.Logits(Ids(c.Data(0).Tokens), torchModel, options);
            Check("logits", Numbers.RelativeError<double, T>(logits.ToDoubles(), model.Logits(c.Data(0).Tokens, B, L, workspace)), ForwardTolerance);
        }

        double first = 0, last = 0;
        for (int step = 0; step < Steps; step++)
        {
            (int[] tokens, int[] targets) = c.Data(step);
            double expected = trainer.LossAndGradients(Ids(tokens), Ids(targets), options);
            gradients.Clear();
            double loss = model.Loss(tokens, targets, B, L, context, null, gradients, positions: c.RowPositions);
            Check($"loss before step {step + 1}, {expected:F6}", Math.Abs(loss - expected), LossTolerance);
            if (step == 0) CheckGradients(parameters, gradients, leaves);
            trainer.Step();
            optimizer.Step(gradients, 1, workspace.Workers);
            (first, last) = (step == 0 ? expected : first, expected);
        }

        // Otherwise equal losses would say nothing about the steps.
        Assert.True(last < first - 0.1, $"the loss went from {first} to {last}");
    }

    [Fact]
    public void TorchsDenseTrainingIsReproducedWithoutATransform()
    {
        ModelCase c = ModelCase.All["all weights, no transform"];
        TorchModel torchModel = c.Dense.ToTorch(float64);
        TransformerModel<T> model = new(c.Dense.ToLibrary(c.Config, c.Options));
        using ParameterVector<T> parameters = model.Parameters, gradients = parameters.CreateLike();
        TorchTrainer trainer = new(torchModel, parameters.Slices.ToDictionary(s => s.Name), c.Training);
        using Workspace<T> workspace = new(1);
        using TransformerContext<T> context = new(model, workspace);
        using Optimizer<T> optimizer = c.Training.Optimizer.Create(parameters, c.Training);
        for (int step = 0; step < Steps; step++)
        {
            (int[] tokens, int[] targets) = c.Data(step);
            double expected = trainer.LossAndGradients(Ids(tokens), Ids(targets), c.TorchOptions);
            gradients.Clear();
            Check($"loss before step {step + 1}", Math.Abs(model.Loss(tokens, targets, B, L, context, null, gradients) - expected), LossTolerance);
            trainer.Step();
            optimizer.Step(gradients, 1, workspace.Workers);
        }

        // Matrices are read back as float; their elements have moved by up to ten learning rates of 1e-3.
        foreach (((string name, Codec.RbeMatrix matrix),
            TorchLinear linear) in model.Matrices.Zip(torchModel.Blocks.SelectMany(b => b.Linears.Select(l => l.Linear))))
        {
            Check(name, Numbers.RelativeError<double, float>(linear.Weight().ToDoubles(), matrix.ToDense()), Numbers.Tolerance<float>(Steps) + LossTolerance);
        }
    }

    [Theory]
    [InlineData("runs of 4 and alphas")]
    [InlineData("scores scaled by layer")]
    [InlineData("scores scaled by layer only")]
    [InlineData("post-LN")]
    public void CachedStepsGiveTorchsLogits(string name)
    {
        ModelCase c = ModelCase.All[name];
        TransformerWeights weights = c.Dense.ToLibrary(c.Config, c.Options);
        int[] tokens = c.Data(0).Tokens;
        double[] expected;
        using (no_grad()) expected = TorchGpt2.Logits(Ids(tokens), c.Dense.ToTorch(float64, weights.Blocks), c.TorchOptions).ToDoubles();
        TransformerModel<T> model = new(weights);
        using ParameterVector<T> parameters = model.Parameters;
        using Workspace<T> workspace = new(1);
        using KvCache<T> cache = new(c.Config, B, L);
        T[] logits = new T[B * c.Config.Vocabulary];
        const int Prefill = 3;
        for (int t = Prefill - 1; t < L; t++)
        {
            int from = t == Prefill - 1 ? 0 : t;
            int[] fresh = [.. Enumerable.Range(0, B).SelectMany(b => tokens.AsSpan((b * L) + from, t + 1 - from).ToArray())];
            model.LastLogits(fresh, B, t + 1 - from, workspace, cache, logits);
            double[] rows = [.. Enumerable.Range(0, B).SelectMany(b => expected.AsSpan(((b * L) + t) * c.Config.Vocabulary, c.Config.Vocabulary).ToArray())];
            Check($"logits of token {t}", Numbers.RelativeError<double, T>(rows, logits), Math.Min(1e-5, ForwardTolerance));
        }
    }

    private static Tensor Ids(int[] ids) => tensor(ids.Select(i => (long)i).ToArray()).reshape(B, L);

    private void CheckGradients(ParameterVector<T> parameters, ParameterVector<T> gradients, Dictionary<string, Tensor> leaves)
    {
        foreach (ParameterSlice slice in parameters.Slices)
        {
            // The gradient of a key bias is zero but for rounding: it is measured against the query bias's gradient.
            double[] expected = leaves[slice.Name].Gradient(), unit = leaves[slice.Name.Replace("key.bias", "query.bias", StringComparison.Ordinal)].Gradient();
            Check(slice.Name, Numbers.Distance<double, T>(expected, gradients.Of(slice)) / Numbers.Norm<double>(unit), Tolerance);
        }
    }
}

public sealed class ModelOracleFloat(ITestOutputHelper output) : ModelOracleTests<float>(output);

public sealed class ModelOracleDouble(ITestOutputHelper output) : ModelOracleTests<double>(output);
