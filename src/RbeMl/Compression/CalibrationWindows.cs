using RbeMl.Files;
using RbeMl.Numerics;
using RbeMl.Text;

namespace RbeMl.Compression;

/// <summary>Windows of tokens to calibrate with, all of one length.</summary>
public static class CalibrationWindows
{
    /// <summary>Tokens of a window of an encoder's calibration at most, those that begin and end it included.</summary>
    internal const int SentenceTokens = 34;

    private const double WorthKeeping = 15 / 16.0;

    /// <summary>
    /// Cuts sequences into windows of one length: the longest, up to the model's positions, that keeps nearly as many tokens as any does, a sequence
    /// no longer than the positions giving its beginning only, so that every window is as the model sees it. Of more windows than needed, evenly
    /// spread ones are taken.
    /// </summary>
    /// <param name="sequences">Token ids; one long stream is a list of one.</param>
    /// <param name="positions">The model's positions.</param>
    /// <param name="tokens">Tokens at most, but at least one window.</param>
    /// <exception cref="TokenException">There is no token.</exception>
    /// <exception cref="InvalidSettingException">Positions or tokens are out of range.</exception>
    public static IReadOnlyList<int[]> Cut(IReadOnlyList<int[]> sequences, int positions, int tokens)
    {
        Items.Require(sequences, nameof(sequences));
        if (positions < 1) throw new InvalidSettingException("positions", positions, "use at least 1.");
        if (tokens < 1) throw new InvalidSettingException("calibration tokens", tokens, "use at least 1.");
        long[] kept = [.. Enumerable.Range(0, Math.Min(positions, tokens) + 1).Select(l => sequences.Sum(s => Windows(s.Length, l, positions) * (long)l))];

        // The most is kept by lengths that divide a long text, however short they are: a long window is worth the few tokens that it leaves over.
        double least = Math.Max(1, kept.Max() * WorthKeeping);
        int length = Array.FindLastIndex(kept, keeps => keeps >= least);
        if (length < 0) throw new TokenException("There are no tokens to calibrate with. Give a longer text or file of ids.");
        List<int[]> windows = [];
        foreach (int[] sequence in sequences)
        {
            for (int w = 0; w < Windows(sequence.Length, length, positions); w++) windows.Add(sequence[(w * length)..((w + 1) * length)]);
        }

        int count = Math.Min(windows.Count, Math.Max(1, tokens / length));
        return [.. Enumerable.Range(0, count).Select(i => windows[(int)((long)i * windows.Count / count)])];
    }

    /// <summary>
    /// Cuts sequences into windows of one length as an encoder sees texts: between the token that begins and the one that ends a sequence, and not longer than
    /// the sentence or two that encoders are mostly asked about.
    /// </summary>
    /// <param name="sequences">Token ids without those that begin and end a sequence; one long stream is a list of one.</param>
    /// <param name="tokenizer">The encoder's tokenizer.</param>
    /// <param name="positions">Tokens of a sequence at most, those two included.</param>
    /// <param name="tokens">Tokens at most, but at least one window.</param>
    /// <exception cref="TokenException">There is no token.</exception>
    /// <exception cref="InvalidSettingException">Positions or tokens are out of range.</exception>
    public static IReadOnlyList<int[]> CutSentences(IReadOnlyList<int[]> sequences, WordPieceTokenizer tokenizer, int positions, int tokens)
    {
        ArgumentNullException.ThrowIfNull(tokenizer);
        int room = Math.Min(positions, SentenceTokens) - 2;
        IReadOnlyList<int[]> windows = Cut(sequences, room, Math.Max(1, (int)((long)tokens * room / (room + 2))));
        return [.. windows.Select(window => tokenizer.Sequence(window))];
    }

    /// <summary>Windows of ids drawn uniformly, for an encoder between the tokens that begin and end a sequence.</summary>
    internal static IReadOnlyList<int[]> Random(IModelFolder source, int tokens, ulong seed)
    {
        int vocabulary = source.Config.Vocabulary, positions = source.Config.MaxSequenceLength;
        if (source.Encoder is not { } encoder || source.Tokenizer is not WordPieceTokenizer tokenizer) return Random(vocabulary, positions, tokens, seed);
        int room = Math.Min(encoder.MaxTokens ?? positions, SentenceTokens) - 2;
        return [.. Random(vocabulary, room, tokens, seed).Select(window => tokenizer.Sequence(window))];
    }

    /// <summary>Windows of ids drawn uniformly: what a choice of formats is measured with when there is nothing better.</summary>
    internal static IReadOnlyList<int[]> Random(int vocabulary, int positions, int tokens, ulong seed)
    {
        DeterministicRandom random = new(seed, 77);
        int length = Math.Min(positions, tokens);
        int[][] windows = new int[Math.Max(1, tokens / length)][];
        for (int w = 0; w < windows.Length; w++)
        {
            windows[w] = new int[length];
            for (int i = 0; i < length; i++) windows[w][i] = random.NextBelow(vocabulary);
        }

        return windows;
    }

    // The first block's input: rows of both embeddings, added. The tables are let go of again.
    internal static BlockActivationData Embed(IModelFolder source, IReadOnlyList<int[]> windows)
    {
        int d = source.Config.Width, length = windows[0].Length, vocabulary = source.Config.Vocabulary;
        if (length > source.Config.MaxSequenceLength)
        {
            throw new TokenException(
                $"Calibration windows of {Amount.Of(length, "token")} are more than the model's "
                    + $"{Amount.Of(source.Config.MaxSequenceLength, "position")}. Cut them shorter.");
        }

        float[] tokens = source.ReadTokenEmbedding(), positions = source.ReadPositionEmbedding(), values = new float[checked(windows.Count * length * d)];
        for (int w = 0; w < windows.Count; w++)
        {
            if (windows[w].Length != length)
            {
                throw new ShapeMismatchException("calibration windows", $"{Amount.Of(length, "token")} each", $"one of {windows[w].Length}",
                    "Cut them to one length.");
            }

            for (int t = 0; t < length; t++)
            {
                int id = windows[w][t];
                if ((uint)id >= (uint)vocabulary)
                {
                    throw new TokenException(
                        $"Calibration token id {id} is outside the vocabulary 0 .. {vocabulary - 1}. Use the model's own tokenizer or ids.");
                }

                Span<float> row = values.AsSpan(((w * length) + t) * d, d);
                for (int f = 0; f < d; f++) row[f] = tokens[(id * d) + f] + positions[(t * d) + f];
            }
        }

        return new BlockActivationData(values, windows.Count, length, d);
    }

    private static int Windows(int tokens, int length, int positions) => tokens < length || length == 0 ? 0 : tokens <= positions ? 1 : tokens / length;
}
