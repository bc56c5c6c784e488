using System.Buffers.Binary;
using System.IO.Compression;
using Microsoft.ML;
using RbeMl.Codec;
using RbeMl.Layers;
using RbeMl.MLNet.Blocks;
using RbeMl.MLNet.Classification;
using RbeMl.MLNet.Columns;
using RbeMl.MLNet.Embeddings;
using RbeMl.MLNet.Features;
using RbeMl.MLNet.Files;
using RbeMl.MLNet.LanguageModels;
using RbeMl.MLNet.Runtime;
using RbeMl.MLNet.Similarity;
using RbeMl.MLNet.Tests.Encoders;
using RbeMl.MLNet.Tokens;
using RbeMl.MLNet.Training;
using RbeMl.Models;
using RbeMl.Tests.Files;
using RbeMl.Text;
using RbeMl.Training;

namespace RbeMl.MLNet.Tests.Saving;

/// <summary>
/// Saved components whose checksums are right but whose settings are not: refused with this library's errors, or loaded; and archives that
/// are no models.
/// </summary>
public sealed class ComponentDamageTests : IDisposable
{
    private static readonly MLContext Ml = new MLContext(seed: 1).UseRbe();
    private readonly TemporaryFolder _folder = new();

    public static TheoryData<string> Components => ["block", "featurize", "tokenize", "language", "classify", "dates", "embedding", "similarity", "few labels"];

    public void Dispose() => _folder.Dispose();

    [Theory]
    [MemberData(nameof(Components))]
    public void EverySettingAtItsExtremes(string component)
    {
        (RbeTransformer transformer, Action<Stream> load) = Create(component);
        byte[] saved = Bytes(transformer);
        string name = System.Text.Encoding.UTF8.GetString(saved, 14, saved[12]);
        byte[] body = ComponentFile.Read(new MemoryStream(saved), name, reader =>
        {
            using MemoryStream all = new();
            reader.BaseStream.CopyTo(all);
            return all.ToArray();
        });
        load(new MemoryStream(saved));
        int settings = body.AsSpan().IndexOf("\u0089RBE"u8[1..]) is > 0 and var model ? model - 1 : body.Length, refused = 0;
        foreach (long value in (long[])[0, -1, int.MaxValue, 0x80808080, 0xFF, long.MinValue])
        {
            for (int place = 0; place < settings; place++)
            {
                byte[] changed = [.. body], bytes = new byte[8];
                BinaryPrimitives.WriteInt64LittleEndian(bytes, value);
                int width = value is 0xFF or 0 ? 1 : value == long.MinValue ? 8 : 4;
                bytes.AsSpan(0, Math.Min(width, settings - place)).CopyTo(changed.AsSpan(place));
                using MemoryStream stream = new();
                ComponentFile.Write(stream, name, writer => writer.Write(changed));
                stream.Position = 0;
                try
                {
                    load(stream);
                }
                catch (RbeException)
                {
                    refused++;
                }
            }
        }

        Assert.InRange(refused, settings, 6 * settings);
    }

    [Theory]
    [InlineData("language", 1025, "Threads = 1025")]
    [InlineData("featurize", 2000, "Threads = 2000")]
    [InlineData("block", 5000, "Threads = 5000")]
    public void ThreadsBeyondTheLimitAreNamedWithIt(string component, int threads, string expected)
    {
        Assert.Contains(expected, Assert.Throws<InvalidSettingException>(() => Create(component, threads)).Message);
        (RbeTransformer most, Action<Stream> load) = Create(component, RunLimits.Threads);
        load(new MemoryStream(Bytes(most))); // of a larger machine
        Assert.InRange(new WorkspacePool(RunLimits.Threads).Workers.Threads, 1, 4 * Environment.ProcessorCount);
    }

    [Fact]
    public void MoreNewTokensThanTheLimitAreRefused()
    {
        (RbeTransformer transformer, Action<Stream> load) = Create("language", 1, RunLimits.Tokens + 1);
        RbeFileException error = Assert.Throws<RbeFileException>(() => load(new MemoryStream(Bytes(transformer))));
        Assert.Contains($"MaxTokens = {RunLimits.Tokens + 1}", error.Message);
        Assert.Contains($"{RunLimits.Tokens}", error.Message);
    }

    [Theory]
    [InlineData("../x", "leads out")]
    [InlineData("/etc/x", "leads out")]
    [InlineData("a/../../x", "leads out")]
    [InlineData("C:/x", "leads out")]
    [InlineData("..\\x", "leads out")]
    [InlineData("again", "two entries")]
    public void NamesThatLeadOutOfAnArchiveAreRefused(string name, string problem)
    {
        string path = SavedZip();
        using (ZipArchive zip = ZipFile.Open(path, ZipArchiveMode.Update))
        {
            zip.CreateEntry("again");
            zip.CreateEntry(name);
        }

        Assert.Contains(problem, Assert.Throws<RbeFileException>(() => Ml.Rbe.Load(path, out _)).Message);
    }

