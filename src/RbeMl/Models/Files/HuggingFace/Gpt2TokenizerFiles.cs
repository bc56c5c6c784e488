using RbeMl.Text;

namespace RbeMl.Models.Files.HuggingFace;

/// <summary>GPT-2's tokenizer files, <c>vocab.json</c> and <c>merges.txt</c> (at first <c>encoder.json</c> and <c>vocab.bpe</c>).</summary>
public static class Gpt2TokenizerFiles
{
    /// <summary>Name of the vocabulary.</summary>
    public const string VocabularyName = "vocab.json";

    /// <summary>Name of the merges.</summary>
    public const string MergesName = "merges.txt";

    private const int Limit = 1 << 26;

    /// <summary>Reads a tokenizer.</summary>
    /// <param name="vocabularyPath">The vocabulary.</param>
    /// <param name="mergesPath">The merges.</param>
    /// <exception cref="RbeFileException">A file is missing or unreadable, or the two are no tokenizer.</exception>
    public static Gpt2Tokenizer Load(string vocabularyPath, string mergesPath)
    {
        var vocabulary = FileReading.JsonObject(vocabularyPath, "a GPT-2 vocabulary", Limit);
        byte[] merges = FileReading.Bytes(mergesPath, "a list of merges", Limit);
        try
        {
            return Gpt2Vocabulary.Parse(vocabulary, TextFile.Decode(merges, mergesPath));
        }
        catch (TokenException error)
        {
            throw new RbeFileException(mergesPath, $"is, with {vocabularyPath}, no tokenizer: {error.Message}", error);
        }
    }

    /// <summary>The tokenizer of a folder, or null when it has neither file.</summary>
    /// <param name="folder">The folder.</param>
    /// <exception cref="RbeFileException">Only one of the files is there, or the two are no tokenizer.</exception>
    public static Gpt2Tokenizer? LoadFolder(string folder)
    {
        string vocabulary = Path.Combine(folder, VocabularyName), merges = Path.Combine(folder, MergesName);
        return File.Exists(vocabulary) || File.Exists(merges) ? Load(vocabulary, merges) : null;
    }

    /// <summary>Writes a tokenizer's two files to a folder.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="tokenizer">A <see cref="Gpt2Tokenizer"/> or <see cref="BytePairTokenizer"/>.</param>
    /// <exception cref="RbeFileException">A file cannot be written.</exception>
    /// <exception cref="InvalidSettingException">The tokenizer is of another kind, or has two tokens of the same bytes.</exception>
    public static void Save(string folder, ITokenizer tokenizer)
    {
        (string vocabulary, string merges) = Gpt2Vocabulary.Format(tokenizer);
        AtomicFile.WriteText(Path.Combine(folder, VocabularyName), vocabulary);
        AtomicFile.WriteText(Path.Combine(folder, MergesName), merges);
    }
}
