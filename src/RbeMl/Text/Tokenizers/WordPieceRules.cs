namespace RbeMl.Text;

/// <summary>How a <see cref="WordPieceTokenizer"/> takes a text apart, and what its special tokens are called.</summary>
public sealed record WordPieceRules
{
    /// <summary>Whether texts are put into lower case.</summary>
    public bool LowerCase { get; init; } = true;

    /// <summary>Whether accents are taken off letters; null does so where texts are put into lower case.</summary>
    public bool? StripAccents { get; init; }

    /// <summary>Whether each Chinese, Japanese or Korean ideograph is a word.</summary>
    public bool SplitIdeographs { get; init; } = true;

    /// <summary>Name of the token that begins a sequence.</summary>
    public string Classify { get; init; } = "[CLS]";

    /// <summary>Name of the token that ends a sequence.</summary>
    public string Separator { get; init; } = "[SEP]";

    /// <summary>Name of the token for words that no pieces make.</summary>
    public string Unknown { get; init; } = "[UNK]";

    /// <summary>Name of the token that fills up; it need not be in the vocabulary.</summary>
    public string Pad { get; init; } = "[PAD]";

    /// <summary>Name of the token that hides a word; it need not be in the vocabulary.</summary>
    public string Mask { get; init; } = "[MASK]";

    /// <summary>What a piece within a word begins with.</summary>
    public string Prefix { get; init; } = "##";

    /// <summary>Characters of the longest word that is looked up; longer ones are unknown.</summary>
    public int MaxWordLength { get; init; } = 100;

    internal bool Strips => StripAccents ?? LowerCase;
}
