using System.Text.Json.Nodes;
using RbeMl.Codec;
using RbeMl.Files;
using RbeMl.Layers;
using RbeMl.Memory;
using RbeMl.Models;
using RbeMl.Tests.Files;
using RbeMl.Tests.Support;
using RbeMl.Training;

namespace RbeMl.Tests.Training;

/// <summary>Gradients, the optimiser's vectors, averages and states hold what is trained and nothing of what is frozen.</summary>
public sealed class FrozenStretchTests : IDisposable
{
    private const int Steps = 4;

    private static readonly TrainerOptions s_options = new()
    {
        Steps = Steps,
        BatchSize = 4,
        Context = 16,
        Accumulate = 3,
        LearningRate = 3e-3,
        WarmupSteps = 1,
        AverageHorizon = 3,
        Clip = 0,
    };

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    public static TheoryData<string> Optimizers => [.. OptimizerOptions.All.Select(optimizer => optimizer.Name)];

    private static OptimizerOptions Find(string name) => OptimizerOptions.All.Single(optimizer => optimizer.Name == name);

    private static DeltaModel Delta()
    {
        TransformerConfig config = new() { Width = 64, Heads = 2, Layers = 2, Vocabulary = 11, MaxSequenceLength = 16 };
        RbeOptions options = new() { Tile = 32, Alphas = true, Format = RbeFormat.Quantized(4) };
        using TransformerModel<float> basis = new(TransformerWeights.CreateUntrained(config, options, 3));
        return DeltaModel.Attach(basis, new DeltaOptions { Share = 0.02, Biases = true });
    }

    private static Trainer Make(DeltaModel delta, TrainerOptions? options = null, int threads = 1) =>
        new(delta.Model, new CountingTokens(11), null, (options ?? s_options) with { Groups = options?.Groups is { Count: > 0 } own ? own : delta.Groups },
            threads);

    private static Dictionary<string, int[]> Bits(ParameterVector<float> vector, DeltaModel delta) => vector.Slices
        .Where(slice => delta.Trained.Contains(slice.Name))
        .ToDictionary(slice => slice.Name, slice => vector.ToFloats(slice).Select(BitConverter.SingleToInt32Bits).ToArray());

    /// <summary>
    /// A run whose other parameters have vectors of their own, and rates that round to nothing, gives the same bits. Without clipping, as these
    /// others would count in the norm. Moments of 8 bits are dithered by their place among those that are trained.
    /// </summary>
    [Theory]
    [MemberData(nameof(Optimizers))]
    public void A_run_has_the_bits_that_it_has_with_vectors_of_all_parameters(string optimizer)
    {
        if (optimizer == "adamw8") return;
        TrainerOptions options = s_options with { Optimizer = Find(optimizer) };
        using DeltaModel some = Delta(), all = Delta();
        using Trainer compact = Make(some, options, 2);
        using Trainer whole = Make(all, options with
        {
            Groups = [new ParameterGroup("*") { RateFactor = 1e-300 }, .. all.Trained.Select(name => new ParameterGroup(name) { RateFactor = 1 })],
        });
        Assert.Equal(all.Model.Parameters.Length, whole.Gradients.Length);
        Assert.Equal(some.Trained, compact.Gradients.Slices.Select(slice => slice.Name));
        Assert.Equal(some.Model.Parameters.LengthOf(slice => some.Trained.Contains(slice.Name)), compact.Gradients.Length);
        for (int step = 0; step < Steps; step++) Assert.Equal(whole.Step().Loss, compact.Step().Loss);
        Assert.Equal(Bits(all.Model.Parameters, all), Bits(some.Model.Parameters, some));
        Assert.Equal(options.Optimizer.StateVectors, compact.Optimizer.StateVectors.Count);
        for (int vector = 0; vector < options.Optimizer.StateVectors; vector++)
        {
            Assert.Equal(some.Trained, compact.Optimizer.StateVectors[vector].Slices.Select(slice => slice.Name));
            Assert.Equal(Bits(whole.Optimizer.StateVectors[vector], all), Bits(compact.Optimizer.StateVectors[vector], some));
        }

        whole.ApplyAverage();
        compact.ApplyAverage();
        Assert.Equal(Bits(all.Model.Parameters, all), Bits(some.Model.Parameters, some));
    }

