using RbeMl.Layers;
using RbeMl.Memory;

namespace RbeMl.Models;

/// <summary>
/// What a training step keeps for its backward, where, and how much of a batch is done at a time. All but <see cref="ActivationOffload.BFloat16"/> give the
/// same loss and gradients, bit for bit.
/// </summary>
public sealed record ActivationSettings
{
    /// <summary>What is kept.</summary>
    public CheckpointPolicy Checkpointing { get; init; }

    /// <summary>Where it is kept.</summary>
    public ActivationOffload Offload { get; init; }

    /// <summary>Folder of the spill file; null for the system's temporary folder.</summary>
    public string? SpillFolder { get; init; }

    /// <summary>
    /// Sequences done at a time, forward and backward; 0 for the whole batch. A batch that cannot be cut there (<see cref="CanSplit"/>) is
    /// done whole.
    /// </summary>
    public int PartSequences { get; init; }

    /// <summary>Chunks of 64 tokens whose logits exist at a time; 0 for as many as make 16 MiB of them.</summary>
    public int HeadChunks { get; init; }

    /// <summary>
    /// Whether a batch can be done in parts of so many sequences with the same bits as in one: parts are whole groups of tokens whose
    /// gradients are summed together (<see cref="ChunkGroup"/>), the last one more than 48 tokens.
    /// </summary>
    public static bool CanSplit(int batch, int length, int part)
    {
        if (part < 1 || length < 1) return false;
        long tokens = (long)part * length, last = (long)batch % part * length;
        return part < batch && tokens % ChunkGroup.Tokens(length) == 0 && (last == 0 || last >= Panel<float>.FewestWide);
    }

    /// <summary>Checks every value.</summary>
    /// <returns>These settings.</returns>
    /// <exception cref="InvalidSettingException">A value is out of range.</exception>
    public ActivationSettings Validate()
    {
        if (!Enum.IsDefined(Checkpointing))
        {
            throw new InvalidSettingException(nameof(Checkpointing), Checkpointing, $"use one of {string.Join(", ", Enum.GetNames<CheckpointPolicy>())}.");
        }

        if (!Enum.IsDefined(Offload))
        {
            throw new InvalidSettingException(nameof(Offload), Offload, $"use one of {string.Join(", ", Enum.GetNames<ActivationOffload>())}.");
        }

        if (PartSequences < 0) throw new InvalidSettingException(nameof(PartSequences), PartSequences, "use 0 for the whole batch, or a positive number.");
        if (HeadChunks < 0) throw new InvalidSettingException(nameof(HeadChunks), HeadChunks, "use 0 for the default, or a positive number.");
        return this;
    }

    /// <summary>Sequences done at a time in a batch of [batch, length].</summary>
    internal int PartOf(int batch, int length) => PartSequences > 0 && CanSplit(batch, length, PartSequences) ? PartSequences : batch;
}
