using System.Runtime.CompilerServices;
using RbeMl.Layers;
using RbeMl.Memory;

namespace RbeMl.Models;

/// <summary>
/// Generates tokens with a KV cache. When the model's positions are used up, the older half of the text is forgotten and the rest read again. An end token
/// ends the text and is not given; ids that stand for nothing (<see cref="ModelTokens.Unused"/>) are never drawn. <see cref="TextGenerator"/> gives text.
/// </summary>
public sealed class Generator : IDisposable, ILeased
{
    private readonly TransformerModel<float> _model;
    private readonly Workspace<float> _workspace;
    private readonly float[] _logits;
    private readonly TokenSampler _sampler;

    private readonly Lease _lease;

    // The tokens in the cache, and those it does not hold yet; grows with them.
    private int[] _text = [];
    private KvCache<float>? _cache;
    private int _count;
    private int _generation;

    /// <summary>Prepares generation of one sequence.</summary>
    /// <param name="model">The model; it stays its owner's.</param>
    /// <param name="threads">0 for one a processor.</param>
    /// <exception cref="InvalidSettingException">The model is no language model.</exception>
    public Generator(TransformerModel<float> model, int threads = 0)
        : this(model, () => new Workspace<float>(threads))
    {
    }

    /// <summary>Prepares generation of one sequence on threads that others use too.</summary>
    /// <param name="model">The model; it stays its owner's.</param>
    /// <param name="workers">The threads; they stay their owner's.</param>
    /// <exception cref="InvalidSettingException">The model is no language model.</exception>
    public Generator(TransformerModel<float> model, WorkerPool workers)
        : this(model, () => new Workspace<float>(workers ?? throw new ArgumentNullException(nameof(workers))))
    {
    }

    private Generator(TransformerModel<float> model, Func<Workspace<float>> workspace)
    {
        ArgumentNullException.ThrowIfNull(model);
        model.Config.RequireLanguageModel("generation needs");
        _model = model;
        _lease = new Lease(this);
        _workspace = workspace();
        _logits = new float[model.Config.Vocabulary];
        _sampler = new TokenSampler(model.Config.Vocabulary, model.Tokens);
    }

    /// <summary>Bytes of the cache of past keys and values: 0 before the first token.</summary>
    public long CacheBytes => _cache?.AllocatedBytes ?? 0;

    /// <summary>Why the last text ended; null as long as it goes on, or when its reader went away.</summary>
    public FinishReason? Finish { get; private set; }

    internal TransformerModel<float> Model => _model;

    internal Workspace<float> Workspace => _workspace;

    /// <summary>Yields new tokens one by one as they are drawn. One enumeration at a time: a second one ends the first.</summary>
    /// <param name="prompt">At least one token id; of a prompt beyond the model's positions the end is used.</param>
    /// <param name="options">How to draw.</param>
    /// <param name="cancel">Ends the text, also while the prompt is read: between two blocks of the model.</param>
    /// <exception cref="TokenException">The prompt is empty or holds an id outside the vocabulary.</exception>
    /// <exception cref="InvalidSettingException">An option is out of range, or stop strings are given: ids have no text.</exception>
    /// <exception cref="OperationCanceledException">Cancelled; thrown by the enumeration, after the tokens drawn so far.</exception>
    public IEnumerable<int> Generate(IReadOnlyList<int> prompt, GenerationOptions options, CancellationToken cancel = default) =>
        Generate(prompt, options, _model.Tokens, cancel);

    /// <summary>The same, each token computed on a thread of the pool.</summary>
    /// <inheritdoc cref="Generate(IReadOnlyList{int}, GenerationOptions, CancellationToken)"/>
    public IAsyncEnumerable<int> GenerateAsync(IReadOnlyList<int> prompt, GenerationOptions options, CancellationToken cancel = default) =>
        GenerateAsync(prompt, options, _model.Tokens, cancel);

    /// <summary>
    /// Draws from logits [V] with the options' rules; the seed and the position fix the random number. The repetition penalty, which needs the text before, is
    /// not among them.
    /// </summary>
    /// <exception cref="ShapeMismatchException">There are more or fewer logits than ids.</exception>
    /// <exception cref="NonFiniteException">A logit is NaN or infinite.</exception>
    /// <exception cref="InvalidSettingException">An option is out of range.</exception>
    public int Sample(ReadOnlySpan<float> logits, GenerationOptions options, long position)
    {
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        _sampler.Check(logits);
        return _sampler.Draw(logits, options, position);
    }

    /// <summary>Ends the threads and frees the memory, after the token that is being computed.</summary>
    public void Dispose() => _lease.Dispose();

    void ILeased.Free()
    {
        _cache?.Dispose();
        _workspace.Dispose();
    }

