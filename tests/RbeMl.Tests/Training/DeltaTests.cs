using RbeMl.Codec;
using RbeMl.Files;
using RbeMl.Layers;
using RbeMl.Models;
using RbeMl.Tests.Files;
using RbeMl.Tests.Support;
using RbeMl.Training;

namespace RbeMl.Tests.Training;

/// <summary>A trainable delta on a frozen model: what is trained is what is saved and served.</summary>
public sealed class DeltaTests : IDisposable
{
    private static readonly TrainerOptions s_training =
        new() { Steps = 4, BatchSize = 4, Context = 16, LearningRate = 3e-3, WarmupSteps = 1, AverageHorizon = 3 };

    private static readonly int[] s_tokens = [.. Enumerable.Range(0, 32).Select(i => i * 3 % 11)];
    private readonly TemporaryFolder _folder = new();

    public static TheoryData<string> Bases => ["quantized 4", "quantized 8", "trellis 3", "trellis 8"];

    public static TheoryData<DeltaSupport> Supports => [.. Enum.GetValues<DeltaSupport>()];

    public void Dispose() => _folder.Dispose();

    private static TransformerModel<float> Basis(string format = "quantized 4", bool alphas = false)
    {
        TransformerConfig config = new() { Width = 48, Heads = 2, Layers = 2, Vocabulary = 11, MaxSequenceLength = 16 };
        int bits = format[^1] - '0';
        return new(TransformerWeights.CreateUntrained(config,
            new RbeOptions { Tile = 32, Alphas = alphas, Format = format[0] == 'q' ? RbeFormat.Quantized(bits) : RbeFormat.Trellis(bits) }, 3));
    }

    private static DeltaCalibration Calibration(int threads = 1) => new(new CountingTokens(11), 4, 16) { Threads = threads };

    private static int[] Logits(TransformerModel<float> model)
    {
        using Workspace<float> workspace = new(1);
        return [.. model.Logits(s_tokens, 2, 16, workspace).Select(BitConverter.SingleToInt32Bits)];
    }

    private static Dictionary<string, int[]> Values(TransformerModel<float> model) => model.Parameters.Slices.ToDictionary(
        slice => slice.Name, slice => model.Parameters.ToFloats(slice).Select(BitConverter.SingleToInt32Bits).ToArray());

    private static void Train(DeltaModel delta, TrainerOptions? options = null, int threads = 1)
    {
        using Trainer trainer = new(delta.Model, new CountingTokens(11), null, (options ?? s_training) with { Groups = delta.Groups }, threads);
        trainer.Run();
        Assert.All(trainer.Gradients.Slices, slice => Assert.True(trainer.Gradients.Of(slice).IndexOfAnyExcept(0f) < 0));
    }

    /// <summary>Zeros change no bit; the training changes the delta alone; the file gives what was trained.</summary>
    [Theory]
    [MemberData(nameof(Bases))]
    public void What_is_trained_is_saved_and_served(string format)
    {
        using TransformerModel<float> basis = Basis(format);
        using DeltaModel delta = DeltaModel.Attach(basis, new DeltaOptions { Share = 0.05 });
        int[] before = Logits(basis);
        Assert.Equal(before, Logits(delta.Model));
        Dictionary<string, int[]> start = Values(delta.Model);
        Assert.Equal(12, delta.Trained.Count);
        Train(delta);
        foreach ((string name, int[] values) in Values(delta.Model)) Assert.Equal(delta.Trained.Contains(name), !values.AsSpan().SequenceEqual(start[name]));
        int[] trained = Logits(delta.Model);
        Assert.NotEqual(before, trained);
        ModelFile.Save(_folder.File("model.rbe"), delta.Model);
        using ModelBundle loaded = ModelFile.Load(_folder.File("model.rbe"));
        Assert.Equal(trained, Logits(loaded.Model));
        using TransformerModel<float> served = loaded.Model.ToInference();
        Assert.Equal(trained, Logits(served));
        Assert.Equal(before, Logits(basis));
    }

