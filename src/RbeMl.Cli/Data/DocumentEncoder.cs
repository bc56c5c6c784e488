using RbeMl.Text;
using RbeMl.Training;

namespace RbeMl.Cli.Data;

/// <summary>
/// From documents to token ids. Messages are laid out as <see cref="ChatMl"/> where the tokenizer has its marks, else as lines of
/// <c>role: text</c>. Behind each document is the tokenizer's end token, or where it has none a line feed.
/// </summary>
internal sealed class DocumentEncoder
{
    private const string LineFeed = "\n", Colon = ":", Space = " ", Assistant = "assistant";
    private const int LongCharacters = 1 << 20; // of a document that is encoded in pieces
    private readonly ITokenizer _tokenizer;
    private readonly int _vocabulary;
    private readonly bool _special;
    private readonly ChatMl? _chat;

    /// <summary>For a model's ids.</summary>
    /// <param name="tokenizer">The model's tokenizer.</param>
    /// <param name="vocabulary">Ids of the model.</param>
    /// <param name="special">Whether names of special tokens in texts stand for these.</param>
    public DocumentEncoder(ITokenizer tokenizer, int vocabulary, bool special)
    {
        (_tokenizer, _vocabulary, _special) = (tokenizer, vocabulary, special);
        _chat = ChatMl.Of(tokenizer, vocabulary);
        EndToken = tokenizer.EndToken is { } end && end < vocabulary ? end : null;
    }

    /// <summary>All characters that are put around texts.</summary>
    public static string Signs(DataDocument document) => document.Kind == DocumentKind.Conversation
        ? string.Concat(document.Parts.Select(part => part.Role)) + Assistant + Colon + Space + LineFeed : LineFeed;

    /// <summary>The id behind each document; null where a line feed is.</summary>
    public int? EndToken { get; }

    /// <summary>Seed of the order of what a run of a seed validates on.</summary>
    public static ulong ValidationSeed(ulong seed) => seed + 1;

    /// <summary>A data set of documents.</summary>
    /// <param name="documents">The documents, read once.</param>
    /// <param name="seed">Seed of their order.</param>
    /// <param name="packing">Whether they share sequences.</param>
    /// <exception cref="RbeFileException">One holds something that has no id, or nothing is learnt of it; file and line are named.</exception>
    public TokenDataset Encode(IEnumerable<DataDocument> documents, ulong seed, DocumentPacking packing)
    {
        DocumentTokens tokens = new(EndToken);
        foreach (DataDocument document in documents) Add(document, tokens);
        return TokenDataset.Of(tokens, _vocabulary, seed, packing);
    }

    /// <summary>Adds a document.</summary>
    /// <exception cref="RbeFileException">It holds something that has no id, or nothing is learnt of it; file and line are named.</exception>
    public void Add(DataDocument document, DocumentTokens tokens)
    {
        try
        {
            if (document.Whole is { } text)
            {
                TokenList all = TokenPieces.Encode(_tokenizer, text.Pieces(), document.File, _vocabulary, _special);
                if (EndToken is null) all.Add(Encode(LineFeed));
                if (all.Length > 1) tokens.Add(all);
                return;
            }

            if (!AddParts(document, tokens)) throw document.Bad("has no token to learn. Leave it out.");
        }
        catch (TokenException error)
        {
            throw document.Bad($"cannot be encoded: {error.Message}");
        }
    }

    // Ids of long texts are put together in pieces, of few bytes each; most documents are short, and simple lists do.
    private bool AddParts(DataDocument document, DocumentTokens tokens)
    {
        if (document.Parts.Sum(part => (long)part.Text.Length) > LongCharacters)
        {
            TokenList all = new();
            List<(long Count, bool Learnt)> runs = [];
            Lay(document, PutPieces, (some, learn) =>
            {
                all.Add(some);
                runs.Add((some.Length, learn));
            });
            return tokens.Add(all, runs.TrueForAll(run => run.Learnt) ? null : runs);

            void PutPieces(string text, bool learn)
            {
                long before = all.Length;
                TokenPieces.Encode(_tokenizer, [text.AsMemory()], document.File, _vocabulary, _special, all);
                runs.Add((all.Length - before, learn));
            }
        }

        List<int> ids = [];
        List<bool> learnt = [];
        Lay(document, (text, learn) => Put(Encode(text), learn), Put);
        return tokens.Add([.. ids], learnt.TrueForAll(each => each) ? null : [.. learnt]);

        void Put(int[] some, bool learn)
        {
            ids.AddRange(some);
            learnt.AddRange(Enumerable.Repeat(learn, some.Length));
        }
    }

    // A document's texts, and the ids around them, in order.
    private void Lay(DataDocument document, Action<string, bool> text, Action<int[], bool> ids)
    {
        bool any = false;
        foreach (DocumentPart part in document.Parts)
        {
            if (document.Kind != DocumentKind.Conversation)
            {
                text(part.Text, part.Learnt);
                continue;
            }

            if (_chat is not { } chat)
            {
                ids(Encode(part.Role + Colon), false);
                text(Space + part.Text, part.Learnt);
                ids(Encode(LineFeed), part.Learnt);
                continue;
            }

            if (any) ids(chat.Between(), false);
            any = true;
            if (!part.Learnt)
            {
                ids(chat.Message(part.Role, part.Text), false);
                continue;
            }

            ids(chat.Opening(part.Role), false);
            text(part.Text, true);
            ids([chat.End], true);
        }

        if (EndToken is null && document.Kind != DocumentKind.Conversation) ids(Encode(LineFeed), true);
    }

    /// <summary>What a model that learnt such a document is asked: its prompt, or all before its last answer; of a text its first words.</summary>
    /// <param name="document">The document.</param>
    /// <param name="words">The first words of a text.</param>
    /// <param name="most">Most ids, the last of them.</param>
    public int[] Prompt(DataDocument document, Func<DataDocument, string> words, int most)
    {
        int last = document.Parts.Select((part, i) => part.Learnt ? i : -1).DefaultIfEmpty(-1).Max();
        int[] ids = document.Kind switch
        {
            DocumentKind.Text => Encode(words(document)),
            DocumentKind.Completion => Last(document.Parts[0].Text, most),
            _ when _chat is { } chat => [.. document.Parts.Take(last).SelectMany(part => (int[])[.. chat.Message(part.Role, part.Text), .. chat.Between()]),
                .. chat.Opening(Assistant)],
            _ => [.. document.Parts.Take(last).SelectMany(part => Encode($"{part.Role}{Colon}{Space}{part.Text}{LineFeed}")), .. Encode(Assistant + Colon)],
        };
        return ids.Length <= most ? ids : ids[^most..];
    }

    // The last ids of a text, which may be long.
    private int[] Last(string text, int most)
    {
        if (text.Length <= LongCharacters) return Encode(text);
        TokenList all = TokenPieces.Encode(_tokenizer, [text.AsMemory()], "the prompt", _vocabulary, _special);
        int[] ids = new int[Math.Min(most, all.Length)];
        all.CopyTo(all.Length - ids.Length, ids);
        return ids;
    }

    private int[] Encode(string text) => _tokenizer.EncodeFor(text, _vocabulary, _special);
}
