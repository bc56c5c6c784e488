using RbeMl.Codec;
using RbeMl.Kernels;
using RbeMl.Layers;
using RbeMl.Memory;
using RbeMl.Models;
using RbeMl.Numerics;

namespace RbeMl.Compression;

/// <summary>
/// Trains a model back towards what it was while its matrices are being rounded, one after the other: what is rounded stays as it is but for its scales,
/// what is not makes up for it. The yardstick is the model itself before any rounding, on the calibration windows: the divergence of its predictions, or one
/// less the cosine of an encoder's vectors. An eighth of the windows, or less, is held out: of the states between two roundings, the one that is nearest on
/// these is kept. Gradients are of coefficients, of which a tuned matrix has as many as weights; that of a dense weight is never made. Native memory holds
/// <see cref="Copies"/> times the model as floats. The same seed gives the same bits, for any number of threads.
/// </summary>
internal sealed unsafe class ModelTuner : IDisposable
{
    /// <summary>How often the whole model is held as floats: values, gradients, two moments, the state that is kept, and codes of what is rounded.</summary>
    public const int Copies = 6;

    /// <summary>Tokens of a step, unless a window has more.</summary>
    public const int TokensPerStep = 1024;

    /// <summary>One window in so many is held out of the steps, of at most so many tokens: enough to compare states of one run by.</summary>
    public const int HeldPart = 8, HeldTokens = 2048;

    /// <summary>Steps from one look at what is held out to the next.</summary>
    public const int HeldEvery = 16;

    private const ulong OrderStream = 79;
    private const float Beta1 = 0.9f, Beta2 = 0.98f, Epsilon = 1e-12f;
    private const double LeastSize = 0.02; // of a slice's values, for its rate: biases may all be zero

    private readonly TransformerModel<float> _model;
    private readonly TransformerContext<float> _context;
    private readonly ParameterVector<float> _gradients, _first, _second, _kept;
    private readonly IReadOnlyList<int[]> _windows;
    private readonly int[] _held, _trained; // places of windows
    private readonly EncoderSettings? _encoder;
    private readonly TuningOptions _options;
    private readonly float[] _expected; // [windows * T, D] outputs of the last block, or [windows, D] vectors
    private readonly Panel<float> _expectedPanel = new();
    private readonly GrowableBuffer<float> _norm = new();
    private readonly TunedScales?[] _scales;
    private readonly bool[] _fixed;
    private int[] _order = [];
    private double _least;
    private int _place;

    /// <summary>Takes a model as what is to be come near.</summary>
    /// <param name="dense">All matrices with all of their coefficients, without alphas; LayerNorms dense.</param>
    /// <param name="stored">The configuration with LayerNorms as they are to be stored.</param>
    /// <param name="windows">Calibration windows, all of one length.</param>
    /// <param name="options">Steps, rate, seed.</param>
    /// <param name="workspace">Threads and scratch.</param>
    public ModelTuner(
        TransformerWeights dense, TransformerConfig stored, IReadOnlyList<int[]> windows, TuningOptions options, Workspace<float> workspace)
    {
        (_windows, _options, _encoder, Width) = (windows, options, dense.Encoder, stored.Width);
        int held = Math.Clamp(windows.Count / HeldPart, 1, Math.Max(1, HeldTokens / Length));
        _held = EmbeddingYardstick.Spread(windows.Count, held);
        _trained = windows.Count == 1 ? _held : [.. Enumerable.Range(0, windows.Count).Except(_held)];
        using (TransformerModel<float> teacher = new(dense))
        {
            teacher.Head.Norm.Decode(_norm.Ensure(2L * teacher.PaddedWidth));
            _expected = Expected(teacher, workspace);
        }

        _model = new TransformerModel<float>(dense with { Config = stored });
        _context = new TransformerContext<float>(_model, workspace);
        ParameterVector<float> values = _model.Parameters;
        (_gradients, _first, _second, _kept) = (Tuned(), Tuned(), Tuned(), Tuned());
        _scales = new TunedScales?[dense.Blocks.Count * PerMatrix.All.Count];
        _fixed = new bool[_scales.Length];

        ParameterVector<float> Tuned() => values.CreateLike(IsTuned);
    }

