using System.Globalization;
using System.IO.Hashing;
using System.Runtime.InteropServices;
using RbeMl.Text;

namespace RbeMl.Training;

/// <summary>
/// Token ids to train or measure on: one long stream, from which windows are cut, or separate sequences, of which none runs into the next;
/// a sequence shorter than the context is padded with targets of -1, a longer one is cut into pieces that cover every prediction once. Or
/// documents, which share sequences unless told otherwise, and whose prompts need not be learnt (<see cref="DocumentPacking"/>).
/// </summary>
public sealed partial class TokenDataset : ITokenSource
{
    private readonly TokenList _tokens;
    private readonly long[] _starts;
    private readonly ulong _seed;
    private readonly TokenOrder _order;
    private Pieces? _pieces;

    private TokenDataset(TokenList tokens, long[] starts, bool isStream, int vocabulary, ulong seed, TokenOrder order)
    {
        _tokens = tokens;
        _starts = starts;
        IsStream = isStream;
        Vocabulary = vocabulary;
        _seed = seed;
        _order = order;
    }

    /// <inheritdoc/>
    public int Vocabulary { get; }

    /// <summary>Whether it is one stream.</summary>
    public bool IsStream { get; }

    /// <summary>All tokens.</summary>
    public long Tokens => _tokens.Length;

    /// <summary>Number of sequences or documents; 1 for a stream.</summary>
    public int Sequences => _starts.Length - 1;

    /// <summary>A data set of one stream.</summary>
    /// <param name="tokens">Ids, at least 2.</param>
    /// <param name="vocabulary">Number of ids.</param>
    /// <param name="seed">Seed of the order.</param>
    /// <param name="order">Order of the windows.</param>
    /// <exception cref="TokenException">An id is outside the vocabulary, or there are fewer than two.</exception>
    public static TokenDataset FromStream(int[] tokens, int vocabulary, ulong seed = 1337, TokenOrder order = TokenOrder.Random)
    {
        ArgumentNullException.ThrowIfNull(tokens);
        return FromStream(TokenList.Of(tokens), vocabulary, seed, order);
    }

    /// <summary>A data set of one stream of any length.</summary>
    /// <inheritdoc cref="FromStream(int[], int, ulong, TokenOrder)"/>
    public static TokenDataset FromStream(TokenList tokens, int vocabulary, ulong seed = 1337, TokenOrder order = TokenOrder.Random) =>
        FromStream(tokens, vocabulary, "The text", seed, order);

    /// <summary>The same of a text with a name for messages.</summary>
    internal static TokenDataset FromStream(TokenList tokens, int vocabulary, string what, ulong seed, TokenOrder order = TokenOrder.Random)
    {
        ArgumentNullException.ThrowIfNull(tokens);
        if (tokens.Length < 2)
        {
            throw new TokenException($"{what} has {Amount.Of(tokens.Length, "token")}, at least 2 are needed to predict one from "
                + $"another. Give a longer text.");
        }

        CheckIds(tokens, vocabulary, [0, tokens.Length]);
        return new TokenDataset(tokens, [0, tokens.Length], true, vocabulary, seed, order);
    }

    /// <summary>A data set of separate sequences.</summary>
    /// <param name="sequences">Sequences of at least 2 ids.</param>
    /// <param name="vocabulary">Number of ids.</param>
    /// <param name="seed">Seed of the order.</param>
    /// <param name="order">Order of the pieces.</param>
    /// <exception cref="TokenException">An id is outside the vocabulary, a sequence has fewer than two, or there are none.</exception>
    public static TokenDataset FromSequences(IReadOnlyList<int[]> sequences, int vocabulary, ulong seed = 1337, TokenOrder order = TokenOrder.Shuffled)
    {
        Items.Require(sequences, nameof(sequences));
        if (sequences.Count == 0) throw new TokenException("There are no sequences. Give at least one.");
        long[] starts = new long[sequences.Count + 1];
        TokenList all = new();
        for (int i = 0; i < sequences.Count; i++)
        {
            if (sequences[i].Length < 2)
            {
                throw new TokenException($"Sequence {i + 1} has {Amount.Of(sequences[i].Length, "token")}, at least 2 are needed to "
                    + $"predict one from another. Leave it out or make it longer.");
            }

            all.Add(sequences[i]);
            starts[i + 1] = starts[i] + sequences[i].Length;
        }

        CheckIds(all, vocabulary, starts);
        return new TokenDataset(all, starts, false, vocabulary, seed, order);
    }

