using System.Reflection;
using System.Runtime.CompilerServices;
using RbeMl.Layers;
using RbeMl.Memory;
using RbeMl.Models;
using RbeMl.Tests.Support;
using RbeMl.Training;

namespace RbeMl.Tests.Memory;

/// <summary>Every kind of object that makes threads of its own, after some work.</summary>
internal static class ThreadOwners
{
    public static IReadOnlyList<string> Kinds { get; } =
        ["team", "workspace", "generator", "trainer", "classifier trainer", "evaluator", "evaluator of two", "sequence evaluator"];

    /// <summary>Makes one that has two threads, and lets it work.</summary>
    /// <param name="kind">One of <see cref="Kinds"/>.</param>
    /// <param name="model">What it works on; it stays the caller's.</param>
    /// <param name="classifier">A classifier on it.</param>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public static IDisposable Create(string kind, TransformerModel<float> model, SequenceClassifier<float> classifier)
    {
        switch (kind)
        {
            case "team":
                return new WorkerPool(2);
            case "workspace":
                Workspace<float> workspace = new(2);
                model.Logits([1, 2, 3], 1, 3, workspace);
                return workspace;
            case "generator":
                Generator generator = new(model, 2);
                generator.Start([1, 2], new GenerationOptions());
                generator.Next(new GenerationOptions(), 0);
                return generator;
            case "trainer":
                Trainer trainer = new(model, new CountingTokens(11), null, new TrainerOptions { Steps = 5, BatchSize = 2, Context = 8 }, 2);
                trainer.Step();
                return trainer;
            case "classifier trainer":
                ClassifierExample[] examples = [new([1, 2, 3], 0), new([4, 5], 1)];
                ClassifierTrainer teacher =
                    new(classifier, examples, examples, new ClassifierTrainerOptions { BatchSize = 2, OnCancel = WhenCancelled.ReturnBest }, 2);
                teacher.Step();
                return teacher;
            case "evaluator" or "evaluator of two":
                Evaluator evaluator = new(model, kind == "evaluator" ? null : model, null, 2);
                evaluator.Evaluate(EvaluationData.FromSequences([[1, 2, 3, 4]]));
                return evaluator;
            case "sequence evaluator":
                SequenceEvaluator sequences = new(model, 2);
                sequences.SequenceLosses([1, 2, 3], [3], new double[1], new int[1]);
                return sequences;
            default:
                throw new ArgumentException(kind, nameof(kind));
        }
    }

    /// <summary>The second of its two threads.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public static Thread ThreadOf(IDisposable owner)
    {
        Finder work = new() { Found = new Thread?[2], Arrived = [0] };
        TeamOf(owner).For(2, ref work);
        return work.Found[1]!;
    }

    // Most of them show neither their threads nor their workspace.
    private static WorkerPool TeamOf(IDisposable owner)
    {
        if (owner is WorkerPool workers) return workers;
        if (owner is Workspace<float> workspace) return workspace.Workers;
        object[] parts = [.. owner.GetType().GetFields(BindingFlags.Instance | BindingFlags.NonPublic).Select(f => f.GetValue(owner)).OfType<IDisposable>()];
        return parts.OfType<WorkerPool>().FirstOrDefault() ?? parts.OfType<Workspace<float>>().First().Workers;
    }

    // No thread leaves its item before both have one.
    private struct Finder : IParallelWork
    {
        internal Thread?[] Found;
        internal int[] Arrived;

        public readonly void Execute(int item, int worker)
        {
            Found[worker] = Thread.CurrentThread;
            Interlocked.Increment(ref Arrived[0]);
            SpinWait spin = default;
            while (Volatile.Read(ref Arrived[0]) < 2) spin.SpinOnce();
        }
    }
}
