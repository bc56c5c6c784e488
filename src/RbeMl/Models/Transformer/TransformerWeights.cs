using RbeMl.Codec;
using RbeMl.Layers;
using RbeMl.Numerics;

namespace RbeMl.Models;

/// <summary>A [V, D] table: token embedding or head, dense or compressed.</summary>
/// <param name="Dense">Row-major values, or null.</param>
/// <param name="Compressed">The compressed matrix, or null.</param>
public sealed record TableWeights(float[]? Dense, RbeMatrix? Compressed)
{
    /// <summary>Dense values that are read to where they will be used; then neither of the others is there, and only a model can be made of them.</summary>
    internal StoredValues? Stored { get; init; }

    /// <summary>A dense table.</summary>
    public static implicit operator TableWeights(float[] dense) => new(dense, null);

    /// <summary>A compressed table.</summary>
    public static implicit operator TableWeights(RbeMatrix matrix) => new(null, matrix);

    /// <summary>Checks that there is a table, of one kind, and of that size.</summary>
    internal void Check(string name, int vocabulary, int width)
    {
        int? values = Dense?.Length ?? Stored?.Length;
        if (values is null == Compressed is null)
        {
            throw new InvalidSettingException(name, values is null ? "nothing" : "both", "give dense values or a compressed matrix.");
        }

        string? found = values is { } length
            ? Shape.Holds(length, vocabulary, width) ? null : $"{length} values"
            : Compressed!.Rows == vocabulary && Compressed.Columns == width ? null : $"[{Compressed.Rows}, {Compressed.Columns}]";
        if (found is not null)
        {
            throw new ShapeMismatchException(name, $"[{vocabulary}, {width}] = {(long)vocabulary * width} values", found, "Give one row a token.");
        }
    }
}

/// <summary>All weights of a model.</summary>
public sealed record TransformerWeights
{
    /// <summary>Shapes.</summary>
    public required TransformerConfig Config { get; init; }

    /// <summary>[V, D].</summary>
    public required TableWeights TokenEmbedding { get; init; }

    /// <summary>[max T, D] row-major.</summary>
    public required float[] PositionEmbedding { get; init; }

    /// <summary>One a layer.</summary>
    public required IReadOnlyList<BlockWeights> Blocks { get; init => field = Items.Checked(value, nameof(Blocks)); }

    /// <summary>[D].</summary>
    public required float[] FinalGamma { get; init; }

    /// <summary>[D].</summary>
    public required float[] FinalBeta { get; init; }

    /// <summary>[V, D]; null with a tied head.</summary>
    public TableWeights? Head { get; init; }

    /// <summary>What the final gamma and beta are given as, as of <see cref="BlockVectors"/>.</summary>
    internal LayerNormStorage Norms { get; init; }

    /// <summary>Which ids end a text, and which stand for nothing.</summary>
    public ModelTokens Tokens { get; init; } = ModelTokens.Unknown;

    /// <summary>How an encoder makes a vector of a text; null for a language model.</summary>
    public EncoderSettings? Encoder { get; init; }

    /// <summary>
    /// [types, D] of the types that a token of an encoder may have; null where there are none. All tokens here are of the first, whose row is in
    /// <see cref="PositionEmbedding"/> already; the table is kept for those who read the model elsewhere.
    /// </summary>
    public float[]? TokenTypes { get; init; }

    /// <summary>The compressed matrices with their names: those of the blocks, and a compressed table's.</summary>
    internal IEnumerable<(string Name, RbeMatrix Matrix)> Matrices =>
        Blocks.SelectMany((block, l) => Enum.GetValues<BlockMatrix>().Select(m => ($"blocks.{l}.{BlockLayout.NameOf(m)}", block.MatrixAt(m))))
        .Concat(Tables.Where(t => t.Table.Compressed is not null).Select(t => (t.Name, t.Table.Compressed!)));

    /// <summary>What a model keeps beside them, with the names and in the order of its parameters; LayerNorms as they are stored.</summary>
    /// <exception cref="InvalidSettingException">A LayerNorm cannot be stored as the configuration says.</exception>
    internal IEnumerable<(string Name, float[] Values)> Vectors
    {
        get
        {
            if (TokenEmbedding.Dense is { } tokens) yield return ("embedding.tokens", tokens);
            yield return ("embedding.positions", PositionEmbedding);
            for (int l = 0; l < Blocks.Count; l++)
            {
                foreach ((string part, float[] values) in Blocks[l].Vectors.Named)
                {
                    if (values.Length > 0) yield return Stored($"blocks.{l}.{part}", values, Blocks[l].Vectors.Norms);
                }
            }

            yield return Stored("final.gamma", FinalGamma, Norms);
            yield return Stored("final.beta", FinalBeta, Norms);
            if (Head?.Dense is { } head) yield return ("head", head);

            (string, float[]) Stored(string name, float[] values, LayerNormStorage given) =>
                (name, name.EndsWith("bias", StringComparison.Ordinal) ? values : NormTerms.Of(name, Config.LayerNorm, values, given));
        }
    }

    /// <summary>D in whole tiles of the blocks.</summary>
    internal int PaddedWidth => Blocks[0].Query.TileColumns * Blocks[0].Query.Tile;

