using RbeMl.Codec;
using RbeMl.Layers;
using RbeMl.Numerics;

namespace RbeMl.Models;

/// <summary>A [V, D] table: token embedding or head, dense or compressed.</summary>
/// <param name="Dense">Row-major values, or null.</param>
/// <param name="Compressed">The compressed matrix, or null.</param>
public sealed record TableWeights(float[]? Dense, RbeMatrix? Compressed)
{
    /// <summary>A dense table.</summary>
    public static implicit operator TableWeights(float[] dense) => new(dense, null);

    /// <summary>A compressed table.</summary>
    public static implicit operator TableWeights(RbeMatrix matrix) => new(null, matrix);
}

/// <summary>All weights of a GPT-2 model.</summary>
public sealed record Gpt2Weights
{
    /// <summary>Shapes.</summary>
    public required TransformerConfig Config { get; init; }

    /// <summary>[V, D].</summary>
    public required TableWeights TokenEmbedding { get; init; }

    /// <summary>[max T, D] row-major.</summary>
    public required float[] PositionEmbedding { get; init; }

    /// <summary>One a layer.</summary>
    public required IReadOnlyList<BlockWeights> Blocks { get; init; }

    /// <summary>[D].</summary>
    public required float[] FinalGamma { get; init; }

    /// <summary>[D].</summary>
    public required float[] FinalBeta { get; init; }

    /// <summary>[V, D]; null with a tied head.</summary>
    public TableWeights? Head { get; init; }

    /// <summary>Which ids end a text, and which stand for nothing.</summary>
    public ModelTokens Tokens { get; init; } = ModelTokens.Unknown;

    /// <summary>
    /// Untrained weights as GPT-2 initialises them: every decoded weight N(0, 0.02²), projections back to the residual stream scaled by 1 / sqrt(2 L).
    /// </summary>
    /// <param name="config">Shapes.</param>
    /// <param name="options">Compression of the blocks' matrices.</param>
    /// <param name="seed">The same seed gives the same bits.</param>
    /// <param name="tables">Compression of token embedding and untied head; null keeps them dense.</param>
    public static Gpt2Weights CreateRandom(TransformerConfig config, RbeOptions options, ulong seed, RbeOptions? tables = null)
    {
        ArgumentNullException.ThrowIfNull(config);
        config.Validate();
        int v = config.Vocabulary, d = config.Width;
        float[] gamma = new float[d];
        Array.Fill(gamma, 1f);
        return new Gpt2Weights
        {
            Config = config,
            TokenEmbedding = Table(1),
            PositionEmbedding = Normal(config.MaxSequenceLength * d, 2),
            Blocks = [.. Enumerable.Range(0, config.Layers).Select(l => BlockWeights.CreateRandom(config, options, (seed * 1000003) + (ulong)l + 10))],
            FinalGamma = gamma,
            FinalBeta = new float[d],
            Head = config.TiedHead ? null : Table(3),
        };

        TableWeights Table(ulong index) => tables is null ? Normal(v * d, index) : BlockWeights.CreateRandomMatrix(v, d, tables, 0.02, (seed * 1000003) + index);

        float[] Normal(int count, ulong index)
        {
            DeterministicRandom random = new(seed, index);
            float[] values = new float[count];
            for (int i = 0; i < count; i++) values[i] = (float)(0.02 * random.NextNormal());
            return values;
        }
    }

    /// <summary>
    /// Untrained weights in any format. Formats that are frozen need weights to store: those of a model that keeps all its coefficients.
    /// </summary>
    /// <inheritdoc cref="CreateRandom"/>
    public static Gpt2Weights CreateUntrained(TransformerConfig config, RbeOptions options, ulong seed)
    {
        ArgumentNullException.ThrowIfNull(options);
        if (options.Format is SparseFormat) return CreateRandom(config, options, seed);
        return CreateRandom(config, options with { Format = RbeFormat.Sparse(options.Tile * options.Tile) }, seed).Recompress(options);
    }

    /// <summary>The same weights with the blocks' matrices compressed anew: decoded and stored in another way. Everything else stays.</summary>
    /// <param name="options">How to compress each matrix.</param>
    /// <exception cref="InvalidSettingException">An option is out of range.</exception>
    public Gpt2Weights Recompress(RbeOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        return this with
        {
            Blocks = [.. Blocks.Select((block, layer) => block with
            {
                Query = Again(layer, 0, block.Query),
                Key = Again(layer, 1, block.Key),
                Value = Again(layer, 2, block.Value),
                Output = Again(layer, 3, block.Output),
                Expand = Again(layer, 4, block.Expand),
                Contract = Again(layer, 5, block.Contract),
            })],
        };

        RbeMatrix Again(int layer, int index, RbeMatrix matrix) => WeightRange.Named(
            $"blocks.{layer}.{BlockLayout.NameOf((BlockMatrix)index)}", () => RbeCompressor.Compress(matrix.ToDense(), matrix.Rows, matrix.Columns, options));
    }
}
