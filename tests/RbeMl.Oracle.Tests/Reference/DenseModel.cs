using RbeMl.Codec;
using RbeMl.Layers;
using RbeMl.Models;
using RbeMl.Oracle.Tests.Support;
using TorchSharp;

namespace RbeMl.Oracle.Tests.Reference;

/// <summary>The dense weights of a GPT-2 as arrays.</summary>
/// <param name="Vocabulary">V.</param>
/// <param name="Tokens">[V, D].</param>
/// <param name="Positions">[P, D].</param>
/// <param name="Blocks">The blocks.</param>
/// <param name="FinalGamma">[D].</param>
/// <param name="FinalBeta">[D].</param>
/// <param name="Head">[V, D], or null when tied to the tokens.</param>
internal sealed record DenseModel(int Vocabulary, float[] Tokens, float[] Positions, DenseBlock[] Blocks, float[] FinalGamma, float[] FinalBeta, float[]? Head)
{
    /// <summary>D.</summary>
    public int Width => FinalGamma.Length;

    /// <summary>Random weights with everything away from zero.</summary>
    public static DenseModel Lively(int vocabulary, int positions, int width, int feedForward, int layers, bool tied, int seed)
    {
        float[] Normal(int count, int offset, double scale) => Numbers.Convert<double, float>(Numbers.Normal(count, seed + offset, scale));
        return new(
            vocabulary, Normal(vocabulary * width, 1, 0.5), Normal(positions * width, 2, 0.3),
            [.. Enumerable.Range(0, layers).Select(i => DenseBlock.Lively(width, feedForward, seed + 1000 * (i + 1)))],
            [.. Normal(width, 3, 0.2).Select(v => 1 + v)], Normal(width, 4, 0.2), tied ? null : Normal(vocabulary * width, 5, 0.3));
    }

    /// <summary>A Hugging Face GPT-2 file with an untied head.</summary>
    public static DenseModel FromHuggingFace(Safetensors file)
    {
        int layers = file.Names.Count(name => name.EndsWith("ln_1.weight", StringComparison.Ordinal));
        return new(
            (int)file.ShapeOf("transformer.wte.weight")[0], file["transformer.wte.weight"], file["transformer.wpe.weight"],
            [.. Enumerable.Range(0, layers).Select(i => DenseBlock.FromHuggingFace(file, $"transformer.h.{i}."))],
            file["transformer.ln_f.weight"], file["transformer.ln_f.bias"], file["lm_head.weight"]);
    }

    /// <summary>The model in torch, dense, its parameters leaves.</summary>
    public TorchModel ToTorch(torch.ScalarType type) => ToTorch(type, [.. Blocks.Select(block => block.ToTorch(type))]);

    /// <summary>The model in torch with compressed blocks, the parameters leaves.</summary>
    public TorchModel ToTorch(torch.ScalarType type, IEnumerable<BlockWeights> blocks) =>
        ToTorch(type, [.. blocks.Select(block => TorchRbe.Block(block, type))]);

    /// <summary>The model in the library, its blocks compressed.</summary>
    public TransformerWeights ToLibrary(TransformerConfig config, RbeOptions options) => new()
    {
        Config = config,
        TokenEmbedding = Tokens,
        PositionEmbedding = Positions,
        Blocks = [.. Blocks.Select(block => BlockWeights.Compress(block.ToLibrary(), config, options))],
        FinalGamma = FinalGamma,
        FinalBeta = FinalBeta,
        Head = Head is null ? null : (TableWeights)Head,
    };

    private TorchModel ToTorch(torch.ScalarType type, TorchBlock[] blocks) => new(
        DenseMatrix.Leaf(Tokens, type, Vocabulary, Width), DenseMatrix.Leaf(Positions, type, Positions.Length / Width, Width), blocks,
        DenseMatrix.Leaf(FinalGamma, type, Width), DenseMatrix.Leaf(FinalBeta, type, Width), Head is null ? null
        : DenseMatrix.Leaf(Head, type, Vocabulary, Width));
}
