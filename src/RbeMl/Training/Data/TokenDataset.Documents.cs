using RbeMl.Text;

namespace RbeMl.Training;

/// <content>Data sets of documents.</content>
public sealed partial class TokenDataset
{
    private const string Document = "Document";
    private DocumentTokens? _documents;
    private DocumentPacking _packing;
    private DocumentRows? _rows;

    /// <summary>A data set of documents, in an order of the seed.</summary>
    /// <param name="documents">Documents, each with something to learn.</param>
    /// <param name="vocabulary">Number of ids.</param>
    /// <param name="seed">Seed of the order.</param>
    /// <param name="packing">Whether they share sequences.</param>
    /// <param name="endToken">Id that is put behind each document, unless it ends with it; null for none.</param>
    /// <param name="order">Order of the sequences.</param>
    /// <exception cref="TokenException">An id is outside the vocabulary, a document has nothing to learn, or there are none.</exception>
    /// <exception cref="ShapeMismatchException">A document has not as many marks as ids.</exception>
    public static TokenDataset FromDocuments(IEnumerable<TokenDocument> documents, int vocabulary, ulong seed = 1337,
        DocumentPacking packing = DocumentPacking.Packed, int? endToken = null, TokenOrder order = TokenOrder.Shuffled)
    {
        ArgumentNullException.ThrowIfNull(documents);
        DocumentTokens tokens = new(endToken);
        foreach (TokenDocument document in documents)
        {
            Items.Require(document, tokens.Count + 1, nameof(documents));
            Add(tokens, [.. document.Ids], document.Learnt is { } learnt ? [.. learnt] : null);
        }

        return Of(tokens, vocabulary, seed, packing, order);
    }

    /// <summary>A data set of texts, each a document; behind each is the tokenizer's end token, where it has one.</summary>
    /// <param name="texts">Texts of at least one token, read once and not kept.</param>
    /// <param name="tokenizer">The model's tokenizer.</param>
    /// <param name="vocabulary">Ids of the model; null for the tokenizer's.</param>
    /// <param name="seed">Seed of the order.</param>
    /// <param name="packing">Whether they share sequences.</param>
    /// <param name="order">Order of the sequences.</param>
    /// <exception cref="TokenException">A text is too short or holds what has no id, or there are none.</exception>
    public static TokenDataset FromTexts(IEnumerable<string> texts, ITokenizer tokenizer, int? vocabulary = null, ulong seed = 1337,
        DocumentPacking packing = DocumentPacking.Packed, TokenOrder order = TokenOrder.Shuffled)
    {
        ArgumentNullException.ThrowIfNull(texts);
        ArgumentNullException.ThrowIfNull(tokenizer);
        (int ids, DocumentTokens tokens) = Begin(tokenizer, vocabulary);
        foreach (string text in texts) Add(tokens, Encode(tokens, tokenizer, text, ids), null);
        return Of(tokens, ids, seed, packing, order);
    }

    /// <summary>The same of texts that come one by one, as from a database or the net.</summary>
    /// <inheritdoc cref="FromTexts(IEnumerable{string}, ITokenizer, int?, ulong, DocumentPacking, TokenOrder)"/>
    /// <param name="texts">Texts of at least one token, read once and not kept.</param>
    /// <param name="tokenizer">The model's tokenizer.</param>
    /// <param name="vocabulary">Ids of the model; null for the tokenizer's.</param>
    /// <param name="seed">Seed of the order.</param>
    /// <param name="packing">Whether they share sequences.</param>
    /// <param name="order">Order of the sequences.</param>
    /// <param name="cancel">Ends the reading.</param>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public static async Task<TokenDataset> FromTextsAsync(IAsyncEnumerable<string> texts, ITokenizer tokenizer, int? vocabulary = null,
        ulong seed = 1337, DocumentPacking packing = DocumentPacking.Packed, TokenOrder order = TokenOrder.Shuffled,
        CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(texts);
        ArgumentNullException.ThrowIfNull(tokenizer);
        (int ids, DocumentTokens tokens) = Begin(tokenizer, vocabulary);
        await foreach (string text in texts.WithCancellation(cancel).ConfigureAwait(false)) Add(tokens, Encode(tokens, tokenizer, text, ids), null);
        return Of(tokens, ids, seed, packing, order);
    }

    /// <inheritdoc/>
    public bool IsolatesDocuments => _packing == DocumentPacking.Isolated;

    /// <inheritdoc/>
    public void FillPositions(long batchIndex, int batch, int context, Span<int> positions)
    {
        CheckBatch(batchIndex, batch, context);
        CheckLength("positions", positions.Length, batch, context);
        DocumentRows? rows = _documents is null ? null : RowsFor(context);
        for (int b = 0; b < batch; b++)
        {
            Span<int> row = positions.Slice(b * context, context);
            if (rows is not null && IsolatesDocuments) rows.FillPositions(Choose((batchIndex * batch) + b, rows.Count), row);
            else for (int t = 0; t < context; t++) row[t] = t;
        }
    }

    /// <summary>A data set of documents that are put together already.</summary>
    internal static TokenDataset Of(DocumentTokens documents, int vocabulary, ulong seed, DocumentPacking packing, TokenOrder order = TokenOrder.Shuffled)
    {
        if (!Enum.IsDefined(packing)) throw new InvalidSettingException(nameof(packing), packing, "use Packed, Separate or Isolated.");
        if (documents.Count == 0) throw new TokenException("There are no documents. Give at least one.");
        long[] starts = documents.Starts;
        CheckIds(documents.Ids, vocabulary, starts, "document");
        return new TokenDataset(documents.Ids, starts, false, vocabulary, seed, order) { _documents = documents, _packing = packing };
    }

    private static (int Vocabulary, DocumentTokens Tokens) Begin(ITokenizer tokenizer, int? vocabulary)
    {
        int ids = vocabulary ?? tokenizer.Vocabulary;
        return (ids, new DocumentTokens(tokenizer.EndToken is { } end && end < ids ? end : null));
    }

    private static int[] Encode(DocumentTokens tokens, ITokenizer tokenizer, string text, int vocabulary)
    {
        Items.Require(text, tokens.Count + 1, "texts");
        try
        {
            return tokenizer.EncodeFor(text, vocabulary);
        }
        catch (TokenException error)
        {
            throw new TokenException($"{Document} {tokens.Count + 1}: {error.Message}");
        }
    }

    private static void Add(DocumentTokens tokens, int[] ids, bool[]? learnt)
    {
        if (tokens.Add(ids, learnt)) return;
        throw new TokenException($"{Document} {tokens.Count + 1} has {Amount.Of(ids.Length, "token")} and nothing to learn after its first. Leave it out, or "
            + "give it something to predict.");
    }

    private void FillRows(long first, int context, Span<int> inputs, Span<int> targets)
    {
        DocumentRows rows = RowsFor(context);
        for (int at = 0; at < inputs.Length; at += context)
        {
            rows.Fill(Choose(first++, rows.Count), inputs.Slice(at, context), targets.Slice(at, context));
        }
    }

    private DocumentRows RowsFor(int context)
    {
        DocumentRows? rows = Volatile.Read(ref _rows);
        if (rows is null || rows.Context != context)
        {
            rows = new DocumentRows(_documents!, _packing, context, _order == TokenOrder.Sequential ? null : _seed);
            Volatile.Write(ref _rows, rows);
        }

        return rows;
    }
}
