using RbeMl.Codec;
using RbeMl.Layers;
using TorchSharp;

namespace RbeMl.Oracle.Tests.Reference;

/// <summary>Torch's view of compressed blocks: the same parameters as leaves, the weights decoded by torch.</summary>
internal static class TorchRbe
{
    /// <summary>A compressed block in torch.</summary>
    public static TorchBlock Block(BlockWeights weights, torch.ScalarType type)
    {
        BlockVectors v = weights.Vectors;
        torch.Tensor Leaf(float[] values) => DenseMatrix.Leaf(values, type, values.Length);
        TorchRbeLinear Linear(RbeMatrix matrix, float[] bias) => new(new TorchRbeMatrix(matrix, type), Leaf(bias));
        return new TorchBlock(
            Leaf(v.Gamma1), Leaf(v.Beta1), Linear(weights.Query, v.QueryBias), Linear(weights.Key, v.KeyBias), Linear(weights.Value, v.ValueBias),
            Linear(weights.Output, v.OutputBias), Leaf(v.Gamma2), Leaf(v.Beta2), Linear(weights.Expand, v.ExpandBias), Linear(weights.Contract, v.ContractBias));
    }
}
