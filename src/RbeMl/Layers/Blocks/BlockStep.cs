namespace RbeMl.Layers;

/// <summary>What a step of a block's forward does.</summary>
internal enum BlockOperation
{
    /// <summary>LayerNorm of tokens, then its transform.</summary>
    Normalize,

    /// <summary>Transform of tokens.</summary>
    Transform,

    /// <summary>Products of all matrices that read the coefficients, with biases.</summary>
    Multiply,

    /// <summary>Attention of heads.</summary>
    Attend,

    /// <summary>The residual connection: adds what went into a half to the half's output after its dropout.</summary>
    Add,

    /// <summary>The residual connection of a post-LN block: adds the LayerNorm of what went into a half.</summary>
    AddNormalized,

    /// <summary>The first product of the feed-forward layer, GELU, and its transform.</summary>
    Expand,

    /// <summary>The second product of the feed-forward layer.</summary>
    Contract,

    /// <summary>The first product of the feed-forward layer, whose GELU is left to the backward.</summary>
    ExpandOnly,
}

/// <summary>
/// A step of a block's forward: what it does, the panels that it reads and writes, and the stage under which its time is counted.
/// </summary>
internal readonly record struct BlockStep(BlockOperation Operation, BlockPanel From, BlockPanel To, ProfileStage Stage)
{
    /// <summary>Whether it can be divided into tile rows of what it writes.</summary>
    public bool IsProduct =>
        Operation is BlockOperation.Multiply or BlockOperation.Expand or BlockOperation.Contract or BlockOperation.ExpandOnly;
}
