using RbeMl.Codec;
using RbeMl.Kernels;
using RbeMl.Layers;
using RbeMl.Oracle.Tests.Reference;
using RbeMl.Oracle.Tests.Support;
using Xunit.Abstractions;
using static TorchSharp.torch;

namespace RbeMl.Oracle.Tests.Layers;

/// <summary>
/// How far the output of a compressed block is from torch's dense block. The error of the output alone says little where the residual stream
/// outweighs the branches, so the error of the branches, ‖y − y0‖ / ‖y0 − x‖, is printed beside it.
/// </summary>
public sealed class AccuracyOracleTests(ITestOutputHelper output) : OracleTest(output)
{
    private const int Batch = 8, Length = 64, Tile = 64;

    /// <summary>300 literal coefficients: 8 fp32 alphas and 300 x (u16, u16, f32).</summary>
    private const int BudgetBytesPerTile = 32 + (300 * 8);

    private static readonly TransformerConfig s_config = new() { Width = 768, FeedForwardWidth = 3072, Heads = 12, Layers = 12, MaxSequenceLength = Length };

    [Fact]
    public void FourBitsStayWithinTwoPercentOfADenseBlockInTheBudget()
    {
        (double block, double branch, double bytes) = Compare(RbeFormat.Quantized(4));
        Print($"block {block:E2}, branches {branch:E2}, {bytes:F0} bytes a tile of {BudgetBytesPerTile}");
        Assert.True(bytes <= BudgetBytesPerTile);
        Check("block output", block, 2e-2);

        // With GPT-2's initialisation the branches are 0.075 of the stream; theirs is the error of two matrices of 0.083 each, the one of Lloyd-Max at 4 bits.
        Check("branches", branch, 0.15);
    }

    [Fact]
    public void ATrellisDoesBetterWithFewerBytes()
    {
        (double block, double branch, double bytes) = Compare(RbeFormat.Trellis(4));
        Print($"block {block:E2}, branches {branch:E2}, {bytes:F0} bytes a tile");
        Assert.Equal(2048 + 2 + 32 + 32, bytes, 1.0); // codes, scale, eight fp32 alphas, eight outliers; the padding of a matrix is less than a byte a tile

        // Weights are off by 0.067 where groups at 4.25 bits are off by 0.083, and the block's 0.0091 shrinks alike.
        Check("block output", block, 8e-3);
        Check("branches", branch, 0.11);
    }

    [Fact]
    public void ThreeHundredLiteralCoefficientsDoNot()
    {
        (double block, double branch, double bytes) = Compare(RbeFormat.Seed(300));
        Print($"block {block:E2}, branches {branch:E2}, {bytes:F0} bytes a tile of {BudgetBytesPerTile}");
        Assert.Equal(BudgetBytesPerTile, bytes);

        // Of 4096 white coefficients the 300 largest hold a third of the energy: the weights keep an error of 0.8, and the branches are mostly lost.
        Assert.InRange(block, 0.06, 0.08);
        Assert.InRange(branch, 0.8, 1.05);
    }

    [SharedDataFact]
    public void TrainedBlocksWithRealActivations()
    {
        Safetensors file = new(SharedData.PathOf("models", "whisper-tiny-en-encoder-0-1.safetensors"));
        TransformerConfig config = new()
        {
            Width = 384,
            FeedForwardWidth = 1536,
            Heads = 6,
            Layers = 2,
            MaxSequenceLength = 256,
            Causal = false,
            Gelu = GeluKind.Erf,
        };
        using Workspace<float> workspace = new(2);
        for (int layer = 0; layer < 2; layer++)
        {
            float[] x = file[layer == 0 ? "input.0" : "output.0"], expected = file[$"output.{layer}"];
            DenseBlockWeights dense = DenseBlock.FromHuggingFace(file, $"h.{layer}.").ToLibrary();
            foreach (RbeFormat format in (RbeFormat[])[RbeFormat.Sparse(Tile * Tile), .. Enumerable.Range(4, 5).Select(RbeFormat.Quantized)])
            {
                BlockWeights weights = BlockWeights.Compress(dense, config, new RbeOptions { Tile = Tile, Format = format });
                float[] y = new RbeTransformerBlock<float>(config, weights, layer).Forward(x, 1, 256, null, null, workspace).Output;
                double block = Numbers.RelativeError<float, float>(expected, y), branch = BranchError(x, expected, y);
                string name = format is QuantizedFormat q ? $"{q.Bits} bits" : "all coefficients";
                Print($"layer {layer}, {name}: block {block:E2}, branches {branch:E2}");
                switch (format)
                {
                    case SparseFormat: Check("nothing left out", block, Numbers.Tolerance<float>(1536)); break;
                    case QuantizedFormat { Bits: 8 }: Check("8 bits", block, 2e-2); break;
                    case QuantizedFormat { Bits: 4 }: Assert.InRange(block, 2e-2, 0.25); break; // a branch is as large as the stream here
                }
            }
        }
    }

    private static (double Block, double Branch, double BytesPerTile) Compare(RbeFormat format)
    {
        DenseBlock dense = DenseBlock.Gpt2Initialisation(s_config.Width, s_config.HiddenWidth, s_config.Layers, 1);
        float[] x = Numbers.Convert<double, float>(Numbers.Normal(Batch * Length * s_config.Width, 99));
        float[] expected;
        using (no_grad())
        {
            Tensor y0 = TorchGpt2.Block(Tensors.From(x, Batch, Length, s_config.Width), dense.ToTorch(float32), new TorchBlockOptions(s_config.Heads));
            expected = y0.contiguous().data<float>().ToArray();
        }

        BlockWeights weights = BlockWeights.Compress(dense.ToLibrary(), s_config, new RbeOptions { Tile = Tile, Format = format });
        (RbeMatrix Matrix, float[] Original)[] pairs =
            [.. new[] { weights.Query, weights.Key, weights.Value, weights.Output, weights.UpProjection,
                weights.DownProjection }.Zip(dense.Matrices.Select(m => m.Matrix.Weight))];
        double bytes = pairs.Sum(p => (double)RbeCompressor.Measure(p.Matrix, p.Original).Bytes) / pairs.Sum(p => p.Matrix.TileCount);
        using Workspace<float> workspace = new(2);
        float[] y = new RbeTransformerBlock<float>(s_config, weights).Forward(x, Batch, Length, null, null, workspace).Output;
        return (Numbers.RelativeError<float, float>(expected, y), BranchError(x, expected, y), bytes);
    }

    private static double BranchError(float[] x, float[] expected, float[] actual) =>
        Numbers.Distance<float, float>(expected, actual) / Numbers.Distance<float, float>(expected, x);
}
