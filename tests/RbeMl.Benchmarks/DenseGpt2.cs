using RbeMl.Layers;
using RbeMl.Models;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace RbeMl.Benchmarks;

/// <summary>A pre-LN GPT-2 block in torch as one writes it for speed: q, k, v in one product, torch's fused attention, its own GELU and LayerNorm.</summary>
internal sealed class DenseBlock
{
    private const double Epsilon = 1e-5;
    private readonly int _heads;

    /// <summary>Holds the decoded weights.</summary>
    public DenseBlock(BlockWeights weights, int heads)
        : this(
            new DenseBlockWeights
            {
                Query = weights.Query.ToDense(),
                Key = weights.Key.ToDense(),
                Value = weights.Value.ToDense(),
                Output = weights.Output.ToDense(),
                UpProjection = weights.UpProjection.ToDense(),
                DownProjection = weights.DownProjection.ToDense(),
                Vectors = weights.Vectors,
            },
            heads)
    {
    }

    /// <summary>Holds dense weights.</summary>
    public DenseBlock(DenseBlockWeights weights, int heads)
    {
        _heads = heads;
        BlockVectors v = weights.Vectors;
        int d = v.OutputBias.Length, f = v.UpProjectionBias.Length;
        QkvWeight = Leaf([.. weights.Query, .. weights.Key, .. weights.Value], 3 * d, d);
        QkvBias = Leaf([.. v.QueryBias, .. v.KeyBias, .. v.ValueBias], 3 * d);
        (OutputWeight, OutputBias) = (Leaf(weights.Output, d, d), Leaf(v.OutputBias, d));
        (ExpandWeight, ExpandBias) = (Leaf(weights.UpProjection, f, d), Leaf(v.UpProjectionBias, f));
        (ContractWeight, ContractBias) = (Leaf(weights.DownProjection, d, f), Leaf(v.DownProjectionBias, d));
        (Gamma1, Beta1, Gamma2, Beta2) = (Leaf(v.Gamma1, d), Leaf(v.Beta1, d), Leaf(v.Gamma2, d), Leaf(v.Beta2, d));
    }

    private DenseBlock(DenseBlock block)
    {
        _heads = block._heads;
        static Parameter Rounded(Parameter parameter) => new(parameter.detach().to(bfloat16), requires_grad: false);
        (QkvWeight, QkvBias, OutputWeight, OutputBias) =
            (Rounded(block.QkvWeight), Rounded(block.QkvBias), Rounded(block.OutputWeight), Rounded(block.OutputBias));
        (ExpandWeight, ExpandBias, ContractWeight, ContractBias) =
            (Rounded(block.ExpandWeight), Rounded(block.ExpandBias), Rounded(block.ContractWeight), Rounded(block.ContractBias));
        (Gamma1, Beta1, Gamma2, Beta2) = (Rounded(block.Gamma1), Rounded(block.Beta1), Rounded(block.Gamma2), Rounded(block.Beta2));
    }

    public Parameter QkvWeight { get; }

    public Parameter QkvBias { get; }

    public Parameter OutputWeight { get; }

    public Parameter OutputBias { get; }

    public Parameter ExpandWeight { get; }

    public Parameter ExpandBias { get; }

    public Parameter ContractWeight { get; }

    public Parameter ContractBias { get; }

    public Parameter Gamma1 { get; }

    public Parameter Beta1 { get; }

    public Parameter Gamma2 { get; }

    public Parameter Beta2 { get; }

    public IEnumerable<Parameter> Parameters =>
        [QkvWeight, QkvBias, OutputWeight, OutputBias, ExpandWeight, ExpandBias, ContractWeight, ContractBias, Gamma1, Beta1, Gamma2, Beta2];

    /// <summary>The same weights rounded to bf16, for inference.</summary>
    public DenseBlock ToBFloat16() => new(this);

    /// <summary>A parameter with the values.</summary>
    public static Parameter Leaf(float[] values, params long[] shape) => new(tensor(values).reshape(shape));

    /// <summary>Writes keys and values of the first tokens x [B, T, D] into caches [B, H, capacity, D / H].</summary>
    public void Fill(Tensor x, Tensor keys, Tensor values)
    {
        (long batch, long tokens, long width) = (x.shape[0], x.shape[1], x.shape[2]);
        Tensor[] qkv = nn.functional.linear(nn.functional.layer_norm(x, [width], Gamma1, Beta1, Epsilon), QkvWeight, QkvBias).split(width, 2);
        keys.narrow(2, 0, tokens).copy_(qkv[1].view(batch, tokens, _heads, width / _heads).transpose(1, 2));
        values.narrow(2, 0, tokens).copy_(qkv[2].view(batch, tokens, _heads, width / _heads).transpose(1, 2));
    }

