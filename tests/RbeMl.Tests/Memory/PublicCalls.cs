using RbeMl.Layers;
using RbeMl.Memory;
using RbeMl.Models;
using RbeMl.Tests.Support;
using RbeMl.Training;

namespace RbeMl.Tests.Memory;

/// <summary>A public call with everything it works on, made anew.</summary>
/// <param name="Call">The call; gives what it computes.</param>
/// <param name="Parts">What it works on, by name; the owners of memory.</param>
/// <param name="Busy">Of a part that the call claims.</param>
internal sealed record PublicCall(Func<float[]> Call, IReadOnlyDictionary<string, IDisposable> Parts, Lease Busy)
{
    private const int Batch = 3, Length = 8;
    private static readonly int[] s_tokens = [.. Enumerable.Range(0, Batch * Length).Select(i => i * 7 % 11)];
    private static readonly int[] s_targets = [.. s_tokens.Select(t => (t + 1) % 11)];
    private static readonly int[] s_lengths = [8, 8, 8], s_labels = [1, 0, 2];

    public static IReadOnlyList<string> Names { get; } =
    [
        "Logits", "LastLogits", "Decode", "Features", "Loss", "Gradients", "BlockForward", "BlockBackward", "ClassifierLoss", "ClassifierScores",
            "SequenceLosses", "Generator", "AdamW",
    ];

    /// <summary>Makes the call's objects, on threads of the team.</summary>
    public static PublicCall Create(string name, WorkerPool workers)
    {
        TransformerModel<float> model = SmallModel.Create(length: 16, dropout: 0);
        Workspace<float> workspace = new(workers);
        KvCache<float> cache = new(model.Config, Batch, 16);
        float[] logits = new float[Batch * 11];
        Dictionary<string, IDisposable> onModel =
            new() { ["model"] = model, ["parameters"] = model.Parameters, ["block"] = model.Blocks[0], ["workspace"] = workspace };
        switch (name)
        {
            case "Logits":
                return new(() => model.Logits(s_tokens, Batch, Length, workspace, cache),
                    With(onModel, ("cache", cache), ("layer of the cache", cache[1])), workspace.Lease);
            case "LastLogits":
                return new(() => Last(s_tokens, Length), With(onModel, ("cache", cache), ("layer of the cache", cache[1])), workspace.Lease);
            case "Decode":
                Last(s_tokens, Length);
                return new(() => Last([1, 2, 3], 1), With(onModel, ("cache", cache), ("layer of the cache", cache[1])), workspace.Lease);
            case "Features":
                return new(Features, With(onModel), workspace.Lease);
            case "Loss" or "Gradients":
                TransformerContext<float> context = new(model, workspace);
                ParameterVector<float> gradients = model.Parameters.CreateLike();
                ParameterVector<float>? used = name == "Loss" ? null : gradients;
                return new(
                    () => [(float)model.Loss(s_tokens, s_targets, Batch, Length, context, gradients: used)],
                    used is null ? With(onModel, ("context", context)) : With(onModel, ("context", context), ("gradients", used)), workspace.Lease);
            case "BlockForward":
                BlockContext<float> saved = new();
                return new(() => Forward(saved, cache[0]), With(onModel, ("context", saved), ("cache", cache), ("layer of the cache", cache[0])),
                    workspace.Lease);
            case "BlockBackward":
                BlockContext<float> filled = new();
                ParameterVector<float> sums = model.Parameters.CreateLike();
                Forward(filled, cache[0]);
                return new(
                    () => model.Blocks[0].Backward(Numbers.Normal(Batch * Length * 32, 5), filled, sums, workspace),
                    With(onModel, ("context", filled), ("gradients", sums), ("cache", cache)), workspace.Lease);
            case "ClassifierLoss" or "ClassifierScores":
                SequenceClassifier<float> classifier = new(model, new ClassifierConfig { Classes = 3 }, 1);
                ClassifierContext<float> rows = new(classifier, workspace);
                ParameterVector<float> head = classifier.Head.CreateLike(), body = model.Parameters.CreateLike();
                if (name == "ClassifierLoss")
                {
                    return new(
                        () => [(float)classifier.Loss(s_tokens, s_lengths, s_labels, rows, null, body, head)],
                        With(onModel, ("classifier", classifier), ("head", classifier.Head), ("context", rows), ("model's context", rows.Model),
                        ("gradients", body), ("head's gradients", head)), workspace.Lease);
                }

                return new(() => Scores(classifier), With(onModel, ("classifier", classifier), ("head", classifier.Head)), workspace.Lease);
            case "SequenceLosses":
                SequenceEvaluator evaluator = new(model, workspace);
                return new(() => Losses(evaluator), With(onModel, ("evaluator", evaluator)), workspace.Lease);
            case "Generator":
                Generator generator = new(model, workers);
                generator.Start([1, 2, 3, 4], new GenerationOptions { Temperature = 0 });
                return new(() => [generator.Next(new GenerationOptions { Temperature = 0 }, 0)], With(onModel, ("generator", generator)),
                    generator.Workspace.Lease);
            case "AdamW":
                Optimizer<float> optimizer = new AdamWOptions().Create(model.Parameters, new TrainerOptions { Steps = 10 });
                ParameterVector<float> slopes = model.Parameters.CreateLike();
                slopes.Write(slopes.Slices[0], Numbers.Normal(slopes.Slices[0].Length, 1));
                return new(
                    () => [(float)optimizer.GradientNorm(slopes, workers)],
                    new Dictionary<string, IDisposable>
                    {
                        ["optimizer"] = optimizer,
                        ["gradients"] = slopes,
                        ["model"] = model,
                        ["workspace"] = workspace
                    }, optimizer.Lease);
            default:
                throw new ArgumentOutOfRangeException(nameof(name), name, "no such call");
        }

        float[] Last(int[] tokens, int length)
        {
            model.LastLogits(tokens, Batch, length, workspace, cache, logits);
            return [.. logits];
        }

        float[] Features()
        {
            float[] output = new float[Batch * 32];
            model.Features(s_tokens, s_lengths, new FeatureOptions(), workspace, output);
            return output;
        }

        float[] Forward(BlockContext<float> context, LayerKvCache<float> layer) =>
            model.Blocks[0].Forward(Numbers.Normal(Batch * Length * 32, 3), Batch, Length, new ForwardOptions<float> { Cache = layer }, context,
                workspace).Output;

        float[] Scores(SequenceClassifier<float> classifier)
        {
            float[] scores = new float[Batch * 3];
            classifier.Scores(s_tokens, s_lengths, workspace, scores);
            return scores;
        }

        static float[] Losses(SequenceEvaluator evaluator)
        {
            double[] losses = new double[Batch];
            evaluator.SequenceLosses(s_tokens, s_lengths, losses, new int[Batch]);
            return [.. losses.Select(l => (float)l)];
        }
    }

    private static Dictionary<string, IDisposable> With(Dictionary<string, IDisposable> parts, params ReadOnlySpan<(string Name, IDisposable Part)> more)
    {
        foreach ((string name, IDisposable part) in more) parts[name] = part;
        return parts;
    }
}