    private IEnumerable<(string Name, TableWeights Table)> Tables => Head is null ? [("embedding.tokens", TokenEmbedding)]
        : [("embedding.tokens", TokenEmbedding), ("head", Head)];

    /// <summary>Checks that all parts fit the configuration.</summary>
    /// <exception cref="ShapeMismatchException">One does not.</exception>
    /// <exception cref="InvalidSettingException">The configuration or an id is out of range, or a head or table is missing or one too many.</exception>
    internal void Check()
    {
        TransformerConfig config = Config.Validate();
        Tokens.Check(config.Vocabulary);
        int terms = NormTerms.Count(Norms, config.Width);
        Check("blocks", config.Layers, Blocks.Count, "Give one BlockWeights a layer.");
        Check("position embedding", checked(config.MaxSequenceLength * config.Width), PositionEmbedding.Length, "Give one row of Width a position.");
        if (TokenTypes is { } types && (types.Length == 0 || types.Length % config.Width != 0))
        {
            throw new ShapeMismatchException("token types", $"rows of {config.Width} values", $"{types.Length} values", "Give one row of Width a type.");
        }

        Encoder?.Validate(config);
        Check("final LayerNorm", terms, FinalGamma.Length, "Give one value a feature.");
        Check("final.beta", terms, FinalBeta.Length, "Give one value a feature.");
        if (config.TiedHead != Head is null)
        {
            throw new InvalidSettingException(nameof(config.TiedHead), config.TiedHead, "give head weights exactly when the head is not tied.");
        }

        for (int l = 0; l < Blocks.Count; l++) Blocks[l].Check($"blocks.{l}", config);
        foreach ((string name, TableWeights table) in Tables)
        {
            table.Check(name, config.Vocabulary, config.Width);
            if (table.Compressed is { } matrix && matrix.TileColumns * matrix.Tile > PaddedWidth)
            {
                throw new ShapeMismatchException("embedding",
                    $"tiles that pad {config.Width} features to at most {PaddedWidth}, as the blocks' do", $"{matrix.TileColumns * matrix.Tile}",
                    "Compress the embedding with the blocks' tile size.");
            }
        }

        static void Check(string what, int expected, int actual, string mend)
        {
            if (expected != actual) throw new ShapeMismatchException(what, $"{expected}", $"{actual}", mend);
        }
    }

    /// <summary>
    /// Untrained weights as GPT-2 initialises them: every decoded weight N(0, 0.02²), projections back to the residual stream scaled by 1 / sqrt(2 L).
    /// </summary>
    /// <param name="config">Shapes.</param>
    /// <param name="options">Compression of the blocks' matrices.</param>
    /// <param name="seed">The same seed gives the same bits.</param>
    /// <param name="tables">Compression of token embedding and untied head; null keeps them dense.</param>
    public static TransformerWeights CreateRandom(TransformerConfig config, RbeOptions options, ulong seed, RbeOptions? tables = null)
    {
        ArgumentNullException.ThrowIfNull(config);
        config.Validate();
        int v = config.Vocabulary, d = config.Width;
        float[] gamma = new float[d];
        Array.Fill(gamma, 1f);
        return new TransformerWeights
        {
            Config = config,
            TokenEmbedding = Table(1),
            PositionEmbedding = Normal(config.MaxSequenceLength * d, 2),
            Blocks = [.. Enumerable.Range(0, config.Layers).Select(l => BlockWeights.CreateRandom(config, options, (seed * 1000003) + (ulong)l + 10))],
            FinalGamma = gamma,
            FinalBeta = new float[d],
            Head = config.TiedHead ? null : Table(3),
        };

        TableWeights Table(ulong index) => tables is null ? Normal(v * d, index)
            : BlockWeights.CreateRandomMatrix(v, d, tables, 0.02, (seed * 1000003) + index);

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
    public static TransformerWeights CreateUntrained(TransformerConfig config, RbeOptions options, ulong seed)
    {
        ArgumentNullException.ThrowIfNull(options);
        if (options.Format is SparseFormat) return CreateRandom(config, options, seed);
        return CreateRandom(config, options with { Format = RbeFormat.Sparse(options.Tile * options.Tile) }, seed).Recompress(options);
    }

    /// <summary>The same weights with the blocks' matrices compressed anew: decoded and stored in another way. Everything else stays.</summary>
    /// <param name="options">How to compress each matrix.</param>
    /// <exception cref="InvalidSettingException">An option is out of range.</exception>
    public TransformerWeights Recompress(RbeOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        return WithMatrices(Again);

        RbeMatrix Again(string name, RbeMatrix matrix) =>
            WeightRange.Named(name, () => RbeCompressor.Compress(matrix.ToDense(), matrix.Rows, matrix.Columns, options));
    }

    /// <summary>The same weights with other matrices of the blocks.</summary>
    /// <param name="matrix">Gives a matrix for the name and matrix that it has now.</param>
    internal TransformerWeights WithMatrices(Func<string, RbeMatrix, RbeMatrix> matrix) => this with
    {
        Blocks = [.. Blocks.Select((block, layer) => BlockWeights.From(
            m => matrix($"blocks.{layer}.{BlockLayout.NameOf(m)}", block.MatrixAt(m)), block.Vectors))],
    };
}
