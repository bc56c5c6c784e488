using System.Numerics;
using RbeMl.Kernels;
using RbeMl.Layers;
using RbeMl.Memory;
using RbeMl.Numerics;

namespace RbeMl.Models;

/// <summary>
/// What goes into the first block: the row of a token plus that of its position, with dropout. Letters: N tokens, D width, Dp the same in
/// whole tiles.
/// </summary>
/// <typeparam name="T">Element type.</typeparam>
internal sealed unsafe class Embedding<T>
    where T : unmanaged, IFloatingPointIeee754<T>
{
    private readonly ParameterVector<T> _parameters;
    private readonly ParameterSlice _positions;
    private readonly float _dropout;
    private readonly int _width;
    private readonly int _paddedWidth;

    /// <summary>Adds both tables to the parameters of a model.</summary>
    public Embedding(ParameterVector<T> parameters, TransformerWeights weights, int paddedWidth)
    {
        TransformerConfig config = weights.Config;
        _parameters = parameters;
        (_width, _paddedWidth, _dropout) = (config.Width, paddedWidth, config.EmbeddingDropout ?? config.Dropout);
        Tokens = TokenTable<T>.Create(parameters, "embedding.tokens", weights.TokenEmbedding, config.Vocabulary, config.Width);
        _positions = parameters.Add("embedding.positions", ParameterKind.Embedding, weights.PositionEmbedding);
    }

    /// <summary>The rows of the tokens.</summary>
    public TokenTable<T> Tokens { get; }

    /// <summary>The rows of the positions now, [max T, D].</summary>
    public float[] Positions => _parameters.ToFloats(_positions);

    /// <summary>
    /// x [N, Dp] = the rows of tokens, of sequences of a length after <paramref name="past"/> tokens, or at the positions of the options.
    /// </summary>
    /// <exception cref="NonFiniteException">They add up to what is not finite.</exception>
    public void Forward(ReadOnlySpan<int> tokens, int length, int past, Panel<T> x, Workspace<T> workspace, ForwardOptions<T>? options)
    {
        x.Reshape(tokens.Length, _width, _paddedWidth);
        workspace.EnsureScratch(Tokens.ScratchElements);
        fixed (int* ids = tokens)
        {
            ForwardWork work = new(this, ids, x, length, past, options, workspace);
            workspace.Workers.For(x.Chunks, ref work);
        }

        // Embeddings do only where they are damaged.
        NonFiniteException? error = NonFinite.Find("embedding", x, "its output is", NonFinite.Mend);
        if (error is not null) throw error;
    }

    /// <summary>The gradient of the rows from that of the first block's input, in place.</summary>
    public void DropGradient(Panel<T> dx, ForwardOptions<T> options, int length, Workspace<T> workspace)
    {
        if (options.Dropout is not { } dropout || _dropout <= 0) return;
        DropWork work = new(this, dropout, dx, (long)options.FirstSequence * length);
        workspace.Workers.For(dx.Chunks, ref work);
    }

    /// <summary>Adds the gradients of both tables; null for the positions of whole sequences.</summary>
    public void AddGradients(ReadOnlySpan<int> tokens, int* positions, Panel<T> dx, int length, Workspace<T> workspace, ParameterVector<T> gradients)
    {
        long started = StepProfile.Now(workspace.Profile);
        workspace.EnsureScratch(Tokens.ScratchElements);
        fixed (int* ids = tokens)
        {
            GradientWork work = new(this, ids, positions, tokens.Length, dx, length, gradients, workspace);
            workspace.Workers.For(Tokens.GradientItems, ref work);
        }

        workspace.Profile?.Lap(ProfileStage.EmbeddingGradients, started);
    }

    private void ForwardChunk(int* ids, Panel<T> x, int chunk, int length, int past, ForwardOptions<T>? options, ScratchArea<T> scratch)
    {
        int first = chunk * x.Lanes, lanes = x.TokensIn(chunk);
        T* block = x.Chunk(chunk);
        Tokens.LookupChunk(new ReadOnlySpan<int>(ids + first, lanes), lanes, block, _paddedWidth, x.Lanes, scratch);
        T* positions = _parameters.At(_positions);
        int* places = options is null ? null : options.Positions;
        for (int lane = 0; lane < lanes; lane++)
        {
            T* row = positions + ((long)(places == null ? past + ((first + lane) % length) : places[first + lane]) * _width);
            for (int f = 0; f < _width; f++) block[((long)f * x.Lanes) + lane] += row[f];
        }

        if (options?.Dropout is { } dropout && _dropout > 0) Drop(dropout, x, chunk, (long)options.FirstSequence * length);
    }

    private void Drop(DropoutStep stream, Panel<T> x, int chunk, long firstToken) =>
        DropoutKernel.Apply(stream.Key(0, DropoutSite.Embedding), _dropout, x.Chunk(chunk), 0, _width, firstToken + ((long)chunk * x.Lanes), x.Lanes);

    // Items are the token table's; each also takes its share of the features of the positions.
    private void GradientItem(int item, int* ids, int* places, int count, Panel<T> dx, int length, ParameterVector<T> gradients, ScratchArea<T> scratch)
    {
        Tokens.LookupGradientItem(item, new ReadOnlySpan<int>(ids, count), dx, gradients, scratch);
        if (!gradients.Holds(_positions)) return;
        T* g = gradients.At(_positions);
        int items = Tokens.GradientItems, d = _width;
        int first = (int)((long)d * item / items), last = (int)((long)d * (item + 1) / items);
        for (int t = 0; t < count && first < last; t++)
        {
            T* lane = dx.Chunk(t / dx.Lanes) + (t % dx.Lanes);
            T* row = g + ((long)(places == null ? t % length : places[t]) * d);
            for (int f = first; f < last; f++) row[f] += lane[(long)f * dx.Lanes];
        }
    }

    private readonly struct ForwardWork(Embedding<T> embedding, int* ids, Panel<T> x, int length, int past, ForwardOptions<T>? options,
        Workspace<T> workspace) : IParallelWork
    {
        public void Execute(int item, int worker) => embedding.ForwardChunk(ids, x, item, length, past, options, workspace.Scratch(worker));
    }

    private readonly struct DropWork(Embedding<T> embedding, DropoutStep stream, Panel<T> x, long firstToken) : IParallelWork
    {
        public void Execute(int item, int worker) => embedding.Drop(stream, x, item, firstToken);
    }

    private readonly struct GradientWork(Embedding<T> embedding, int* ids, int* places, int count, Panel<T> dx, int length, ParameterVector<T> gradients,
        Workspace<T> workspace) : IParallelWork
    {
        public void Execute(int item, int worker) => embedding.GradientItem(item, ids, places, count, dx, length, gradients, workspace.Scratch(worker));
    }
}
