using RbeMl.Kernels;
using static TorchSharp.torch;

namespace RbeMl.Oracle.Tests.Reference;

/// <summary>The parameters of a pre-LN block; D is the model's width, F the feed-forward's.</summary>
/// <param name="Ln1Gamma">[D].</param>
/// <param name="Ln1Beta">[D].</param>
/// <param name="Query">D x D.</param>
/// <param name="Key">D x D.</param>
/// <param name="Value">D x D.</param>
/// <param name="Output">D x D.</param>
/// <param name="Ln2Gamma">[D].</param>
/// <param name="Ln2Beta">[D].</param>
/// <param name="Expand">F x D.</param>
/// <param name="Contract">D x F.</param>
internal sealed record TorchBlock(
    TorchVector Ln1Gamma, TorchVector Ln1Beta, TorchLinear Query, TorchLinear Key, TorchLinear Value, TorchLinear Output,
    TorchVector Ln2Gamma, TorchVector Ln2Beta, TorchLinear Expand, TorchLinear Contract)
{
    /// <summary>The six linear layers, with their names.</summary>
    public (string Name, TorchLinear Linear)[] Linears =>
        [.. DenseBlock.MatrixNames.Zip([Query, Key, Value, Output, Expand, Contract])];

    /// <summary>All leaves, with their names.</summary>
    public IEnumerable<(string Name, Tensor Tensor)> Parameters =>
        Linears.SelectMany(l => l.Linear.Parameters.Select(p => ($"{l.Name}.{p.Name}", p.Tensor)))
            .Concat([("ln1.gamma", Ln1Gamma.Leaf), ("ln1.beta", Ln1Beta.Leaf), ("ln2.gamma", Ln2Gamma.Leaf), ("ln2.beta", Ln2Beta.Leaf)]);
}

/// <summary>How a block is run.</summary>
/// <param name="Heads">H.</param>
internal sealed record TorchBlockOptions(int Heads)
{
    /// <summary>Epsilon of both LayerNorms.</summary>
    public double Eps { get; init; } = 1e-5;

    /// <summary>Whether scores are divided by sqrt(D / H).</summary>
    public bool ScaleScores { get; init; } = true;

    /// <summary>What scores are divided by besides.</summary>
    public double ScoreDivisor { get; init; } = 1;

    /// <summary>Whether a model's scores are divided by the number of their block, counted from 1.</summary>
    public bool ScaleByLayer { get; init; }

    /// <summary>Which GELU.</summary>
    public GeluKind Gelu { get; init; } = GeluKind.Tanh;

    /// <summary>Whether a token sees only itself and what precedes it.</summary>
    public bool Causal { get; init; } = true;

    /// <summary>Whether LayerNorms stand after the residual connections.</summary>
    public bool PostNorm { get; init; }

    /// <summary>[B, T] bool, false hides a key; null shows all.</summary>
    public Tensor? KeyPadding { get; init; }

    /// <summary>[B, 1, T, T], added to the scaled scores; null adds nothing.</summary>
    public Tensor? AdditiveMask { get; init; }

    /// <summary>[T] positions of the tokens of every sequence; null counts from 0.</summary>
    public Tensor? Positions { get; init; }

    /// <summary>Factors of the dropout, null for none.</summary>
    public TorchDropout? Dropout { get; init; }
}

/// <summary>A dropout that has been drawn: 0 where an element is dropped, 1 / (1 - p) where it is kept.</summary>
/// <param name="Attention">[B, H, T, T], of the probabilities.</param>
/// <param name="AttentionResidual">[B, T, D], of the attention half before its residual.</param>
/// <param name="FeedForwardResidual">[B, T, D], of the feed-forward half before its residual.</param>
internal sealed record TorchDropout(Tensor Attention, Tensor AttentionResidual, Tensor FeedForwardResidual);

/// <summary>The parameters of a whole GPT-2; V is the vocabulary, P the number of positions.</summary>
/// <param name="Tokens">[V, D].</param>
/// <param name="Positions">[P, D].</param>
/// <param name="Blocks">The blocks.</param>
/// <param name="FinalGamma">[D].</param>
/// <param name="FinalBeta">[D].</param>
/// <param name="Head">[V, D], or null when the head is the token embedding.</param>
internal sealed record TorchModel(Tensor Tokens, Tensor Positions, TorchBlock[] Blocks, Tensor FinalGamma, Tensor FinalBeta, Tensor? Head)
{
    /// <summary>All leaves, with the names of the library's parameters.</summary>
    public IEnumerable<(string Name, Tensor Tensor)> Parameters
    {
        get
        {
            yield return ("embedding.tokens", Tokens);
            yield return ("embedding.positions", Positions);
            for (int i = 0; i < Blocks.Length; i++)
            {
                foreach ((string name, Tensor parameter) in Blocks[i].Parameters) yield return ($"blocks.{i}.{name}", parameter);
            }

            yield return ("final.gamma", FinalGamma);
            yield return ("final.beta", FinalBeta);
            if (Head is not null) yield return ("head", Head);
        }
    }
}
