using RbeMl.Codec;
using RbeMl.Kernels;
using RbeMl.Layers;
using RbeMl.Models;
using RbeMl.Numerics;
using RbeMl.Storage;
using RbeMl.Text;

namespace RbeMl.Files;

/// <content>The parts of reading.</content>
public static partial class Gpt2File
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

    // The matrices come from the file; vectors are placeholders of the right length until ReadVectors fills them.
    private static Gpt2Model<float> Build(RbeContainer file, TransformerConfig config, Dictionary<string, RbeMatrix> matrices, Func<ModelTokens> tokens)
    {
        BlockWeights[] blocks = new BlockWeights[config.Layers];
        for (int i = 0; i < blocks.Length; i++)
        {
            blocks[i] = new BlockWeights
            {
                Query = Take(i, "attention.query", config.Width, config.Width),
                Key = Take(i, "attention.key", config.Width, config.Width),
                Value = Take(i, "attention.value", config.Width, config.Width),
                Output = Take(i, "attention.output", config.Width, config.Width),
                Expand = Take(i, "feedforward.expand", config.HiddenWidth, config.Width),
                Contract = Take(i, "feedforward.contract", config.Width, config.HiddenWidth),
                Vectors = Placeholders(i),
            };
        }

        Gpt2Weights weights = new()
        {
            Config = config,
            TokenEmbedding = Table("embedding.tokens"),
            PositionEmbedding = Values("embedding.positions", config.MaxSequenceLength),
            Blocks = blocks,
            FinalGamma = new float[config.Width],
            FinalBeta = new float[config.Width],
            Head = config.TiedHead ? null : Table("head"),
            Tokens = tokens(), // now that the table has shown that there are so many
        };
        if (matrices.Count > 0) throw new RbeFileException(file.Path, $"matrix \"{matrices.Keys.First()}\" belongs to no part of the model. Write the file again.");
        try
        {
            return new Gpt2Model<float>(weights);
        }
        catch (ShapeMismatchException error)
        {
            throw new RbeFileException(file.Path, $"its parts do not fit together: {error.Message} Write it again.", error);
        }

        RbeMatrix Take(int block, string part, int rows, int columns) => Shaped($"blocks.{block}.{part}", rows, columns);

        RbeMatrix Shaped(string name, int rows, int columns)
        {
            if (!matrices.Remove(name, out RbeMatrix? matrix)) throw new RbeFileException(file.Path, $"matrix \"{name}\" is missing. The file is not a complete model; write it again.");
            if (matrix.Rows == rows && matrix.Columns == columns) return matrix;
            throw new RbeFileException(file.Path, $"matrix \"{name}\": expected {rows} x {columns}, the file has {matrix.Rows} x {matrix.Columns}. It belongs to another model; write it again.");
        }

        // No larger than what the file has to fill them.
        BlockVectors Placeholders(int block)
        {
            file.Require($"blocks.{block}.attention.query.bias", config.Width);
            file.Require($"blocks.{block}.feedforward.expand.bias", config.HiddenWidth);
            return BlockVectors.Initial(config.Width, config.HiddenWidth);
        }

        float[] Values(string name, long rows) => file.Read<float>(name, rows * config.Width);

        TableWeights Table(string name) => matrices.ContainsKey(name) ? Shaped(name, config.Vocabulary, config.Width) : Values(name, config.Vocabulary);
    }

    private static void ReadVectors(RbeContainer file, Gpt2Model<float> model, HashSet<string> read)
    {
        foreach (ParameterSlice slice in model.Parameters.Slices)
        {
            if (!read.Add(slice.Name)) continue;
            Span<float> values = model.Parameters.Of(slice);
            file.Read(slice.Name, values);
            int bad = FiniteSearch.IndexOfNonFinite(values);
            if (bad >= 0) throw RbeMatrixFile.NotFinite(slice.Name, values[bad], bad);
        }
    }
}
