using System.Text;
using Microsoft.ML.Tokenizers;
using RbeMl.Text;

namespace RbeMl.MLNet.Tokens;

/// <summary>A tokenizer of Microsoft.ML.Tokenizers as one of this library.</summary>
internal sealed class AnyTokenizer : ITokenizer
{
    // Pieces on which byte-pair tokenizers of different rules part: runs of spaces, digits, case, apostrophes, accents, other scripts, control characters.
    private static readonly string[] Samples =
    [
        "Hello world", " Hello, y'all! How are you \U0001F601 ?", "The  quick   brown\tfox\n\njumps over 12 345 6789 dogs.", "don't DON'T we'll WE'LL I'm I'M",
        "naïve café façade Ærø straße", "日本語のテキスト и русский текст", "   leading and trailing   ", "a\r\nb\r\n", "x=1;y+=2;//comment",
            "<|endoftext|>", "ﬁﬂ\u200b\u00a0end", "1234567890",
    ];

    private readonly Tokenizer _tokenizer;

    private AnyTokenizer(Tokenizer tokenizer, int vocabulary) => (_tokenizer, Vocabulary) = (tokenizer, vocabulary);

    public int Vocabulary { get; }

    /// <summary>The name of the tokenizer's type.</summary>
    public string Kind => _tokenizer.GetType().Name;

    /// <summary>
    /// The same tokenizer of this library, where there is one that gives the same ids: a byte-level BpeTokenizer with GPT-2's rules. Such a one can be saved.
    /// Any other works as it is.
    /// </summary>
    /// <param name="tokenizer">The tokenizer.</param>
    /// <param name="vocabulary">Number of its ids; null takes it from the kinds that tell.</param>
    /// <exception cref="InvalidSettingException">The number of ids is needed.</exception>
    public static ITokenizer From(Tokenizer tokenizer, int? vocabulary)
    {
        ArgumentNullException.ThrowIfNull(tokenizer);
        if (Convert(tokenizer) is { } own && Samples.All(s => own.Encode(s).AsSpan().SequenceEqual([.. tokenizer.EncodeToIds(s)]))) return own;
        int count = vocabulary ?? tokenizer switch
        {
            TiktokenTokenizer { SpecialTokens: { Count: > 0 } special } => special.Values.Max() + 1, // they come last
            BpeTokenizer b => Count(b.Vocabulary.Values, b.SpecialTokens),
            _ => throw Unknown(tokenizer),
        };
        return new AnyTokenizer(tokenizer, count);

        static int Count(IEnumerable<int> ids, IReadOnlyDictionary<string, int>? special) => ids.Concat(special?.Values ?? []).Max() + 1;

        static InvalidSettingException Unknown(Tokenizer t) => new("vocabulary", null, $"a {t.GetType().Name} does not tell the number of its ids. Give it.");
    }

    public int[] Encode(string text) => [.. _tokenizer.EncodeToIds(text)];

    public ReadOnlySpan<byte> Bytes(int token)
    {
        if ((uint)token >= (uint)Vocabulary)
        {
            throw new TokenException($"Token id {token} is outside the vocabulary 0 .. {Vocabulary - 1}. Use the tokenizer of the ids.");
        }

        return Encoding.UTF8.GetBytes(_tokenizer.Decode([token]) ?? "");
    }

    private static Gpt2Tokenizer? Convert(Tokenizer tokenizer)
    {
        try
        {
            return tokenizer switch
            {
                BpeTokenizer { ByteLevel: true } b => TiktokenRanks.Create(
                    b.Vocabulary.Where(e => b.SpecialTokens?.ContainsKey(e.Key) != true)
                    .Select(e => KeyValuePair.Create(Gpt2Vocabulary.BytesOf(e.Key), e.Value)),
                    b.SpecialTokens),
                _ => null,
            };
        }
        catch (TokenException)
        {
            return null; // other rules than GPT-2's
        }
    }
}
