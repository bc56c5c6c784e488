using RbeMl.Kernels;

namespace RbeMl.Layers;

/// <summary>
/// What a product reads of a few chunks: blocks in the coefficient domain, their moments, and their codes where the product is one of
/// integers.
/// </summary>
/// <typeparam name="T">Element type.</typeparam>
/// <param name="Group">The chunks.</param>
/// <param name="Coefficients">Blocks, <c>[features][width]</c>.</param>
/// <param name="Moments">Their moments, <c>[12 a block][width]</c>; not read without alphas.</param>
/// <param name="Codes">Their codes as <see cref="Int8Activations"/>, or none.</param>
internal readonly record struct CoefficientBlocks<T>(ChunkBatch Group, ChunkPointers<T> Coefficients, ChunkPointers<T> Moments, ChunkPointers<byte> Codes)
    where T : unmanaged
{
    /// <summary>Lanes of a chunk.</summary>
    public int Lanes => Group.Lanes;

    /// <summary>Chunks.</summary>
    public int Count => Group.Count;
}
