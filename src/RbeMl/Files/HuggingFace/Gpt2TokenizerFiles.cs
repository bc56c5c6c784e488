using System.Text.Json;
using RbeMl.Storage;
using RbeMl.Text;

namespace RbeMl.Files;

/// <summary>
/// Tokenizer files of GPT-2 models: <c>tokenizer.json</c>, or <c>vocab.json</c> and <c>merges.txt</c> (at first <c>encoder.json</c> and <c>vocab.bpe</c>).
/// </summary>
internal static class Gpt2TokenizerFiles
{
    /// <summary>Name of the vocabulary.</summary>
    public const string VocabularyName = "vocab.json";

    /// <summary>Name of the merges.</summary>
    public const string MergesName = "merges.txt";

    private const int Limit = 1 << 26;

    /// <summary>Name of the file that says it all, and that decides where it is there.</summary>
    public const string JsonName = "tokenizer.json";

    // Files of tokenizers that are not read here.
    private static readonly (string Name, string Kind)[] Others =
        [("vocab.txt", "WordPiece"), ("tokenizer.model", "SentencePiece"), ("spiece.model", "SentencePiece"), ("sentencepiece.bpe.model", "SentencePiece")];

    /// <summary>Reads a tokenizer of two files.</summary>
    /// <param name="vocabularyPath">The vocabulary.</param>
    /// <param name="mergesPath">The merges.</param>
    /// <exception cref="RbeFileException">A file is missing or unreadable, or the two are no tokenizer.</exception>
    public static Gpt2Tokenizer Load(string vocabularyPath, string mergesPath) => Load(vocabularyPath, mergesPath, null);

    /// <summary>Reads a <c>tokenizer.json</c>.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="RbeFileException">The file is unreadable or damaged, or of a tokenizer other than byte-level byte pairs with GPT-2's rules.</exception>
    public static Gpt2Tokenizer LoadJson(string path)
    {
        JsonElement json = JsonFile.Object(path, "a tokenizer", Limit);
        try
        {
            return FastTokenizerJson.Parse(json);
        }
        catch (TokenException error)
        {
            throw new RbeFileException(path, error.Message, error);
        }
    }

    /// <summary>
    /// The tokenizer of a folder: its <c>tokenizer.json</c>, or <c>vocab.json</c> and <c>merges.txt</c> with what the files beside them say
    /// of special and added tokens; null when it has neither.
    /// </summary>
    /// <param name="folder">The folder.</param>
    /// <exception cref="RbeFileException">The tokenizer is damaged, not whole, or of a kind that is not read here.</exception>
    public static Gpt2Tokenizer? LoadFolder(string folder)
    {
        string json = Path.Combine(folder, JsonName), vocabulary = Path.Combine(folder, VocabularyName), merges = Path.Combine(folder, MergesName);
        if (File.Exists(json)) return LoadJson(json);
        if (File.Exists(vocabulary) || File.Exists(merges)) return Load(vocabulary, merges, AddedTokenFiles.Read(folder));
        (string Name, string Kind) other = Others.FirstOrDefault(other => File.Exists(Path.Combine(folder, other.Name)));
        return other.Name is null
            ? null
            : throw new RbeFileException(Path.Combine(folder, other.Name),
                $"is of a {other.Kind} tokenizer, which is not read here; byte-level byte pairs with GPT-2's rules are. Give token ids.");
    }

    /// <summary>Writes a tokenizer's files to a folder: <c>vocab.json</c>, <c>merges.txt</c>, and <c>tokenizer.json</c> with all there is to say.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="tokenizer">A <see cref="Gpt2Tokenizer"/> or <see cref="BytePairTokenizer"/>.</param>
    /// <exception cref="RbeFileException">A file cannot be written.</exception>
    /// <exception cref="InvalidSettingException">The tokenizer is of another kind, or has two tokens of the same bytes.</exception>
    public static void Save(string folder, ITokenizer tokenizer)
    {
        (string vocabulary, string merges) = Gpt2Vocabulary.Format(tokenizer);
        AtomicFile.WriteText(Path.Combine(folder, VocabularyName), vocabulary);
        AtomicFile.WriteText(Path.Combine(folder, MergesName), merges);
        AtomicFile.WriteText(Path.Combine(folder, JsonName), Gpt2Vocabulary.FormatJson(tokenizer));
    }

    /// <summary>Why a folder cannot hold a tokenizer: empty where it is of another kind; null where it can.</summary>
    public static string? KeepsTokenizer(ITokenizer tokenizer)
    {
        if (tokenizer is not (Gpt2Tokenizer or BytePairTokenizer)) return "";
        try
        {
            Gpt2Vocabulary.Format(tokenizer);
            return null;
        }
        catch (InvalidSettingException error)
        {
            return error.Message; // two tokens of the same bytes have no place in the files
        }
    }

    private static Gpt2Tokenizer Load(string vocabularyPath, string mergesPath, AddedTokenFiles? added)
    {
        JsonElement vocabulary = JsonFile.Object(vocabularyPath, "a GPT-2 vocabulary", Limit);
        byte[] merges = FileReading.Bytes(mergesPath, "a list of merges", Limit);
        try
        {
            ByteLevelVocabulary parts = Gpt2Vocabulary.Parts(vocabulary, TextFile.Decode(merges, mergesPath));
            return (added is null ? parts : added.AddTo(parts)).Create();
        }
        catch (TokenException error)
        {
            throw new RbeFileException(mergesPath, $"is, with {vocabularyPath}, no tokenizer: {error.Message}", error);
        }
    }
}
