using RbeMl.Cli.Data;
using RbeMl.Cli.Output;
using RbeMl.Models;
using RbeMl.Text;
using RbeMl.Training;

namespace RbeMl.Cli.Finetune;

/// <content>Data of documents: rows of files, or many files.</content>
internal sealed partial record TrainingData
{
    private const int NamedFiles = 3;

    private static TrainingData FromDocuments(FinetuneSettings settings, ModelBundle? model, ITokenizer? own, int context, ReadingView view,
        CancellationToken cancel)
    {
        DocumentFiles files = Files(settings.TextFiles);
        DocumentFiles? held = settings.ValidationFiles.Count > 0 ? Files(settings.ValidationFiles) : null;
        TrainingDocuments documents = new(files, held, settings.Seed, own is null && settings.Tokenizer == "characters", view, cancel);
        ITokenizer tokenizer = own ?? New(settings, () => documents.Head(LearningCharacters), () => documents.Alphabet, view);
        int vocabulary = model?.Model.Config.Vocabulary ?? tokenizer.Vocabulary;
        DocumentEncoder encoder = new(tokenizer, vocabulary, Options.FindsSpecial(tokenizer, settings.Special));
        TokenDataset train = encoder.Encode(documents.Train(view), settings.Seed, settings.Packing);
        TokenDataset validation = encoder.Encode(documents.Validation(view), DocumentEncoder.ValidationSeed(settings.Seed), settings.Packing);
        int[][] prompts = [.. documents.Validation(null).Take(MostPrompts).Select(document => encoder.Prompt(document, Words, Math.Max(1, context / 2)))
            .Where(ids => ids.Length > 0)];
        string source = $"{Named(settings.Text, settings.TextFiles)}: {Format.Count(documents.Count, "document")}, {Format.Count(documents.Held)} "
            + (held is null ? "of them held out" : $"held out in {Path.GetFileName(settings.Validation)}");
        return new TrainingData(train, validation, tokenizer, vocabulary, source, prompts);

        DocumentFiles Files(IReadOnlyList<string> paths) => new(paths, settings.DataFormat, settings.TextColumn, settings.TextOptions);
    }

    private static string Words(DataDocument document)
    {
        ReadOnlyMemory<char> start = document.Pieces.FirstOrDefault();
        string line = start[..Math.Min(start.Length, PromptCharacters)].ToString()
            .Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries).FirstOrDefault("");
        return string.Join(' ', line.Split(' ', StringSplitOptions.RemoveEmptyEntries).Take(3));
    }

    // A few names, or how many there are.
    private static string Named(IReadOnlyList<string> words, IReadOnlyList<string> files) => files.Count <= NamedFiles
        ? string.Join(", ", files.Select(Path.GetFileName))
        : $"{Format.Count(files.Count, "file")} of "
            + string.Join(", ", words.Take(NamedFiles).Select(word => Path.GetFileName(Path.TrimEndingDirectorySeparator(word))));
}