    [Theory]
    [MemberData(nameof(Optimizers))]
    public void Plan_figures_and_state_count_what_is_trained(string optimizer)
    {
        TrainerOptions options = s_options with { Optimizer = Find(optimizer), MemoryLimit = 1 << 20 };
        using DeltaModel delta = Delta();
        using Trainer trainer = Make(delta, options);
        ParameterSlice[] trained = [.. delta.Model.Parameters.Slices.Where(slice => delta.Trained.Contains(slice.Name))];
        Assert.Equal(delta.TrainableCount, trained.Sum(slice => slice.Length));
        long values = 4 * delta.TrainableCount, aligned = 4 * trained.Sum(slice => (slice.Length + 15L) / 16 * 16);
        long coded = options.Optimizer.CodedStateBytes(trained), scratch = 4 * options.Optimizer.ScratchElements(trained);
        int vectors = options.Optimizer.StateVectors + 1; // and the average
        Assert.Equal(2 * aligned, trainer.Plan!.Estimate.Gradients);
        Assert.Equal((vectors * aligned) + coded + scratch, trainer.Plan.Estimate.Optimizer);
        Assert.Equal(trainer.Plan.Estimate.Gradients, 2 * trainer.Gradients.AllocatedBytes);
        Assert.All(trainer.Optimizer.StateVectors, vector => Assert.Equal(aligned, vector.AllocatedBytes));
        Assert.Equal((2 * values, (vectors * values) + coded), (trainer.Bytes.Gradients, trainer.Bytes.Optimizer));
        string state = _folder.File($"{optimizer}.rbe");
        trainer.Step();
        trainer.SaveState(state);
        using RbeContainer file = RbeContainer.Open(state);
        Assert.Equal(((vectors + 1) * values) + coded, file.Tensors.Sum(tensor => tensor.ByteLength));
        Assert.Equal(trainer.StateBytes, file.Tensors.Sum(tensor => tensor.ByteLength));
    }

    /// <summary>Earlier versions kept the frozen values too: what is there of them is passed over.</summary>
    [Theory]
    [InlineData("adamw")]
    [InlineData("muon")]
    public void A_state_of_all_parameters_is_read(string optimizer)
    {
        TrainerOptions options = s_options with { Optimizer = Find(optimizer) };
        string state = _folder.File("state.rbe"), earlier = _folder.File("earlier.rbe"), wrong = _folder.File("wrong.rbe");
        using DeltaModel never = Delta(), resumed = Delta();
        using (Trainer trainer = Make(never, options))
        {
            trainer.Step();
            trainer.SaveState(state);
            trainer.Run();
            Rewrite(state, earlier, vector => Whole(trainer, vector));
            Rewrite(state, wrong, vector => vector[1..]);
        }

        using Trainer rest = Make(resumed, options);
        Assert.Contains("f32 [", Assert.Throws<RbeFileException>(() => rest.Resume(wrong)).Message, StringComparison.Ordinal);
        rest.Resume(earlier);
        rest.Run();
        Assert.Equal(TrainingStateTests.Bits(never.Model.Parameters), TrainingStateTests.Bits(resumed.Model.Parameters));

        float[] Whole(Trainer trainer, float[] trained)
        {
            List<float> all = [];
            int done = 0;
            foreach (ParameterSlice slice in trainer.Model.Parameters.Slices)
            {
                if (!never.Trained.Contains(slice.Name)) all.AddRange(Enumerable.Repeat(7f, slice.Length));
                else all.AddRange(trained[done..(done += slice.Length)]);
            }

            Assert.Equal(trained.Length, done);
            return [.. all];
        }
    }

