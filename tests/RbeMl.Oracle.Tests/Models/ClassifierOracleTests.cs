using System.Numerics;
using RbeMl.Layers;
using RbeMl.Models;
using RbeMl.Oracle.Tests.Reference;
using RbeMl.Oracle.Tests.Support;
using RbeMl.Training;
using TorchSharp.Modules;
using Xunit.Abstractions;
using static TorchSharp.torch;

namespace RbeMl.Oracle.Tests.Models;

/// <summary>
/// A whole classifier step on sequences of different lengths against torch in double, which sees each sequence alone: loss, all gradients,
/// ten AdamW steps.
/// </summary>
public abstract class ClassifierOracleTests<T> : OracleTest
    where T : unmanaged, IFloatingPointIeee754<T>
{
    private const int Steps = 10, Classes = 3;
    private static readonly int[] s_lengths = [3, 13, 1, 16, 8, 9];

    private protected ClassifierOracleTests(ITestOutputHelper output)
        : base(output)
    {
    }

    // As for a whole model (ModelOracleTests): the same sums, LayerNorms and softmax, of one loss a sequence.
    private static double Tolerance => 100 * Numbers.Tolerance<T>(200);

    private static double LossTolerance => typeof(T) == typeof(float) ? 1e-4 : 1e-9;

    [Theory]
    [InlineData("runs of 4 and alphas", Pooling.Mean)]
    [InlineData("4 bits and delta", Pooling.Last)]
    [InlineData("all weights, no transform", Pooling.Max)]
    public void LossGradientsAndTenSteps(string name, Pooling pooling)
    {
        ModelCase c = ModelCase.All[name];
        TrainerOptions training = c.Training with { Clip = 0.5 };
        TransformerWeights weights = c.Dense.ToLibrary(c.Config, c.Options);
        TorchModel torchModel = c.Dense.ToTorch(float64, weights.Blocks);
        double[] w = Numbers.Normal(Classes * c.Config.Width, 9, 0.3), bias = Numbers.Normal(Classes, 10, 0.1);
        Parameter weightLeaf = new(Tensors.From(w, Classes, c.Config.Width)), biasLeaf = new(Tensors.From(bias, Classes));
        using SequenceClassifier<T> classifier = new(
            new TransformerModel<T>(weights), new ClassifierConfig { Classes = Classes, Pooling = pooling }, Numbers.Convert<double, float>(w),
            Numbers.Convert<double, float>(bias));
        ParameterVector<T> parameters = classifier.Model.Parameters, head = classifier.Head;
        (string Name, Tensor Tensor)[] headLeaves = [("classifier.weight", weightLeaf), ("classifier.bias", biasLeaf)];
        Dictionary<string, Tensor> leaves = torchModel.Parameters.Concat(headLeaves).ToDictionary(p => p.Name, p => p.Tensor);
        TorchTrainer trainer = new(torchModel, parameters.Slices.Concat(head.Slices).ToDictionary(s => s.Name), training, headLeaves);
        using Workspace<T> workspace = new(1);
        using ClassifierContext<T> context = new(classifier, workspace, new ActivationSettings { Checkpointing = c.Policy });
        using ParameterVector<T> gradients = parameters.CreateLike(), headGradients = head.CreateLike();
        using Optimizer<T> optimizer = training.Optimizer.Create(parameters, training), headOptimizer = training.Optimizer.Create(head, training);
        double first = 0, last = 0;
        for (int step = 0; step < Steps; step++)
        {
            Random random = new(200 + (step % 2));
            int[] tokens = [.. Enumerable.Range(0, s_lengths.Sum()).Select(_ => random.Next(c.Config.Vocabulary))],
                labels = [.. s_lengths.Select((_, i) => (i + step) % 2 == 0 ? 0 : 1 + (i % 2))];
            double expected =
                trainer.LossAndGradients(() => Loss(tokens, labels, torchModel, new TorchBlockOptions(c.Config.Heads), pooling, weightLeaf, biasLeaf));
            gradients.Clear();
            headGradients.Clear();
            double loss = classifier.Loss(tokens, s_lengths, labels, context, null, gradients, headGradients);
            Check($"loss before step {step + 1}, {expected:F6}", Math.Abs(loss - expected), LossTolerance);
            if (step == 0)
            {
                CheckGradients(head, headGradients, leaves);
                CheckGradients(parameters, gradients, leaves);
            }

            trainer.Step();
            double norm = Math.Sqrt(Math.Pow(optimizer.GradientNorm(gradients, workspace.Workers), 2)
                + Math.Pow(headOptimizer.GradientNorm(headGradients, workspace.Workers), 2));
            optimizer.Step(gradients, 1, workspace.Workers, norm);
            headOptimizer.Step(headGradients, 1, workspace.Workers, norm);
            (first, last) = (step == 0 ? expected : first, expected);
        }

        // Otherwise equal losses would say nothing about the steps.
        Assert.True(Math.Abs(last - first) > 0.01, $"the loss went from {first} to {last}");
    }

    private static Tensor Loss(int[] tokens, int[] labels, TorchModel model, TorchBlockOptions options, Pooling pooling, Tensor weight, Tensor bias)
    {
        List<Tensor> rows = [];
        int start = 0;
        foreach (int length in s_lengths)
        {
            Tensor hidden =
                TorchGpt2.Hidden(tensor(tokens.AsSpan(start, length).ToArray().Select(i => (long)i).ToArray()).reshape(1, length), model, options)[0];
            rows.Add(pooling switch { Pooling.Mean => hidden.mean([0]), Pooling.Last => hidden[length - 1], _ => hidden.max(0).values });
            start += length;
        }

        return nn.functional.cross_entropy(stack(rows).matmul(weight.t()) + bias, tensor(labels.Select(i => (long)i).ToArray()));
    }

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

public sealed class ClassifierOracleFloat(ITestOutputHelper output) : ClassifierOracleTests<float>(output);

public sealed class ClassifierOracleDouble(ITestOutputHelper output) : ClassifierOracleTests<double>(output);
