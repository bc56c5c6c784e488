using Microsoft.ML;
using Microsoft.ML.Data;
using RbeMl.Codec;
using RbeMl.Fuzz.Mutation;
using RbeMl.Layers;
using RbeMl.MLNet;
using RbeMl.MLNet.Blocks;
using RbeMl.MLNet.Classification;
using RbeMl.MLNet.Columns;
using RbeMl.MLNet.Embeddings;
using RbeMl.MLNet.Features;
using RbeMl.MLNet.LanguageModels;
using RbeMl.MLNet.Runtime;
using RbeMl.MLNet.Similarity;
using RbeMl.MLNet.Tokens;
using RbeMl.MLNet.Training;
using RbeMl.Models;
using RbeMl.Text;
using RbeMl.Training;

namespace RbeMl.Fuzz.Kinds;

/// <summary>A component of ML.NET that was saved alone.</summary>
internal sealed class ComponentKind(string name, Func<IReadOnlyList<RbeTransformer>> samples, Func<Stream, RbeTransformer> load)
    : SingleFileKind(() => [.. samples().Select(t => Samples.Bytes(t.Save))])
{
    /// <summary>The context of all components.</summary>
    public static MLContext Context { get; } = new MLContext(seed: 1).UseRbe();

    /// <summary>The components.</summary>
    public static IReadOnlyList<ComponentKind> All { get; } =
    [
        new("mlnet-block", Blocks, Context.Rbe.LoadTransformerBlock), new("mlnet-featurize", Features, Context.Rbe.LoadFeaturize),
        new("mlnet-tokenize", Tokenizers, Context.Rbe.LoadTokenize), new("mlnet-language", LanguageModels, Context.Rbe.LoadLanguageModel),
        new("mlnet-classify", Classifiers, Context.Rbe.LoadTextClassification),
        new("mlnet-embedding", Embeddings, Context.Rbe.LoadTextEmbedding), new("mlnet-similarity", Similarities, Context.Rbe.LoadSentenceSimilarity),
    ];

    public override string Name => name;

    public override bool IsPromised(Exception error) => IsPromisedByMlNet(error);

    public override object Load(CaseFiles files, Dice dice) => load(files.Stream());

    public override void Use(object loaded, Dice dice) => Transform((ITransformer)loaded);

    /// <summary>ML.NET's own error for columns that are not there.</summary>
    internal static bool IsPromisedByMlNet(Exception error) => error is RbeException || error is ArgumentOutOfRangeException { ParamName: "inputSchema" };

    /// <summary>Computes all columns of a few rows.</summary>
    internal static void Transform(ITransformer transformer) => transformer.Transform(Context.Data.LoadFromEnumerable(Row.Some)).Preview(2);

    internal static IReadOnlyList<RbeTransformer> Classifiers() =>
    [
        new TextClassificationTransformer(Context, Classifier(new ClassLabels(3, false, null)), Summary, new ScoringSettings(4, 1)),
        new TextClassificationTransformer(Context, Classifier(new ClassLabels(2, true, null)), Summary, new ScoringSettings(1, 1)),
        .. Keyed(["a", "b", "c"]), .. Keyed([1f, 2f, 3f]),
            .. Keyed([new DateTime(2020, 1, 1), new DateTime(2021, 1, 1), new DateTime(2022, 1, 1)]), .. Keyed([1L, 2L, 3L]),
    ];

    /// <summary>Models for a zip: each component, alone or after another.</summary>
    internal static IReadOnlyList<ITransformer> Chains() =>
        [Tokenizers()[2], Blocks()[0], Features()[0].Append(Tokenizers()[0]), LanguageModels()[0], Classifiers()[2]];

    protected override byte[] Mutate(byte[] sample, Dice dice, byte[] other) => ComponentParts.Mutate(sample, dice);

    private static TrainingSummary Summary => new()
    {
        Seed = 1,
        Examples = 2,
        ValidationExamples = 1,
        SkippedRows = 0,
        Steps = 3,
        Seconds = 1,
        Epochs = [new EpochSummary(1, 2, 0.5), new EpochSummary(1)],
        BestEpoch = 1,
        StoppedEarly = false,
        Cancelled = false,
    };

    private static IReadOnlyList<RbeTransformer> Blocks()
    {
        TransformerModel<float> model = Samples.Model(0, 16);
        return
        [
            new TransformerBlockTransformer(Context, new BlockColumns("Output", "Fixed", null, false, 64, 1), model.Config, model.GetWeights().Blocks[0]),
            new TransformerBlockTransformer(Context, new BlockColumns("Output", "Variable", "Mask", true, 1, 1), model.Config, model.GetWeights().Blocks[0]),
        ];
    }

    private static IReadOnlyList<RbeTransformer> Features() =>
    [
        new FeaturizeTransformer(Context, new FeaturizeColumns("Features", "Text", 6, true, 4, 1),
            new FeatureOptions { Layer = 1, Pooling = Pooling.Mean }, Samples.Model(3, 256), Samples.Tokenizers[0]),
        new FeaturizeTransformer(Context, new FeaturizeColumns("Features", "Ids", 8, false, 1, 1),
            new FeatureOptions { Layer = 0, Pooling = Pooling.Last }, Samples.Model(6, 20), null),
    ];

    private static IReadOnlyList<RbeTransformer> Tokenizers() =>
    [
        .. Samples.Tokenizers.Select((tokenizer, i) =>
            new TokenizeTransformer(Context, new TokenizeOptions { Tokenizer = tokenizer, MaxTokens = i * 3, Values = (TokenValues)(i % 2) }.Checked())),
    ];

    private static IReadOnlyList<RbeTransformer> LanguageModels() =>
    [
        new LanguageModelTransformer(Context,
            new LanguageModelSettings("Text", "Perplexity", "Generated", 8, new GenerationOptions { MaxTokens = 2, TopK = 3 }),
            Samples.Model(0, 270), Samples.Tokenizers[2], Summary, new ScoringSettings(2, 1)),
        new LanguageModelTransformer(Context, new LanguageModelSettings("Ids", "Perplexity", null, 4, new GenerationOptions()),
            Samples.Model(7, 20), null, Summary, new ScoringSettings(1, 1)),
    ];

    private static IReadOnlyList<RbeTransformer> Embeddings() =>
        [new TextEmbeddingTransformer(Context, new TextEmbeddingColumns("Embedding", "Text", "", new ScoringSettings(2, 1)), Encoder())];

    private static IReadOnlyList<RbeTransformer> Similarities() =>
        [new SentenceSimilarityTransformer(Context, new SimilarityColumns("Text", "Text", "Score", 0, 5, new ScoringSettings(2, 1)), Encoder(), Summary)];

    private static SentenceEncoder Encoder()
    {
        string[] words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "the", "cat", "dog", "##s"];
        TransformerConfig config = new()
        {
            Width = 32,
            Heads = 2,
            Layers = 1,
            Vocabulary = words.Length,
            MaxSequenceLength = 16,
            Causal = false,
            Order = BlockOrder.PostNorm,
        };
        EncoderSettings settings = new() { Normalize = true, LongTexts = LongTexts.Windows, MaxTokens = 8 };
        TransformerWeights weights = TransformerWeights.CreateUntrained(config, new RbeOptions { Tile = 32, Format = RbeFormat.Sparse(16) }, 1);
        return new SentenceEncoder(
            new ModelBundle(new TransformerModel<float>(weights with { Encoder = settings }), new WordPieceTokenizer(words)) { Encoder = settings }, 1);
    }

    private static TextClassificationModel Classifier(ClassLabels labels)
    {
        SequenceClassifier<float> classifier = new(Samples.Model(0, 256), new ClassifierConfig { Classes = labels.Count }, 1);
        return new TextClassificationModel("Text", new ClassColumnNames("PredictedLabel", "Score", "Probability"), labels, classifier,
            Samples.Tokenizers[0], new TokenLimits(256, 8, false));
    }

    private static IEnumerable<RbeTransformer> Keyed<T>(T[] values)
    {
        IDataView rows = Context.Data.LoadFromEnumerable(values.Select(value => new Labelled<T> { Label = value }));
        rows = Context.Transforms.Conversion.MapValueToKey("Label").Fit(rows).Transform(rows);
        yield return new TextClassificationTransformer(Context, Classifier(ClassLabels.Find(rows.Schema, "Label").Labels), Summary, new ScoringSettings(2, 1));
    }

    internal sealed class Row
    {
        public static IReadOnlyList<Row> Some { get; } = [new(), new() { Text = "the dog", Ids = [19, 0, 4, 4] }];

        public string Text { get; set; } = "a cat";

        public int[] Ids { get; set; } = [1, 2, 3];

        [VectorType(64)]
        public float[] Fixed { get; set; } = new float[64];

        public float[] Variable { get; set; } = new float[96];

        public float[] Mask { get; set; } = [1, 1, 0];
    }

    private sealed class Labelled<T>
    {
        public T Label { get; set; } = default!;
    }
}

/// <summary>A model of ML.NET that holds this library's components.</summary>
internal sealed class ZipKind : SingleFileKind
{
    public ZipKind()
        : base(() => [.. ComponentKind.Chains().Select(chain => Samples.Bytes(stream => ComponentKind.Context.Model.Save(chain, null, stream)))])
    {
    }

    public override string Name => "mlnet-zip";

    public override long Room => 8 << 20;

    protected override string FileName => "model.zip";

    public override bool IsPromised(Exception error) => ComponentKind.IsPromisedByMlNet(error);

    public override object Load(CaseFiles files, Dice dice) => ComponentKind.Context.Rbe.Load(files.Stream(), out _);

    public override void Use(object loaded, Dice dice) => ComponentKind.Transform((ITransformer)loaded);

    protected override byte[] Mutate(byte[] sample, Dice dice, byte[] other) => ZipParts.Mutate(sample, dice, bytes => ComponentParts.Mutate(bytes, dice));
}
