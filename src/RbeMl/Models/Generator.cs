using RbeMl.Kernels;
using RbeMl.Layers;
using RbeMl.Memory;

namespace RbeMl.Models;

/// <summary>How the next token is drawn.</summary>
public sealed record GenerationOptions
{
    /// <summary>Most tokens to generate.</summary>
    public int MaxTokens { get; init; } = 100;

    /// <summary>Logits are divided by it; 0 takes the most likely token.</summary>
    public double Temperature { get; init; } = 1;

    /// <summary>Only the k most likely tokens are drawn from; 0 for all.</summary>
    public int TopK { get; init; }

    /// <summary>Only the most likely tokens that together have this probability are drawn from; 1 for all.</summary>
    public double TopP { get; init; } = 1;

    /// <summary>The same seed draws the same tokens.</summary>
    public ulong Seed { get; init; } = 1;

    /// <summary>How past keys and values are stored: smaller formats round them, so the text may differ.</summary>
    public KvFormat KvFormat { get; init; } = KvFormat.F32;

    /// <summary>Checks every value.</summary>
    /// <exception cref="InvalidSettingException">A value is out of range.</exception>
    public GenerationOptions Validate()
    {
        if (MaxTokens < 1) throw new InvalidSettingException(nameof(MaxTokens), MaxTokens, "use at least 1.");
        if (!(Temperature >= 0 && double.IsFinite(Temperature))) throw new InvalidSettingException(nameof(Temperature), Temperature, "use 0 (most likely token) or a positive number such as 0.8.");
        if (TopK < 0) throw new InvalidSettingException(nameof(TopK), TopK, "use 0 (all tokens) or a positive number.");
        if (!(TopP > 0 && TopP <= 1)) throw new InvalidSettingException(nameof(TopP), TopP, "use a probability above 0 and up to 1.");
        if (!Enum.IsDefined(KvFormat)) throw new InvalidSettingException(nameof(KvFormat), KvFormat, $"use one of {string.Join(", ", Enum.GetNames<KvFormat>())}.");
        return this;
    }
}

/// <summary>
/// Generates tokens with a KV cache. When the model's positions are used up, the older half of the text is forgotten and the rest read again.
/// </summary>
public sealed class Generator : IDisposable, ILeased
{
    private readonly Gpt2Model<float> _model;
    private readonly Workspace<float> _workspace;
    private readonly float[] _logits;
    private readonly ulong[] _order;
    private readonly double[] _probabilities;

    private readonly Lease _lease;

    // The tokens in the cache, and those it does not hold yet; grows with them.
    private int[] _text = [];
    private KvCache<float>? _cache;
    private int _count;
    private int _generation;

    /// <summary>Prepares generation of one sequence.</summary>
    /// <param name="model">The model; it stays its owner's.</param>
    /// <param name="threads">0 for one a processor.</param>
    public Generator(Gpt2Model<float> model, int threads = 0)
        : this(model, () => new Workspace<float>(threads))
    {
    }

    /// <summary>Prepares generation of one sequence on threads that others use too.</summary>
    /// <param name="model">The model; it stays its owner's.</param>
    /// <param name="team">The threads; they stay their owner's.</param>
    public Generator(Gpt2Model<float> model, ThreadTeam team)
        : this(model, () => new Workspace<float>(team ?? throw new ArgumentNullException(nameof(team))))
    {
    }

    private Generator(Gpt2Model<float> model, Func<Workspace<float>> workspace)
    {
        ArgumentNullException.ThrowIfNull(model);
        _model = model;
        _lease = new Lease(this);
        _workspace = workspace();
        _logits = new float[model.Config.Vocabulary];
        _order = new ulong[model.Config.Vocabulary];
        _probabilities = new double[model.Config.Vocabulary];
    }

    /// <summary>Bytes of the cache of past keys and values: 0 before the first token.</summary>
    public long CacheBytes => _cache?.AllocatedBytes ?? 0;

    internal Workspace<float> Workspace => _workspace;

    /// <summary>Yields new tokens one by one as they are drawn. One enumeration at a time: a second one ends the first.</summary>
    /// <param name="prompt">At least one token id; of a prompt beyond the model's positions the end is used.</param>
    /// <param name="options">How to draw.</param>
    /// <exception cref="TokenException">The prompt is empty or holds an id outside the vocabulary.</exception>
    public IEnumerable<int> Generate(IReadOnlyList<int> prompt, GenerationOptions options)
    {
        ArgumentNullException.ThrowIfNull(prompt);
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        if (prompt.Count == 0) throw new TokenException("the prompt is empty. Give at least one token to continue from.");
        for (int i = 0; i < prompt.Count; i++)
        {
            if ((uint)prompt[i] >= (uint)_model.Config.Vocabulary) throw new TokenException($"token id {prompt[i]} at position {i} of the prompt is outside the vocabulary 0 .. {_model.Config.Vocabulary - 1}. Use the model's own tokenizer.");
        }

        return Draw([.. prompt.Skip(prompt.Count - _model.Config.MaxSequenceLength)], options);
    }