    /// <summary>Steps that were done.</summary>
    public int Done { get; private set; }

    /// <summary>Loss of the last step, on its own windows.</summary>
    public double Loss { get; private set; } = double.NaN;

    /// <summary>Loss on the windows that are held out.</summary>
    public double HeldLoss
    {
        get
        {
            double sum = 0;
            foreach (int[] batch in _held.Chunk(Sequences)) sum += Run(batch, null) * batch.Length;
            return sum / _held.Length;
        }
    }

    private int Width { get; }

    private int Length => _windows[0].Length;

    private int Sequences => Math.Clamp(TokensPerStep / Length, 1, _trained.Length);

    /// <summary>The weights of a matrix as they are now, [out, in].</summary>
    public float[] WeightsOf(int layer, BlockMatrix matrix) => _model.Blocks[layer].Linears[(int)matrix].ToMatrix().ToDense();

    /// <summary>Leaves a matrix as it is, from now on.</summary>
    public void Fix(int layer, BlockMatrix matrix) => _fixed[PlaceOf(layer, matrix)] = true;

    /// <summary>Puts a rounded matrix in the place of what it was made of; its bias takes up the mean error.</summary>
    /// <param name="layer">Layer.</param>
    /// <param name="matrix">Which.</param>
    /// <param name="rounded">The rounded matrix.</param>
    /// <param name="correction">What is added to its bias.</param>
    public void Fix(int layer, BlockMatrix matrix, RbeMatrix rounded, float[] correction)
    {
        RbeLinear<float> linear = _model.Blocks[layer].Linears[(int)matrix];
        ParameterSlice slice = linear.Coefficients!;
        RbeMatrix all = RbeCompressor.Compress(rounded.ToDense(), rounded.Rows, rounded.Columns, FloatsOf(rounded.Tile, rounded.Transform));
        _model.Parameters.Write(slice, all.Coefficients);
        if (linear.Bias is { } bias)
        {
            Span<float> values = _model.Parameters.Of(bias);
            for (int i = 0; i < values.Length; i++) values[i] += correction[i];
        }

        Fix(layer, matrix);
        _scales[PlaceOf(layer, matrix)] = rounded.Base is null ? null : new TunedScales(rounded, all.Support!);
    }

    /// <summary>How matrices are given that are to be tuned: all coefficients, no alphas.</summary>
    public static RbeOptions FloatsOf(int tile, TileTransform transform) =>
        new() { Tile = tile, Transform = transform, Format = RbeFormat.Sparse(tile * tile), Alphas = false };

    /// <summary>A rounded matrix with its scales as they are now.</summary>
    public RbeMatrix Rounded(int layer, BlockMatrix matrix, RbeMatrix rounded) =>
        _scales[PlaceOf(layer, matrix)]?.Apply(rounded) ?? rounded;

    /// <summary>Biases, LayerNorms as they are now.</summary>
    public TransformerWeights Weights() => _model.GetWeights();

