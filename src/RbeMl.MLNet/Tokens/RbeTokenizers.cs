using System.Text.Json;
using Microsoft.ML.Tokenizers;
using RbeMl.Text;

namespace RbeMl.MLNet.Tokens;

/// <summary>Tokenizers from the files and types that others use.</summary>
public static class RbeTokenizers
{
    /// <summary>
    /// A tokenizer of Microsoft.ML.Tokenizers. A byte-level BpeTokenizer with GPT-2's rules becomes this library's own and can be saved with a model; any other
    /// works as it is, but a model that holds it cannot be saved. Of a TiktokenTokenizer, whose tokens nobody can read, give the file to
    /// <see cref="FromTiktoken"/>.
    /// </summary>
    /// <param name="tokenizer">The tokenizer.</param>
    /// <param name="vocabulary">Number of its ids, for kinds that do not tell.</param>
    /// <exception cref="InvalidSettingException">The number of ids is needed.</exception>
    public static ITokenizer From(Tokenizer tokenizer, int? vocabulary = null) => AnyTokenizer.From(tokenizer, vocabulary);

    /// <summary>GPT-2's own two files.</summary>
    /// <param name="vocabularyPath"><c>vocab.json</c>.</param>
    /// <param name="mergesPath"><c>merges.txt</c>.</param>
    /// <exception cref="TokenException">The files are no byte-pair vocabulary, or not of the same one.</exception>
    /// <exception cref="RbeFileException">A file cannot be read.</exception>
    public static ITokenizer FromGpt2Files(string vocabularyPath, string mergesPath)
    {
        string json = TextFile.ReadAll(vocabularyPath);
        try
        {
            using JsonDocument vocabulary = JsonDocument.Parse(json);
            return Gpt2Vocabulary.Parse(vocabulary.RootElement, TextFile.ReadAll(mergesPath));
        }
        catch (JsonException error)
        {
            throw new RbeFileException(vocabularyPath, "is no JSON. Give vocab.json as GPT-2 has it.", error);
        }
    }

    /// <summary>A vocabulary file of tiktoken, of lines <c>base64 rank</c>, with GPT-2's rules of splitting.</summary>
    /// <param name="path">The file.</param>
    /// <param name="special">Special tokens by name; null for none.</param>
    /// <exception cref="TokenException">The file is no byte-pair vocabulary.</exception>
    /// <exception cref="RbeFileException">It cannot be read.</exception>
    public static ITokenizer FromTiktoken(string path, IReadOnlyDictionary<string, int>? special = null)
    {
        using TextFileReader reader = TextFile.Open(path);
        return TiktokenRanks.Parse(reader, special);
    }
}
