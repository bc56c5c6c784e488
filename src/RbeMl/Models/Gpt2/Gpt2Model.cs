using System.Numerics;
using RbeMl.Codec;
using RbeMl.Layers;
using RbeMl.Memory;
using RbeMl.Numerics;

namespace RbeMl.Models;

/// <summary>
/// GPT-2: token and learned position embeddings, L compressed blocks, a final LayerNorm, and a head that is tied to the token embedding or has weights
/// of its own. All trainable values are in <see cref="Parameters"/>. Letters: B sequences, T tokens, D width, V vocabulary.
/// </summary>
/// <typeparam name="T">float at run time, double in gradient checks.</typeparam>
public sealed unsafe partial class Gpt2Model<T> : IDisposable
    where T : unmanaged, IFloatingPointIeee754<T>
{
    private readonly TokenTable<T> _tokens;
    private readonly TokenTable<T> _head;
    private readonly ParameterSlice _positions;
    private readonly LayerNorm<T> _finalNorm;

    /// <summary>Builds a model from weights.</summary>
    /// <exception cref="ShapeMismatchException">A weight does not fit the configuration.</exception>
    /// <exception cref="NonFiniteException">A weight is NaN or infinite.</exception>
    public Gpt2Model(Gpt2Weights weights)
    {
        ArgumentNullException.ThrowIfNull(weights);
        Config = weights.Config.Validate();
        Tokens = weights.Tokens;
        Tokens.Check(Config.Vocabulary);
        int v = Config.Vocabulary, d = Config.Width;
        Parameters = new ParameterVector<T>();
        Check("blocks", Config.Layers, weights.Blocks.Count, "Give one BlockWeights a layer.");
        Check("position embedding", checked(Config.MaxSequenceLength * d), weights.PositionEmbedding.Length, "Give one row of Width a position.");
        Check("final LayerNorm", d, weights.FinalGamma.Length, "Give one value a feature.");
        if (Config.TiedHead != weights.Head is null)
        {
            throw new InvalidSettingException(nameof(Config.TiedHead), Config.TiedHead, "give head weights exactly when the head is not tied.");
        }

        _tokens = TokenTable<T>.Create(Parameters, "embedding.tokens", weights.TokenEmbedding, v, d);
        _positions = Parameters.Add("embedding.positions", ParameterKind.Embedding, weights.PositionEmbedding);
        Blocks = [.. weights.Blocks.Select((b, l) => new RbeTransformerBlock<T>(Parameters, $"blocks.{l}", Config, b, l))];
        _finalNorm = new LayerNorm<T>(Parameters, "final", Config.LayerNorm, weights.FinalGamma, weights.FinalBeta, Config.LayerNormEpsilon);
        _head = weights.Head is null ? _tokens : TokenTable<T>.Create(Parameters, "head", weights.Head, v, d);
        foreach (TokenTable<T> table in (TokenTable<T>[])[_tokens, _head])
        {
            if (table.PaddedWidth > PaddedWidth)
            {
                throw new ShapeMismatchException("embedding", $"tiles that pad {d} features to at most {PaddedWidth}, as the blocks' do", $"{table.PaddedWidth}", "Compress the embedding with the blocks' tile size.");
            }
        }

        Parameters.Freeze();

        static void Check(string what, int expected, int actual, string mend)
        {
            if (expected != actual) throw new ShapeMismatchException(what, $"{expected}", $"{actual}", mend);
        }
    }

    /// <summary>Shapes.</summary>
    public TransformerConfig Config { get; }

    /// <summary>Which ids end a text, and which stand for nothing: what generation needs. All copies of the model keep it.</summary>
    public ModelTokens Tokens { get; }

    /// <summary>All trainable values.</summary>
    public ParameterVector<T> Parameters { get; }

    /// <summary>The blocks.</summary>
    public IReadOnlyList<RbeTransformerBlock<T>> Blocks { get; }

    internal TableWeights TokenEmbeddingWeights => _tokens.ToWeights();

    internal TableWeights HeadWeights => _head.ToWeights();

    internal float[] PositionEmbeddingValues => Parameters.ToFloats(_positions);

    internal LayerNorm<T> FinalNorm => _finalNorm;

    private int Width => Config.Width;

    private int PaddedWidth => Blocks[0].PaddedWidth;

    /// <summary>The compressed matrices with their names: those of the blocks, and a compressed table's.</summary>
    public IEnumerable<(string Name, RbeMatrix Matrix)> Matrices => Blocks.SelectMany(b => b.Linears).Select(l => (l.Name, l.ToMatrix()))
        .Concat(Tables().Where(t => t.Table.IsCompressed).Select(t => (t.Name, t.Table.ToWeights().Compressed!)));

    /// <summary>An untrained model; see <see cref="Gpt2Weights.CreateRandom"/>.</summary>
    public static Gpt2Model<T> Create(TransformerConfig config, RbeOptions options, ulong seed, RbeOptions? tables = null) => new(Gpt2Weights.CreateRandom(config, options, seed, tables));

    /// <summary>The weights with the current values of the parameters.</summary>
    public Gpt2Weights GetWeights() => new()
    {
        Config = Config,
        TokenEmbedding = _tokens.ToWeights(),
        PositionEmbedding = Parameters.ToFloats(_positions),
        Blocks = [.. Blocks.Select(b => b.GetCompressedWeights())],
        FinalGamma = _finalNorm.Gamma.ToFloats(),
        FinalBeta = _finalNorm.Beta.ToFloats(),
        Head = Config.TiedHead ? null : _head.ToWeights(),
        Tokens = Tokens,
    };

    /// <summary>Logits of every token.</summary>
    /// <param name="tokens">[B, T] ids.</param>
    /// <param name="batch">B.</param>
    /// <param name="length">T.</param>
    /// <param name="workspace">Threads and scratch.</param>
    /// <param name="cache">Past keys and values, appended to; null for none.</param>
    /// <returns>[B, T, V] row-major.</returns>
    /// <exception cref="TokenException">An id is outside the vocabulary, or the sequence is too long.</exception>
    /// <exception cref="ShapeMismatchException">A shape does not fit, or the cache holds tokens of another model.</exception>
    /// <exception cref="NonFiniteException">A logit is NaN or infinite.</exception>
    /// <exception cref="ConcurrentUseException">Workspace or cache is in use by another call.</exception>
    public T[] Logits(ReadOnlySpan<int> tokens, int batch, int length, Workspace<T> workspace, KvCache<T>? cache = null)
    {
        ArgumentNullException.ThrowIfNull(workspace);
        using Hold weights = Parameters.Lease.Share(), scratch = workspace.Lease.Claim(), past = Claim(cache);
        Panel<T> x = Hidden(tokens, batch, length, workspace, cache);
        T[] logits = new T[checked((long)tokens.Length * Config.Vocabulary)];
        HeadLogits(x, workspace, logits);
        RequireFiniteLogits(logits, Config.Vocabulary);
        return logits;
    }

    /// <summary>Logits of the last token of every sequence, [B, V] row-major into <paramref name="logits"/>: what generation needs.</summary>
    /// <exception cref="OperationCanceledException">Cancelled between two blocks; the cache holds what it held.</exception>
    /// <inheritdoc cref="Logits"/>
    public void LastLogits(
        ReadOnlySpan<int> tokens, int batch, int length, Workspace<T> workspace, KvCache<T>? cache, Span<T> logits, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(workspace);
        if (!Shape.Holds(logits.Length, batch, Config.Vocabulary)) throw Shape.Mismatch("logits", logits.Length, "Pass room for one row a sequence.", batch, Config.Vocabulary);
        using Hold weights = Parameters.Lease.Share(), scratch = workspace.Lease.Claim(), past = Claim(cache);
        if (cache is not null && Blocks[0].DecodesVectors(batch, length, cache.Options(0)))
        {
            DecodeLogits(tokens, batch, workspace, cache, logits);
            return;
        }

        Panel<T> x = HiddenAfter(tokens, batch, length, workspace, cache, Blocks.Count, cancel);
        Panel<T> last = workspace.Panel("model.last").Reshape(batch, Width, PaddedWidth, clear: true);
        last.Clear();
        for (int b = 0; b < batch; b++)
        {
            for (int f = 0; f < Width; f++) last[b, f] = x[(b * length) + length - 1, f];
        }

        HeadLogits(last, workspace, logits);
        RequireFiniteLogits(logits, Config.Vocabulary);
    }

    /// <summary>The residual stream after the last block, before the final LayerNorm: a panel of the workspace, valid until its next use. The caller holds what the call uses.</summary>
    /// <exception cref="NonFiniteException">A layer made a NaN or infinity; it is named, and the cache is as before.</exception>
    internal Panel<T> Hidden(ReadOnlySpan<int> tokens, int batch, int length, Workspace<T> workspace, KvCache<T>? cache = null, CancellationToken cancel = default) =>
        HiddenAfter(tokens, batch, length, workspace, cache, Blocks.Count, cancel);

    // The same after the first so many blocks.
    private Panel<T> HiddenAfter(
        ReadOnlySpan<int> tokens, int batch, int length, Workspace<T> workspace, KvCache<T>? cache, int blocks, CancellationToken cancel = default)
    {
        int past = cache?.Length ?? 0;
        tokens = workspace.Own(tokens);
        CheckTokens(tokens, batch, length, past);
        cache?.Check(this, batch, length);
        Panel<T> x = workspace.Panel("model.a"), y = workspace.Panel("model.b");
        Embed(tokens, length, past, x, workspace, null);
        RequireFiniteEmbedding(x);
        try
        {
            for (int l = 0; l < blocks; l++, (x, y) = (y, x))
            {
                cancel.ThrowIfCancellationRequested();
                y.Reshape(batch * length, Width, PaddedWidth);
                Blocks[l].Forward(x, y, batch, length, cache?.Options(l), null, workspace);
            }
        }
        catch
        {
            cache?.Truncate(past); // the layers before have taken the tokens already
            throw;
        }

        return x;
    }

    private static void RequireFiniteLogits(ReadOnlySpan<T> logits, int vocabulary)
    {
        fixed (T* values = logits)
        {
            if (FiniteSearch.AllFinite(values, logits.Length)) return;
        }

        for (int i = 0; i < logits.Length; i++)
        {
            if (!T.IsFinite(logits[i])) throw new NonFiniteException("head", FormattableString.Invariant($"logit {logits[i]} of token {i / vocabulary}, id {i % vocabulary}. The model's weights are damaged or its training diverged. Go back to an earlier file of it."));
        }
    }

    /// <summary>Frees the parameters and what the layers hold, after the calls that are using them.</summary>
    public void Dispose() => Parameters.Dispose();

    private static Hold Claim(KvCache<T>? cache) => cache is null ? default : cache.Lease.Claim();

    private float EmbeddingDropout => Config.EmbeddingDropout ?? Config.Dropout;

    private IEnumerable<(string Name, TokenTable<T> Table)> Tables() => Config.TiedHead
        ? [("embedding.tokens", _tokens)]
        : [("embedding.tokens", _tokens), ("head", _head)];

    private void CheckTokens(ReadOnlySpan<int> tokens, int batch, int length, int past)
    {
        if (!Shape.Holds(tokens.Length, batch, length)) throw Shape.Mismatch("tokens", tokens.Length, "Pass batch x length ids.", batch, length);
        if ((long)past + length > Config.MaxSequenceLength)
        {
            throw new TokenException($"{past} past and {length} new tokens are more than the model's {Amount.Of(Config.MaxSequenceLength, "position")}. Shorten the input or build the model with a larger MaxSequenceLength.");
        }

        for (int i = 0; i < tokens.Length; i++)
        {
            if ((uint)tokens[i] >= (uint)Config.Vocabulary)
            {
                throw new TokenException($"token id {tokens[i]} at sequence {i / length}, position {i % length} is outside the vocabulary 0 .. {Config.Vocabulary - 1}. Use the model's own tokenizer.");
            }
        }
    }
}
