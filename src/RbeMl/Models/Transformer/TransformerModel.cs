using System.Numerics;
using RbeMl.Codec;
using RbeMl.Kernels;
using RbeMl.Layers;
using RbeMl.Memory;

namespace RbeMl.Models;

/// <summary>
/// A GPT-2 or a BERT: token and learned position embeddings, L compressed blocks, a final LayerNorm, and a head that is tied to the token embedding
/// or has weights of its own, which an encoder never asks. All trainable values are in <see cref="Parameters"/>. Letters: B sequences,
/// T tokens, D width, V vocabulary.
/// </summary>
/// <typeparam name="T">float at run time, double in gradient checks.</typeparam>
public sealed unsafe partial class TransformerModel<T> : IDisposable
    where T : unmanaged, IFloatingPointIeee754<T>
{
    private readonly Embedding<T> _embedding;

    /// <summary>Builds a model from weights.</summary>
    /// <exception cref="ShapeMismatchException">A weight does not fit the configuration.</exception>
    /// <exception cref="NonFiniteException">A weight is NaN or infinite.</exception>
    public TransformerModel(TransformerWeights weights)
    {
        ArgumentNullException.ThrowIfNull(weights);
        weights.Check();
        Config = weights.Config;
        (Tokens, Encoder, TokenTypes) = (weights.Tokens, weights.Encoder, weights.TokenTypes);
        Parameters = new ParameterVector<T>();
        _embedding = new Embedding<T>(Parameters, weights, weights.PaddedWidth);
        Blocks = [.. weights.Blocks.Select((b, l) => new RbeTransformerBlock<T>(Parameters, $"blocks.{l}", Config, b, l))];
        LayerNorm<T> norm = new(Parameters, "final", Config, weights.FinalGamma, weights.FinalBeta, weights.Norms);
        TokenTable<T> table = weights.Head is null ? _embedding.Tokens : TokenTable<T>.Create(Parameters, "head", weights.Head, Config.Vocabulary, Width);
        Head = new LanguageModelHead<T>(table, new FinalNorm<T>(norm, weights.PaddedWidth));
        try
        {
            Parameters.Freeze();
        }
        catch
        {
            Parameters.Dispose(); // values that are read only now may be damaged
            throw;
        }
    }

    /// <summary>Shapes.</summary>
    public TransformerConfig Config { get; }

    /// <summary>Which ids end a text, and which stand for nothing: what generation needs. All copies of the model keep it.</summary>
    public ModelTokens Tokens { get; }

    /// <summary>How an encoder makes a vector of a text; null for a language model. All copies of the model keep it.</summary>
    public EncoderSettings? Encoder { get; }

    /// <summary>[types, D] of an encoder's token types, see <see cref="TransformerWeights.TokenTypes"/>; null where there are none.</summary>
    public float[]? TokenTypes { get; }

    /// <summary>All trainable values.</summary>
    public ParameterVector<T> Parameters { get; }

    /// <summary>The blocks.</summary>
    public IReadOnlyList<RbeTransformerBlock<T>> Blocks { get; }

    internal LanguageModelHead<T> Head { get; }

    private int Width => Config.Width;

    /// <summary>D in whole tiles.</summary>
    internal int PaddedWidth => Head.Norm.PaddedWidth;

    /// <summary>The compressed matrices with their names: those of the blocks, and a compressed table's.</summary>
    public IEnumerable<(string Name, RbeMatrix Matrix)> Matrices => Blocks.SelectMany(b => b.Linears).Select(l => (l.Name, l.ToMatrix()))
        .Concat(Tables().Where(t => t.Table.IsCompressed).Select(t => (t.Name, t.Table.ToWeights().Compressed!)));

    /// <summary>
    /// Bytes of the weights in memory: values, places and the walk orders that the kernels make of them, quantised bases with their
    /// outliers, tables, and the copies of <see cref="ToInference"/>. Codes that lie in a mapped file are counted as if they were read.
    /// </summary>
    public long WeightBytes => Parameters.AllocatedBytes + Head.Norm.Layer.NativeBytes + Blocks.Sum(b => b.FixedBytes) + Tables().Sum(t => t.Table.FixedBytes);

    /// <summary>Those in native memory: what <see cref="MemoryCounter"/> counts of a model.</summary>
    public long NativeBytes =>
        Parameters.AllocatedBytes + Head.Norm.Layer.NativeBytes + Blocks.Sum(b => b.NativeBytes) + Tables().Sum(t => t.Table.NativeBytes);

    /// <summary>An untrained model; see <see cref="TransformerWeights.CreateRandom"/>.</summary>
    public static TransformerModel<T> Create(TransformerConfig config, RbeOptions options, ulong seed, RbeOptions? tables = null) =>
        new(TransformerWeights.CreateRandom(config, options, seed, tables));

    /// <summary>The weights with the current values of the parameters.</summary>
    public TransformerWeights GetWeights() => Weights(table => table.ToWeights());

    private TransformerWeights Weights(Func<TokenTable<T>, TableWeights> values) => new()
    {
        Config = Config,
        TokenEmbedding = values(_embedding.Tokens),
        PositionEmbedding = _embedding.Positions,
        Blocks = [.. Blocks.Select(b => b.GetCompressedWeights())],
        FinalGamma = Head.Norm.Layer.Gamma.ToFloats(),
        FinalBeta = Head.Norm.Layer.Beta.ToFloats(),
        Head = Config.TiedHead ? null : values(Head.Table),
        Tokens = Tokens,
        Encoder = Encoder,
        TokenTypes = TokenTypes,
    };

    /// <summary>
    /// A copy with the current values of the parameters for generation: sparse coefficients, in runs of sixteen or free places, lie once
    /// more in the order and precision that it reads fastest. It gives the logits of this model, of rounded coefficients if asked to; it
    /// cannot be trained. Tables stay as they are.
    /// </summary>
    /// <param name="precision">Of the blocks' sparse coefficients and trellis codes.</param>
    /// <param name="activations">Of the inputs of the blocks' products with frozen codes, when there is more than a single new token a sequence.</param>
    /// <exception cref="InvalidSettingException">Int8 activations where no weights are codes, or of elements other than float.</exception>
    public TransformerModel<T> ToInference(WeightPrecision precision = WeightPrecision.Float32, ActivationPrecision activations = ActivationPrecision.Float32)
    {
        TransformerWeights weights = Weights(table => table.ToCopy());
        RbeTransformerBlock<T>.RequireCodes(activations, weights.Blocks);
        TransformerModel<T> copy = new(weights with { Blocks = [.. weights.Blocks.Select(block => block.Rounded(precision))] });
        foreach (RbeTransformerBlock<T> block in copy.Blocks) block.PackForInference(precision, activations);
        return copy;
    }

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
        Head.Logits(x, workspace, logits);
        return logits;
    }

    /// <summary>Logits of the last token of every sequence, [B, V] row-major into <paramref name="logits"/>: what generation needs.</summary>
    /// <exception cref="OperationCanceledException">Cancelled between two blocks; the cache holds what it held.</exception>
    /// <inheritdoc cref="Logits"/>
    public void LastLogits(
        ReadOnlySpan<int> tokens, int batch, int length, Workspace<T> workspace, KvCache<T>? cache, Span<T> logits, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(workspace);
        if (!Shape.Holds(logits.Length, batch, Config.Vocabulary))
        {
            throw Shape.Mismatch("logits", logits.Length, "Pass room for one row a sequence.", batch, Config.Vocabulary);
        }

        using Hold weights = Parameters.Lease.Share(), scratch = workspace.Lease.Claim(), past = Claim(cache);
        if (cache is not null && Blocks[0].DecodesVectors(batch, length, cache.Options(0)))
        {
            DecodeLogits(tokens, batch, workspace, cache, logits);
            return;
        }

        Panel<T> x = Hidden(tokens, batch, length, workspace, cache, cancel);
        Panel<T> last = workspace.Panel("model.last").Reshape(batch, Width, PaddedWidth, clear: true);
        last.Clear();
        for (int b = 0; b < batch; b++)
        {
            for (int f = 0; f < Width; f++) last[b, f] = x[(b * length) + length - 1, f];
        }

        Head.Logits(last, workspace, logits);
    }

    /// <summary>
    /// Pooled hidden states of sequences of different lengths. Sequences are sorted by length, padded at the end to the longest of about one length and
    /// computed in batches; padding reaches no token, and pooling leaves it out. A row is the same, bit for bit, whatever other sequences are
    /// in the call, in whatever order, and for any number of threads.
    /// </summary>
    /// <param name="tokens">Ids of all sequences, one after the other.</param>
    /// <param name="lengths">[B] tokens of each, at least 1.</param>
    /// <param name="options">Layer and pooling.</param>
    /// <param name="workspace">Threads and scratch.</param>
    /// <param name="output">[B, D] row-major, written.</param>
    /// <exception cref="TokenException">A sequence is empty or longer than the model's positions, or an id is outside the vocabulary.</exception>
    /// <exception cref="ShapeMismatchException">The lengths do not add up to the tokens, or the output is not [B, D].</exception>
    /// <exception cref="InvalidSettingException">An option is out of range.</exception>
    /// <exception cref="NonFiniteException">A feature is NaN or infinite.</exception>
    /// <exception cref="ConcurrentUseException">The workspace is in use by another call.</exception>
    public void Features(ReadOnlySpan<int> tokens, ReadOnlySpan<int> lengths, FeatureOptions options, Workspace<T> workspace, Span<T> output)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(workspace);
        using Hold weights = Parameters.Lease.Share(), scratch = workspace.Lease.Claim();
        PooledRows(tokens, lengths, options, workspace, output);
    }

    // The caller holds what the call uses.
    internal void PooledRows(ReadOnlySpan<int> tokens, ReadOnlySpan<int> lengths, FeatureOptions options, Workspace<T> workspace, Span<T> output)
    {
        int layer = options.Resolve(Blocks.Count);
        if (layer < Blocks.Count && Config.Order == BlockOrder.PostNorm)
        {
            throw new InvalidSettingException(nameof(options.Layer), layer,
                $"of a post-LN model only what the last of its {Blocks.Count} layers gives is normalised here. Leave it out.");
        }

        using RaggedBatches batches = new(tokens, lengths, Config, options.PassTokens);
        if (!Shape.Holds(output.Length, lengths.Length, Width))
        {
            throw Shape.Mismatch("features", output.Length, "Pass room for one row a sequence.", lengths.Length, Width);
        }

        fixed (T* rows = output)
        fixed (int* sizes = batches.Lengths)
        {
            while (batches.MoveNext())
            {
                ForwardOptions<T>? padding = Config.Causal ? null : workspace.Padding.Options(batches.Sizes, batches.Length);
                Panel<T> x = Hidden(batches.Tokens, batches.Count, batches.Length, workspace, blocks: layer, options: padding);
                if (layer == Blocks.Count)
                {
                    NormalizeWork normalize = new(Head.Norm, x, Head.Prepare(workspace), workspace);
                    workspace.Workers.For(x.Chunks, ref normalize);
                }

                PoolWork work = new(x, batches.Length, options.Pooling, batches.Order, sizes, rows);
                workspace.Workers.For(batches.Count, ref work);
            }
        }

        for (int i = 0; i < output.Length; i++)
        {
            if (!T.IsFinite(output[i]))
            {
                throw new NonFiniteException($"features of layer {layer}",
                    $"{output[i]} at sequence {i / Width}, feature {i % Width}. The model's weights are damaged or its training "
                    + $"diverged. Go back to an earlier file of it.");
            }
        }
    }

    /// <summary>
    /// The residual stream after the first so many blocks, all unless given, before the final LayerNorm: a panel of the workspace, valid
    /// until its next use. The caller holds what the call uses.
    /// </summary>
    /// <exception cref="NonFiniteException">A layer made a NaN or infinity; it is named, and the cache is as before.</exception>
    internal Panel<T> Hidden(
        ReadOnlySpan<int> tokens, int batch, int length, Workspace<T> workspace, KvCache<T>? cache = null, CancellationToken cancel = default,
        int? blocks = null, ForwardOptions<T>? options = null)
    {
        int past = cache?.Length ?? 0;
        tokens = workspace.Own(tokens);
        CheckTokens(tokens, batch, length, past);
        cache?.Check(this, batch, length);
        Panel<T> x = workspace.Panel("model.a"), y = workspace.Panel("model.b");
        _embedding.Forward(tokens, length, past, x, workspace, options);
        try
        {
            for (int l = 0; l < (blocks ?? Blocks.Count); l++, (x, y) = (y, x))
            {
                cancel.ThrowIfCancellationRequested();
                y.Reshape(batch * length, Width, PaddedWidth);
                Blocks[l].Forward(x, y, batch, length, cache?.Options(l) ?? options, null, workspace);
            }
        }
        catch
        {
            cache?.Truncate(past); // the layers before have taken the tokens already
            throw;
        }

        return x;
    }

    // One new token each of a few sequences as vectors, from the embedding to the logits.
    private void DecodeLogits(ReadOnlySpan<int> tokens, int batch, Workspace<T> workspace, KvCache<T> cache, Span<T> logits)
    {
        int past = cache.Length;
        tokens = workspace.Own(tokens);
        CheckTokens(tokens, batch, 1, past);
        cache.Check(this, batch, 1);
        Panel<T> embedded = workspace.Panel("model.a");
        _embedding.Forward(tokens, 1, past, embedded, workspace, null);

        // A narrow panel of one token is 16 Dp elements: two vectors for each of at most four sequences, then gamma and beta.
        long size = (long)batch * PaddedWidth;
        T* x = workspace.Panel("model.vectors").Reshape(1, PaddedWidth, PaddedWidth).Pointer, y = x + size, vectors = y + size;
        for (int b = 0; b < batch; b++)
        {
            for (int f = 0; f < PaddedWidth; f++) x[((long)b * PaddedWidth) + f] = embedded.Pointer[((long)f * embedded.Lanes) + b];
        }

        try
        {
            for (int l = 0; l < Blocks.Count; l++)
            {
                Blocks[l].Decode(x, y, batch, cache[l], workspace);
                T* next = y;
                y = x;
                x = next;
            }
        }
        catch
        {
            cache.Truncate(past); // the layers before have taken the token already
            throw;
        }

        Head.VectorLogits(x, batch, vectors, workspace, logits);
    }

    /// <summary>Frees the parameters and what the layers hold, after the calls that are using them.</summary>
    public void Dispose() => Parameters.Dispose();

    private static Hold Claim(KvCache<T>? cache) => cache is null ? default : cache.Lease.Claim();

    private IEnumerable<(string Name, TokenTable<T> Table)> Tables() => Config.TiedHead
        ? [("embedding.tokens", _embedding.Tokens)]
        : [("embedding.tokens", _embedding.Tokens), ("head", Head.Table)];

    internal void CheckTokens(ReadOnlySpan<int> tokens, int batch, int length, int past)
    {
        if (!Shape.Holds(tokens.Length, batch, length)) throw Shape.Mismatch("tokens", tokens.Length, "Pass batch x length ids.", batch, length);
        if ((long)past + length > Config.MaxSequenceLength)
        {
            throw new TokenException(
                $"{past} past and {length} new tokens are more than the model's {Amount.Of(Config.MaxSequenceLength, "position")}. Shorten the input "
                    + $"or build the model with a larger MaxSequenceLength.");
        }

        for (int i = 0; i < tokens.Length; i++)
        {
            if ((uint)tokens[i] >= (uint)Config.Vocabulary)
            {
                throw new TokenException(
                    $"token id {tokens[i]} at sequence {i / length}, position {i % length} is outside the vocabulary 0 .. {Config.Vocabulary - 1}. Use "
                        + $"the model's own tokenizer.");
            }
        }
    }

    private readonly struct NormalizeWork(FinalNorm<T> norm, Panel<T> x, T* vectors, Workspace<T> workspace) : IParallelWork
    {
        public void Execute(int item, int worker) => norm.Forward(x, item, vectors, x.Chunk(item), workspace.Scratch(worker).Take(2L * x.Lanes));
    }

    private readonly struct PoolWork(Panel<T> x, int length, Pooling pooling, ReadOnlyMemory<long> order, int* lengths, T* rows) : IParallelWork
    {
        public void Execute(int item, int worker)
        {
            int row = RaggedBatches.RowOf(order.Span[item]);
            SequencePooling.Forward(x, item * length, lengths[row], pooling, rows + ((long)row * x.Features), null);
        }
    }
}
