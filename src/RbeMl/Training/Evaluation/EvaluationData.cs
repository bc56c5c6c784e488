using RbeMl.Text;

namespace RbeMl.Training;

/// <summary>
/// What a model is measured on: independent sequences of token ids, of which a text is one. The first token of a sequence is context only, all others
/// are predicted from those before them in the same sequence.
/// </summary>
public sealed class EvaluationData
{
    private readonly ITokenizer? _tokenizer;

    private readonly double _bytesOfText = 1; // for each UTF-8 byte of a token

    private EvaluationData(IReadOnlyList<TokenList> sequences, ITokenizer? tokenizer, long? textBytes = null)
    {
        Sequences = sequences;
        _tokenizer = tokenizer;
        if (tokenizer is null || textBytes is not { } bytes) return;
        long utf8 = sequences.Sum(s => Utf8Bytes(s, tokenizer));
        if (utf8 > 0) _bytesOfText = (double)bytes / utf8;
    }

    /// <summary>The sequences, each of at least 2 ids.</summary>
    public IReadOnlyList<TokenList> Sequences { get; }

    /// <summary>Predicted tokens: all but the first of each sequence.</summary>
    public long Predictions => Sequences.Sum(s => s.Length - 1);

    /// <summary>Whether tokens are text, so that their bytes are known.</summary>
    public bool IsText => _tokenizer is not null;

    /// <summary>A text as one sequence.</summary>
    /// <param name="text">The text.</param>
    /// <param name="tokenizer">The model's tokenizer.</param>
    /// <param name="vocabulary">Ids of the model.</param>
    /// <param name="special">Whether names of special tokens in the text stand for these.</param>
    /// <exception cref="TokenException">The text has fewer than 2 tokens, or holds something that has no id, or none of the model's.</exception>
    public static EvaluationData FromText(string text, ITokenizer tokenizer, int vocabulary = int.MaxValue, bool special = false)
    {
        ArgumentNullException.ThrowIfNull(text);
        ArgumentNullException.ThrowIfNull(tokenizer);
        int[] ids = tokenizer.EncodeFor(text, vocabulary, special);
        if (ids.Length < 2)
        {
            throw new TokenException($"The text has {Amount.Of(ids.Length, "token")}, at least 2 are needed to predict one from another. Give a longer text.");
        }

        return new EvaluationData([TokenList.Of(ids)], tokenizer);
    }

    /// <summary>A text as one sequence, read in pieces.</summary>
    /// <param name="text">The text.</param>
    /// <param name="tokenizer">The model's tokenizer.</param>
    /// <param name="vocabulary">Ids of the model.</param>
    /// <param name="progress">Told how much is read.</param>
    /// <param name="cancel">Ends the reading.</param>
    /// <param name="special">Whether names of special tokens stand for these.</param>
    /// <remarks>
    /// Bits a byte count the bytes of the files, whatever their encoding, without byte order marks; a token has its share of them by its
    /// UTF-8 bytes.
    /// </remarks>
    /// <exception cref="TokenException">The text has fewer than 2 tokens, or holds something that has no id, or none of the model's.</exception>
    /// <exception cref="RbeFileException">A file cannot be read, is not of its encoding, or has more tokens than can be held.</exception>
    public static EvaluationData FromText(TextSource text, ITokenizer tokenizer, int vocabulary = int.MaxValue,
        IProgress<TextProgress>? progress = null, CancellationToken cancel = default, bool special = false)
    {
        ArgumentNullException.ThrowIfNull(text);
        ArgumentNullException.ThrowIfNull(tokenizer);
        TokenList ids = TokenPieces.Encode(tokenizer, text.Pieces(progress, cancel), text.Name, vocabulary, special);
        if (ids.Length < 2)
        {
            throw new TokenException(
                $"{text.Name} is empty or nearly so: it has {Amount.Of(ids.Length, "token")}, at least 2 are needed to predict one from "
                + $"another. Give a longer text.");
        }

        return new EvaluationData([ids], tokenizer, text.TextBytes);
    }

