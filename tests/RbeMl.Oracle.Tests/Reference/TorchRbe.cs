using RbeMl.Codec;
using RbeMl.Layers;
using TorchSharp;

namespace RbeMl.Oracle.Tests.Reference;

/// <summary>Torch's view of compressed blocks: the same parameters as leaves, the weights decoded by torch.</summary>
internal static class TorchRbe
{
    /// <summary>A compressed block in torch. Gammas and betas that are not stored densely start from zero.</summary>
    public static TorchBlock Block(BlockWeights weights, torch.ScalarType type, LayerNormStorage storage = LayerNormStorage.Dense)
    {
        BlockVectors v = weights.Vectors;
        torch.Tensor Leaf(float[] values) => DenseMatrix.Leaf(values, type, values.Length);
        TorchVector Vector(float[] values) => TorchVector.Create(storage, values, type);
        TorchRbeLinear Linear(RbeMatrix matrix, float[] bias) => new(new TorchRbeMatrix(matrix, type), Leaf(bias));
        return new TorchBlock(
            Vector(v.Gamma1), Vector(v.Beta1), Linear(weights.Query, v.QueryBias), Linear(weights.Key, v.KeyBias), Linear(weights.Value, v.ValueBias),
            Linear(weights.Output, v.OutputBias), Vector(v.Gamma2), Vector(v.Beta2), Linear(weights.UpProjection, v.UpProjectionBias),
            Linear(weights.DownProjection, v.DownProjectionBias));
    }
}