    /// <summary>Draws from logits [V] with the options' rules; the seed and the position fix the random number.</summary>
    public int Sample(ReadOnlySpan<float> logits, GenerationOptions options, long position)
    {
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        if (logits.Length != _order.Length) throw new ShapeMismatchException("logits", $"{_order.Length}, one a token of the vocabulary", $"{logits.Length}", "Pass the logits of one position.");
        for (int i = 0; i < logits.Length; i++)
        {
            if (!float.IsFinite(logits[i])) throw new NonFiniteException("head", $"logit {logits[i]} of token {i}. The model's weights are damaged or its training diverged.");
        }

        if (options.Temperature == 0) return IndexOfMax(logits);
        for (int i = 0; i < logits.Length; i++) _order[i] = ((ulong)Descending(logits[i]) << 32) | (uint)i;
        Array.Sort(_order);
        int count = options.TopK > 0 ? Math.Min(options.TopK, logits.Length) : logits.Length;
        double sum = 0, max = logits[Token(0)];
        for (int i = 0; i < count; i++) sum += _probabilities[i] = Math.Exp((logits[Token(i)] - max) / options.Temperature);
        double kept = 0;
        int last = 0;
        while (last < count && (last == 0 || kept < options.TopP * sum)) kept += _probabilities[last++];
        double target = Philox.ToUnit(Philox.Word(new RandomKey(options.Seed, 0, 0, DropoutSite.Other), (ulong)position, 0)) * kept;
        for (int i = 0; i < last; i++)
        {
            target -= _probabilities[i];
            if (target < 0) return Token(i);
        }

        return Token(last - 1);
    }

    /// <summary>Ends the threads and frees the memory, after the token that is being computed.</summary>
    public void Dispose() => _lease.Dispose();

    void ILeased.Free()
    {
        _cache?.Dispose();
        _workspace.Dispose();
    }

    private static int IndexOfMax(ReadOnlySpan<float> values)
    {
        int best = 0;
        for (int i = 1; i < values.Length; i++)
        {
            if (values[i] > values[best]) best = i;
        }

        return best;
    }

    // Bits that order as the logits do, the largest first.
    private static uint Descending(float logit)
    {
        uint bits = BitConverter.SingleToUInt32Bits(logit + 0f); // one zero, not two
        return (bits & 0x80000000) != 0 ? bits : ~bits & 0x7FFFFFFF;
    }

    private int Token(int rank) => (int)(uint)_order[rank];

    private IEnumerable<int> Draw(int[] prompt, GenerationOptions options)
    {
        int generation = ++_generation;
        Start(prompt, options);
        for (int n = 0; n < options.MaxTokens; n++)
        {
            if (generation != _generation) throw new InvalidOperationException("Another Generate of this generator was started. Finish one before the next, or use a generator each.");
            yield return Next(options, n);
        }
    }

    /// <summary>Empties the cache and reads the prompt, at most as many tokens as there are positions.</summary>
    internal void Start(ReadOnlySpan<int> prompt, GenerationOptions options)
    {
        using Hold held = _lease.Claim();
        if (_cache?.Format != options.KvFormat)
        {
            _cache?.Dispose();
            _cache = new KvCache<float>(_model.Config, 1, _model.Config.MaxSequenceLength, options.KvFormat);
        }

        _cache.Reset();
        MakeRoom(prompt.Length + 1);
        prompt.CopyTo(_text);
        _count = prompt.Length;
    }

    /// <summary>Reads what is not in the cache yet and draws the next token; allocates nothing but at the first call of a shape.</summary>
    internal int Next(GenerationOptions options, long position)
    {
        using Hold held = _lease.Claim();
        int limit = _model.Config.MaxSequenceLength;
        if (_count > limit)
        {
            _cache!.Reset();
            int keep = Math.Max(1, limit / 2);
            Array.Copy(_text, _count - keep, _text, 0, keep);
            _count = keep;
        }

        ReadOnlySpan<int> unread = _text.AsSpan(_cache!.Length, _count - _cache.Length);
        _model.LastLogits(unread, 1, unread.Length, _workspace, _cache, _logits);
        MakeRoom(_count + 1);
        return _text[_count++] = Sample(_logits, options, position);
    }

    // Room in the text for so many tokens: twice what there was, at least 256, at most one more than the model's positions.
    private void MakeRoom(int tokens)
    {
        if (tokens <= _text.Length) return;
        Array.Resize(ref _text, (int)Math.Min(_model.Config.MaxSequenceLength + 1L, Math.Max(Math.Max(tokens, 256), 2L * _text.Length)));
    }
}
