using System.Numerics;
using RbeMl.Codec;
using RbeMl.Memory;

namespace RbeMl.Layers;

/// <summary>
/// Multi-head self-attention with compressed query, key, value and output matrices, all D x D. The projections work on chunks of tokens,
/// attention itself on one head of one sequence.
/// </summary>
/// <typeparam name="T">Element type.</typeparam>
public sealed unsafe partial class MultiHeadAttention<T>
    where T : unmanaged, IFloatingPointIeee754<T>
{
    private const int Moments = BasisFunctions.FactorCount;
    private readonly bool _causal;
    private readonly RbeLinear<T>[] _all;

    /// <summary>Groups the four matrices.</summary>
    /// <param name="query">Query matrix.</param>
    /// <param name="key">Key matrix.</param>
    /// <param name="value">Value matrix.</param>
    /// <param name="output">Output matrix.</param>
    /// <param name="heads">H.</param>
    /// <param name="causal">Whether a token sees only tokens before it.</param>
    /// <param name="scale">Factor of the scores; null for 1 / sqrt(D / H).</param>
    /// <exception cref="ShapeMismatchException">A matrix is not D x D, or D is not a multiple of the heads.</exception>
    public MultiHeadAttention(RbeLinear<T> query, RbeLinear<T> key, RbeLinear<T> value, RbeLinear<T> output, int heads, bool causal, T? scale = null)
    {
        int d = query.Inputs;
        _all = [query, key, value, output];
        foreach (RbeLinear<T> linear in _all)
        {
            if (linear.Inputs != d || linear.Outputs != d)
            {
                throw new ShapeMismatchException(linear.Name, $"[{d}, {d}]", $"[{linear.Outputs}, {linear.Inputs}]",
                    "The four matrices of attention are all D x D.");
            }
        }

        if (d % heads != 0) throw new InvalidSettingException(nameof(heads), heads, $"the width {d} must be a multiple of it.");
        (Query, Key, Value, Output, Heads, _causal) = (query, key, value, output, heads, causal);
        Scale = scale ?? UsualScale(d / heads);
    }

    /// <summary>Query matrix.</summary>
    public RbeLinear<T> Query { get; }

    /// <summary>Key matrix.</summary>
    public RbeLinear<T> Key { get; }

    /// <summary>Value matrix.</summary>
    public RbeLinear<T> Value { get; }

    /// <summary>Output matrix.</summary>
    public RbeLinear<T> Output { get; }

    /// <summary>H.</summary>
    public int Heads { get; }

    /// <summary>D.</summary>
    public int Width => Query.Inputs;

    /// <summary>D / H.</summary>
    public int HeadWidth => Width / Heads;

    /// <summary>Factor of the scores.</summary>
    public T Scale { get; }

    /// <summary>1 / sqrt(D / H), or what a configuration says of a block.</summary>
    internal static T ScaleOf(TransformerConfig config, int layer)
    {
        T scale = config.ScaleAttention ? UsualScale(config.HeadWidth) : T.One;
        return config.ScaleAttentionByLayer ? scale / T.CreateTruncating(config.FirstLayer + layer + 1) : scale;
    }

    /// <summary>D in whole tiles.</summary>
    public int PaddedWidth => Query.TileColumns * Query.Tile;

    /// <summary>Scratch elements the methods take at most for that many chunks.</summary>
    internal long ScratchElements(int chunks)
    {
        long most = 0, codes = 0;
        foreach (RbeLinear<T> linear in _all)
        {
            most = Math.Max(most, linear.ScratchElementsOf(chunks));
            codes = Math.Max(codes, linear.CodeElements(linear.TileColumns, Panel<T>.WideLanes) * chunks);
        }

        return most + codes + 64;
    }

    /// <summary>Backward of the output projection of one chunk: gyCoefficients -> gradient of the attention output, [Dp][width].</summary>
    internal void OutputBackwardChunk(T* gyCoefficients, T* gyMoments, T* dAtt, int width, ScratchArea<T> scratch)
    {
        for (int j = 0; j < Output.TileColumns; j++)
        {
            T* g = dAtt + (long)j * Output.Tile * width;
            new Span<T>(g, Output.Tile * width).Clear();
            Output.AccumulateColumn(j, gyCoefficients, gyMoments, g, width, scratch);
            Output.FinishColumn(j, g, g, width);
        }
    }

    /// <summary>
    /// Backward of the three projections of one chunk. dqkv [3 Dp][width] becomes its transform; moments and the bias sums [3 D] are
    /// filled; dx [Dp][width].
    /// </summary>
    internal void ProjectBackwardChunk(T* dqkv, T* moments, T* biasSums, T* dx, int width, ScratchArea<T> scratch)
    {
        long block = (long)Query.Tile * width;
        long part = (long)PaddedWidth * width;
        for (int m = 0; m < 3; m++)
        {
            RbeLinear<T> linear = Select(m);
            T* g = dqkv + m * part;
            linear.TransformGradient(0, linear.TileRows, g, g, moments + (long)m * linear.TileRows * Moments * width, biasSums + (long)m * Width, width);
        }

        for (int j = 0; j < Query.TileColumns; j++)
        {
            T* g = dx + j * block;
            new Span<T>(g, (int)block).Clear();
            for (int m = 0; m < 3; m++) Select(m).AccumulateColumn(j, dqkv + m * part, moments + (long)m * Query.TileRows * Moments * width, g, width, scratch);
            Query.FinishColumn(j, g, g, width);
        }
    }

    private static T UsualScale(int headWidth) => T.One / T.Sqrt(T.CreateTruncating(headWidth));

    private RbeLinear<T> Select(int m) => m switch { 0 => Query, 1 => Key, _ => Value };
}