    internal IEnumerable<int> Generate(IReadOnlyList<int> prompt, GenerationOptions options, ModelTokens tokens, CancellationToken cancel) =>
        Draw(Checked(prompt, options), options, tokens, cancel);

    internal IAsyncEnumerable<int> GenerateAsync(IReadOnlyList<int> prompt, GenerationOptions options, ModelTokens tokens, CancellationToken cancel) =>
        DrawAsync(Checked(prompt, options), options, tokens, cancel);

    private int[] Checked(IReadOnlyList<int> prompt, GenerationOptions options)
    {
        ArgumentNullException.ThrowIfNull(prompt);
        ArgumentNullException.ThrowIfNull(options);
        int vocabulary = _model.Config.Vocabulary;
        options.Validate(vocabulary);
        if (options.StopStrings.Count > 0)
        {
            throw new InvalidSettingException(nameof(options.StopStrings), options.StopStrings[0],
                "token ids have no text to find it in. Use a TextGenerator.");
        }

        if (prompt.Count == 0) throw new TokenException("the prompt is empty. Give at least one token to continue from.");
        for (int i = 0; i < prompt.Count; i++)
        {
            if ((uint)prompt[i] >= (uint)vocabulary)
            {
                throw new TokenException(
                    $"token id {prompt[i]} at position {i} of the prompt is outside the vocabulary 0 .. {vocabulary - 1}. Use the model's own tokenizer.");
            }
        }

        return [.. prompt.Skip(prompt.Count - _model.Config.MaxSequenceLength)];
    }

    private static int[] Ends(GenerationOptions options, ModelTokens tokens) => options.IgnoreEnd ? [] : [.. options.EndTokens ?? tokens.EndTokens ?? []];

    private IEnumerable<int> Draw(int[] prompt, GenerationOptions options, ModelTokens tokens, CancellationToken cancel)
    {
        int generation = Begin(prompt, options, tokens);
        int[] ends = Ends(options, tokens);
        for (int n = 0; n < options.MaxTokens; n++)
        {
            if (Step(generation, options, n, ends, cancel) is not { } token) yield break;
            yield return token;
        }

        Finish = FinishReason.Length;
    }

    private async IAsyncEnumerable<int> DrawAsync(int[] prompt, GenerationOptions options, ModelTokens tokens,
        [EnumeratorCancellation] CancellationToken cancel)
    {
        int generation = Begin(prompt, options, tokens);
        int[] ends = Ends(options, tokens);
        for (int n = 0; n < options.MaxTokens; n++)
        {
            int position = n;
            int? drawn = await Task.Run(() => Step(generation, options, position, ends, cancel), CancellationToken.None).ConfigureAwait(false);
            if (drawn is not { } token) yield break;
            yield return token;
        }

        Finish = FinishReason.Length;
    }

    private int Begin(int[] prompt, GenerationOptions options, ModelTokens tokens)
    {
        Finish = null;
        _sampler.Use(tokens);
        Start(prompt, options);
        return ++_generation;
    }

    // The next token; null for an end token.
    private int? Step(int generation, GenerationOptions options, int position, int[] ends, CancellationToken cancel)
    {
        if (generation != _generation)
        {
            throw new InvalidOperationException("Another Generate of this generator was started. Finish one before the next, or use a generator each.");
        }

        try
        {
            int token = Next(options, position, cancel);
            if (!ends.Contains(token)) return token;
            Finish = FinishReason.EndToken;
            return null;
        }
        catch (OperationCanceledException)
        {
            Finish = FinishReason.Cancelled;
            throw;
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
    internal int Next(GenerationOptions options, long position, CancellationToken cancel = default)
    {
        using Hold held = _lease.Claim();
        cancel.ThrowIfCancellationRequested();
        int limit = _model.Config.MaxSequenceLength;
        if (_count > limit)
        {
            _cache!.Reset();
            int keep = Math.Max(1, limit / 2);
            Array.Copy(_text, _count - keep, _text, 0, keep);
            _count = keep;
        }

        ReadOnlySpan<int> unread = _text.AsSpan(_cache!.Length, _count - _cache.Length);
        _model.LastLogits(unread, 1, unread.Length, _workspace, _cache, _logits, cancel);
        _sampler.Check(_logits);
        if (options.RepetitionPenalty != 1) _sampler.Penalize(_logits, _text.AsSpan(0, _count), options.RepetitionPenalty);
        MakeRoom(_count + 1);
        return _text[_count++] = _sampler.Draw(_logits, options, position);
    }

    // Room in the text for so many tokens: twice what there was, at least 256, at most one more than the model's positions.
    private void MakeRoom(int tokens)
    {
        if (tokens <= _text.Length) return;
        Array.Resize(ref _text, (int)Math.Min(_model.Config.MaxSequenceLength + 1L, Math.Max(Math.Max(tokens, 256), 2L * _text.Length)));
    }
}