    [Theory]
    [MemberData(nameof(Supports))]
    public void Places_and_training_have_the_same_bits_for_any_threads(DeltaSupport support)
    {
        using TransformerModel<float> basis = Basis();
        DeltaOptions options = new() { Support = support, Coefficients = 32, CalibrationSteps = 2, Biases = true, LayerNorms = true };
        using DeltaModel one = DeltaModel.Attach(basis, options, Calibration()), three = DeltaModel.Attach(basis, options, Calibration(3)),
            other = DeltaModel.Attach(basis, options with { Seed = 5, CalibrationSteps = 3 }, Calibration());
        Assert.Equal(Places(one), Places(three));
        Assert.NotEqual(Places(one), Places(other));
        Assert.Equal(support == DeltaSupport.Random ? 1 : 16, one.Model.GetWeights().Blocks[0].Query.Support!.RunLength);
        Assert.Equal(Logits(basis), Logits(one.Model));
        Dictionary<string, int[]> start = Values(one.Model);
        Train(one);
        Train(three, threads: 3);
        Assert.Equal(Values(one.Model), Values(three.Model));
        Assert.Equal([.. Values(one.Model).Where(v => !v.Value.AsSpan().SequenceEqual(start[v.Key])).Select(v => v.Key)], one.Trained);
        Assert.Contains("blocks.1.feedforward.contract.bias", one.Trained);
        Assert.Contains("final.gamma", one.Trained);
        Assert.DoesNotContain("embedding.tokens", one.Trained);

        static ushort[] Places(DeltaModel delta) => [.. delta.Model.GetWeights().Matrices.SelectMany(matrix => matrix.Matrix.Support!.Starts)];
    }

    /// <summary>The places chosen are those of the largest sums of squares of a gradient that is computed in double.</summary>
    [Fact]
    public void Gradient_takes_the_places_of_most_gradient()
    {
        using TransformerModel<float> basis = Basis();
        DeltaOptions options = new() { Support = DeltaSupport.Gradient, Coefficients = 64, CalibrationSteps = 1, Layers = ["blocks.1.feedforward.expand"] };
        using DeltaModel chosen = DeltaModel.Attach(basis, options, Calibration());
        Assert.Equal(["blocks.1.feedforward.expand.coefficients"], chosen.Trained);
        RbeMatrix matrix = chosen.Model.GetWeights().Blocks[1].UpProjection;
        ushort[] all = SupportSelector.AllowedStarts(32, 16, reserveBasisPlaces: false);
        CoefficientSupport everywhere = new(32, matrix.TileCount, 16, [.. Enumerable.Range(0, matrix.TileCount).SelectMany(_ => all)]);
        TransformerWeights probe = basis.GetWeights().WithMatrices((name, m) =>
            name == options.Layers[0] ? DeltaModel.WithDelta(name, m, options, everywhere) : m);
        using TransformerModel<double> model = new(probe);
        using Workspace<double> workspace = new(1);
        using TransformerContext<double> context = new(model, workspace, new ActivationSettings());
        using ParameterVector<double> gradients = model.Parameters.CreateLike();
        int[] inputs = new int[64], targets = new int[64];
        new CountingTokens(11).Fill(0, 4, 16, inputs, targets);
        model.Loss(inputs, targets, 4, 16, context, null, gradients);
        Span<double> g = gradients.Of(model.Parameters.Find(chosen.Trained[0]));
        for (int t = 0; t < matrix.TileCount; t++)
        {
            double[] energies = new double[64];
            for (int run = 0; run < 64; run++)
            {
                for (int i = 0; i < 16; i++) energies[run] += Math.Pow(g[(((t * 64) + run) * 16) + i], 2);
            }

            ushort[] best = [.. Enumerable.Range(0, 64).OrderByDescending(run => energies[run]).Take(4).Select(run => all[run]).Order()];
            Assert.Equal(best, matrix.Support!.StartsOf(t).ToArray());
        }
    }

