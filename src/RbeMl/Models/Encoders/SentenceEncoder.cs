using System.Runtime.InteropServices;
using RbeMl.Kernels;
using RbeMl.Layers;
using RbeMl.Text;

namespace RbeMl.Models;

/// <summary>
/// Texts as vectors whose dot product says how near they are in meaning, by a pretrained encoder. Calls of many threads may run at once. A text has the same
/// vector, bit for bit, alone and among others, and for any number of threads.
/// </summary>
public sealed class SentenceEncoder : IDisposable
{
    // Texts that go through tokenizer and model together: what is kept of them is small, and a call can be ended between.
    private const int PassTexts = 256;

    private readonly ModelBundle _bundle;
    private readonly WorkspacePool _pool;
    private readonly WordPieceTokenizer _tokenizer;
    private readonly int _threads;
    private volatile bool _disposed;

    /// <summary>Makes an encoder of a model and its tokenizer.</summary>
    /// <param name="bundle">The model, which the encoder owns from now on.</param>
    /// <param name="threads">Threads of a call; 0 for one a processor.</param>
    /// <exception cref="InvalidSettingException">The model is no encoder, has no tokenizer of one, or the threads are out of range.</exception>
    public SentenceEncoder(ModelBundle bundle, int threads = 0)
    {
        ArgumentNullException.ThrowIfNull(bundle);
        Settings = (bundle.Encoder ?? throw new InvalidSettingException(nameof(bundle.Encoder), null,
            $"the model is no encoder: {bundle.Model.Config.Describe()}. Give an encoder, or say how vectors are made: bundle with {{ Encoder = ... }}."))
            .Validate(bundle.Model.Config);
        ITokenizer tokenizer = bundle.RequireTokenizer("encoder", null, "the encoder", "give a bundle with the tokenizer it was trained with.");
        _tokenizer = tokenizer as WordPieceTokenizer ?? throw new InvalidSettingException(nameof(bundle.Tokenizer), tokenizer.GetType().Name,
            $"an encoder begins and ends its sequences with tokens of a {nameof(WordPieceTokenizer)}. Give the one it was trained with.");
        if (_tokenizer.Vocabulary > bundle.Model.Config.Vocabulary)
        {
            throw new InvalidSettingException(nameof(bundle.Tokenizer), $"{_tokenizer.Vocabulary} tokens",
                $"the model has {bundle.Model.Config.Vocabulary}. Give the tokenizer it was trained with.");
        }

        (_bundle, _threads, _pool) = (bundle, threads, new WorkspacePool(threads));
        MaxTokens = Settings.MaxTokens ?? bundle.Model.Config.MaxSequenceLength;
    }

    /// <summary>Numbers of a vector.</summary>
    public int Dimensions => Model.Config.Width;

    /// <summary>Tokens of a sequence at most, those that begin and end it included.</summary>
    public int MaxTokens { get; }

    /// <summary>How vectors are made.</summary>
    public EncoderSettings Settings { get; }

    /// <summary>The tokenizer.</summary>
    public WordPieceTokenizer Tokenizer => _tokenizer;

    /// <summary>The model. It is the encoder's: do not dispose it.</summary>
    public TransformerModel<float> Model => _bundle.Model;

    /// <summary>The vector of a text; an empty one has a vector too.</summary>
    /// <param name="text">The text.</param>
    /// <param name="prompt">Name of the prompt to put before it; null for the model's default, an empty text for none.</param>
    /// <exception cref="InvalidSettingException">The model has no such prompt.</exception>
    /// <exception cref="NonFiniteException">The model's weights are damaged.</exception>
    /// <exception cref="ObjectDisposedException">The encoder was disposed.</exception>
    public float[] Embed(string text, string? prompt = null)
    {
        ArgumentNullException.ThrowIfNull(text);
        float[] vector = new float[Dimensions];
        Embed([text], vector, prompt);
        return vector;
    }

    /// <summary>The vectors of texts.</summary>
    /// <param name="texts">The texts.</param>
    /// <param name="prompt">Name of the prompt to put before each; null for the model's default, an empty text for none.</param>
    /// <param name="cancel">Ends the work.</param>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    /// <inheritdoc cref="Embed(string, string?)"/>
    public float[][] Embed(IReadOnlyList<string> texts, string? prompt = null, CancellationToken cancel = default)
    {
        Items.Require(texts, nameof(texts));
        float[][] vectors = new float[texts.Count][];
        float[] pass = new float[Math.Min(PassTexts, texts.Count) * Dimensions];
        for (int first = 0; first < texts.Count; first += PassTexts)
        {
            int count = Math.Min(PassTexts, texts.Count - first);
            EmbedPass(texts, first, count, Settings.Prompt(prompt), pass.AsSpan(0, count * Dimensions), cancel);
            for (int i = 0; i < count; i++) vectors[first + i] = pass.AsSpan(i * Dimensions, Dimensions).ToArray();
        }

        return vectors;
    }

    /// <summary>The vectors of texts, one after the other.</summary>
    /// <param name="texts">The texts.</param>
    /// <param name="destination">[texts, <see cref="Dimensions"/>], written.</param>
    /// <param name="prompt">Name of the prompt to put before each; null for the model's default, an empty text for none.</param>
    /// <param name="cancel">Ends the work; a part of the destination may be written.</param>
    /// <exception cref="ShapeMismatchException">The destination is of another size.</exception>
    /// <inheritdoc cref="Embed(IReadOnlyList{string}, string?, CancellationToken)"/>
    public void Embed(IReadOnlyList<string> texts, Span<float> destination, string? prompt = null, CancellationToken cancel = default)
    {
        Items.Require(texts, nameof(texts));
        if (!Shape.Holds(destination.Length, texts.Count, Dimensions))
        {
            throw Shape.Mismatch("destination", destination.Length, "Pass room for one vector a text.", texts.Count, Dimensions);
        }

        string before = Settings.Prompt(prompt);
        for (int first = 0; first < texts.Count; first += PassTexts)
        {
            int count = Math.Min(PassTexts, texts.Count - first);
            EmbedPass(texts, first, count, before, destination.Slice(first * Dimensions, count * Dimensions), cancel);
        }
    }