    /// <summary>Splits a text at the given fraction of its length, as nanoGPT does: the tail is for validation.</summary>
    /// <param name="text">The text.</param>
    /// <param name="validationFraction">Fraction of the tail, above 0 and below 1.</param>
    /// <exception cref="TokenException">The text is too short for two parts.</exception>
    public static (string Train, string Validation) SplitTail(string text, double validationFraction = 0.1)
    {
        ArgumentNullException.ThrowIfNull(text);
        int cut = (int)TailStart(text.Length, validationFraction);
        if (char.IsLowSurrogate(text[cut])) cut--;
        return cut > 0 ? (text[..cut], text[cut..]) : throw TooShort(text.Length, validationFraction);
    }

    /// <summary>Where the tail of a text starts that is set aside for validation.</summary>
    /// <param name="characters">Length of the text.</param>
    /// <param name="validationFraction">Fraction of the tail, above 0 and below 1.</param>
    /// <exception cref="TokenException">The text is too short for two parts.</exception>
    public static long TailStart(long characters, double validationFraction = 0.1)
    {
        if (!(validationFraction > 0 && validationFraction < 1))
        {
            throw new InvalidSettingException(nameof(validationFraction), validationFraction, "use a fraction between 0 and 1.");
        }

        long cut = (long)(characters * (1 - validationFraction));
        return cut > 0 && cut < characters ? cut : throw TooShort(characters, validationFraction);
    }

    private static TokenException TooShort(long characters, double fraction)
        => new(string.Create(CultureInfo.InvariantCulture,
            $"The text has {Amount.Of(characters, "character")}, too few to set a part of {fraction:P0} aside for validation. Give a longer text or a "
                + $"validation file."));

    /// <summary>The same data in another order.</summary>
    public TokenDataset Reorder(ulong seed, TokenOrder order) =>
        new(_tokens, _starts, IsStream, Vocabulary, seed, order) { _documents = _documents, _packing = _packing };

    /// <inheritdoc/>
    public long? EpochSequences(int context) => _order == TokenOrder.Random ? null : PieceCount(context);

    /// <summary>The same tokens in an order in which no piece comes again before all have been there.</summary>
    internal TokenDataset WithoutRepeats() => _order == TokenOrder.Random ? Reorder(_seed, TokenOrder.Shuffled) : this;

    /// <summary>Pieces an epoch has with a context; a stream's windows do not overlap here.</summary>
    /// <exception cref="TokenException">The stream is shorter than the context.</exception>
    public long PieceCount(int context) => _documents is null ? PiecesFor(context).Count : RowsFor(context).Count;

    /// <summary>Fails where no batch could be made.</summary>
    /// <param name="context">Tokens of a sequence T.</param>
    /// <param name="what">Name of the data in the message.</param>
    /// <exception cref="TokenException">The stream is shorter than T + 1 tokens.</exception>
    public void Require(int context, string what = "The text")
    {
        if (IsStream && _tokens.Length < context + 1L)
        {
            throw new TokenException(
                $"{what} has {Amount.Of(_tokens.Length, "token")}, a context of {context} needs at least {context + 1L}. Give a longer text or a "
                    + $"smaller context.");
        }
    }

    /// <summary>The same tokens to validate on: a stream that fills no context is one short sequence, like any other that is shorter.</summary>
    /// <param name="context">Tokens of a sequence T.</param>
    internal TokenDataset ForValidation(int context) =>
        IsStream && _tokens.Length < context + 1L ? new TokenDataset(_tokens, _starts, false, Vocabulary, _seed, _order) : this;

    /// <inheritdoc/>
    /// <exception cref="InvalidSettingException">The index is so large that sequences could not be counted.</exception>
    public void Fill(long batchIndex, int batch, int context, Span<int> inputs, Span<int> targets)
    {
        CheckBatch(batchIndex, batch, context);
        CheckLength("inputs", inputs.Length, batch, context);
        CheckLength("targets", targets.Length, batch, context);
        if (_documents is not null)
        {
            FillRows(batchIndex * batch, context, inputs, targets);
            return;
        }

        Pieces pieces = PiecesFor(context);
        for (int b = 0; b < batch; b++)
        {
            (long start, int length) = Piece(pieces, (batchIndex * batch) + b, context);
            Span<int> input = inputs.Slice(b * context, context), target = targets.Slice(b * context, context);
            _tokens.CopyTo(start, input[..length]);
            _tokens.CopyTo(start + 1, target[..length]);
            input[length..].Clear();
            target[length..].Fill(-1);
        }
    }