    [Fact]
    public void AnArchiveThatExpandsBeyondMeasureIsRefusedBeforeItDoes()
    {
        string path = SavedZip();
        using (ZipArchive zip = ZipFile.Open(path, ZipArchiveMode.Update))
        {
            ZipArchiveEntry old = zip.Entries.Single(e => e.Name == "Rbe.bin");
            string name = old.FullName;
            old.Delete();
            using Stream bomb = zip.CreateEntry(name, CompressionLevel.Optimal).Open();
            byte[] zeros = new byte[1 << 20];
            for (int i = 0; i < 80; i++) bomb.Write(zeros);
        }

        Assert.InRange(new FileInfo(path).Length, 1, 1 << 20);
        long before = GC.GetAllocatedBytesForCurrentThread();
        Assert.Contains("expand to", Assert.Throws<RbeFileException>(() => Ml.Rbe.Load(path, out _)).Message);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 4 << 20);
    }

    private static (RbeTransformer Transformer, Action<Stream> Load) Create(string component, int threads = 1, int newTokens = 3) => component switch
    {
        "block" => (new TransformerBlockTransformer(Ml, new BlockColumns("Y", "X", "Mask", true, 64, threads), Model().Config,
            Model().GetWeights().Blocks[0]), s => Ml.Rbe.LoadTransformerBlock(s)),
        "featurize" => (new FeaturizeTransformer(Ml, new FeaturizeColumns("F", "Text", 6, true, 4, threads), new FeatureOptions { Layer = 1 },
            Model(), new ByteTokenizer()), s => Ml.Rbe.LoadFeaturize(s)),
        "tokenize" => (new TokenizeTransformer(Ml, new TokenizeOptions { MaxTokens = 5 }.Checked()), s => Ml.Rbe.LoadTokenize(s)),
        "language" => (
            new LanguageModelTransformer(
                Ml, new LanguageModelSettings("Text", "Perplexity", "Generated", 8, new GenerationOptions { MaxTokens = newTokens }), Model(),
                new ByteTokenizer(), Summary, new ScoringSettings(2, threads)),
            s => Ml.Rbe.LoadLanguageModel(s)),
        "embedding" => (new TextEmbeddingTransformer(Ml, new TextEmbeddingColumns("E", "Text", "", new ScoringSettings(2, threads)), SmallEncoder.Create()),
            s => Ml.Rbe.LoadTextEmbedding(s)),
        "similarity" => (new SentenceSimilarityTransformer(Ml, new SimilarityColumns("A", "B", "Score", 0, 5, new ScoringSettings(2, threads)),
            SmallEncoder.Create(), Summary), s => Ml.Rbe.LoadSentenceSimilarity(s)),
        "few labels" => (FewLabels(threads), s => Ml.Rbe.LoadTextClassification(s)),
        "classify" => (Classifier(new ClassLabels(3, false, null), threads), s => Ml.Rbe.LoadTextClassification(s)),
        _ => (Classifier(Dates(), threads), s => Ml.Rbe.LoadTextClassification(s)),
    };

    private static TrainingSummary Summary => new()
    {
        Seed = 1,
        Examples = 2,
        ValidationExamples = 1,
        SkippedRows = 0,
        Steps = 3,
        Seconds = 1,
        Epochs = [new EpochSummary(1, 2, 0.5)],
        BestEpoch = 1,
        StoppedEarly = false,
        Cancelled = false,
    };

    private static TransformerModel<float> Model() =>
        TransformerModel<float>.Create(new TransformerConfig { Width = 32, Heads = 2, Layers = 1, Vocabulary = 256, MaxSequenceLength = 8 },
            new RbeOptions { Tile = 32, Format = RbeFormat.Sparse(16) }, 1);

    private static TextClassificationTransformer Classifier(ClassLabels labels, int threads)
    {
        SequenceClassifier<float> classifier = new(Model(), new ClassifierConfig { Classes = labels.Count }, 1);
        TextClassificationModel model =
            new("Text", new ClassColumnNames("PredictedLabel", "Score", "Probability"), labels, classifier, new ByteTokenizer(),
                new TokenLimits(256, 8, false));
        return new TextClassificationTransformer(Ml, model, Summary, new ScoringSettings(2, threads));
    }

    private static TextClassificationTransformer FewLabels(int threads)
    {
        ModelBundle bundle = SmallEncoder.Bundle();
        SequenceClassifier<float> classifier = new(bundle.Model, new ClassifierConfig { Classes = 3 }, 1);
        TextClassificationModel model = new("Text", new ClassColumnNames("PredictedLabel", "Score", "Probability"), new ClassLabels(3, false, null),
            classifier, bundle.Tokenizer, new TokenLimits(bundle.Model.Config.Vocabulary, 8, false, bundle.Encoder));
        TrainingSummary summary = Summary with { Method = FewLabelMethod.Contrastive, CrossValidatedLoss = 0.5, CrossValidatedAccuracy = 0.75 };
        return new TextClassificationTransformer(Ml, model, summary, new ScoringSettings(2, threads));
    }

    private static ClassLabels Dates()
    {
        IDataView rows = Ml.Data.LoadFromEnumerable(new[] { new Dated { Label = new DateTime(2020, 1, 1) }, new Dated { Label = new DateTime(2021, 1, 1) } });
        return ClassLabels.Find(Ml.Transforms.Conversion.MapValueToKey("Label").Fit(rows).Transform(rows).Schema, "Label").Labels;
    }

    private static byte[] Bytes(RbeTransformer transformer)
    {
        using MemoryStream stream = new();
        transformer.Save(stream);
        return stream.ToArray();
    }

    private string SavedZip()
    {
        string path = _folder.File("model.zip");
        Ml.Rbe.Save(Create("tokenize").Transformer, null, path);
        return path;
    }

    private sealed class Dated
    {
        public DateTime Label { get; set; }
    }
}
