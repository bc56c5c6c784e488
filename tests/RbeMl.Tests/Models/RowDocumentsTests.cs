using RbeMl.Layers;
using RbeMl.Models;
using RbeMl.Tests.Files;
using RbeMl.Tests.Support;
using RbeMl.Training;

namespace RbeMl.Tests.Models;

/// <summary>Documents that share a row and are kept apart: each has the loss, to the last bit, that it has alone.</summary>
public sealed class RowDocumentsTests
{
    private const int Vocabulary = 11;

    /// <summary>Documents of a row, short and long, at the borders of chunks and within them.</summary>
    public static TheoryData<int[], int> Rows => new()
    {
        { [16], 1 },
        { [5, 11], 1 },
        { [1, 1, 1, 13], 2 },
        { [64, 64], 2 },
        { [3, 61, 64, 1, 71], 1 },
        { [3, 61, 64, 1, 71], 3 },
        { [63, 1, 130, 6], 4 },
        { [190, 10], 8 }, // fewer heads than threads: the long one is divided, the short one is not
    };

    [Theory]
    [MemberData(nameof(Rows))]
    public void Each_has_the_loss_that_it_has_alone(int[] documents, int threads)
    {
        int length = documents.Sum();
        using TransformerModel<float> model = SmallModel.Create(length);
        (int[] inputs, int[] targets) = Data(length);
        double alone = 0;
        int[] positions = [.. documents.SelectMany(count => Enumerable.Range(0, count))];
        using ParameterVector<float> expected = model.Parameters.CreateLike(), gradients = model.Parameters.CreateLike();
        for (int d = 0, start = 0; d < documents.Length; start += documents[d++])
        {
            (int from, int to) = (start, start + documents[d]);
            alone = Sum(model, inputs[from..to], targets[from..to], [], 1, expected, alone);
        }

        double packed = Sum(model, inputs, targets, positions, threads, gradients, 0);
        Assert.Equal(BitConverter.DoubleToInt64Bits(alone), BitConverter.DoubleToInt64Bits(packed));
        Assert.NotEqual(packed, Sum(model, inputs, targets, [], threads, null, 0) + (documents.Length == 1 ? 1 : 0));

        // Gradients are added up in another order, of which the sum of up to 200 tokens and the largest value tell the rounding.
        foreach (ParameterSlice slice in model.Parameters.Slices)
        {
            float[] ours = gradients.Of(slice).ToArray(), theirs = expected.Of(slice).ToArray();
            float tolerance = 2e-5f * Math.Max(1, theirs.Max(MathF.Abs));
            Assert.All(ours.Zip(theirs), pair => Assert.InRange(pair.First, pair.Second - tolerance, pair.Second + tolerance));
        }
    }

    /// <summary>What a document holds changes nothing in the others of its row.</summary>
    [Fact]
    public void None_sees_another()
    {
        using TransformerModel<float> model = SmallModel.Create(100, dropout: 0);
        (int[] inputs, int[] targets) = Data(100);
        int[] positions = [.. Enumerable.Range(0, 100).Select(i => i < 40 ? i : i - 40)];
        targets.AsSpan(0, 40).Fill(-1);
        double before = Sum(model, inputs, targets, positions, 2, null, 0);
        for (int i = 0; i < 40; i++) inputs[i] = (inputs[i] + 1 + (i % 9)) % Vocabulary;
        Assert.Equal(before, Sum(model, inputs, targets, positions, 2, null, 0));
        Assert.NotEqual(before, Sum(model, inputs, targets, [], 2, null, 0));
    }

    [Theory]
    [InlineData(3, 4)]
    [InlineData(0, 1)] // a row begins within a document
    [InlineData(9, -1)]
    [InlineData(12, 2)]
    public void Positions_count_from_0_in_each_row(int place, int value)
    {
        using TransformerModel<float> model = SmallModel.Create(8);
        int[] positions = [.. Enumerable.Range(0, 16).Select(i => i % 8)];
        positions[place] = value;
        (int[] inputs, int[] targets) = Data(16);
        using Workspace<float> workspace = new(1);
        using TransformerContext<float> context = new(model, workspace);
        string message = Assert.Throws<TokenException>(() => model.Loss(inputs, targets, 2, 8, context, positions: positions)).Message;
        Assert.Contains($"position {value} at sequence {place / 8}, token {place % 8} is neither {(place % 8 == 0 ? 0 : place % 8)} nor the 0", message);
        Assert.Throws<ShapeMismatchException>(() => model.Loss(inputs, targets, 2, 8, context, positions: positions.AsSpan(0, 15)));
    }

    /// <summary>Rows of a source keep documents apart in steps and validations, and give the same as rows of one document each.</summary>
    [Fact]
    public void A_trainer_keeps_them_apart()
    {
        Random random = new(3);
        TokenDocument[] documents = [.. Enumerable.Range(0, 30)
            .Select(i => new TokenDocument([.. Enumerable.Range(0, 2 + (i % 13)).Select(_ => random.Next(10))]))];
        TrainerOptions options = new() { Steps = 6, BatchSize = 4, Context = 16, LearningRate = 3e-3, ValidationSequences = 100 };
        (double, double) packed = Run(DocumentPacking.Isolated, 1), threads = Run(DocumentPacking.Isolated, 3), separate = Run(DocumentPacking.Separate, 1),
            seen = Run(DocumentPacking.Packed, 1);
        Assert.Equal(packed, threads);
        Assert.Equal(separate.Item1, packed.Item1, 1e-12); // sums of some 200 losses in another order
        Assert.NotEqual(seen.Item1, packed.Item1);
        Assert.True(packed.Item2 < packed.Item1, $"{packed}");

        (double Before, double After) Run(DocumentPacking packing, int threads)
        {
            using TransformerModel<float> model = SmallModel.Create();
            TokenDataset data = TokenDataset.FromDocuments(documents, Vocabulary, 5, packing, endToken: 10);
            using Trainer trainer = new(model, data, data.Reorder(5, TokenOrder.Sequential), options, threads);
            double before = trainer.Validate();
            return (before, trainer.Run());
        }
    }