    /// <summary>Steps of training of all that is not fixed; ends with the best state on the windows that are held out, which may be that before.</summary>
    /// <param name="steps">How many.</param>
    /// <param name="told">Told after each.</param>
    /// <param name="enough">Ends the steps early.</param>
    /// <exception cref="NonFiniteException">A layer became NaN or infinite; the step is named.</exception>
    public void Train(int steps, Action told, CancellationToken enough)
    {
        if (steps < 1 || enough.IsCancellationRequested) return;
        try
        {
            Keep(HeldLoss);
            for (int step = 1; step <= steps && !enough.IsCancellationRequested; step++)
            {
                // Full rate while matrices are rounded, then linearly to zero.
                double left = 1 - ((double)Done / _options.Steps), rate = _options.Rate * Math.Min(1, left / 0.3);
                Loss = Batch(_gradients);
                Update(rate);
                Done++;
                told();
                if (step != steps && step % HeldEvery != 0) continue;
                double held = HeldLoss;
                if (held < _least) Keep(held);
            }

            Restore();
        }
        catch (NonFiniteException error)
        {
            throw error.Within($"tuning step {Done + 1}");
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _context.Dispose();
        _expectedPanel.Dispose();
        _norm.Dispose();
        foreach (ParameterVector<float> vector in (ParameterVector<float>[])[_gradients, _first, _second, _kept]) vector.Dispose();
        _model.Dispose();
    }

    private double Batch(ParameterVector<float> gradients)
    {
        int[] batch = new int[Sequences];
        for (int i = 0; i < batch.Length; i++, _place++)
        {
            // A new order of all windows each time they are through.
            if (_place % _trained.Length == 0) _order = Order((ulong)(_place / _trained.Length));
            batch[i] = _order[_place % _trained.Length];
        }

        return Run(batch, gradients);
    }

    private int[] Order(ulong round)
    {
        int[] order = [.. _trained];
        DeterministicRandom random = new(_options.Seed, OrderStream + round);
        for (int i = order.Length - 1; i > 0; i--)
        {
            int other = random.NextBelow(i + 1);
            (order[i], order[other]) = (order[other], order[i]);
        }

        return order;
    }

    // Mean loss of some windows; gradients of the mean are added.
    private double Run(int[] batch, ParameterVector<float>? gradients)
    {
        int tokens = batch.Length * Length;
        int[] ids = [.. batch.SelectMany(place => _windows[place])];
        using Hold weights = _model.Parameters.Lease.Share(), kept = _context.Lease.Claim(), scratch = _context.Workspace.Lease.Claim();
        if (_encoder is { } encoder)
        {
            using GrowableBuffer<float> pooled = new(), gradient = new();
            using GrowableBuffer<int> places = new();
            using GrowableBuffer<double> losses = new();
            PooledRows<float> rows = new(pooled, gradient, places, losses);
            rows.Ensure(batch.Length, Width);
            int[] lengths = new int[batch.Length];
            Array.Fill(lengths, Length);
            fixed (int* own = lengths)
            {
                PooledObjective<float, NearVectors> objective = new(_model.Head, own, Length, encoder.Pooling, rows, gradients,
                    new NearVectors(_expected, batch, Width));
                return _model.Step(ids, batch.Length, Length, _context, null, gradients, ref objective) / batch.Length;
            }
        }

        float[] hidden = new float[tokens * Width];
        for (int i = 0; i < batch.Length; i++)
        {
            _expected.AsSpan(batch[i] * Length * Width, Length * Width).CopyTo(hidden.AsSpan(i * Length * Width));
        }

        _expectedPanel.Reshape(tokens, Width, _model.PaddedWidth).FromRowMajor(hidden);
        NearPredictions near = new(_model.Head, new ExpectedPredictions<float>(_expectedPanel, _norm.Pointer), gradients, 1.0 / tokens);
        return _model.Step(ids, batch.Length, Length, _context, null, gradients, ref near) / tokens;
    }

    // What the dense model gives.
    private float[] Expected(TransformerModel<float> teacher, Workspace<float> workspace)
    {
        int per = Length * Width;
        float[] expected = new float[_windows.Count * (_encoder is null ? per : Width)];
        for (int first = 0; first < _windows.Count; first += Sequences)
        {
            int count = Math.Min(Sequences, _windows.Count - first);
            int[] ids = [.. Enumerable.Range(first, count).SelectMany(place => _windows[place])];
            if (_encoder is { } encoder)
            {
                int[] lengths = new int[count];
                Array.Fill(lengths, Length);
                Span<float> rows = expected.AsSpan(first * Width, count * Width);
                teacher.Features(ids, lengths, new FeatureOptions { Pooling = encoder.Pooling }, workspace, rows);
                for (int i = 0; i < count; i++) SentenceEncoder.Normalize(rows.Slice(i * Width, Width));
                continue;
            }

            using Hold weights = teacher.Parameters.Lease.Share(), scratch = workspace.Lease.Claim();
            teacher.Hidden(ids, count, Length, workspace).ToRowMajor(expected.AsSpan(first * per, count * per));
        }

        return expected;
    }

    // Adam, each slice at a rate in proportion to its values; scales of fixed matrices in proportion to themselves.
    private void Update(double rate)
    {
        double correction1 = 1 - Math.Pow(Beta1, Done + 1), correction2 = 1 - Math.Pow(Beta2, Done + 1);
        foreach (ParameterSlice slice in _model.Parameters.Slices)
        {
            if (!IsTuned(slice)) continue;
            int at = slice.Kind == ParameterKind.Coefficient ? IndexOf(slice) : -1;
            float* w = _model.Parameters.At(slice), g = _gradients.At(slice);
            if (at >= 0 && _fixed[at])
            {
                _scales[at]?.Step(new Span<float>(w, slice.Length), new ReadOnlySpan<float>(g, slice.Length), rate * 0.3);
                continue;
            }

            double size = Math.Sqrt(OptimizerKernel.SumOfSquares(w, slice.Length) / slice.Length);
            OptimizerKernel.AdamW(w, g, _first.At(slice), _second.At(slice), slice.Length, (float)(rate * Math.Max(size, LeastSize)), 0f, Beta1, Beta2,
                Epsilon, (float)correction1, (float)correction2, 1f);
        }

        _gradients.Clear();
    }

    private void Keep(double loss)
    {
        _least = loss;
        _kept.CopyFrom(_model.Parameters);
        foreach (TunedScales? scales in _scales) scales?.Keep();
    }

    private void Restore()
    {
        _model.Parameters.CopyFrom(_kept);
        foreach (TunedScales? scales in _scales) scales?.Restore();
    }

    // Tables of tokens and positions stay as they are.
    private static bool IsTuned(ParameterSlice slice) => slice.Kind != ParameterKind.Embedding;

    private static int PlaceOf(int layer, BlockMatrix matrix) => (layer * PerMatrix.All.Count) + (int)matrix;

    private int IndexOf(ParameterSlice slice)
    {
        for (int l = 0; l < _model.Blocks.Count; l++)
        {
            for (int m = 0; m < PerMatrix.All.Count; m++)
            {
                if (_model.Blocks[l].Linears[m].Coefficients == slice) return PlaceOf(l, (BlockMatrix)m);
            }
        }

        return -1;
    }

    // Of a whole batch: the context's settings do not divide it.
    private readonly struct NearPredictions(LanguageModelHead<float> head, ExpectedPredictions<float> expected, ParameterVector<float>? gradients, double scale)
        : IHiddenObjective<float>
    {
        public double LossAndGradient(Panel<float> hidden, int first, int count, TransformerContext<float> context, double sum) =>
            head.LossFrom(hidden, new int[hidden.Tokens], expected, context, gradients, scale, sum);
    }

    /// <summary>One less the cosine.</summary>
    private readonly struct NearVectors(float[] expected, int[] batch, int width) : IPooledObjective<float>
    {
        public double Row(int row, float* pooled, float* gradient)
        {
            ReadOnlySpan<float> target = expected.AsSpan(batch[row] * width, width);
            double square = 0, along = 0;
            for (int f = 0; f < width; f++) (square, along) = (square + ((double)pooled[f] * pooled[f]), along + ((double)pooled[f] * target[f]));
            double inverse = 1 / Math.Sqrt(Math.Max(square, 1e-24));
            for (int f = 0; gradient != null && f < width; f++)
            {
                gradient[f] = (float)(((along * inverse * inverse * pooled[f]) - target[f]) * inverse / batch.Length);
            }

            return 1 - (along * inverse);
        }

        public void Close(int first, int count, WorkerPool workers)
        {
        }
    }
}
