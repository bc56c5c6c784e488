using System.Runtime.CompilerServices;
using RbeMl.Text;

namespace RbeMl.Models;

/// <summary>
/// Continues texts: a <see cref="Generator"/> with a tokenizer. Text is given as soon as it is certain, in whole characters, and not beyond a stop string or an
/// end token, neither of which is part of it. Ids that the tokenizer does not have are never drawn. One text at a time.
/// </summary>
public sealed class TextGenerator
{
    private readonly Generator _generator;
    private readonly ITokenizer _tokenizer;
    private readonly ModelTokens _meaning;
    private List<int> _tokens = [];

    /// <summary>Prepares generation of texts.</summary>
    /// <param name="generator">The generator; it stays its owner's.</param>
    /// <param name="tokenizer">The model's tokenizer. What the model does not say of its end token and its ids is taken from it.</param>
    public TextGenerator(Generator generator, ITokenizer tokenizer)
    {
        ArgumentNullException.ThrowIfNull(generator);
        ArgumentNullException.ThrowIfNull(tokenizer);
        (_generator, _tokenizer) = (generator, tokenizer);
        _meaning = generator.Model.Tokens.With(tokenizer, generator.Model.Config.Vocabulary);
    }

    /// <summary>The tokens drawn for the last text, those of a stop string included, an end token not.</summary>
    public IReadOnlyList<int> Tokens => _tokens;

    /// <summary>Why the last text ended; null as long as it goes on, or when its reader went away.</summary>
    public FinishReason? Finish { get; private set; }

    /// <summary>Yields a prompt's continuation part by part, no part empty.</summary>
    /// <param name="prompt">The text to continue, or its ids, at least one; not part of the result.</param>
    /// <param name="options">How to draw and when to end.</param>
    /// <param name="cancel">Ends the text, also while the prompt is read.</param>
    /// <exception cref="TokenException">The prompt is empty, or holds something that has no id or none of the model's.</exception>
    /// <exception cref="InvalidSettingException">An option is out of range.</exception>
    /// <exception cref="OperationCanceledException">Cancelled; thrown by the enumeration, after the text so far.</exception>
    public IEnumerable<string> Generate(string prompt, GenerationOptions options, CancellationToken cancel = default) =>
        Generate(Encode(prompt), options, cancel);

    /// <inheritdoc cref="Generate(string, GenerationOptions, CancellationToken)"/>
    public IEnumerable<string> Generate(IReadOnlyList<int> prompt, GenerationOptions options, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        return Stream(_generator.Generate(prompt, options with { StopStrings = [] }, _meaning, cancel), [.. options.StopStrings]);
    }

    /// <summary>The same, each token computed on a thread of the pool.</summary>
    /// <inheritdoc cref="Generate(string, GenerationOptions, CancellationToken)"/>
    public IAsyncEnumerable<string> GenerateAsync(string prompt, GenerationOptions options, CancellationToken cancel = default) =>
        GenerateAsync(Encode(prompt), options, cancel);

    /// <inheritdoc cref="GenerateAsync(string, GenerationOptions, CancellationToken)"/>
    public IAsyncEnumerable<string> GenerateAsync(IReadOnlyList<int> prompt, GenerationOptions options, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        return StreamAsync(_generator.GenerateAsync(prompt, options with { StopStrings = [] }, _meaning, cancel), [.. options.StopStrings]);
    }

    private int[] Encode(string prompt)
    {
        ArgumentNullException.ThrowIfNull(prompt);
        return _tokenizer.EncodeFor(prompt, _generator.Model.Config.Vocabulary);
    }

    private IEnumerable<string> Stream(IEnumerable<int> tokens, IReadOnlyList<string> stops)
    {
        Parts parts = new(this, stops);
        using IEnumerator<int> drawn = tokens.GetEnumerator();
        while (parts.Next(drawn.MoveNext))
        {
            if (parts.Push(drawn.Current) is { Length: > 0 } part) yield return part;
        }

        if (parts.End() is { Length: > 0 } rest) yield return rest;
        parts.Rethrow();
    }

    private async IAsyncEnumerable<string> StreamAsync(IAsyncEnumerable<int> tokens, IReadOnlyList<string> stops,
        [EnumeratorCancellation] CancellationToken cancel = default)
    {
        Parts parts = new(this, stops);
        await using ConfiguredCancelableAsyncEnumerable<int>.Enumerator drawn = tokens.WithCancellation(cancel).ConfigureAwait(false).GetAsyncEnumerator();
        while (await parts.NextAsync(drawn).ConfigureAwait(false))
        {
            if (parts.Push(drawn.Current) is { Length: > 0 } part) yield return part;
        }

        if (parts.End() is { Length: > 0 } rest) yield return rest;
        parts.Rethrow();
    }

    // A text on its way: from tokens to characters to what is before a stop string.
    private sealed class Parts
    {
        private readonly TextGenerator _owner;
        private readonly StopMatcher _stops;
        private readonly StreamingDecoder _decoder;
        private OperationCanceledException? _cancelled;

        public Parts(TextGenerator owner, IReadOnlyList<string> stops)
        {
            (_owner, _stops, _decoder) = (owner, new StopMatcher(stops), new StreamingDecoder(owner._tokenizer));
            (owner._tokens, owner.Finish) = ([], null);
        }

        // What is held back is given before the cancellation is reported, so that is kept here.
        public bool Next(Func<bool> move)
        {
            try
            {
                return !_stops.Found && move();
            }
            catch (OperationCanceledException error)
            {
                _cancelled = error;
                return false;
            }
        }

        public async ValueTask<bool> NextAsync(ConfiguredCancelableAsyncEnumerable<int>.Enumerator drawn)
        {
            try
            {
                return !_stops.Found && await drawn.MoveNextAsync();
            }
            catch (OperationCanceledException error)
            {
                _cancelled = error;
                return false;
            }
        }

        public string Push(int token)
        {
            _owner._tokens.Add(token);
            return _stops.Push(_decoder.Push(token));
        }

        public string End()
        {
            string rest = _stops.Push(_decoder.Flush()) + _stops.Flush();
            _owner.Finish = _stops.Found ? FinishReason.StopString : _owner._generator.Finish;
            return rest;
        }

        public void Rethrow()
        {
            if (_cancelled is not null) throw new OperationCanceledException(_cancelled.Message, _cancelled, _cancelled.CancellationToken);
        }
    }
}
