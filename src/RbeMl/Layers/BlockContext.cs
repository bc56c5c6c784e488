using System.Numerics;
using RbeMl.Memory;

namespace RbeMl.Layers;

/// <summary>
/// What the forward of a block leaves for its backward: made once, filled by <c>Forward</c>, consumed by <c>Backward</c>, then used again. What it holds
/// depends on its <see cref="Policy"/>. The forward's input panel and options are referenced, not copied: keep them unchanged until the backward.
/// </summary>
/// <typeparam name="T">Element type.</typeparam>
public sealed class BlockContext<T> : IDisposable
    where T : unmanaged, IFloatingPointIeee754<T>
{
    /// <summary>Creates a context.</summary>
    public BlockContext(CheckpointPolicy policy = CheckpointPolicy.None) => Policy = policy;

    /// <summary>What is kept.</summary>
    public CheckpointPolicy Policy { get; }

    /// <summary>Bytes of native memory held.</summary>
    public long AllocatedBytes => Saved.AllocatedBytes + Input.AllocatedBytes;

    internal BlockActivations<T> Saved { get; } = new();

    /// <summary>Holds the converted input of the row-major forward.</summary>
    internal Panel<T> Input { get; } = new();

    internal Panel<T>? X { get; set; }

    internal ForwardOptions<T>? Options { get; set; }

    internal int Batch { get; set; }

    internal int Length { get; set; }

    internal int Past { get; set; }

    internal int CacheGeneration { get; set; }

    internal bool Filled { get; set; }

    /// <inheritdoc/>
    public void Dispose()
    {
        Saved.Dispose();
        Input.Dispose();
    }
}

/// <summary>The intermediate panels of a block: saved by a context, or shared scratch of a workspace.</summary>
/// <typeparam name="T">Element type.</typeparam>
internal sealed class BlockActivations<T> : IDisposable
    where T : unmanaged, IFloatingPointIeee754<T>
{
    /// <summary>LN1(x) in the coefficient domain, [Dp].</summary>
    public Panel<T> X1Hat { get; } = new();

    /// <summary>Query, key, value, [3 Dp].</summary>
    public Panel<T> Qkv { get; } = new();

    /// <summary>Attention output before its projection, [Dp].</summary>
    public Panel<T> Att { get; } = new();

    /// <summary>The same in the coefficient domain, [Dp].</summary>
    public Panel<T> AttHat { get; } = new();

    /// <summary>x + attention half, the input of the feed-forward half, [Dp].</summary>
    public Panel<T> Middle { get; } = new();

    /// <summary>LN2(middle) in the coefficient domain, [Dp].</summary>
    public Panel<T> X2Hat { get; } = new();

    /// <summary>Input of GELU, [Fp].</summary>
    public Panel<T> Hidden { get; } = new();

    /// <summary>Output of GELU in the coefficient domain, [Fp].</summary>
    public Panel<T> HiddenHat { get; } = new();

    /// <summary>Mean and 1/deviation of LN1 and LN2, each [chunks * width].</summary>
    public Slab<T> Statistics { get; } = new();

    /// <summary>Maximum and inverse sum of the attention's exponentials, [B, H, 2, T rounded up to 16].</summary>
    public Slab<T> RowStatistics { get; } = new();

    public long AllocatedBytes => X1Hat.AllocatedBytes + Qkv.AllocatedBytes + Att.AllocatedBytes + AttHat.AllocatedBytes + Middle.AllocatedBytes
        + X2Hat.AllocatedBytes + Hidden.AllocatedBytes + HiddenHat.AllocatedBytes + Statistics.AllocatedBytes + RowStatistics.AllocatedBytes;

    public void Dispose()
    {
        foreach (Panel<T> panel in (Panel<T>[])[X1Hat, Qkv, Att, AttHat, Middle, X2Hat, Hidden, HiddenHat]) panel.Dispose();
        Statistics.Dispose();
        RowStatistics.Dispose();
    }
}
