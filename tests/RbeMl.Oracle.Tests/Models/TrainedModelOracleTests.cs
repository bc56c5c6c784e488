using RbeMl.Codec;
using RbeMl.Layers;
using RbeMl.Models;
using RbeMl.Oracle.Tests.Reference;
using RbeMl.Oracle.Tests.Support;
using Xunit.Abstractions;
using static TorchSharp.torch;

namespace RbeMl.Oracle.Tests.Models;

/// <summary>What compression costs a trained language model, in nats a character, with torch's dense model as the measure.</summary>
public sealed class TrainedModelOracleTests(ITestOutputHelper output) : OracleTest(output)
{
    [SharedDataFact]
    public void LossOfACharacterModel()
    {
        DenseModel dense = DenseModel.FromHuggingFace(new Safetensors(SharedData.PathOf("models", "makemore-names", "model.safetensors")));
        string[] names = [.. File.ReadLines(SharedData.PathOf("models", "makemore-names", "names.txt")).Where((name, i) => name.Length > 0 && i % 40 == 0)];
        (Tensor ids, Tensor targets) = CharacterBatch.Make(names);
        double expected;
        using (no_grad()) expected = TorchGpt2.Loss(TorchGpt2.Logits(ids, dense.ToTorch(float32), new TorchBlockOptions(4)), targets).item<float>();
        Print($"torch, dense: {expected:F5} nats");

        int length = (int)ids.shape[1];
        TransformerConfig config = new()
        {
            Width = 64,
            FeedForwardWidth = 256,
            Heads = 4,
            Layers = 4,
            Vocabulary = 27,
            MaxSequenceLength = 16,
            TiedHead = false,
        };
        int[] tokens = [.. ids.data<long>().Select(i => (int)i)], wanted = [.. targets.data<long>().Select(i => (int)i)];
        double Increase(string name, RbeFormat format)
        {
            TransformerModel<float> model = new(dense.ToLibrary(config, new RbeOptions { Tile = 64, Format = format }));
            using ParameterVector<float> parameters = model.Parameters;
            using Workspace<float> workspace = new(1);
            using TransformerContext<float> context = new(model, workspace);
            double increase = model.Loss(tokens, wanted, names.Length, length, context) - expected;
            Print($"{name}: {increase:+0.00000;-0.00000} nats");
            return increase;
        }

        // Both are means of float losses of about 1.75 nats: rounding of single losses averages out, that of the sums does not.
        Check("all coefficients", Math.Abs(Increase("all coefficients", RbeFormat.Sparse(64 * 64))), 1e-5);
        double[] bits = [.. Enumerable.Range(3, 6).Select(b => Increase($"{b} bits", RbeFormat.Quantized(b)))];

        // An error of the weights costs about its square: 0.08 at 4 bits a few hundredths, a quarter of that for each further bit.
        Assert.InRange(bits[1], 0.001, 0.05);
        Assert.InRange(bits[3], -0.002, 0.005);
        Assert.InRange(bits[5], -0.001, 0.001);
        Assert.True(bits[0] > bits[1] && bits[1] > bits[3], "fewer bits cost more");
        Assert.InRange(Increase("300 literal coefficients", RbeFormat.Seed(300)), 0.8, 1.6);
    }
}
