using System.Numerics;
using RbeMl.Memory;

namespace RbeMl.Models;

/// <summary>What a training step reads from the residual stream after the last block, before the final LayerNorm.</summary>
/// <typeparam name="T">Element type.</typeparam>
internal interface IHiddenObjective<T>
    where T : unmanaged, IFloatingPointIeee754<T>
{
    /// <summary>
    /// Adds the losses of some sequences of the batch. When the model's gradients are wanted it leaves that of <paramref name="hidden"/> in
    /// <see cref="TransformerContext{T}.GradientA"/>, padded features and lanes zero, and adds that of the final LayerNorm.
    /// </summary>
    /// <param name="hidden">[count, T, D].</param>
    /// <param name="first">Place of the first sequence in the batch.</param>
    /// <param name="count">Sequences.</param>
    /// <param name="context">The step's.</param>
    /// <param name="sum">Losses of the sequences before them.</param>
    /// <returns>The sum with theirs.</returns>
    double LossAndGradient(Panel<T> hidden, int first, int count, TransformerContext<T> context, double sum);
}
