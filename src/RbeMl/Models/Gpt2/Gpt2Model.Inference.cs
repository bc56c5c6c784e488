using System.Numerics;
using RbeMl.Kernels;
using RbeMl.Layers;

namespace RbeMl.Models;

/// <content>Copies for inference.</content>
public sealed unsafe partial class Gpt2Model<T>
    where T : unmanaged, IFloatingPointIeee754<T>
{
    /// <summary>
    /// A copy with the current values of the parameters for generation: sparse coefficients, in runs of sixteen or free places, lie once more in the order and precision that it reads fastest.
    /// It gives the logits of this model, of rounded coefficients if asked to; it cannot be trained. Tables stay as they are.
    /// </summary>
    /// <param name="precision">Of the blocks' sparse coefficients and trellis codes.</param>
    /// <param name="activations">Of the inputs of the blocks' products with frozen codes, when there is more than a single new token a sequence.</param>
    /// <exception cref="InvalidSettingException">Int8 activations where no weights are codes, or of elements other than float.</exception>
    public Gpt2Model<T> ToInference(WeightPrecision precision = WeightPrecision.Float32, ActivationPrecision activations = ActivationPrecision.Float32)
    {
        Gpt2Weights weights = GetWeights();
        RbeTransformerBlock<T>.RequireCodes(activations, weights.Blocks);
        Gpt2Model<T> copy = new(weights with { Blocks = [.. weights.Blocks.Select(block => block.Rounded(precision))] });
        foreach (RbeTransformerBlock<T> block in copy.Blocks) block.Compact(precision, activations);
        return copy;
    }
}
