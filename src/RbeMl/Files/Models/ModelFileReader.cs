using RbeMl.Codec;
using RbeMl.Kernels;
using RbeMl.Layers;
using RbeMl.Models;
using RbeMl.Storage;
using RbeMl.Text;

namespace RbeMl.Files;

/// <content>The parts of reading.</content>
public static partial class ModelFile
{
    private const int LargestWidth = 1 << 16, LargestVocabulary = 1 << 24, LargestLength = 1 << 24, MostLayers = 1 << 12, MostEndTokens = 1 << 10;

    internal static TransformerConfig ReadConfig(JsonFields fields)
    {
        TransformerConfig config = new()
        {
            Width = fields.Whole("width", 1, LargestWidth),
            FeedForwardWidth = fields.Whole("feedForwardWidth", 0, 4 * LargestWidth),
            Heads = fields.Whole("heads", 1, LargestWidth),
            Layers = fields.Whole("layers", 1, MostLayers),
            Vocabulary = fields.Whole("vocabulary", 1, LargestVocabulary),
            MaxSequenceLength = fields.Whole("maxSequenceLength", 1, LargestLength),
            Dropout = (float)fields.Real("dropout"),
            LayerNormEpsilon = fields.Real("layerNormEpsilon"),
            Gelu = fields.Name<GeluKind>("gelu"),
            Causal = fields.Flag("causal"),
            Order = fields.OptionalName<BlockOrder>("order") ?? BlockOrder.PreNorm,
            TiedHead = fields.Flag("tiedHead"),
            LayerNorm = fields.Name<LayerNormStorage>("layerNorm"),
            AttentionDropout = (float?)fields.OptionalReal("attentionDropout"),
            EmbeddingDropout = (float?)fields.OptionalReal("embeddingDropout"),
            ScaleAttention = fields.OptionalFlag("scaleAttention") ?? true,
            ScaleAttentionByLayer = fields.OptionalFlag("scaleAttentionByLayer") ?? false,
            FirstLayer = fields.OptionalWhole("firstLayer", 0, MostLayers) ?? 0,
        };
        try
        {
            return config.Validate();
        }
        catch (InvalidSettingException error)
        {
            throw new RbeFileException(fields.Path, $"its configuration is wrong: {error.Message} Write it again.", error);
        }
    }

    /// <summary>The tokenizer of a model's metadata, or why what is there cannot be read: the weights do not depend on it.</summary>
    internal static (ITokenizer? Tokenizer, string? Problem) ReadTokenizer(JsonFields metadata)
    {
        try
        {
            return metadata.OptionalObject("tokenizer") is { } json ? (TokenizerJson.Load(json.Json), null) : (null, null);
        }
        catch (RbeException error) when (error is TokenException or RbeFileException)
        {
            return (null, error.Message);
        }
    }

    private static ModelTokens ReadTokens(JsonFields metadata, ITokenizer? tokenizer, int vocabulary) =>
        new ModelTokens { EndTokens = metadata.OptionalIds(EndTokensKey, vocabulary, MostEndTokens) }.With(tokenizer, vocabulary);

    /// <summary>
    /// The weights, each value read once; <paramref name="read"/> takes the names of the tensors, and no other may be left. Dense tables may be left in the
    /// file, which then must stay open until a model is made of them.
    /// </summary>
    private static (TransformerWeights Weights, ITokenizer? Tokenizer, string? TokenizerProblem) ReadWeights(RbeContainer file,
        RbeLoadOptions options, HashSet<string> read, bool storesTables)
    {
        JsonFields metadata = new(file.Path, "metadata", file.Metadata);
        TransformerConfig config = ReadConfig(metadata.Object("config"));
        (ITokenizer? tokenizer, string? problem) = ReadTokenizer(metadata);
        Dictionary<string, RbeMatrix> matrices = RbeMatrixFile.ReadAll(file, metadata, read, options);
        BlockWeights[] blocks = new BlockWeights[config.Layers];
        for (int l = 0; l < blocks.Length; l++)
        {
            string name = $"blocks.{l}.";
            blocks[l] = RbeMatrixFile.TakeBlock(file, matrices, name, config)
                with
            { Vectors = BlockVectors.Read(config, config.LayerNorm, (part, length) => Values(name + part, length)) };
        }

        int terms = NormTerms.Count(config.LayerNorm, config.Width);
        TransformerWeights weights = new()
        {
            Config = config,
            TokenEmbedding = Table("embedding.tokens"),
            PositionEmbedding = Values("embedding.positions", (long)config.MaxSequenceLength * config.Width),
            Blocks = blocks,
            FinalGamma = Values("final.gamma", terms),
            FinalBeta = Values("final.beta", terms),
            Norms = config.LayerNorm,
            Head = config.TiedHead ? null : Table("head"),
            Encoder = EncoderJson.Read(metadata, config),
            TokenTypes = file.Tensors.FirstOrDefault(t => t.Name == TypesName) is { } types
                ? Values(TypesName, types.Shape.Aggregate(1L, (a, b) => a * b)) : null,
        };
        string? extra = matrices.Keys.FirstOrDefault();
        if (extra is not null) throw new RbeFileException(file.Path, $"matrix \"{extra}\" belongs to no part of the model. Write the file again.");
        extra = file.Tensors.FirstOrDefault(t => !read.Contains(t.Name))?.Name;
        if (extra is not null) throw new RbeFileException(file.Path, $"tensor \"{extra}\" belongs to no part of the model. Write the file again.");
        weights = weights with { Tokens = ReadTokens(metadata, tokenizer, config.Vocabulary) }; // now that the table has shown that there are so many
        try
        {
            weights.Check();
        }
        catch (ShapeMismatchException error)
        {
            throw new RbeFileException(file.Path, $"its parts do not fit together: {error.Message} Write it again.", error);
        }

        return (weights, tokenizer, problem);

        TableWeights Table(string name) => matrices.ContainsKey(name)
            ? RbeMatrixFile.Take(file, matrices, name, config.Vocabulary, config.Width)
            : storesTables ? Stored(name, (long)config.Vocabulary * config.Width)
            : Values(name, (long)config.Vocabulary * config.Width);

        TableWeights Stored(string name, long length)
        {
            if (length > Array.MaxLength) return Values(name, length); // says what is wrong
            file.Require<float>(name, length);
            read.Add(name);
            return new TableWeights(null, null) { Stored = new StoredTensor(file, name, (int)length) };
        }

        float[] Values(string name, long length) => RbeMatrixFile.ReadVector(file, name, length, read);
    }

    private sealed class StoredTensor(RbeContainer file, string name, int length) : StoredValues
    {
        public override int Length => length;

        public override void Read(Span<float> values)
        {
            file.ReadTo(name, values);
            FiniteWeights.Check(name, values);
        }
    }
}