    /// <summary>One new token x [B, 1, D] at a position, whose key and value go into the caches.</summary>
    public Tensor Decode(Tensor x, Tensor keys, Tensor values, long position)
    {
        (long batch, long width) = (x.shape[0], x.shape[2]);
        Tensor[] qkv = nn.functional.linear(nn.functional.layer_norm(x, [width], Gamma1, Beta1, Epsilon), QkvWeight, QkvBias).split(width, 2);
        Tensor Heads(Tensor y) => y.view(batch, 1, _heads, width / _heads).transpose(1, 2);
        keys.narrow(2, position, 1).copy_(Heads(qkv[1]));
        values.narrow(2, position, 1).copy_(Heads(qkv[2]));
        Tensor attention =
            nn.functional.scaled_dot_product_attention(Heads(qkv[0]), keys.narrow(2, 0, position + 1), values.narrow(2, 0, position + 1))
                .transpose(1, 2).reshape(batch, 1, width);
        Tensor middle = x + nn.functional.linear(attention, OutputWeight, OutputBias);
        Tensor hidden = nn.functional.linear(nn.functional.layer_norm(middle, [width], Gamma2, Beta2, Epsilon), ExpandWeight, ExpandBias);
        return middle + nn.functional.linear(nn.functional.gelu(hidden, GELU.Approximate.tanh), ContractWeight, ContractBias);
    }

    /// <summary>x [B, T, D] -> [B, T, D].</summary>
    public Tensor Forward(Tensor x)
    {
        (long batch, long tokens, long width) = (x.shape[0], x.shape[1], x.shape[2]);
        Tensor[] qkv = nn.functional.linear(nn.functional.layer_norm(x, [width], Gamma1, Beta1, Epsilon), QkvWeight, QkvBias).split(width, 2);
        Tensor Heads(Tensor y) => y.view(batch, tokens, _heads, width / _heads).transpose(1, 2);
        Tensor attention = nn.functional.scaled_dot_product_attention(Heads(qkv[0]), Heads(qkv[1]), Heads(qkv[2]), is_casual: true)
            .transpose(1, 2).reshape(batch, tokens, width);
        Tensor middle = x + nn.functional.linear(attention, OutputWeight, OutputBias);
        Tensor hidden = nn.functional.linear(nn.functional.layer_norm(middle, [width], Gamma2, Beta2, Epsilon), ExpandWeight, ExpandBias);
        return middle + nn.functional.linear(nn.functional.gelu(hidden, GELU.Approximate.tanh), ContractWeight, ContractBias);
    }
}

/// <summary>GPT-2 in torch with a tied head.</summary>
internal sealed class DenseGpt2
{
    public DenseGpt2(TransformerWeights weights)
    {
        int d = weights.Config.Width;
        Tokens = DenseBlock.Leaf(weights.TokenEmbedding.Dense!, weights.Config.Vocabulary, d);
        Positions = DenseBlock.Leaf(weights.PositionEmbedding, weights.Config.MaxSequenceLength, d);
        Blocks = [.. weights.Blocks.Select(block => new DenseBlock(block, weights.Config.Heads))];
        (FinalGamma, FinalBeta) = (DenseBlock.Leaf(weights.FinalGamma, d), DenseBlock.Leaf(weights.FinalBeta, d));
    }

    public Parameter Tokens { get; }

    public Parameter Positions { get; }

    public DenseBlock[] Blocks { get; }

    public Parameter FinalGamma { get; }

    public Parameter FinalBeta { get; }

    public IEnumerable<Parameter> Parameters => [Tokens, Positions, .. Blocks.SelectMany(b => b.Parameters), FinalGamma, FinalBeta];

    /// <summary>Mean loss of ids and targets [B, T].</summary>
    public Tensor Loss(Tensor ids, Tensor targets)
    {
        Tensor x = Tokens.index_select(0, ids.view(-1)).view(ids.shape[0], ids.shape[1], -1) + Positions.narrow(0, 0, ids.shape[1]);
        foreach (DenseBlock block in Blocks) x = block.Forward(x);
        x = nn.functional.layer_norm(x, [x.shape[2]], FinalGamma, FinalBeta, 1e-5);
        Tensor logits = nn.functional.linear(x, Tokens);
        return nn.functional.cross_entropy(logits.view(-1, logits.shape[2]), targets.view(-1));
    }
}
