using RbeMl.Training;

namespace RbeMl.Tests.Sequences;

public class LogisticFitTests
{
    private const int Features = 23;

    /// <summary>No small move of the weights makes penalty and cross-entropy, written down plainly, smaller.</summary>
    [Theory]
    [InlineData(2, 40, 1)]
    [InlineData(4, 61, 0.03)]
    [InlineData(3, 9, 30)]
    public void The_fit_is_the_least(int classes, int count, double penalty)
    {
        (float[] rows, int[] labels) = Rows(classes, count, 0.5);
        LinearClassifier head = new LogisticFit(rows, Features, labels, classes).Fit(penalty);
        (float[] mean, float scale) = Scale(rows);
        double least = Plain(head, 0, 0, 0);
        Random random = new(2);
        for (int i = 0; i < 200; i++)
        {
            int c = random.Next(classes), f = random.Next(Features + 1);
            double move = (random.Next(2) - 0.5) * 0.02 / Math.Sqrt(penalty);
            Assert.True(Plain(head, c, f, move) > least - 1e-6, $"class {c}, feature {f}, {move}");
        }

        double Plain(LinearClassifier head, int movedClass, int movedFeature, double move)
        {
            double sum = 0;
            for (int i = 0; i < count; i++)
            {
                double[] logits = [.. Enumerable.Range(0, classes).Select(c =>
                {
                    // In the scaled coordinates a weight is w / scale.
                    double logit = head.Bias[c] + (c == movedClass && movedFeature == Features ? move : 0);
                    for (int f = 0; f < Features; f++)
                    {
                        logit += head.Weight[(c * Features) + f] * rows[(i * Features) + f];
                        if (c == movedClass && f == movedFeature) logit += move * scale * (rows[(i * Features) + f] - mean[f]);
                    }

                    return logit;
                })];
                sum += Math.Log(logits.Sum(Math.Exp)) - logits[labels[i]];
            }

            double square = 0;
            for (int w = 0; w < head.Weight.Length; w++)
            {
                square += Math.Pow((head.Weight[w] / scale) + (w == (movedClass * Features) + movedFeature && movedFeature < Features ? move : 0), 2);
            }

            return (sum / count) + (penalty / (2 * count) * square);
        }
    }

    [Fact]
    public void Cross_validation_finds_the_penalty_that_the_noise_asks_for()
    {
        (float[] clear, int[] clearLabels) = Rows(3, 90, 0.3);
        (float[] noise, int[] noiseLabels) = Rows(3, 90, 100);
        PenaltyChoice ofClear = PenaltyChoice.Of(clear, Features, clearLabels, 3, 1), ofNoise = PenaltyChoice.Of(noise, Features, noiseLabels, 3, 1);
        Assert.True(ofClear.Penalty < ofNoise.Penalty, $"{ofClear} {ofNoise}");
        Assert.InRange(ofClear.Accuracy!.Value, 0.95, 1);
        Assert.InRange(ofNoise.Accuracy!.Value, 0, 0.6);
        Assert.InRange(ofNoise.Loss!.Value, 1.0, 1.4); // ln 3 is a guess
        Assert.Equal(ofClear, PenaltyChoice.Of(clear, Features, clearLabels, 3, 1));
    }

    [Fact]
    public void One_text_of_a_class_leaves_no_folds()
    {
        (float[] rows, int[] labels) = Rows(3, 3, 0.1);
        Assert.Equal(new PenaltyChoice(PenaltyChoice.Default, null, null), PenaltyChoice.Of(rows, Features, labels, 3, 1));
        (double loss, int right) = LogisticFit.Score(new LogisticFit(rows, Features, labels, 3).Fit(PenaltyChoice.Default), rows, Features, labels);
        Assert.Equal(3, right);
        Assert.InRange(loss / 3, 0, 1.09);
    }

    [Fact]
    public void A_class_without_texts_stays_unlikely_and_finite()
    {
        (float[] rows, int[] labels) = Rows(2, 30, 0.5);
        LinearClassifier head = new LogisticFit(rows, Features, labels, 5).Fit(0.1);
        Assert.All(head.Weight.Concat(head.Bias), value => Assert.True(float.IsFinite(value)));
        Assert.True(head.Bias[4] < head.Bias[0]);
    }

    [Fact]
    public void Equal_rows_are_no_fault()
    {
        float[] rows = new float[4 * Features];
        Array.Fill(rows, 3f);
        LinearClassifier head = new LogisticFit(rows, Features, [0, 1, 0, 0], 2).Fit(1);
        Assert.All(head.Weight, value => Assert.Equal(0, value, 1e-6f));
        Assert.True(head.Bias[0] > head.Bias[1]);
    }

    private static (float[] Rows, int[] Labels) Rows(int classes, int count, double noise)
    {
        Random random = new(classes + count);
        double[] centers = [.. Enumerable.Range(0, classes * Features).Select(_ => random.NextDouble())];
        int[] labels = [.. Enumerable.Range(0, count).Select(i => i % classes)];
        return ([.. Enumerable.Range(0, count * Features).Select(i => (float)(5 + centers[(labels[i / Features] * Features) + (i % Features)]
            + (noise * (random.NextDouble() - 0.5))))], labels);
    }

    private static (float[] Mean, float Scale) Scale(float[] rows)
    {
        int count = rows.Length / Features;
        float[] mean = [.. Enumerable.Range(0, Features).Select(f => (float)Enumerable.Range(0, count).Average(i => (double)rows[(i * Features) + f]))];
        return (mean, (float)Math.Sqrt(count / rows.Select((x, i) => Math.Pow(x - mean[i % Features], 2)).Sum()));
    }
}
