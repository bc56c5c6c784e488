using RbeMl.Files;
using RbeMl.Fuzz.Mutation;
using RbeMl.Layers;
using RbeMl.Models;

namespace RbeMl.Fuzz.Kinds;

/// <summary>The folder of a BERT: configuration, weights, vocabulary, and what sentence-transformers says of pooling and prompts.</summary>
internal sealed class EncoderFolderKind : FuzzKind
{
    private readonly Lazy<(string Name, byte[] Bytes)[]> _sample = new(Sample);

    public override string Name => "encoder-folder";

    /// <summary>A sound encoder.</summary>
    public static TransformerWeights Weights()
    {
        TransformerConfig config = new()
        {
            Width = 32,
            FeedForwardWidth = 48,
            Heads = 2,
            Layers = 1,
            Vocabulary = Samples.Pieces.Vocabulary,
            MaxSequenceLength = 8,
            Order = BlockOrder.PostNorm,
            Causal = false,
        };
        return TransformerWeights.CreateRandom(config, Samples.Formats[^1], 1) with
        {
            TokenTypes = new float[64],
            Encoder = new EncoderSettings
            {
                Normalize = true,
                MaxTokens = 6,
                Pooling = Pooling.First,
                LongTexts = LongTexts.Windows,
                Prompts = new Dictionary<string, string> { ["query"] = "the " },
            },
        };
    }

    public override IReadOnlyList<(string Name, byte[] Bytes)> Make(Dice dice)
    {
        (string Name, byte[] Bytes)[] files = [.. _sample.Value];
        int index = dice.Below(files.Length);
        byte[] bytes = files[index].Bytes;
        files[index].Bytes = Path.GetExtension(files[index].Name) switch
        {
            ".json" => dice.Once(10) ? ByteMutator.Mutate(bytes, dice) : JsonMutator.Mutate(bytes, dice),
            ".txt" => TextMutator.Mutate(bytes, dice),
            _ => SafetensorsParts.Mutate(bytes, dice, bytes),
        };
        return dice.Once(8) ? [.. files.Where((_, i) => i != index)] : files;
    }

    public override object Load(CaseFiles files, Dice dice) => ModelSource.LoadEncoder(files.Written(), 1);

    public override void Use(object loaded, Dice dice) => ((SentenceEncoder)loaded).Embed([Samples.Text, ""]);

    private static (string Name, byte[] Bytes)[] Sample()
    {
        string folder = Path.Combine(Directory.CreateTempSubdirectory("rbeml-sample-").FullName, "model");
        try
        {
            BertDirectory.Save(folder, Weights(), Samples.Pieces);
            return [.. Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories).Order(StringComparer.Ordinal)
                .Select(file => (Path.GetRelativePath(folder, file), File.ReadAllBytes(file)))];
        }
        finally
        {
            Directory.Delete(Path.GetDirectoryName(folder)!, recursive: true);
        }
    }
}
