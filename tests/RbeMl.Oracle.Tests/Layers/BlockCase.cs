using RbeMl.Codec;
using RbeMl.Kernels;
using RbeMl.Layers;

namespace RbeMl.Oracle.Tests.Layers;

/// <summary>A block and a call of it to compare with torch.</summary>
/// <param name="Options">How its matrices are compressed.</param>
public sealed record BlockCase(RbeOptions Options)
{
    /// <summary>D.</summary>
    public int Width { get; init; } = 64;

    /// <summary>F.</summary>
    public int Hidden { get; init; } = 128;

    /// <summary>B.</summary>
    public int Batch { get; init; } = 4;

    /// <summary>T.</summary>
    public int Length { get; init; } = 16;

    /// <summary>Which GELU.</summary>
    public GeluKind Gelu { get; init; } = GeluKind.Tanh;

    /// <summary>Whether attention is causal.</summary>
    public bool Causal { get; init; } = true;

    /// <summary>Where the LayerNorms stand.</summary>
    public BlockOrder Order { get; init; } = BlockOrder.PreNorm;

    /// <summary>Whether some tokens are padding.</summary>
    public bool Padding { get; init; }

    /// <summary>Whether there is an additive mask.</summary>
    public bool Additive { get; init; }

    /// <summary>Storage of gamma and beta.</summary>
    public LayerNormStorage LayerNorm { get; init; } = LayerNormStorage.Dense;

    /// <summary>Dropout probability.</summary>
    public float Dropout { get; init; }

    /// <summary>What the forward keeps.</summary>
    public CheckpointPolicy Policy { get; init; } = CheckpointPolicy.None;

    /// <summary>The configuration.</summary>
    public TransformerConfig Config => new()
    {
        Width = Width,
        FeedForwardWidth = Hidden,
        Heads = 2,
        Layers = 1,
        Vocabulary = 1,
        MaxSequenceLength = Length,
        Gelu = Gelu,
        Causal = Causal,
        Order = Order,
        LayerNorm = LayerNorm,
        Dropout = Dropout,
    };

    /// <summary>All cases by name.</summary>
    public static IReadOnlyDictionary<string, BlockCase> All { get; } = new Dictionary<string, BlockCase>
    {
        ["runs of 4"] = new(Sparse(SupportRule.Runs(4))),
        ["runs of 16, erf"] = new(Sparse(SupportRule.Runs(16))) { Gelu = GeluKind.Erf },
        ["largest, no alphas"] = new(Sparse(SupportRule.TopK) with { Alphas = false }),
        ["random places, padding"] = new(Sparse(SupportRule.Random(3))) { Padding = true },
        ["low frequencies, additive mask"] = new(Sparse(SupportRule.LowFrequency)) { Additive = true, Causal = false },
        ["largest, all masks, erf"] =
            new(Sparse(SupportRule.TopK)) { Padding = true, Additive = true, Gelu = GeluKind.Erf, Policy = CheckpointPolicy.Selective },
        ["all coefficients"] = new(new RbeOptions { Tile = 32, Format = RbeFormat.Sparse(1024) }),
        ["all weights, no transform"] = new(new RbeOptions { Tile = 32, Format = RbeFormat.Sparse(1024), Transform = TileTransform.None }),
        ["Walsh-Hadamard"] = new(Sparse(SupportRule.Runs(8)) with { Transform = TileTransform.WalshHadamard }),
        ["CDF 9/7"] = new(Sparse(SupportRule.Runs(8)) with { Transform = TileTransform.Cdf97 }),
        ["Haar"] = new(Sparse(SupportRule.TopK) with { Transform = TileTransform.Haar }) { Policy = CheckpointPolicy.Full },
        ["4 bits and delta"] = new(Quantized(4, SupportRule.Runs(16))),
        ["6 bits and delta, padding"] = new(Quantized(6, SupportRule.TopK)) { Padding = true, Causal = false },
        ["5 bits, alphas only"] = new(new RbeOptions { Tile = 32, Format = RbeFormat.Quantized(5) }) { Policy = CheckpointPolicy.Full },
        ["trellis with outliers and delta"] =
            new(new RbeOptions { Tile = 32, Format = RbeFormat.Trellis(4) with { Delta = (SparseFormat)RbeFormat.Sparse(100, SupportRule.Runs(8)) } }),
        ["literal record"] = new(new RbeOptions { Tile = 32, Format = RbeFormat.Seed(100) }),
        ["ragged tiles and chunks"] = new(Sparse(SupportRule.Runs(4))) { Width = 44, Hidden = 76, Batch = 3, Length = 27, Padding = true },
        ["tile 64, one short chunk"] = new(new RbeOptions { Tile = 64, Format = RbeFormat.Sparse(304) }) { Width = 96, Hidden = 192, Batch = 1, Length = 9 },
        ["cosine gamma and beta"] = new(Sparse(SupportRule.Runs(16))) { LayerNorm = LayerNormStorage.Compressed },
        ["scalar gamma and beta"] = new(Sparse(SupportRule.Runs(16))) { LayerNorm = LayerNormStorage.Scalar, Policy = CheckpointPolicy.Full },
        ["post-LN"] = new(Sparse(SupportRule.Runs(4))) { Order = BlockOrder.PostNorm },
        ["post-LN, not causal, padding, erf"] =
            new(Sparse(SupportRule.TopK)) { Order = BlockOrder.PostNorm, Causal = false, Padding = true, Gelu = GeluKind.Erf, Policy = CheckpointPolicy.Full },
        ["post-LN, all masks, dropout"] =
            new(Sparse(SupportRule.Runs(16)))
            {
                Order = BlockOrder.PostNorm,
                Causal = false,
                Padding = true,
                Additive = true,
                Dropout = 0.1f,
                Policy = CheckpointPolicy.Selective
            },
        ["post-LN, 4 bits and delta, cosine gamma and beta"] =
            new(Quantized(4, SupportRule.Runs(16))) { Order = BlockOrder.PostNorm, LayerNorm = LayerNormStorage.Compressed },
        ["dropout"] = new(Sparse(SupportRule.Runs(16))) { Dropout = 0.25f },
        ["dropout, padding, recomputed"] = new(Sparse(SupportRule.TopK)) { Dropout = 0.1f, Padding = true, Length = 21, Policy = CheckpointPolicy.Full },
    };

    private static RbeOptions Sparse(SupportRule rule) => new() { Tile = 32, Format = RbeFormat.Sparse(100, rule) };

    private static RbeOptions Quantized(int bits, SupportRule rule) => new()
    {
        Tile = 32,
        Format = RbeFormat.Quantized(bits) with { Delta = (SparseFormat)RbeFormat.Sparse(100, rule) },
    };
}
