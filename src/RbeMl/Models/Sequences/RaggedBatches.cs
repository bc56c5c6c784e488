using System.Buffers;
using RbeMl.Layers;

namespace RbeMl.Models;

/// <summary>
/// Sequences of different lengths as batches of sequences of about one length, each padded at its end to the longest of its batch. Padding changes no
/// bit of what a sequence gives: each token is a lane of its own, and keys that are hidden, or come after all that a causal model's token sees, add zeros.
/// </summary>
internal ref struct RaggedBatches
{
    // Sequences of a batch differ by less than this.
    private const int Step = 8;

    private readonly ReadOnlySpan<int> _tokens;
    private readonly int _count, _passTokens;
    private readonly long[] _order;
    private readonly int[] _lengths, _starts, _padded, _sizes;
    private int _first;

    /// <summary>Copies the lengths, checks (<see cref="Check"/>) and sorts the sequences by length.</summary>
    public RaggedBatches(ReadOnlySpan<int> tokens, ReadOnlySpan<int> lengths, TransformerConfig config, int passTokens)
    {
        int positions = config.MaxSequenceLength;
        _tokens = tokens;
        _passTokens = passTokens;
        _count = lengths.Length;
        _lengths = ArrayPool<int>.Shared.Rent(lengths.Length);
        lengths.CopyTo(_lengths);
        lengths = _lengths.AsSpan(0, _count);
        Check(tokens, lengths, config);
        _order = ArrayPool<long>.Shared.Rent(lengths.Length);
        _starts = ArrayPool<int>.Shared.Rent(lengths.Length);
        _sizes = ArrayPool<int>.Shared.Rent(lengths.Length);
        int start = 0, longest = 1;
        long all = 0;
        for (int row = 0; row < lengths.Length; row++)
        {
            _order[row] = ((long)lengths[row] << 32) | (uint)row;
            _starts[row] = start;
            start += lengths[row];
            longest = Math.Max(longest, lengths[row]);
            all += PaddedLength(lengths[row], positions);
        }

        _order.AsSpan(0, lengths.Length).Sort();
        _padded = ArrayPool<int>.Shared.Rent((int)Math.Max(longest, Math.Min(passTokens, all)));
    }

    /// <summary>Tokens of each sequence of the call.</summary>
    public readonly ReadOnlySpan<int> Lengths => _lengths.AsSpan(0, _count);

    /// <summary>Sequences of this batch.</summary>
    public int Count { get; private set; }

    /// <summary>Tokens of each, padding included.</summary>
    public int Length { get; private set; }

    /// <summary>Their ids, [Count, Length]; padding is id 0.</summary>
    public readonly ReadOnlySpan<int> Tokens => _padded.AsSpan(0, Count * Length);

    /// <summary>Tokens of the sequences of this batch, without padding.</summary>
    public readonly ReadOnlySpan<int> Sizes => _sizes.AsSpan(0, Count);

    /// <summary>Place in the call of sequence <paramref name="i"/> of this batch.</summary>
    public readonly int Row(int i) => RowOf(_order[_first + i]);

    /// <summary>The sequences of this batch; <see cref="RowOf"/> gives their places.</summary>
    public readonly ReadOnlyMemory<long> Order => _order.AsMemory(_first, Count);

    /// <summary>Place in the call of a sequence of <see cref="Order"/>.</summary>
    public static int RowOf(long entry) => (int)entry;

    /// <summary>Where the tokens of a sequence start in the call.</summary>
    public readonly int Start(int row) => _starts[row];

    /// <summary>The next batch.</summary>
    public bool MoveNext()
    {
        _first += Count;
        Count = 0;
        if (_first >= _count) return false;
        int bound = ((int)(_order[_first] >> 32) + Step - 1) / Step * Step, most = Math.Max(1, _passTokens / bound);
        while (Count < most && _first + Count < _count && (int)(_order[_first + Count] >> 32) <= bound) Count++;
        Length = (int)(_order[_first + Count - 1] >> 32);
        for (int i = 0; i < Count; i++)
        {
            _sizes[i] = _lengths[Row(i)];
            Pad(_tokens.Slice(_starts[Row(i)], _sizes[i]), _padded.AsSpan(i * Length, Length));
        }

        return true;
    }

    /// <summary>Gives the arrays back.</summary>
    public readonly void Dispose()
    {
        ArrayPool<long>.Shared.Return(_order);
        ArrayPool<int>.Shared.Return(_lengths);
        ArrayPool<int>.Shared.Return(_starts);
        ArrayPool<int>.Shared.Return(_padded);
        ArrayPool<int>.Shared.Return(_sizes);
    }

    /// <summary>Length that a sequence is padded to in training: the next multiple of 8, at most the model's positions.</summary>
    public static int PaddedLength(int length, int positions) => Math.Min((length + Step - 1) / Step * Step, positions);

    /// <summary>Copies a sequence and fills up with id 0.</summary>
    public static void Pad(ReadOnlySpan<int> sequence, Span<int> padded)
    {
        sequence.CopyTo(padded);
        padded[sequence.Length..].Clear();
    }

    /// <summary>Checks lengths and ids of a call.</summary>
    /// <exception cref="ShapeMismatchException">The lengths do not add up to the tokens, or there are no sequences.</exception>
    /// <exception cref="TokenException">A sequence is empty or too long, or an id is outside the vocabulary.</exception>
    public static void Check(ReadOnlySpan<int> tokens, ReadOnlySpan<int> lengths, TransformerConfig config)
    {
        if (lengths.Length < 1)
        {
            throw new ShapeMismatchException("lengths", "at least one sequence", "none", "Leave the call out when there is nothing to compute.");
        }

        long total = 0;
        for (int row = 0; row < lengths.Length; row++)
        {
            int length = lengths[row];
            if (length < 1) throw new TokenException($"sequence {row} has {Amount.Of(length, "token")}. Leave it out, or give it at least one token.");
            if (length > config.MaxSequenceLength)
            {
                throw new TokenException(
                    $"sequence {row} has {Amount.Of(length, "token")}, the model {Amount.Of(config.MaxSequenceLength, "position")}. Shorten it to them.");
            }

            total += length;
            if (total > tokens.Length) break;
            ReadOnlySpan<int> sequence = tokens.Slice((int)total - length, length);
            for (int t = 0; t < length; t++)
            {
                if ((uint)sequence[t] >= (uint)config.Vocabulary)
                {
                    throw new TokenException(
                        $"token id {sequence[t]} at sequence {row}, position {t} is outside the vocabulary 0 .. {config.Vocabulary - 1}. Use the "
                            + $"model's own tokenizer.");
                }
            }
        }

        if (total != tokens.Length)
        {
            throw new ShapeMismatchException("tokens", "the sum of the lengths",
                $"{tokens.Length} ids, lengths of {(total > tokens.Length ? "more" : total)}",
                "Pass all sequences one after the other, and the length of each.");
        }
    }
}