    /// <summary>Independent sequences; one long stream is a list of one.</summary>
    /// <param name="sequences">Sequences of at least 2 ids.</param>
    /// <exception cref="TokenException">There are none, or one has fewer than 2 ids.</exception>
    public static EvaluationData FromSequences(IReadOnlyList<int[]> sequences)
    {
        Items.Require(sequences, nameof(sequences));
        if (sequences.Count == 0) throw new TokenException("There are no sequences. Give at least one.");
        for (int i = 0; i < sequences.Count; i++)
        {
            if (sequences[i].Length < 2)
            {
                throw new TokenException($"Sequence {i + 1} has {Amount.Of(sequences[i].Length, "token")}, at least 2 are needed to "
                    + $"predict one from another. Leave it out or make it longer.");
            }
        }

        return new EvaluationData([.. sequences.Select(s => TokenList.Of(s))], null);
    }

    /// <summary>Fails where an id is outside a vocabulary.</summary>
    /// <exception cref="TokenException">One is; sequence and place are named.</exception>
    internal void Require(int vocabulary)
    {
        for (int s = 0; s < Sequences.Count; s++)
        {
            if (Sequences[s].FindOutside(vocabulary, out long place, out int id))
            {
                throw new TokenException(
                    $"Token id {id} (sequence {s + 1}, place {place + 1}) is outside the vocabulary 0 .. {vocabulary - 1}. Use the model's own "
                        + $"tokenizer or ids.");
            }
        }
    }

    private static long Utf8Bytes(TokenList ids, ITokenizer tokenizer)
    {
        int[] some = new int[Math.Min(ids.Length, 1 << 12)];
        long sum = 0;
        for (long start = 0; start < ids.Length; start += some.Length)
        {
            Span<int> part = some.AsSpan(0, (int)Math.Min(some.Length, ids.Length - start));
            ids.CopyTo(start, part);
            foreach (int id in part) sum += tokenizer.Bytes(id).Length;
        }

        return sum;
    }

    /// <summary>Bytes of the text that make so many UTF-8 bytes of its tokens.</summary>
    internal long TextBytes(long utf8) => (long)Math.Round(utf8 * _bytesOfText);

    /// <summary>UTF-8 bytes of a token; 0 where the data is no text.</summary>
    internal int BytesOf(int token) => _tokenizer is null ? 0 : _tokenizer.BytesOf(token).Length;

    /// <summary>
    /// The windows in order: T inputs that predict the T tokens after each of them; the next window starts a stride later and skips the predictions
    /// already counted. The last window of a sequence may be shorter.
    /// </summary>
    /// <param name="context">T.</param>
    /// <param name="stride">1 .. T.</param>
    /// <param name="limit">Predictions at most.</param>
    internal IEnumerable<EvaluationWindow> Windows(int context, int stride, long limit)
    {
        long left = limit;
        for (int s = 0; s < Sequences.Count && left > 0; s++)
        {
            long predictions = Sequences[s].Length - 1, done = 0;
            for (long start = 0; done < predictions && left > 0; start += stride)
            {
                int skip = (int)(done - start);
                int length = (int)Math.Min(Math.Min(context, predictions - start), skip + left);
                yield return new EvaluationWindow(s, start, length, skip);
                done = start + length;
                left -= length - skip;
            }
        }
    }
}

/// <summary>A stretch of a sequence that goes through the model at once.</summary>
/// <param name="Sequence">Index of the sequence.</param>
/// <param name="Start">First input token.</param>
/// <param name="Length">Input tokens; input i predicts token Start + i + 1.</param>
/// <param name="Skip">Predictions at its start that an earlier window has counted.</param>
internal readonly record struct EvaluationWindow(int Sequence, long Start, int Length, int Skip);
