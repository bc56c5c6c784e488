using RbeMl.MLNet.Files;
using RbeMl.Text;

namespace RbeMl.MLNet.Tokens;

/// <summary>Which tokenizers can be saved with a model: this library's own kinds, those that <see cref="TokenizerJson"/> writes.</summary>
internal static class SavedTokenizer
{
    /// <summary>Whether a tokenizer has a saved form; none at all (null) has.</summary>
    public static bool HasForm(ITokenizer? tokenizer) => tokenizer is null or ByteTokenizer or CharacterTokenizer or BytePairTokenizer or Gpt2Tokenizer
        or WordPieceTokenizer;

    /// <summary>Refuses a saved component whose tokenizer cannot be read: a component is loaded as it was saved or not at all.</summary>
    /// <param name="component">Its name.</param>
    /// <param name="problem">What is wrong with the tokenizer; null for nothing.</param>
    /// <exception cref="RbeFileException">It cannot be read.</exception>
    public static void RequireRead(string component, string? problem)
    {
        if (problem is not null) throw ComponentFile.Bad(component, $"hold a tokenizer that cannot be read: {problem} Save the component again.");
    }

    /// <summary>Refuses a tokenizer that has no saved form. Every component asks before it writes its first byte.</summary>
    /// <param name="tokenizer">The tokenizer, or null for none.</param>
    /// <exception cref="NotSupportedException">It has no saved form: one of Microsoft.ML.Tokenizers, or the caller's own.</exception>
    public static void Require(ITokenizer? tokenizer)
    {
        if (HasForm(tokenizer)) return;
        string kind = tokenizer is AnyTokenizer any ? any.Kind : tokenizer!.GetType().Name;
        throw new NotSupportedException(
            $"The tokenizer, a {kind}, has no saved form, so its component cannot be saved. "
            + "Use a tokenizer of RbeMl: those of RbeMl.Text, RbeTokenizers.FromGpt2Files or FromTiktoken, or From a byte-level "
            + "BpeTokenizer with GPT-2's rules.");
    }
}
