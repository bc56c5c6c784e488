using System.Numerics;
using RbeMl.Memory;

namespace RbeMl.Layers;

/// <content>How much memory a call takes, known before it: what <c>Prepare</c> and the contexts allocate.</content>
public sealed unsafe partial class RbeTransformerBlock<T>
    where T : unmanaged, IFloatingPointIeee754<T>
{
    /// <summary>Bytes in memory beside the parameters.</summary>
    internal long FixedBytes => Linears.Sum(l => l.FixedBytes) + LayerNorm1.NativeBytes + LayerNorm2.NativeBytes;

    /// <summary>Those in native memory.</summary>
    internal long NativeBytes => Linears.Sum(l => l.NativeBytes) + LayerNorm1.NativeBytes + LayerNorm2.NativeBytes;

    /// <summary>Bytes of a context's store after a forward of [B, T].</summary>
    internal long StoreBytes(CheckpointPolicy policy, ActivationOffload offload, int batch, int length)
    {
        if (offload is ActivationOffload.None) return 0;
        long bytes = 0;
        for (int i = 0; i < BlockActivations<T>.KeptPanels(policy); i++) bytes += ActivationStore<T>.BytesOf(KeptElements(i, batch * length), offload is ActivationOffload.BFloat16);
        if (policy is CheckpointPolicy.Full) return bytes;
        return bytes + ActivationStore<T>.BytesOf(StatisticsElements(batch * length), rounded: false) + ActivationStore<T>.BytesOf(RowStatisticsElements(batch, length), rounded: false);
    }

    /// <summary>Elements that a context keeps of its own without offload.</summary>
    internal long SavedElements(CheckpointPolicy policy, int batch, int length)
    {
        long elements = 0;
        for (int i = 1; i < BlockActivations<T>.KeptPanels(policy); i++) elements += KeptElements(i, batch * length);
        return policy is CheckpointPolicy.Full ? elements : elements + StatisticsElements(batch * length) + RowStatisticsElements(batch, length);
    }

    /// <summary>Elements of the panels that all blocks of a workspace share, for forward and backward, scratch of the threads apart.</summary>
    internal long SharedElements(CheckpointPolicy policy, ActivationOffload offload, int batch, int length)
    {
        int tokens = batch * length, hidden = FeedForward.PaddedHidden;
        MomentLayout layout = MomentLayout.Of(this);
        long everything = SavedElements(CheckpointPolicy.None, batch, length);
        long intermediate = offload is ActivationOffload.None ? everything - SavedElements(policy, batch, length) : everything + KeptElements(0, tokens);
        return intermediate + (4L * PaddedWidth)
            + Panel<T>.Elements(tokens, (7 * PaddedWidth) + hidden) + Panel<T>.Elements(tokens, layout.Inputs) + Panel<T>.Elements(tokens, layout.Outputs)
            + (Panel<T>.Elements(tokens, 1) / Panel<T>.WidthFor(tokens) * PartialRows);
    }

    /// <summary>Scratch elements of one thread of so many.</summary>
    internal long ThreadScratchElements(int batch, int length, int threads) => Math.Max(
        ChunkScratch(TogetherFor((int)(Panel<T>.Elements(batch * length, 1) / Panel<T>.WidthFor(batch * length)), threads)),
        Attention.HeadScratch(batch, length, past: 0, backward: true, cache: null));

    private static long StatisticsElements(int tokens) => 4 * Panel<T>.Elements(tokens, 1);

    private long RowStatisticsElements(int batch, int length) => 2L * batch * _config.Heads * Panel<T>.RoundUp(length, 16);

    // Panel number i of those kept: input, middle, x1^, qkv, att, x2^, hidden, att^, hidden^.
    private long KeptElements(int i, int tokens) => Panel<T>.Elements(tokens, i switch { 3 => 3 * PaddedWidth, 6 or 8 => FeedForward.PaddedHidden, _ => PaddedWidth });
}
