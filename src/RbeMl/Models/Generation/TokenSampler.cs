using RbeMl.Numerics;

namespace RbeMl.Models;

/// <summary>Draws a token from logits. It allocates nothing but its memory of the tokens of a text, at the first penalty.</summary>
internal sealed class TokenSampler
{
    private readonly int _vocabulary;
    private readonly ulong[] _order;
    private readonly double[] _probabilities;
    private ModelTokens? _tokens;
    private int[]? _drawable; // ascending; null for all
    private int[]? _seen;
    private int _round;

    /// <summary>Prepares drawing.</summary>
    /// <param name="vocabulary">Ids of the model.</param>
    /// <param name="tokens">Which of them stand for something.</param>
    public TokenSampler(int vocabulary, ModelTokens tokens)
    {
        _vocabulary = vocabulary;
        _order = new ulong[vocabulary];
        _probabilities = new double[vocabulary];
        Use(tokens);
    }

    /// <summary>Draws from other tokens from now on.</summary>
    public void Use(ModelTokens tokens)
    {
        if (ReferenceEquals(tokens, _tokens)) return;
        (_tokens, _drawable) = (tokens, tokens.Drawable(_vocabulary));
    }

    /// <summary>Refuses logits of another number, or that are not finite.</summary>
    public void Check(ReadOnlySpan<float> logits)
    {
        if (logits.Length != _vocabulary)
        {
            throw new ShapeMismatchException("logits", $"{_vocabulary}, one a token of the vocabulary", $"{logits.Length}", "Pass the logits of one position.");
        }

        for (int i = 0; i < logits.Length; i++)
        {
            if (!float.IsFinite(logits[i]))
            {
                throw new NonFiniteException("head",
                    $"logit {logits[i]} of token {i}. The model's weights are damaged or its training diverged. Go back to an earlier file of it.");
            }
        }
    }

    /// <summary>Divides positive logits of the tokens of a text by the penalty and multiplies negative ones, once for each different token.</summary>
    public void Penalize(Span<float> logits, ReadOnlySpan<int> text, double penalty)
    {
        _seen ??= new int[_vocabulary];
        if (++_round == int.MaxValue)
        {
            Array.Clear(_seen);
            _round = 1;
        }

        foreach (int token in text)
        {
            if (_seen[token] == _round) continue;
            _seen[token] = _round;
            double changed = logits[token] > 0 ? logits[token] / penalty : logits[token] * penalty;
            logits[token] = (float)Math.Clamp(changed, -float.MaxValue, float.MaxValue);
        }
    }

    /// <summary>Draws; the seed and the position fix the random number.</summary>
    public int Draw(ReadOnlySpan<float> logits, GenerationOptions options, long position)
    {
        if (options.Temperature == 0) return MostLikely(logits);
        int drawable = Sort(logits);
        int count = options.TopK > 0 ? Math.Min(options.TopK, drawable) : drawable;
        double sum = 0, max = logits[Token(0)];
        for (int i = 0; i < count; i++) sum += _probabilities[i] = Math.Exp((logits[Token(i)] - max) / options.Temperature);
        double kept = 0;
        int last = 0;
        while (last < count && (last == 0 || (kept < options.TopP * sum && _probabilities[last] >= options.MinP))) kept += _probabilities[last++];
        double target = Philox.ToUnit(Philox.Word(new RandomKey(options.Seed, 0, 0, DropoutSite.Other), (ulong)position, 0)) * kept;
        for (int i = 0; i < last; i++)
        {
            target -= _probabilities[i];
            if (target < 0) return Token(i);
        }

        return Token(last - 1);
    }

    // The drawable tokens in the order of their logits, the largest first; returns their number.
    private int Sort(ReadOnlySpan<float> logits)
    {
        if (_drawable is null)
        {
            for (int i = 0; i < logits.Length; i++) _order[i] = Key(logits[i], i);
            Array.Sort(_order);
            return logits.Length;
        }

        for (int i = 0; i < _drawable.Length; i++) _order[i] = Key(logits[_drawable[i]], _drawable[i]);
        Array.Sort(_order, 0, _drawable.Length);
        return _drawable.Length;
    }

    private int MostLikely(ReadOnlySpan<float> logits)
    {
        int count = _drawable?.Length ?? logits.Length, best = _drawable?[0] ?? 0;
        for (int i = 1; i < count; i++)
        {
            int token = _drawable?[i] ?? i;
            if (logits[token] > logits[best]) best = token;
        }

        return best;
    }

    private static ulong Key(float logit, int token) => ((ulong)Descending(logit) << 32) | (uint)token;

    // Bits that order as the logits do, the largest first.
    private static uint Descending(float logit)
    {
        uint bits = BitConverter.SingleToUInt32Bits(logit + 0f); // one zero, not two
        return (bits & 0x80000000) != 0 ? bits : ~bits & 0x7FFFFFFF;
    }

    private int Token(int rank) => (int)(uint)_order[rank];
}
