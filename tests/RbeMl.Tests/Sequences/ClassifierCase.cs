using RbeMl.Codec;
using RbeMl.Layers;
using RbeMl.Models;
using RbeMl.Training;

namespace RbeMl.Tests.Sequences;

/// <summary>Which of two byte patterns a text of random letters holds, and classifiers for it.</summary>
internal static class ClassifierCase
{
    private static readonly int[][] s_patterns = [[3, 7, 3], [9, 1, 9]];

    public static ClassifierExample[] Examples(int count, int seed)
    {
        Random random = new(seed);
        return [.. Enumerable.Range(0, count).Select(i =>
        {
            int[] tokens = [.. Enumerable.Range(0, random.Next(6, 30)).Select(_ => random.Next(12))];
            s_patterns[i % 2].CopyTo(tokens, random.Next(tokens.Length - 2));
            s_patterns[i % 2].CopyTo(tokens, random.Next(tokens.Length - 2));
            return new ClassifierExample(tokens, i % 2);
        })];
    }

    public static SequenceClassifier<float> Classifier(Pooling pooling = Pooling.Max, float dropout = 0, int width = 32, bool encoder = false,
        bool normalize = false)
    {
        TransformerConfig config = new() { Width = width, Heads = 2, Layers = 1, Vocabulary = 12, MaxSequenceLength = 32, Dropout = dropout };
        if (encoder) config = config with { Order = BlockOrder.PostNorm, Causal = false };
        TransformerModel<float> model =
            TransformerModel<float>.Create(config, new RbeOptions { Tile = 32, Format = RbeFormat.Sparse(256, SupportRule.Runs(8)) }, 1);
        return new SequenceClassifier<float>(model, new ClassifierConfig { Classes = 2, Pooling = pooling, Normalize = normalize, Dropout = dropout }, 2);
    }

    public static float[] Scores(SequenceClassifier<float> classifier, IReadOnlyList<ClassifierExample> examples)
    {
        using Workspace<float> workspace = new(1);
        float[] scores = new float[examples.Count * classifier.Config.Classes];
        classifier.Scores([.. examples.SelectMany(e => e.Tokens)], [.. examples.Select(e => e.Tokens.Length)], workspace, scores);
        return scores;
    }

    public static double Accuracy(SequenceClassifier<float> classifier, IReadOnlyList<ClassifierExample> examples)
    {
        float[] scores = Scores(classifier, examples);
        return examples.Select((e, i) => scores[(2 * i) + 1] > scores[2 * i] == (e.Label == 1) ? 1.0 : 0).Average();
    }
}
