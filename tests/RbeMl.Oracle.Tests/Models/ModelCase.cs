using RbeMl.Codec;
using RbeMl.Layers;
using RbeMl.Oracle.Tests.Reference;
using RbeMl.Training;
using static TorchSharp.torch;

namespace RbeMl.Oracle.Tests.Models;

/// <summary>A small GPT-2, a batch for it and how it is trained.</summary>
/// <param name="Options">How its matrices are compressed.</param>
public sealed record ModelCase(RbeOptions Options)
{
    private const int Positions = 16;

    /// <summary>B.</summary>
    public const int Batch = 4;

    /// <summary>T.</summary>
    public const int Length = 13;

    /// <summary>Whether the head is the token embedding.</summary>
    public bool Tied { get; init; } = true;

    /// <summary>Whether scores of attention are divided by sqrt(D / H).</summary>
    public bool ScaleScores { get; init; } = true;

    /// <summary>Whether scores of attention are scaled by layer.</summary>
    public bool ScaleByLayer { get; init; }

    /// <summary>Where the LayerNorms stand.</summary>
    public BlockOrder Order { get; init; } = BlockOrder.PreNorm;

    /// <summary>Whether a token sees only what is before it.</summary>
    public bool Causal { get; init; } = true;

    /// <summary>Tokens of the documents that share each row, <see cref="Length"/> in all; null where a row is one.</summary>
    public int[]? Documents { get; init; }

    /// <summary>[B, T] place of each token in its document; null where a row is one.</summary>
    public int[]? RowPositions => Documents is null ? null : [.. Enumerable.Range(0, Batch).SelectMany(_ => Places)];

    /// <summary>Whether alpha gradients are preconditioned.</summary>
    public bool Precondition { get; init; }

    /// <summary>Largest gradient norm, 0 for no clipping.</summary>
    public double Clip { get; init; }

    /// <summary>What the forward keeps.</summary>
    public CheckpointPolicy Policy { get; init; } = CheckpointPolicy.None;

    /// <summary>The configuration: two layers, 64 wide.</summary>
    public TransformerConfig Config => new()
    {
        Width = 64,
        FeedForwardWidth = 128,
        Heads = 4,
        Layers = 2,
        Vocabulary = 37,
        MaxSequenceLength = Positions,
        TiedHead = Tied,
        ScaleAttention = ScaleScores,
        ScaleAttentionByLayer = ScaleByLayer,
        Order = Order,
        Causal = Causal,
    };

    /// <summary>What torch's forward needs of it.</summary>
    internal TorchBlockOptions TorchOptions => new(Config.Heads)
    {
        ScaleScores = ScaleScores,
        ScaleByLayer = ScaleByLayer,
        PostNorm = Order == BlockOrder.PostNorm,
        Causal = Causal,
        AdditiveMask = Documents is null ? null : Mask(),
        Positions = Documents is null ? null : tensor(Places.Select(place => (long)place).ToArray()),
    };

    private IEnumerable<int> Places => Documents!.SelectMany(tokens => Enumerable.Range(0, tokens));

    // [1, 1, T, T]: 0 within a document, -infinity between two.
    private Tensor Mask()
    {
        int[] document = [.. Documents!.SelectMany((tokens, i) => Enumerable.Repeat(i, tokens))];
        double[] mask = [.. document.SelectMany(query => document.Select(key => key == query ? 0 : double.NegativeInfinity))];
        return tensor(mask).reshape(1, 1, Length, Length);
    }

    /// <summary>How it is trained.</summary>
    public TrainerOptions Training => new() { LearningRate = 1e-3, WeightDecay = 0.1, Clip = Clip, PreconditionAlphas = Precondition };

    /// <summary>Dense weights to start from.</summary>
    internal DenseModel Dense => DenseModel.Lively(Config.Vocabulary, Positions, Config.Width, Config.HiddenWidth, Config.Layers, Tied, 7);

    /// <summary>Token ids of step <paramref name="step"/>, and targets; every ninth token has none.</summary>
    public (int[] Tokens, int[] Targets) Data(int step)
    {
        Random random = new(100 + step);
        int[] tokens = [.. Enumerable.Range(0, Batch * Length).Select(_ => random.Next(Config.Vocabulary))];
        return (tokens, [.. tokens.Select((t, i) => i % 9 == 4 ? -1 : ((t * 5) + 3) % Config.Vocabulary)]);
    }

    /// <summary>All cases by name.</summary>
    public static IReadOnlyDictionary<string, ModelCase> All { get; } = new Dictionary<string, ModelCase>
    {
        ["all weights, no transform"] = new(Tile32(RbeFormat.Sparse(1024)) with { Transform = TileTransform.None }),
        ["all coefficients"] = new(Tile32(RbeFormat.Sparse(1024))) { Tied = false },
        ["runs of 4 and alphas"] = new(Tile32(RbeFormat.Sparse(100, SupportRule.Runs(4)))),
        ["largest and preconditioned alphas, clipped"] =
            new(Tile32(RbeFormat.Sparse(100, SupportRule.TopK))) { Precondition = true, Clip = 0.5, Tied = false, Policy = CheckpointPolicy.Full },
        ["scores scaled by layer"] = new(Tile32(RbeFormat.Sparse(1024))) { ScaleByLayer = true, Policy = CheckpointPolicy.Selective },
        ["scores not scaled"] = new(Tile32(RbeFormat.Sparse(1024))) { ScaleScores = false },
        ["scores scaled by layer only"] =
            new(Tile32(RbeFormat.Sparse(100, SupportRule.Runs(4)))) { ScaleScores = false, ScaleByLayer = true, Policy = CheckpointPolicy.Full },
        ["post-LN"] = new(Tile32(RbeFormat.Sparse(100, SupportRule.Runs(4)))) { Order = BlockOrder.PostNorm, Policy = CheckpointPolicy.Full },
        ["post-LN, not causal"] = new(Tile32(RbeFormat.Sparse(1024))) { Order = BlockOrder.PostNorm, Causal = false },
        ["documents in a row"] = new(Tile32(RbeFormat.Sparse(100, SupportRule.Runs(4)))) { Documents = [4, 1, 8] },
        ["documents in a row, all checkpointed"] =
            new(Tile32(RbeFormat.Sparse(1024))) { Documents = [1, 3, 3, 6], Tied = false, Policy = CheckpointPolicy.Full },
        ["documents in a row, not causal"] =
            new(Tile32(RbeFormat.Sparse(1024))) { Documents = [6, 7], Order = BlockOrder.PostNorm, Causal = false, Policy = CheckpointPolicy.Selective },
        ["4 bits and delta"] = new(Tile32(RbeFormat.Quantized(4) with { Delta = (SparseFormat)RbeFormat.Sparse(100) })) { Policy = CheckpointPolicy.Selective },
    };

    private static RbeOptions Tile32(RbeFormat format) => new() { Tile = 32, Format = format };
}
