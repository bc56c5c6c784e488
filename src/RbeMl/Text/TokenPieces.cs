using System.Globalization;
using RbeMl.Memory;

namespace RbeMl.Text;

/// <summary>
/// Encodes a text piece by piece, to the ids of the whole: it is cut where the tokenizer's rule allows (<see cref="ITokenizer.SafeCut"/>). In memory are the ids,
/// twice while they are put together, and a few million characters, or all where a tokenizer knows no place to cut.
/// </summary>
public static class TokenPieces
{
    private const int PieceCharacters = 1 << 22, FirstCharacters = 1 << 14, BlockIds = 1 << 17;

    /// <summary>The ids of a text.</summary>
    /// <param name="tokenizer">The tokenizer.</param>
    /// <param name="pieces">The text.</param>
    /// <param name="name">What messages call it.</param>
    /// <param name="vocabulary">Ids of the model.</param>
    /// <param name="special">Whether names of special tokens stand for these.</param>
    /// <exception cref="TokenException">The text holds something that has no id, or one that the model does not have.</exception>
    /// <exception cref="RbeFileException">There are more ids, or characters that cannot be cut, than can be held.</exception>
    public static int[] Encode(ITokenizer tokenizer, IEnumerable<ReadOnlyMemory<char>> pieces, string name, int vocabulary, bool special = false)
        => Encode(tokenizer, pieces, name, vocabulary, PieceCharacters, special: special);

    /// <summary>As <see cref="Encode(ITokenizer, IEnumerable{ReadOnlyMemory{char}}, string, int, bool)"/>, in pieces of about <paramref name="size"/> characters.</summary>
    internal static int[] Encode(ITokenizer tokenizer, IEnumerable<ReadOnlyMemory<char>> pieces, string name, int vocabulary, int size, long most = int.MaxValue, bool special = false)
    {
        ArgumentNullException.ThrowIfNull(tokenizer);
        ArgumentNullException.ThrowIfNull(pieces);
        using Blocks ids = new(name, Math.Min(most, Array.MaxLength));
        char[] text = new char[Math.Min(size, FirstCharacters)];
        int count = 0, next = size;
        long done = 0;
        foreach (ReadOnlyMemory<char> piece in pieces)
        {
            for (int start = 0; start < piece.Length;)
            {
                if (count == next)
                {
                    int cut = tokenizer.SafeCut(text.AsSpan(0, count), special);
                    Add(cut);
                    text.AsSpan(cut, count - cut).CopyTo(text);
                    (count, done) = (count - cut, done + cut);
                    next = cut > 0 && count < size ? size : (int)Math.Min(2L * count, TextFile.MostCharacters);
                    if (count == next) throw new RbeFileException(name, string.Create(CultureInfo.InvariantCulture, $"has {count} characters on end that its tokenizer takes as one word, the most that is held. Break it up."));
                }

                int some = Math.Min(piece.Length - start, next - count);
                if (count + some > text.Length) Array.Resize(ref text, (int)Math.Min(next, Math.Max(2L * text.Length, count + some)));
                piece.Span.Slice(start, some).CopyTo(text.AsSpan(count));
                (start, count) = (start + some, count + some);
            }
        }

        Add(count);
        return ids.ToArray();

        void Add(int length)
        {
            if (length == 0) return;
            try
            {
                string part = new(text, 0, length);
                ids.Add(tokenizer.EncodeFor(part, vocabulary, special));
            }
            catch (TokenException error) when (done > 0)
            {
                throw new TokenException(string.Create(CultureInfo.InvariantCulture, $"{name}, in what follows character {done}: {error.Message}"));
            }
        }
    }

    /// <summary>Ids outside the managed heap, whose arrays would double; putting them together takes as much again.</summary>
    private sealed class Blocks(string name, long most) : IDisposable
    {
        private readonly List<NativeBuffer<int>> _blocks = [];
        private long _count;

        public void Add(ReadOnlySpan<int> ids)
        {
            long room = Math.Min(most, GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / sizeof(int));
            if (_count + ids.Length > room) throw new RbeFileException(name, string.Create(CultureInfo.InvariantCulture, $"has more than {_count} tokens, and {room} are the most that can be held. Use a part of it."));
            while (!ids.IsEmpty)
            {
                int place = (int)(_count % BlockIds), some = Math.Min(ids.Length, BlockIds - place);
                if (place == 0) _blocks.Add(new NativeBuffer<int>(BlockIds));
                ids[..some].CopyTo(_blocks[^1].Span[place..]);
                ids = ids[some..];
                _count += some;
            }
        }

        public int[] ToArray()
        {
            int[] all = GC.AllocateUninitializedArray<int>((int)_count);
            for (int i = 0; i < _blocks.Count; i++)
            {
                Span<int> part = all.AsSpan(i * BlockIds);
                _blocks[i].Span[..Math.Min(BlockIds, part.Length)].CopyTo(part);
                _blocks[i].Dispose();
            }

            return all;
        }

        public void Dispose()
        {
            foreach (NativeBuffer<int> block in _blocks) block.Dispose();
        }
    }
}
