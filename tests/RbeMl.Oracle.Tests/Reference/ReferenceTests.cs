using RbeMl.Kernels;
using RbeMl.Oracle.Tests.Support;
using TorchSharp;
using Xunit.Abstractions;
using static TorchSharp.torch;

namespace RbeMl.Oracle.Tests.Reference;

/// <summary>The reference is only worth comparing with if it is right itself: against torch's own functions, and against models trained elsewhere.</summary>
public sealed class ReferenceTests(ITestOutputHelper output) : OracleTest(output)
{
    [Theory]
    [InlineData(true, 9, 9)]
    [InlineData(false, 5, 12)]
    public void AttentionIsTorchsOwn(bool causal, int queries, int keys)
    {
        Tensor q = Tensors.From(Numbers.Normal(2 * 3 * queries * 8, 1), 2, 3, queries, 8);
        Tensor k = Tensors.From(Numbers.Normal(2 * 3 * keys * 8, 2), 2, 3, keys, 8), v = Tensors.From(Numbers.Normal(2 * 3 * keys * 8, 3), 2, 3, keys, 8);
        Tensor expected = nn.functional.scaled_dot_product_attention(q, k, v, is_casual: causal);
        Tensor actual = TorchGpt2.Probabilities(TorchGpt2.Scores(q, k, new TorchBlockOptions(3) { Causal = causal })).matmul(v);
        Check("attention", Numbers.RelativeError<double, double>(expected.ToDoubles(), actual.ToDoubles()), Numbers.Tolerance<double>(8 + keys));
    }

    [Fact]
    public void ErfGeluIsTorchsOwn()
    {
        Tensor x = linspace(-8, 8, 1001, float64);
        Check("gelu", Numbers.RelativeError<double, double>(nn.functional.gelu(x).ToDoubles(), TorchGpt2.Gelu(x, GeluKind.Erf).ToDoubles()),
            Numbers.Tolerance<double>(1));
    }

    [Fact]
    public void ARowThatSeesNothingIsZeroAndPassesNoGradient()
    {
        Tensor q = Tensors.Leaf(Numbers.Normal(24, 1), 1, 1, 3, 8), k = Tensors.Leaf(Numbers.Normal(24, 2), 1, 1, 3, 8);
        Tensor padding = tensor([false, true, true]).reshape(1, 3); // with the causal mask, token 0 sees nothing
        Tensor probabilities = TorchGpt2.Probabilities(TorchGpt2.Scores(q, k, new TorchBlockOptions(1) { KeyPadding = padding }));
        (probabilities * Tensors.From(Numbers.Normal(9, 3), 3, 3)).sum().backward();
        double[] values = probabilities.ToDoubles();
        Assert.Equal([0, 0, 0, 0, 1, 0], values[..6]);
        Assert.Equal(new double[8], q.Gradient()[..8]);
        Assert.Equal(new double[8], k.Gradient()[..8]);
        Assert.DoesNotContain(q.Gradient(), double.IsNaN);
    }

    [SharedDataFact]
    public void TrainedSpeechEncoderBlocksAreReproduced()
    {
        Safetensors file = new(SharedData.PathOf("models", "whisper-tiny-en-encoder-0-1.safetensors"));
        TorchBlockOptions options = new(6) { Causal = false, Gelu = GeluKind.Erf };
        Tensor x = Tensors.From(file["input.0"], 1, 256, 384).to(float64);
        for (int layer = 0; layer < 2; layer++)
        {
            using (no_grad()) x = TorchGpt2.Block(x, DenseBlock.FromHuggingFace(file, $"h.{layer}.").ToTorch(float64), options);

            // The stored activations were computed in float32, through sums of up to 1536 terms.
            Check($"output.{layer}", Numbers.RelativeError<float, double>(file[$"output.{layer}"], x.ToDoubles()), Numbers.Tolerance<float>(1536));
        }
    }

    [SharedDataFact]
    public void ATrainedLanguageModelHasItsPublishedLoss()
    {
        DenseModel dense = DenseModel.FromHuggingFace(new Safetensors(SharedData.PathOf("models", "makemore-names", "model.safetensors")));
        string[] names = [.. File.ReadLines(SharedData.PathOf("models", "makemore-names", "names.txt")).Where((name, i) => name.Length > 0 && i % 20 == 0)];
        using IDisposable inference = no_grad();
        TorchModel model = dense.ToTorch(float32);
        double sum = 0;
        long count = 0;
        foreach (string[] batch in names.Chunk(256))
        {
            (Tensor ids, Tensor targets) = CharacterBatch.Make(batch);
            using DisposeScope scope = NewDisposeScope();
            long tokens = batch.Sum(name => (long)name.Length + 1);
            sum += TorchGpt2.Loss(TorchGpt2.Logits(ids, model, new TorchBlockOptions(4)), targets).ToDouble() * tokens;
            count += tokens;
        }

        // 1.7538 is the mean over all names; of every twentieth, with a character's loss deviating by 1.2, it is within three standard errors.
        Check("mean loss against 1.7538", Math.Abs(sum / count - 1.7538), 3 * 1.2 / Math.Sqrt(count));
    }
}
