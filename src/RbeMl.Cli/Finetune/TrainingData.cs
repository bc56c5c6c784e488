using System.Text;
using RbeMl.Cli.Data;
using RbeMl.Cli.Output;
using RbeMl.Models;
using RbeMl.Text;
using RbeMl.Training;

namespace RbeMl.Cli.Finetune;

/// <summary>What a run trains and validates on.</summary>
/// <param name="Train">Training tokens.</param>
/// <param name="Validation">Held-out tokens.</param>
/// <param name="Tokenizer">Tokenizer, also the one of a model that goes on with ids; null where there is none.</param>
/// <param name="Vocabulary">Number of ids.</param>
/// <param name="Source">Where the data comes from, for people: names of files without their folders.</param>
/// <param name="Prompts">Beginnings to generate from, as ids.</param>
internal sealed partial record TrainingData(TokenDataset Train, TokenDataset Validation, ITokenizer? Tokenizer, int Vocabulary, string Source,
    IReadOnlyList<int[]> Prompts)
{
    private const int DocumentationCharacters = 5_000_000, LearningCharacters = 1_000_000, DefaultVocabulary = 1024, PromptCharacters = 1 << 20,
        PromptIds = 4, MostPrompts = 3;
    private const double TrainFraction = 0.9;
    private static readonly string[] DocumentationPrompts = ["Gets or sets the", "Returns a new", "Initializes a new instance of"];

    /// <summary>Loads the data.</summary>
    /// <param name="settings">What was asked for.</param>
    /// <param name="model">The model to continue with, or null.</param>
    /// <param name="context">Tokens of a sequence.</param>
    /// <param name="view">Told how much is read.</param>
    /// <param name="cancel">Ends the reading.</param>
    public static TrainingData Load(FinetuneSettings settings, ModelBundle? model, int context, ReadingView view, CancellationToken cancel)
    {
        TrainingData data = settings.Tokens is { } file ? FromTokens(settings, file, model) : FromText(settings, model, context, view, cancel);
        if (model is null && (long)data.Vocabulary * settings.Width > Array.MaxLength)
        {
            throw new InvalidSettingException("--width", settings.Width,
                $"{data.Vocabulary} token ids of {data.Source} times that are more than one embedding holds, {Array.MaxLength} values. Use a smaller "
                    + $"width or fewer ids.");
        }

        data.Train.Require(context, settings.Tokens is null ? "The training text" : "The training data");
        return data with { Validation = data.Validation.ForValidation(context) };
    }

    /// <summary>Bytes of text that a predicted token of a validation stands for, on average; null for ids of which nobody knows the text.</summary>
    /// <param name="context">Tokens of a sequence.</param>
    /// <param name="sequences">Sequences of the validation, if there are as many.</param>
    public double? BytesPerToken(int context, int sequences)
    {
        if (Tokenizer is null) return null;
        TokenDataset held = Validation.WithoutRepeats();
        int[] inputs = new int[context], targets = new int[context];
        long bytes = 0, tokens = 0, all = Math.Min(sequences, held.EpochSequences(context) ?? sequences);
        for (long sequence = 0; sequence < all; sequence++)
        {
            held.Fill(sequence, 1, context, inputs, targets);
            foreach (int id in targets.Where(id => id >= 0)) (bytes, tokens) = (bytes + Tokenizer.BytesOf(id).Length, tokens + 1);
        }

        return bytes > 0 ? (double)bytes / tokens : null;
    }

    private static TrainingData FromTokens(FinetuneSettings settings, string file, ModelBundle? model)
    {
        int? vocabulary = model?.Model.Config.Vocabulary;
        int limit = vocabulary ?? settings.Vocabulary ?? FinetuneOptions.MostTokenIds;
        List<int[]> train = TokenFile.ReadSequences(file, limit, settings.TextOptions), validation;
        bool stream = train.Count == 1; // what is left of sequences after the split are sequences, even if it is one
        if (settings.Validation is { } held)
        {
            validation = TokenFile.ReadSequences(held, limit, settings.TextOptions);
        }
        else
        {
            (train, validation) = SplitTail(train);
        }

        int ids = vocabulary ?? settings.Vocabulary ?? train.Concat(validation).Max(sequence => sequence.Max()) + 1;
        int[][] prompts = [.. validation.Take(MostPrompts).Select(sequence => sequence[..Math.Min(PromptIds, sequence.Length)])];
        TokenDataset trainSet = stream ? TokenDataset.FromStream(train[0], ids, settings.Seed) : TokenDataset.FromSequences(train, ids, settings.Seed);
        TokenDataset validationSet = stream && validation.Count == 1 ? TokenDataset.FromStream(validation[0], ids, settings.Seed + 1)
            : TokenDataset.FromSequences(validation, ids, settings.Seed + 1);
        return new TrainingData(trainSet, validationSet, model?.Tokenizer, ids, Path.GetFileName(file), prompts);
    }

    // The last tenth: of a stream's tokens, or of the sequences.
    private static (List<int[]> Train, List<int[]> Validation) SplitTail(List<int[]> sequences)
    {
        if (sequences.Count > 1)
        {
            int kept = Math.Min(sequences.Count - 1, (int)Math.Ceiling(sequences.Count * TrainFraction));
            return (sequences[..kept], sequences[kept..]);
        }

        int[] stream = sequences[0];
        int cut = (int)(stream.Length * TrainFraction);
        return stream.Length - cut >= 2 && cut >= 2
            ? ([stream[..cut]], [stream[cut..]])
            : throw new TokenException(
                $"{Format.Count(stream.Length, "token id")} {(stream.Length == 1 ? "is" : "are")} too few to set a tenth aside for "
                + $"validation. Give more, or a --validation file.");
    }

    private static TrainingData FromText(FinetuneSettings settings, ModelBundle? model, int context, ReadingView view,
        CancellationToken cancel)
    {
        ITokenizer? own = model?.RequireTokenizer("--model", settings.Model, "it", "give its token ids with --tokens.");
        if (DocumentOptions.AreDocuments([.. settings.TextFiles, .. settings.ValidationFiles], settings.DataFormat))
        {
            return FromDocuments(settings, model, own, context, view, cancel);
        }

        bool documentation = settings.Text.Count == 0;
        Action<string, ReadOnlyMemory<char>>? check = settings.DataFormat is null ? DataFiles.RefuseJson : null;
        SplitText? sentences = documentation ? SdkDocumentation.Load(DocumentationCharacters, seed: settings.Seed) : null;
        TextSource source = sentences is null ? TextSource.OfFiles(settings.TextFiles, settings.TextOptions, check)
            : TextSource.Of(sentences.Train, sentences.Source);
        TextSource? held = sentences is not null ? TextSource.Of(sentences.Validation, sentences.Source) : settings.ValidationFiles.Count > 0
            ? TextSource.OfFiles(settings.ValidationFiles, settings.TextOptions, check) : null;
        bool learns = own is null && settings.Tokenizer is not ("bytes" or "characters");
        TrainingText text = new(source, held, learns ? LearningCharacters : 0, own is null && settings.Tokenizer == "characters", view, cancel);
        ITokenizer tokenizer = own ?? New(settings, () => text.Head, () => text.Alphabet, view);
        int vocabulary = model?.Model.Config.Vocabulary ?? tokenizer.Vocabulary;
        bool special = Options.FindsSpecial(tokenizer, settings.Special);
        TokenDataset train =
            TokenDataset.FromStream(TokenPieces.Encode(tokenizer, text.Train(view, cancel), source.Name, vocabulary, special), vocabulary,
                "The training text", settings.Seed);
        TokenDataset validation =
            TokenDataset.FromStream(TokenPieces.Encode(tokenizer, text.Validation(view, cancel), (held ?? source).Name, vocabulary, special),
                vocabulary, settings.Validation ?? "The last tenth of the text, set aside for validation,", settings.Seed + 1);
        IEnumerable<string> beginnings = documentation && model is null ? DocumentationPrompts : Beginnings(text.ValidationLines(PromptCharacters));
        int[][] prompts = [.. beginnings.Select(prompt => tokenizer.EncodeFor(prompt, vocabulary, special)).Where(ids => ids.Length > 0)];
        return new TrainingData(train, validation, tokenizer, vocabulary, sentences?.Source
            ?? Named(settings.Text, settings.TextFiles), prompts);
    }

    // The tokenizer of a new model.
    private static ITokenizer New(FinetuneSettings settings, Func<string> head, Func<IReadOnlyList<Rune>> alphabet, ReadingView view) =>
        settings.Tokenizer switch
        {
            "bytes" => new ByteTokenizer(),
            "characters" => new CharacterTokenizer(alphabet()),
            _ => Learn(head(), settings.Vocabulary ?? DefaultVocabulary, view),
        };

    private static BytePairTokenizer Learn(string head, int vocabulary, ReadingView view)
    {
        view.Say(FormattableString.Invariant($"Learning a tokenizer of {vocabulary} byte pairs from {Format.Count(head.Length)} characters"));
        return BytePairTokenizer.Train(head, vocabulary);
    }

    // The first words of a few held-out lines.
    private static IEnumerable<string> Beginnings(IEnumerable<string> lines) => lines
        .Select(line => string.Join(' ', line.Split(' ', StringSplitOptions.RemoveEmptyEntries).Take(3)))
        .Where(words => words.Length is > 3 and < 60).Distinct().Take(MostPrompts);
}