    /// <summary>An evaluation of the rows is the validation of a training; losses are doubles in one and floats in the other.</summary>
    [Theory]
    [InlineData(DocumentPacking.Packed)]
    [InlineData(DocumentPacking.Separate)]
    [InlineData(DocumentPacking.Isolated)]
    public void An_evaluation_has_the_loss_of_a_validation(DocumentPacking packing)
    {
        using TransformerModel<float> model = SmallModel.Create();
        TokenDataset data = TokenDataset.FromDocuments([.. Enumerable.Range(1, 40).Select(i => new TokenDocument(
            [.. Enumerable.Range(i, 3 + (i % 9)).Select(id => id * id % 9)], i % 4 == 0 ? [.. Enumerable.Range(0, 3 + (i % 9)).Select(t => t > 1)] : null))],
            Vocabulary, 1, packing, endToken: 10);
        using Trainer trainer = new(model, data, data, new TrainerOptions { Steps = 1, BatchSize = 4, Context = 16, ValidationSequences = 1000 });
        using Evaluator evaluator = new(model, model, new EvaluationOptions { Context = 16, BatchSize = 3 }, 2), other = new(model, null, null, 1);
        EvaluationResult result = evaluator.Evaluate(data);
        Assert.Equal(trainer.Validate(), result.Nll, 1e-6);
        Assert.Equal(result.Nll, other.Evaluate(data).Nll);
        Assert.Equal((0, 1), (result.Kl, result.Top1Agreement));
        Assert.Null(result.Bytes);
        Assert.Contains("vocabulary of 11", Assert.Throws<TokenException>(() => other.Evaluate(TokenDataset.FromStream([1, 2, 3], 12))).Message);
    }

    /// <summary>A state goes on with the bits of a run that was never stopped, and is not taken by one whose rows are laid out otherwise.</summary>
    [Fact]
    public void A_run_goes_on_from_its_state()
    {
        using TemporaryFolder folder = new();
        string path = folder.File("state.rbe");
        TrainerOptions options = new() { Steps = 5, BatchSize = 2, Context = 16, LearningRate = 3e-3 };
        using Trainer whole = Make(DocumentPacking.Isolated, 2), resumed = Make(DocumentPacking.Isolated, 1), other = Make(DocumentPacking.Packed, 1);
        whole.Step();
        whole.SaveState(path);
        whole.Run();
        resumed.Resume(path);
        resumed.Run();
        Assert.Equal(Training.TrainingStateTests.Bits(whole.Model.Parameters), Training.TrainingStateTests.Bits(resumed.Model.Parameters));
        Assert.Contains("training data", Assert.Throws<StateMismatchException>(() => other.Resume(path)).Message);

        Trainer Make(DocumentPacking packing, int threads) => new(SmallModel.Create(), TokenDataset.FromDocuments(
            [.. Enumerable.Range(1, 20).Select(i => new TokenDocument([.. Enumerable.Range(i, 3 + (i % 5)).Select(id => id % 9)]))], Vocabulary, 1, packing),
            null, options, threads);
    }

    /// <summary>Steps whose rows hold documents allocate nothing.</summary>
    [Fact]
    public void A_steady_step_allocates_nothing()
    {
        using TransformerModel<float> model = SmallModel.Create(48);
        using Workspace<float> workspace = new(1);
        using TransformerContext<float> context = new(model, workspace, CheckpointPolicy.Selective);
        using ParameterVector<float> gradients = model.Parameters.CreateLike();
        (int[] inputs, int[] targets) = Data(96);
        int[] positions = [.. Enumerable.Range(0, 96).Select(i => i % 48 % 20)];
        for (int step = 0; step < 3; step++) model.Loss(inputs, targets, 2, 48, context, new DropoutStep(1, 1), gradients, 1, positions);
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int step = 0; step < 5; step++) model.Loss(inputs, targets, 2, 48, context, new DropoutStep(1, 1), gradients, 1, positions);
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    private static (int[] Inputs, int[] Targets) Data(int count)
    {
        Random random = new(count);
        return ([.. Enumerable.Range(0, count).Select(_ => random.Next(Vocabulary))],
            [.. Enumerable.Range(0, count).Select(i => i % 7 == 3 ? -1 : random.Next(Vocabulary))]);
    }

    private static double Sum(TransformerModel<float> model, int[] inputs, int[] targets, int[] positions, int threads, ParameterVector<float>? gradients,
        double sum)
    {
        using Workspace<float> workspace = new(threads);
        using TransformerContext<float> context = new(model, workspace);
        float[] losses = new float[inputs.Length];
        model.LossSum(inputs, targets, positions, 1, inputs.Length, context, null, gradients, 1, losses);
        return losses.Aggregate(sum, (all, loss) => all + loss);
    }
}