    [Fact]
    public void A_vector_of_some_slices_gives_and_takes_these()
    {
        using TransformerModel<float> model = SmallModel.Create(dropout: 0);
        ParameterVector<float> parameters = model.Parameters;
        ParameterSlice frozen = parameters.Slices[0], kept = parameters.Slices[^1];
        using ParameterVector<float> some = parameters.CreateLike(slice => slice == kept), like = some.CreateLike(), none = parameters.CreateLike(_ => false);
        using ParameterVector<float> all = some.CreateLike(_ => true);
        Assert.Equal((parameters.Length, parameters.Slices.Count), (all.Length, all.Slices.Count));
        Assert.Equal((0, 0), (none.Length, none.Slices.Count));
        Assert.Equal([kept], like.Slices);
        Assert.Equal((kept.Length + 15L) / 16 * 16, like.Length);
        float[] before = parameters.ToFloats(kept), first = parameters.ToFloats(frozen);
        like.CopyFrom(parameters);
        Assert.Equal(before, like.ToFloats(kept));
        some.Write(kept, [.. before.Select(value => value + 1)]);
        parameters.Exchange(some);
        Assert.Equal((before[0] + 1, before[0]), (parameters.ToFloats(kept)[0], some.ToFloats(kept)[0]));
        parameters.CopyFrom(like);
        Assert.Equal(before, parameters.ToFloats(kept));
        Assert.Equal(first, parameters.ToFloats(frozen));
        Assert.Contains("does not hold", Assert.Throws<ShapeMismatchException>(() => some.ToFloats(frozen)).Message, StringComparison.Ordinal);
        Assert.Contains(kept.Name, Assert.Throws<KeyNotFoundException>(() => some.Find(frozen.Name)).Message, StringComparison.Ordinal);
        using Optimizer<float> optimizer = new AdamWOptions().Create(parameters, s_options);
        using WorkerPool workers = new(1);
        ShapeMismatchException error = Assert.Throws<ShapeMismatchException>(() => optimizer.Step(some, 1, workers));
        Assert.Contains(frozen.Name, error.Message, StringComparison.Ordinal);
        Assert.Equal(first, parameters.ToFloats(frozen));
    }

    /// <summary>A classifier and a similarity that train a part keep vectors of that part, and resume to the same bits.</summary>
    [Theory]
    [InlineData(TrainedParts.Biases)]
    [InlineData(TrainedParts.Blocks)]
    public void Trainings_over_sequences_keep_what_they_train(TrainedParts parts)
    {
        ClassifierExample[] examples = [.. Enumerable.Range(0, 24).Select(i => new ClassifierExample([i % 11, (i * 3) % 11, i % 2], i % 2))];
        ClassifierTrainerOptions options = new() { Epochs = 2, BatchSize = 8, Trained = parts, AverageHorizon = 3, ValidationFraction = 0.2, Patience = 2 };
        using TransformerModel<float> a = SmallModel.Create(dropout: 0), b = SmallModel.Create(dropout: 0);
        using SequenceClassifier<float> whole = Classifier(a), resumed = Classifier(b);
        string state = _folder.File("classifier.rbe");
        using (ClassifierTrainer trainer = new(whole, examples, null, options, 1))
        {
            trainer.Step();
            trainer.SaveState(state);
            trainer.Run();
        }

        using (ClassifierTrainer rest = new(resumed, examples, null, options, 2))
        {
            rest.Resume(state);
            rest.Run();
        }

        Assert.Equal(TrainingStateTests.Bits(a.Parameters), TrainingStateTests.Bits(b.Parameters));
        SimilarityTrainerOptions similarity = new() { Epochs = 1, BatchSize = 8, Trained = parts };
        using SimilarityTrainer alike = new(a, examples, similarity, 1);
        alike.Step();
        alike.SaveState(state);
        long trained = a.Parameters.Slices.Where(slice => similarity.Trains(slice, a.Config)).Sum(slice => (long)slice.Length);
        using RbeContainer file = RbeContainer.Open(state);
        Assert.InRange(trained, 1, a.Parameters.TrainableCount - 1);
        Assert.All(file.Tensors, tensor => Assert.Equal(trained, tensor.Count));

        static SequenceClassifier<float> Classifier(TransformerModel<float> model) => new(model, new ClassifierConfig { Classes = 2 }, 5);
    }

    private static void Rewrite(string from, string to, Func<float[], float[]> change)
    {
        using RbeContainer file = RbeContainer.Open(from);
        List<RbeTensor> tensors = [.. file.Tensors.Select(tensor => tensor.Element == RbeElement.F32
            ? RbeTensor.From(tensor.Name, change(file.Read<float>(tensor.Name))) : RbeTensor.From(tensor.Name, file.Read<byte>(tensor.Name)))];
        RbeContainerWriter.Write(to, JsonNode.Parse(file.Metadata.GetRawText())!.AsObject(), tensors);
    }
}