    /// <summary>What is frozen has no gradient, and the gradient of the rest is what it would be.</summary>
    [Fact]
    public void What_is_frozen_is_left_out_of_the_gradient()
    {
        using TransformerModel<float> basis = Basis(alphas: true);
        using DeltaModel delta = DeltaModel.Attach(basis, new DeltaOptions { Layers = ["*.attention.*"] });
        using Workspace<float> workspace = new(2);
        using TransformerContext<float> context = new(delta.Model, workspace, new ActivationSettings());
        using ParameterVector<float> all = delta.Model.Parameters.CreateLike();
        using ParameterVector<float> some = delta.Model.Parameters.CreateLike(slice => delta.Trained.Contains(slice.Name));
        int[] inputs = new int[64], targets = new int[64];
        new CountingTokens(11).Fill(0, 4, 16, inputs, targets);
        double loss = delta.Model.Loss(inputs, targets, 4, 16, context, null, all);
        Assert.Equal(loss, delta.Model.Loss(inputs, targets, 4, 16, context, null, some));
        Assert.Equal(8, delta.Trained.Count);
        Assert.Equal(delta.Trained, some.Slices.Select(slice => slice.Name));
        Assert.All(some.Slices, slice => Assert.Equal(all.ToFloats(slice), some.ToFloats(slice)));
        Assert.All(all.Slices, slice => Assert.True(all.Of(slice).IndexOfAnyExcept(0f) >= 0));
    }

    [Fact]
    public void A_resumed_delta_has_the_bits_of_one_that_never_stopped()
    {
        using TransformerModel<float> basis = Basis("trellis 3");
        DeltaOptions options = new() { Support = DeltaSupport.Gradient, LayerNorms = true };
        using DeltaModel whole = DeltaModel.Attach(basis, options, Calibration()), begun = DeltaModel.Attach(basis, options, Calibration());
        using DeltaModel resumed = DeltaModel.Attach(basis, options, Calibration(2));
        Train(whole);
        string state = _folder.File("state.rbe");
        using (Trainer trainer = new(begun.Model, new CountingTokens(11), null, s_training with { Groups = begun.Groups }, 1))
        {
            trainer.Step();
            trainer.Step();
            trainer.SaveState(state);
        }

        using Trainer rest = new(resumed.Model, new CountingTokens(11), null, s_training with { Groups = resumed.Groups }, 2);
        rest.Resume(state);
        rest.Run();
        Assert.Equal(Values(whole.Model), Values(resumed.Model));
        using DeltaModel other = DeltaModel.Attach(basis, options with { LayerNorms = false }, Calibration());
        using Trainer stranger = new(other.Model, new CountingTokens(11), null, s_training with { Groups = other.Groups }, 1);
        Assert.Equal("Groups", Assert.Throws<StateMismatchException>(() => stranger.Resume(state)).What);
    }

    [Fact]
    public void What_cannot_be_is_refused_by_name()
    {
        using TransformerModel<float> basis = Basis(), sparse = SmallModel.Create();
        Refused(basis, new DeltaOptions { Layers = ["*", "blocks.2.*"] }, "\"blocks.2.*\"", "it matches none of the 12 names");
        Refused(basis, new DeltaOptions { Support = DeltaSupport.Gradient }, "Support", "give the data");
        Refused(basis, new DeltaOptions { Share = 0 }, "Share = 0", "above 0");
        Refused(basis, new DeltaOptions { Share = double.NaN }, "Share = NaN", "above 0");
        Refused(basis, new DeltaOptions { Coefficients = 0 }, "Coefficients = 0", "at least 1");
        Refused(basis, new DeltaOptions { Coefficients = 2000 }, "coefficients = 2000", "1 .. 1024");
        Refused(basis, new DeltaOptions { Layers = [] }, "Layers = none", "at least one");
        Refused(basis, new DeltaOptions { CalibrationSteps = 0 }, "CalibrationSteps = 0", "at least 1 batch");
        Refused(basis, new DeltaOptions { Support = (DeltaSupport)9 }, "Support = 9", "Runs, Gradient, Random");
        Refused(sparse, new DeltaOptions(), "blocks.0.attention.query", "stored as sparse", "128 coefficients a tile are floats", "leave the delta out");
        using DeltaModel delta = DeltaModel.Attach(basis, new DeltaOptions { Coefficients = 32, Layers = ["*.query"] });
        Refused(delta.Model, new DeltaOptions(), "blocks.0.attention.query", "a delta of 32 coefficients a tile already");

        static void Refused(TransformerModel<float> model, DeltaOptions options, params string[] says)
        {
            string message = Assert.Throws<InvalidSettingException>(() => DeltaModel.Attach(model, options)).Message;
            Assert.All(says, word => Assert.Contains(word, message, StringComparison.Ordinal));
        }
    }
}
