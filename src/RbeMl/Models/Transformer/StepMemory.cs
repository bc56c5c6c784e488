namespace RbeMl.Models;

/// <summary>Bytes of memory that a training step of a model works in, parameters and gradients apart.</summary>
/// <param name="Activations">Kept between forward and backward: the residual stream and what the blocks save.</param>
/// <param name="Workspace">Panels that all blocks share, and the gradients that go from block to block.</param>
/// <param name="Scratch">Scratch of the threads.</param>
/// <param name="Head">Logits and losses.</param>
/// <param name="Spilled">Bytes in a file, not in memory.</param>
public readonly record struct StepMemory(long Activations, long Workspace, long Scratch, long Head, long Spilled)
{
    /// <summary>All of it that is in memory.</summary>
    public long Total => Activations + Workspace + Scratch + Head;
}
