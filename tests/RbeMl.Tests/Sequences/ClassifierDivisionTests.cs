using RbeMl.Codec;
using RbeMl.Layers;
using RbeMl.Models;
using RbeMl.Training;

namespace RbeMl.Tests.Sequences;

/// <summary>Loss and gradient of a batch are the means over its examples, whatever divides it.</summary>
public class ClassifierDivisionTests
{
    private static readonly ClassifierExample[] s_examples = ClassifierCase.Examples(16, 3);

    [Theory]
    [InlineData(0, 16)]
    [InlineData(2, 16)]
    [InlineData(8, 16)]
    [InlineData(0, 8, 8)]
    [InlineData(0, 5, 11)]
    [InlineData(2, 5, 11)]
    [InlineData(0, 1, 2, 3, 4, 6)]
    public void Batches_weighted_by_their_examples_make_the_mean_of_single_ones(int part, params int[] batches)
    {
        (double Loss, float[] Gradient) single = Mean(0, [.. Enumerable.Repeat(1, s_examples.Length)]), divided = Mean(part, batches);
        Assert.InRange(Math.Abs((divided.Loss / single.Loss) - 1), 0, 1e-6);
        Assert.InRange(RbeCompressor.RelativeError(single.Gradient, divided.Gradient), 0, 1e-5);
    }

    [Theory]
    [InlineData(16)]
    [InlineData(5)]
    [InlineData(1)]
    public void A_validation_is_the_mean_over_its_examples(int batch)
    {
        using SequenceClassifier<float> classifier = ClassifierCase.Classifier();
        using ClassifierTrainer trainer = new(classifier, s_examples, s_examples, new ClassifierTrainerOptions { BatchSize = batch }, 1);
        Assert.InRange(Math.Abs(trainer.Validate().Loss / Mean(0, [.. Enumerable.Repeat(1, s_examples.Length)]).Loss - 1), 0, 1e-6);
    }

    private static (double Loss, float[] Gradient) Mean(int part, int[] batches)
    {
        using SequenceClassifier<float> classifier = ClassifierCase.Classifier();
        using Workspace<float> workspace = new(1);
        using ClassifierContext<float> context = new(classifier, workspace, new ActivationSettings { PartSequences = part });
        using ParameterVector<float> model = classifier.Model.Parameters.CreateLike(), head = classifier.Head.CreateLike();
        double loss = 0;
        double[] gradient = new double[model.Slices.Concat(head.Slices).Sum(s => s.Length)];
        int first = 0;
        foreach (int count in batches)
        {
            ClassifierExample[] some = s_examples[first..(first + count)];
            first += count;
            model.Clear();
            head.Clear();
            loss += count * classifier.Loss(
                [.. some.SelectMany(e => e.Tokens)], [.. some.Select(e => e.Tokens.Length)], [.. some.Select(e => e.Label)], context, 32, null, model, head);
            float[] each = [.. model.Slices.SelectMany(model.ToFloats), .. head.Slices.SelectMany(head.ToFloats)];
            for (int i = 0; i < each.Length; i++) gradient[i] += (double)count * each[i] / s_examples.Length;
        }

        return (loss / s_examples.Length, [.. gradient.Select(g => (float)g)]);
    }
}
