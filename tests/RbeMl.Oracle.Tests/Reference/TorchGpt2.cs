using RbeMl.Kernels;
using static TorchSharp.torch;

namespace RbeMl.Oracle.Tests.Reference;

/// <summary>
/// GPT-2 as plain functions of torch tensors, in the type of its inputs; gradients by autograd.
/// B sequences, T tokens, D features, H heads of width D / H, V vocabulary.
/// </summary>
internal static class TorchGpt2
{
    /// <summary>x [.., D] -> [.., D].</summary>
    public static Tensor LayerNorm(Tensor x, Tensor gamma, Tensor beta, double eps) => nn.functional.layer_norm(x, [x.shape[^1]], gamma, beta, eps);

    /// <summary>GELU by its formula.</summary>
    public static Tensor Gelu(Tensor x, GeluKind kind) => kind == GeluKind.Tanh
        ? 0.5 * x * (1 + tanh(Math.Sqrt(2 / Math.PI) * (x + 0.044715 * x * x * x)))
        : 0.5 * x * (1 + erf(x / Math.Sqrt(2)));

    /// <summary>
    /// Scores of q [B, H, T, D/H] and k [B, H, S, D/H] -> [B, H, T, S], scaled and masked; hidden keys are -infinity. Query t has position
    /// S - T + t.
    /// </summary>
    public static Tensor Scores(Tensor q, Tensor k, TorchBlockOptions options)
    {
        (long queries, long keys) = (q.shape[2], k.shape[2]);
        Tensor scores = q.matmul(k.transpose(2, 3)) / ((options.ScaleScores ? Math.Sqrt(q.shape[3]) : 1) * options.ScoreDivisor);
        if (options.AdditiveMask is not null) scores += options.AdditiveMask;
        if (options.Causal) scores = scores.masked_fill(ones([queries, keys], @bool).triu(keys - queries + 1), double.NegativeInfinity);
        if (options.KeyPadding is not null) scores = scores.masked_fill(options.KeyPadding.logical_not().reshape(-1, 1, 1, keys), double.NegativeInfinity);
        return scores;
    }

    /// <summary>Softmax of the last axis; a row that sees nothing becomes zeros, and passes no gradient.</summary>
    public static Tensor Probabilities(Tensor scores)
    {
        Tensor blind = scores.amax([-1], keepdim: true).eq(double.NegativeInfinity);
        return nn.functional.softmax(scores.masked_fill(blind, 0), -1).masked_fill(blind, 0);
    }

    /// <summary>Multi-head attention of x [B, T, D] -> [B, T, D], before the residual.</summary>
    public static Tensor Attention(Tensor x, TorchBlock block, TorchBlockOptions options)
    {
        (long batch, long tokens, long width) = (x.shape[0], x.shape[1], x.shape[2]);
        Tensor Split(Tensor y) => y.reshape(batch, tokens, options.Heads, width / options.Heads).transpose(1, 2);
        Tensor q = Split(block.Query.Forward(x)), k = Split(block.Key.Forward(x)), v = Split(block.Value.Forward(x));
        Tensor probabilities = Drop(Probabilities(Scores(q, k, options)), options.Dropout?.Attention);
        return block.Output.Forward(probabilities.matmul(v).transpose(1, 2).reshape(batch, tokens, width));
    }

    /// <summary>One block: a = x + Attention(LN1 x), y = a + FFN(LN2 a); [B, T, D] -> [B, T, D].</summary>
    public static Tensor Block(Tensor x, TorchBlock block, TorchBlockOptions options)
    {
        Tensor normal = LayerNorm(x, block.Ln1Gamma.Value, block.Ln1Beta.Value, options.Eps);
        Tensor a = (options.PostNorm ? normal : x) + Drop(Attention(normal, block, options), options.Dropout?.AttentionResidual);
        normal = LayerNorm(a, block.Ln2Gamma.Value, block.Ln2Beta.Value, options.Eps);
        Tensor hidden = Gelu(block.Expand.Forward(normal), options.Gelu);
        return (options.PostNorm ? normal : a) + Drop(block.Contract.Forward(hidden), options.Dropout?.FeedForwardResidual);
    }

    /// <summary>The whole model: token ids [B, T] -> logits [B, T, V].</summary>
    public static Tensor Logits(Tensor ids, TorchModel model, TorchBlockOptions options) =>
        Hidden(ids, model, options).matmul((model.Head ?? model.Tokens).t());

    /// <summary>Token ids [B, T] -> hidden states after the final LayerNorm [B, T, D].</summary>
    public static Tensor Hidden(Tensor ids, TorchModel model, TorchBlockOptions options)
    {
        Tensor positions = options.Positions is { } places ? model.Positions.index_select(0, places) : model.Positions.narrow(0, 0, ids.shape[1]);
        Tensor x = model.Tokens.index_select(0, ids.reshape(-1)).reshape(ids.shape[0], ids.shape[1], -1) + positions;
        if (options.PostNorm) return PostNorm(x, model, options);
        for (int l = 0; l < model.Blocks.Length; l++) x = Block(x, model.Blocks[l], options.ScaleByLayer ? options with { ScoreDivisor = l + 1 } : options);
        return LayerNorm(x, model.FinalGamma, model.FinalBeta, options.Eps);
    }

    // A post-LN stack as it is usually written: LN of the embedding, then in each layer h = LN(h + Attention(h)), h = LN(h + FFN(h)).
    private static Tensor PostNorm(Tensor x, TorchModel model, TorchBlockOptions options)
    {
        Tensor h = LayerNorm(x, model.Blocks[0].Ln1Gamma.Value, model.Blocks[0].Ln1Beta.Value, options.Eps);
        for (int l = 0; l < model.Blocks.Length; l++)
        {
            TorchBlock block = model.Blocks[l];
            h = LayerNorm(h + Attention(h, block, options), block.Ln2Gamma.Value, block.Ln2Beta.Value, options.Eps);
            Tensor sum = h + block.Contract.Forward(Gelu(block.Expand.Forward(h), options.Gelu));
            h = l + 1 < model.Blocks.Length
                ? LayerNorm(sum, model.Blocks[l + 1].Ln1Gamma.Value, model.Blocks[l + 1].Ln1Beta.Value, options.Eps)
                : LayerNorm(sum, model.FinalGamma, model.FinalBeta, options.Eps);
        }

        return h;
    }

    /// <summary>Mean cross-entropy of logits [B, T, V] over the targets [B, T] that are not negative.</summary>
    public static Tensor Loss(Tensor logits, Tensor targets) =>
        nn.functional.cross_entropy(logits.reshape(-1, logits.shape[^1]), targets.reshape(-1), ignore_index: -1);

    private static Tensor Drop(Tensor x, Tensor? factors) => factors is null ? x : x * factors;
}
