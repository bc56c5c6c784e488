using RbeMl.Codec;
using RbeMl.Models;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace RbeMl.Benchmarks.Training;

/// <summary>A frozen matrix in torch with LoRA's trained product of rank r beside it: y = W x + b + B A x (Hu et al., 2021).</summary>
internal sealed class LoraMatrix
{
    private readonly Tensor _weight;
    private readonly Tensor? _bias;

    /// <summary>Decodes a matrix and adds a product that begins at zero: A at random as torch's linear layers are, B zero.</summary>
    public LoraMatrix(RbeMatrix matrix, float[] bias, int rank)
    {
        _weight = tensor(matrix.ToDense()).reshape(matrix.Rows, matrix.Columns);
        _bias = bias.Length == 0 ? null : tensor(bias);
        double bound = 1 / Math.Sqrt(matrix.Columns);
        A = new Parameter(((rand(rank, matrix.Columns) * 2) - 1) * bound);
        B = new Parameter(zeros(matrix.Rows, rank));
    }

    /// <summary>[r, in].</summary>
    public Parameter A { get; }

    /// <summary>[out, r].</summary>
    public Parameter B { get; }

    /// <summary>x [.., in] -> [.., out].</summary>
    public Tensor Forward(Tensor x) => nn.functional.linear(x, _weight, _bias) + nn.functional.linear(nn.functional.linear(x, A), B);
}

/// <summary>A frozen GPT-2 in torch whose six matrices a block have a product of rank r each, which alone is trained.</summary>
internal sealed class LoraGpt2
{
    private const double Epsilon = 1e-5;
    private const int Matrices = 6;
    private readonly LoraMatrix[] _matrices; // [block][six]
    private readonly Tensor[][] _norms; // [block][gamma 1, beta 1, gamma 2, beta 2]
    private readonly Tensor _tokens, _positions, _head, _gamma, _beta;
    private readonly int _heads;

    /// <summary>Decodes the weights.</summary>
    /// <param name="weights">A model with dense tables.</param>
    /// <param name="rank">r.</param>
    /// <param name="seed">Seed of the products.</param>
    public LoraGpt2(TransformerWeights weights, int rank, long seed)
    {
        manual_seed(seed);
        int d = weights.Config.Width, vocabulary = weights.Config.Vocabulary;
        _heads = weights.Config.Heads;
        _tokens = tensor(weights.TokenEmbedding.Dense!).reshape(vocabulary, d);
        _head = weights.Head is { } head ? tensor(head.Dense!).reshape(vocabulary, d) : _tokens;
        _positions = tensor(weights.PositionEmbedding).reshape(-1, d);
        (_gamma, _beta) = (tensor(weights.FinalGamma), tensor(weights.FinalBeta));
        _matrices = [.. weights.Blocks.SelectMany(block => (LoraMatrix[])
        [
            new(block.Query, block.Vectors.QueryBias, rank), new(block.Key, block.Vectors.KeyBias, rank), new(block.Value, block.Vectors.ValueBias, rank),
            new(block.Output, block.Vectors.OutputBias, rank), new(block.UpProjection, block.Vectors.UpProjectionBias, rank),
            new(block.DownProjection, block.Vectors.DownProjectionBias, rank),
        ])];
        _norms = [.. weights.Blocks.Select(block => (Tensor[])
            [tensor(block.Vectors.Gamma1), tensor(block.Vectors.Beta1), tensor(block.Vectors.Gamma2), tensor(block.Vectors.Beta2)])];
    }

    /// <summary>What is trained.</summary>
    public IEnumerable<Parameter> Parameters => _matrices.SelectMany(matrix => (Parameter[])[matrix.A, matrix.B]);

    /// <summary>Values that a product of rank r has on all matrices of a model.</summary>
    public static long ValuesOf(TransformerWeights weights, int rank) =>
        weights.Matrices.Where(matrix => matrix.Name.StartsWith("blocks.", StringComparison.Ordinal))
            .Sum(matrix => (long)rank * (matrix.Matrix.Rows + matrix.Matrix.Columns));

    /// <summary>ids [B, T] -> [B, T, V].</summary>
    public Tensor Logits(Tensor ids)
    {
        (long batch, long length, long width) = (ids.shape[0], ids.shape[1], _tokens.shape[1]);
        Tensor x = _tokens.index_select(0, ids.view(-1)).view(batch, length, width) + _positions.narrow(0, 0, length);
        for (int layer = 0; layer < _norms.Length; layer++)
        {
            Span<LoraMatrix> m = _matrices.AsSpan(layer * Matrices, Matrices);
            Tensor[] norms = _norms[layer];
            Tensor normal = nn.functional.layer_norm(x, [width], norms[0], norms[1], Epsilon);
            Tensor attention = nn.functional.scaled_dot_product_attention(
                Heads(m[0].Forward(normal)), Heads(m[1].Forward(normal)), Heads(m[2].Forward(normal)), is_casual: true);
            x += m[3].Forward(attention.transpose(1, 2).reshape(batch, length, width));
            normal = nn.functional.layer_norm(x, [width], norms[2], norms[3], Epsilon);
            x += m[5].Forward(nn.functional.gelu(m[4].Forward(normal), GELU.Approximate.tanh));
        }

        return nn.functional.linear(nn.functional.layer_norm(x, [width], _gamma, _beta, Epsilon), _head);

        Tensor Heads(Tensor y) => y.view(batch, length, _heads, width / _heads).transpose(1, 2);
    }

    /// <summary>Sum of the losses of ids and targets [B, T] and how many there are; targets of -1 are not counted.</summary>
    public (Tensor Sum, int Count) Loss(int[] ids, int[] targets, int batch, int length)
    {
        Tensor logits = Logits(Ids(ids, batch, length));
        Tensor sum = nn.functional.cross_entropy(logits.view(batch * length, -1), Ids(targets, batch, length).view(-1), null, -1, nn.Reduction.Sum);
        return (sum, TokenTargets.Count(targets));
    }

    /// <summary>Ids as torch takes them, [B, T].</summary>
    public static Tensor Ids(int[] ids, int batch, int length) => tensor(ids).to(int64).view(batch, length);
}