    /// <summary>The ids of a text as they go through the model, from the one that begins to the one that ends a sequence; too long a text is cut.</summary>
    /// <param name="text">The text.</param>
    /// <param name="prompt">Name of the prompt to put before it; null for the model's default, an empty text for none.</param>
    /// <exception cref="InvalidSettingException">The model has no such prompt.</exception>
    public int[] Encode(string text, string? prompt = null)
    {
        ArgumentNullException.ThrowIfNull(text);
        return _tokenizer.EncodeSequence(Settings.Prompt(prompt) + text, MaxTokens);
    }

    /// <summary>Tokens of a whole text, those that begin and end it included; <see cref="MaxTokens"/> of them are seen together.</summary>
    /// <param name="text">The text, prompt included.</param>
    public int CountTokens(string text) => _tokenizer.Encode(text).Length + 2;

    /// <summary>A copy for speed, see <see cref="TransformerModel{T}.ToInference"/>; it is on its own.</summary>
    /// <inheritdoc cref="TransformerModel{T}.ToInference"/>
    public SentenceEncoder ToInference(
        WeightPrecision precision = WeightPrecision.Float32, ActivationPrecision activations = ActivationPrecision.Float32)
    {
        TransformerModel<float> copy = Model.ToInference(precision, activations);
        return new SentenceEncoder(_bundle with { Model = copy, Encoder = Settings }, _threads);
    }

    /// <summary>Frees the model, after the calls that are using it.</summary>
    public void Dispose()
    {
        _disposed = true;
        _pool.Dispose();
        _bundle.Dispose();
    }

    private void EmbedPass(IReadOnlyList<string> texts, int first, int count, string prompt, Span<float> rows, CancellationToken cancel)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        List<int> tokens = [], lengths = [], owners = [];
        for (int i = 0; i < count; i++)
        {
            cancel.ThrowIfCancellationRequested();
            string text = texts[first + i] ?? throw new ArgumentNullException(nameof(texts), $"text {first + i} is null");
            int[] ids = _tokenizer.Encode(prompt + text);
            int room = MaxTokens - 2, start = 0;
            do
            {
                int[] sequence = _tokenizer.Sequence(ids.AsSpan(start, Math.Min(room, ids.Length - start)));
                tokens.AddRange(sequence);
                lengths.Add(sequence.Length);
                owners.Add(i);
                start += room;
            }
            while (start < ids.Length && Settings.LongTexts == LongTexts.Windows);
        }

        cancel.ThrowIfCancellationRequested();
        bool single = lengths.Count == count;
        Span<float> pooled = single ? rows : new float[lengths.Count * Dimensions];
        try
        {
            using WorkspacePool.Lease lease = _pool.Rent();
            Model.Features(CollectionsMarshal.AsSpan(tokens), CollectionsMarshal.AsSpan(lengths), new FeatureOptions { Pooling = Settings.Pooling },
                lease.Workspace, pooled);
        }
        catch (ObjectDisposedException error) when (_disposed)
        {
            throw new ObjectDisposedException($"{nameof(SentenceEncoder)} was disposed while it was used", error);
        }

        if (!single) Average(pooled, lengths, owners, rows);
        for (int i = 0; i < count && Settings.Normalize; i++) Normalize(rows.Slice(i * Dimensions, Dimensions));
    }

    // By the tokens of each window, those that begin and end it left out; a text of one window keeps its bits.
    private void Average(ReadOnlySpan<float> pooled, List<int> lengths, List<int> owners, Span<float> rows)
    {
        double[] sum = new double[Dimensions];
        for (int window = 0; window < lengths.Count;)
        {
            int owner = owners[window], end = window, all = 0;
            while (end < owners.Count && owners[end] == owner) all += lengths[end++] - 2;
            Span<float> row = rows.Slice(owner * Dimensions, Dimensions);
            if (end == window + 1)
            {
                pooled.Slice(window * Dimensions, Dimensions).CopyTo(row);
                window = end;
                continue;
            }

            Array.Clear(sum);
            for (; window < end; window++)
            {
                double weight = (lengths[window] - 2) / (double)all;
                for (int f = 0; f < sum.Length; f++) sum[f] += weight * pooled[(window * Dimensions) + f];
            }

            for (int f = 0; f < sum.Length; f++) row[f] = (float)sum[f];
        }
    }

    /// <summary>The cosine of two vectors; 0 where one has no length.</summary>
    internal static double Cosine(ReadOnlySpan<float> a, ReadOnlySpan<float> b)
    {
        double dot = 0, x = 0, y = 0;
        for (int i = 0; i < a.Length; i++) (dot, x, y) = (dot + ((double)a[i] * b[i]), x + ((double)a[i] * a[i]), y + ((double)b[i] * b[i]));
        return x > 0 && y > 0 ? dot / Math.Sqrt(x * y) : 0;
    }

    /// <summary>Gives a vector the length 1.</summary>
    internal static void Normalize(Span<float> vector)
    {
        double square = 0;
        foreach (float value in vector) square += (double)value * value;
        double factor = 1 / Math.Max(Math.Sqrt(square), 1e-12);
        for (int f = 0; f < vector.Length; f++) vector[f] = (float)(vector[f] * factor);
    }
}
