using RbeMl.Codec;
using RbeMl.Files;
using RbeMl.Layers;
using RbeMl.Models;
using RbeMl.Tests.Files;
using RbeMl.Tests.Support;
using RbeMl.Training;

namespace RbeMl.Tests.Training;

/// <summary>What is trained at few bits is what is stored and served, and the same for any number of threads.</summary>
public sealed class FewBitsTests : IDisposable
{
    private static readonly TransformerConfig s_config = new() { Width = 64, Heads = 2, Layers = 2, Vocabulary = 11, MaxSequenceLength = 16 };
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData(2, 64)]
    [InlineData(3, 32)]
    [InlineData(4, 64)]
    [InlineData(6, 32)]
    [InlineData(8, 64)]
    public void What_is_trained_is_what_is_served(int bits, int tile)
    {
        using TransformerModel<float> model = Model(tile);
        using Trainer trainer = Train(model, new TrainerOptions { TrainBits = bits });
        TransformerWeights weights = trainer.GetWeights();
        string file = _folder.File("model.rbe");
        ModelFile.Save(file, weights, null);
        using ModelBundle served = ModelFile.Load(file);
        TransformerWeights again = served.Model.GetWeights();
        for (int b = 0; b < s_config.Layers; b++)
        {
            foreach (BlockMatrix m in Enum.GetValues<BlockMatrix>())
            {
                RbeMatrix trained = model.GetWeights().Blocks[b].MatrixAt(m), stored = again.Blocks[b].MatrixAt(m);
                Assert.Equal(new QuantizedFormat(bits), stored.Format);
                Same(trained, stored);
            }
        }

        // The products add in another order.
        int[] tokens = [1, 2, 3, 4, 5, 6, 7, 8];
        using Workspace<float> workspace = new(1);
        float[] right = model.Logits(tokens, 1, 8, workspace), now = served.Model.Logits(tokens, 1, 8, workspace);
        float largest = right.Max(Math.Abs);
        for (int i = 0; i < right.Length; i++) Assert.Equal(right[i], now[i], largest * 1e-5);
    }

    [Fact]
    public void It_learns_and_more_bits_learn_more()
    {
        double floats = Loss(null), eight = Loss(8), three = Loss(3);
        Assert.InRange(Math.Abs(eight - floats), 0, 0.02);
        Assert.InRange(three, floats, 1.5);

        static double Loss(int? bits)
        {
            using TransformerModel<float> model = Model(32);
            using Trainer trainer = Train(model, new TrainerOptions { TrainBits = bits }, 60);
            return trainer.Validate(8);
        }
    }

    [Fact]
    public void Any_number_of_threads_trains_the_same_bits()
    {
        float[] one = Run(1);
        Assert.Equal(one, Run(3));

        static float[] Run(int threads)
        {
            using TransformerModel<float> model = Model(32);
            using Trainer trainer = Train(model, new TrainerOptions { TrainBits = 4, Optimizer = new MuonOptions() }, 3, threads);
            return Values(model);
        }
    }

    [Fact]
    public void A_state_has_the_floats_behind()
    {
        string file = _folder.File("state.rbe");
        using TransformerModel<float> model = Model(32), other = Model(32);
        using Trainer trainer = Train(model, new TrainerOptions { TrainBits = 4 });
        trainer.SaveState(file);
        using Trainer resumed = Train(other, new TrainerOptions { TrainBits = 4 }, 0, 1);
        resumed.Resume(file);
        Assert.Equal(Values(model), Values(other));
        trainer.Step();
        resumed.Step();
        Assert.Equal(Values(model), Values(other));

        using TransformerModel<float> wrong = Model(32);
        using Trainer eight = Train(wrong, new TrainerOptions { TrainBits = 8 }, 0);
        Assert.Contains("TrainBits", Assert.Throws<StateMismatchException>(() => eight.Resume(file)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_step_allocates_nothing()
    {
        using TransformerModel<float> model = Model(32);
        using Trainer trainer = Train(model, new TrainerOptions { TrainBits = 4 }, 2);
        Assert.Equal(0, Allocations.Least(5, () => trainer.Step(0)));
    }

    /// <summary>What a group says goes for its matrices, in the training, the file and the state's identity.</summary>
    [Fact]
    public void Groups_give_matrices_other_bits()
    {
        ParameterGroup attention = new("*.attention.*") { TrainBits = 3 };
        using TransformerModel<float> model = Model(32), other = Model(32);
        using Trainer trainer = Train(model, new TrainerOptions { TrainBits = 2, Groups = [attention] });
        foreach (BlockMatrix m in Enum.GetValues<BlockMatrix>())
        {
            RbeMatrix stored = trainer.GetWeights().Blocks[1].MatrixAt(m);
            int bits = m is BlockMatrix.Query or BlockMatrix.Key or BlockMatrix.Value or BlockMatrix.Output ? 3 : 2;
            Assert.Equal(new QuantizedFormat(bits), stored.Format);
            Assert.Equal(bits, stored.Base!.Bits);
            Same(model.GetWeights().Blocks[1].MatrixAt(m), stored);
        }

        string file = _folder.File("state.rbe");
        trainer.SaveState(file);
        using Trainer all = Train(other, new TrainerOptions { TrainBits = 2 }, 0);
        Assert.Contains("bits 3", Assert.Throws<StateMismatchException>(() => all.Resume(file)).Message, StringComparison.Ordinal);
        Assert.Contains("set that too", Assert.Throws<InvalidSettingException>(
            () => Train(other, new TrainerOptions { Groups = [attention] }, 0)).Message, StringComparison.Ordinal);
        Assert.Equal("TrainBits", Assert.Throws<InvalidSettingException>(
            () => Train(other, new TrainerOptions { TrainBits = 2, Groups = [attention with { TrainBits = 9 }] }, 0)).Setting);
        Assert.Contains("no matrix has such a name", Assert.Throws<InvalidSettingException>(
            () => Train(other, new TrainerOptions { TrainBits = 2, Groups = [new ParameterGroup("*.bias") { TrainBits = 3 }] }, 0)).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void Memory_counts_the_floats_behind()
    {
        using TransformerModel<float> model = Model(32), other = Model(32);
        using Trainer floats = Train(model, new TrainerOptions(), 0), bits = Train(other, new TrainerOptions { TrainBits = 4 }, 0);
        long copies = LatentWeights.BytesOf(other.Parameters);
        Assert.InRange(copies, other.Parameters.Length * 4L, other.Parameters.Length * 5L);
        Assert.Equal(floats.Estimate.Optimizer + copies, bits.Estimate.Optimizer);
        Assert.Equal(bits.Estimate.Optimizer, bits.Bytes.Optimizer);
    }

    [Theory]
    [InlineData("alphas")]
    [InlineData("some")]
    [InlineData("1")]
    public void What_cannot_be_is_refused_by_name(string what)
    {
        RbeOptions options = what switch
        {
            "alphas" => new RbeOptions { Tile = 32, Format = RbeFormat.Sparse(256) },
            "some" => new RbeOptions { Tile = 32, Alphas = false, Format = RbeFormat.Sparse(1000) },
            _ => new RbeOptions { Tile = 32, Alphas = false, Format = RbeFormat.Sparse(1024) },
        };
        using TransformerModel<float> model = TransformerModel<float>.Create(s_config, options, 1);
        InvalidSettingException error = Assert.Throws<InvalidSettingException>(
            () => Train(model, new TrainerOptions { TrainBits = what == "1" ? 1 : 4 }));
        Assert.Equal("TrainBits", error.Setting);
        Assert.Contains(what == "1" ? "2 to 8" : "blocks.0.", error.Message, StringComparison.Ordinal);
    }

    private static void Same(RbeMatrix trained, RbeMatrix stored)
    {
        int area = stored.Tile * stored.Tile;
        float[] decoded = new float[area];
        for (int t = 0; t < stored.TileCount; t++)
        {
            stored.Base!.Decode(t, decoded);
            Assert.Equal(trained.Coefficients.AsSpan(t * area, area).ToArray(),
                Enumerable.Range(0, area).Select(i => decoded[trained.Support!.PositionOf(t, i)]));
        }
    }

    private static float[] Values(TransformerModel<float> model) => [.. model.Parameters.Slices.SelectMany(model.Parameters.ToFloats)];

    private static TransformerModel<float> Model(int tile) =>
        TransformerModel<float>.Create(s_config, new RbeOptions { Tile = tile, Alphas = false, Format = RbeFormat.Sparse(tile * tile) }, 1);

    private static Trainer Train(TransformerModel<float> model, TrainerOptions options, int steps = 4, int threads = 2)
    {
        options = options with { Steps = 60, BatchSize = 4, Context = 8, WarmupSteps = 5, LearningRate = 1e-2, ValidateEvery = 0 };
        Trainer trainer = new(model, new CountingTokens(11), new CountingTokens(11), options, threads);
        for (int step = 0; step < steps; step++) trainer.Step();
        return trainer;
    }
}