    /// <summary>Adds all that decides what <see cref="Fill"/> gives.</summary>
    internal void AddTo(XxHash128 hash)
    {
        const int Part = 1 << 14;
        hash.Append(BitConverter.GetBytes(_seed));
        DataChecksum.Add(hash, [(int)_order, IsStream ? 1 : 0, Vocabulary]);
        hash.Append(MemoryMarshal.AsBytes<long>(_starts));
        int[] part = new int[Math.Min(Part, _tokens.Length)];
        for (long done = 0; done < _tokens.Length; done += part.Length)
        {
            Span<int> ids = part.AsSpan(0, (int)Math.Min(part.Length, _tokens.Length - done));
            _tokens.CopyTo(done, ids);
            DataChecksum.Add(hash, ids);
        }

        _documents?.AddTo(hash, _packing);
    }

    private (long Start, int Length) Piece(Pieces pieces, long index, int context)
    {
        if (IsStream && _order == TokenOrder.Random) return (TokenShuffle.Uniform(_seed, index, _tokens.Length - (long)context), context);

        return pieces[Choose(index, pieces.Count)];
    }

    private long Choose(long index, long count)
    {
        if (_order == TokenOrder.Random) return TokenShuffle.Uniform(_seed, index, count);
        (long epoch, long place) = Math.DivRem(index, count);
        return _order == TokenOrder.Shuffled ? TokenShuffle.Permute(_seed, (uint)epoch, place, count) : place;
    }

    private Pieces PiecesFor(int context)
    {
        Require(context);
        Pieces? pieces = Volatile.Read(ref _pieces);
        if (pieces is null || pieces.Context != context) Volatile.Write(ref _pieces, pieces = new Pieces(_starts, context, IsStream));
        return pieces;
    }

    private static void CheckIds(TokenList tokens, int vocabulary, long[] starts, string what = "sequence")
    {
        if (vocabulary < 1) throw new InvalidSettingException(nameof(vocabulary), vocabulary, "use the number of ids, at least 1.");
        if (!tokens.FindOutside(vocabulary, out long place, out int id)) return;
        int sequence = Array.FindLastIndex(starts, start => start <= place);
        throw new TokenException(
            $"Token id {id} ({what} {sequence + 1}, place {place - starts[sequence] + 1}) is outside the vocabulary 0 .. {vocabulary - 1}. Use a "
                + $"larger vocabulary or other ids.");
    }

    private static void CheckBatch(long batchIndex, int batch, int context)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(batchIndex);
        ArgumentOutOfRangeException.ThrowIfLessThan(batch, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(context, 1);
        if (batchIndex <= (long.MaxValue / batch) - 1) return;
        throw new InvalidSettingException(nameof(batchIndex), batchIndex,
            $"with {batch} sequences a batch the last one has index {(long.MaxValue / batch) - 1}; use at most that.");
    }

    private static void CheckLength(string what, int length, int batch, int context)
    {
        if (length != (long)batch * context) throw new ShapeMismatchException(what, $"{batch} x {context}", $"{length}", "Pass a span of exactly that length.");
    }

    /// <summary>Where the pieces of at most T predictions lie. A piece of n predictions reads n + 1 tokens.</summary>
    private sealed class Pieces
    {
        private readonly long[] _first; // number of pieces before each sequence
        private readonly long[] _starts;

        public Pieces(long[] starts, int context, bool whole)
        {
            Context = context;
            _starts = starts;
            _first = new long[starts.Length];
            for (int i = 0; i + 1 < starts.Length; i++)
            {
                long predictions = starts[i + 1] - starts[i] - 1;
                _first[i + 1] = _first[i] + (whole ? predictions : predictions + context - 1) / context;
            }
        }

        public int Context { get; }

        public long Count => _first[^1];

        public (long Start, int Length) this[long piece]
        {
            get
            {
                int found = Array.BinarySearch(_first, piece);
                int sequence = found >= 0 ? found : ~found - 1;
                long start = _starts[sequence] + (piece - _first[sequence]) * Context;
                return (start, (int)Math.Min(Context, _starts[sequence + 1] - 1 - start));
            }
        }
    }
}
