using RbeMl.Kernels;
using RbeMl.Layers;
using RbeMl.Memory;
using RbeMl.Models;
using RbeMl.Text;

namespace RbeMl.Training;

/// <summary>
/// Measures a model on tokens, and against a reference model that has the same vocabulary. Sums are in double and in the order of the data, so the
/// result is the same, bit for bit, for any number of threads. Logits exist for one chunk of 64 tokens a thread only. One evaluation at a time.
/// </summary>
public sealed unsafe partial class Evaluator : IDisposable, ILeased
{
    private readonly WorkerPool _workers;
    private readonly Side _model;
    private readonly Side? _reference;
    private readonly EvaluationOptions _options;
    private readonly GrowableBuffer<double> _losses = new(), _divergences = new(), _referenceLosses = new();
    private readonly GrowableBuffer<int> _targets = new();
    private readonly Lease _lease;

    /// <summary>Prepares an evaluation.</summary>
    /// <param name="model">The model to measure.</param>
    /// <param name="reference">The model it is compared with, such as the dense one it was made of; null for none.</param>
    /// <param name="options">Windows and batch.</param>
    /// <param name="threads">0 for one a processor.</param>
    /// <exception cref="ShapeMismatchException">The models have different vocabularies.</exception>
    /// <exception cref="InvalidSettingException">An option is out of range, or a model sees the tokens it is to predict.</exception>
    public Evaluator(TransformerModel<float> model, TransformerModel<float>? reference = null, EvaluationOptions? options = null, int threads = 0)
    {
        ArgumentNullException.ThrowIfNull(model);
        foreach (TransformerModel<float> side in reference is null ? [model] : (TransformerModel<float>[])[model, reference])
        {
            side.Config.RequireLanguageModel("perplexity measures");
        }

        if (reference is not null && reference.Config.Vocabulary != model.Config.Vocabulary)
        {
            throw new ShapeMismatchException(
                "reference model", $"the model's vocabulary of {model.Config.Vocabulary} ids", $"one of {reference.Config.Vocabulary}",
                "Compare models that share a tokenizer, such as a compressed model and the dense one it was made of.");
        }

        int positions = Math.Min(model.Config.MaxSequenceLength, reference?.Config.MaxSequenceLength ?? int.MaxValue);
        _options = (options ?? new EvaluationOptions()).Resolve(positions);
        _lease = new Lease(this);
        _workers = new WorkerPool(threads);
        _model = new Side("model", model, _workers);
        if (reference is not null) _reference = new Side("reference", reference, _workers);
    }

    /// <summary>Bytes of native memory held for activations and scratch.</summary>
    public long AllocatedBytes => _model.Workspace.AllocatedBytes + (_reference?.Workspace.AllocatedBytes ?? 0);

    /// <summary>Measures.</summary>
    /// <param name="data">What to predict.</param>
    /// <param name="progress">Told after every pass, on the calling thread.</param>
    /// <param name="cancel">Ends the evaluation between two blocks or two chunks of tokens.</param>
    /// <exception cref="TokenException">An id is outside the vocabulary.</exception>
    /// <exception cref="NonFiniteException">A model made a NaN or an infinity.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled; the last progress holds the result so far.</exception>
    /// <exception cref="ConcurrentUseException">Another evaluation is under way.</exception>
    public EvaluationResult Evaluate(EvaluationData data, IProgress<EvaluationProgress>? progress = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(data);
        using Hold held = _lease.Claim(), weights = _model.Model.Parameters.Lease.Share(), others = _reference is null ? default
            : _reference.Model.Parameters.Lease.Share();
        data.Require(_model.Model.Config.Vocabulary);
        long total = Math.Min(data.Predictions, _options.Limit);
        EvaluationSums sums = default;
        foreach (EvaluationWindow[] windows in data.Windows(_options.Context, _options.Stride, _options.Limit).Chunk(_options.BatchSize))
        {
            cancel.ThrowIfCancellationRequested();
            Pass(data, windows, ref sums, cancel);
            progress?.Report(new EvaluationProgress(Result(BytesOf(sums), sums), total));
        }

        return Result(BytesOf(sums), sums);

        long? BytesOf(in EvaluationSums so) => data.IsText ? data.TextBytes(so.Bytes) : null;
    }

    /// <summary>Ends the threads and frees the memory, after the evaluation that is using them.</summary>
    public void Dispose() => _lease.Dispose();

    void ILeased.Free()
    {
        _model.Dispose();
        _reference?.Dispose();
        _workers.Dispose();
        _losses.Dispose();
        _divergences.Dispose();
        _referenceLosses.Dispose();
        _targets.Dispose();
        _positions.Dispose();
        _documents.Dispose();
    }

    private EvaluationResult Result(long? bytes, in EvaluationSums sums) => new()
    {
        Tokens = sums.Tokens,
        Nll = sums.Loss / sums.Tokens,
        Top1Accuracy = (double)sums.Correct / sums.Tokens,
        Bytes = bytes,
        ReferenceNll = _reference is null ? null : sums.ReferenceLoss / sums.Tokens,
        Kl = _reference is null ? null : sums.Divergence / sums.Tokens,
        Top1Agreement = _reference is null ? null : (double)sums.Agreed / sums.Tokens,
    };

    // Shorter windows are filled up with token 0 at their end, where it changes nothing before it, and target -1.
    private void Pass(EvaluationData data, EvaluationWindow[] windows, ref EvaluationSums sums, CancellationToken cancel)
    {
        int length = windows.Max(w => w.Length), count = checked(windows.Length * length), room = Panel<float>.RoundUp(count, Panel<float>.WideLanes);
        int[] tokens = new int[count];
        int* targets = _targets.Ensure(room);
        new Span<int>(targets, room).Fill(-1);
        for (int b = 0; b < windows.Length; b++)
        {
            EvaluationWindow window = windows[b];
            TokenList sequence = data.Sequences[window.Sequence];
            sequence.CopyTo(window.Start, tokens.AsSpan(b * length, window.Length));
            sequence.CopyTo(window.Start + window.Skip + 1, new Span<int>(targets + (b * length) + window.Skip, window.Length - window.Skip));
        }

        Pass(tokens, windows.Length, length, null, room, cancel);
        Add(data.BytesOf, count, ref sums);
    }

    // Losses of the tokens that have a target, in a room of whole chunks.
    private void Pass(int[] tokens, int batch, int length, ForwardOptions<float>? options, int room, CancellationToken cancel)
    {
        Panel<float> x = _model.Run(tokens, batch, length, options, room, cancel);
        _reference?.Run(tokens, batch, length, options, room, cancel);
        _losses.Ensure(room);
        _referenceLosses.Ensure(room);
        _divergences.Ensure(room);
        ScoreWork work = new(this, cancel);
        _workers.For(x.Chunks, ref work);
        cancel.ThrowIfCancellationRequested();
    }

    private void Add(Func<int, int> bytesOf, int count, ref EvaluationSums sums)
    {
        int* targets = _targets.Pointer;
        double* losses = _losses.Pointer, divergences = _divergences.Pointer;
        for (int i = 0; i < count; i++)
        {
            if (targets[i] < 0) continue;
            if (!double.IsFinite(losses[i]) || (_reference is not null && !double.IsFinite(divergences[i])))
            {
                string which = double.IsFinite(_model.LogSums.Pointer[i]) ? "reference" : "model";
                throw new NonFiniteException(which,
                    $"its logits for predicted token {sums.Tokens + 1} are not finite. Its weights are damaged or its training diverged. "
                    + $"Go back to an earlier file of it.");
            }

            sums.Tokens++;
            sums.Loss += losses[i];
            sums.Bytes += bytesOf(targets[i]);
            int best = _model.Best.Pointer[i];
            if (best == targets[i]) sums.Correct++;
            if (_reference is null) continue;
            sums.ReferenceLoss += _referenceLosses.Pointer[i];
            sums.Divergence += divergences[i];
            if (best == _reference.Best.Pointer[i]) sums.Agreed++;
        }
    }

    // One chunk of tokens: logits of both models, then what is read from them.
    private void Score(int chunk, int worker)
    {
        Panel<float> x = _model.Hidden!;
        int lanes = x.Lanes, vocabulary = _model.Model.Config.Vocabulary, first = chunk * lanes;
        int* targets = _targets.Pointer + first;
        if (!new ReadOnlySpan<int>(targets, lanes).ContainsAnyInRange(0, int.MaxValue)) return;
        float* logits = _model.Score(chunk, worker);
        double* losses = _losses.Pointer + first, logSums = _model.LogSums.Pointer + first;
        for (int lane = 0; lane < lanes; lane++)
        {
            if (targets[lane] >= 0) losses[lane] = logSums[lane] - logits[(long)targets[lane] * lanes + lane];
        }

        if (_reference is null) return;
        float* expected = _reference.Score(chunk, worker);
        double* others = _referenceLosses.Pointer + first, otherSums = _reference.LogSums.Pointer + first;
        for (int lane = 0; lane < lanes; lane++)
        {
            if (targets[lane] >= 0) others[lane] = otherSums[lane] - expected[(long)targets[lane] * lanes + lane];
        }

        PredictionKernel.Divergence(expected, _reference.LogSums.Pointer + first, logits, logSums, vocabulary, lanes, _divergences.Pointer + first);
    }

    private readonly struct ScoreWork(Evaluator evaluator, CancellationToken cancel) : IParallelWork
    {
        public void Execute(int item, int worker)
        {
            if (!cancel.IsCancellationRequested) evaluator.Score(item, worker);
        }
    }

    /// <summary>Running sums of an evaluation.</summary>
    private struct EvaluationSums
    {
        public long Tokens, Correct, Agreed, Bytes;
        public double Loss, ReferenceLoss, Divergence;
    }

    /// <summary>A model with its own scratch on the shared threads.</summary>
    private sealed class Side(string name, TransformerModel<float> model, WorkerPool workers) : IDisposable
    {
        private float* _vectors;

        public TransformerModel<float> Model { get; } = model;

        public Workspace<float> Workspace { get; } = new(workers);

        public Panel<float>? Hidden { get; private set; }

        public GrowableBuffer<double> LogSums { get; } = new();

        public GrowableBuffer<int> Best { get; } = new();

        public Panel<float> Run(int[] tokens, int batch, int length, ForwardOptions<float>? options, int room, CancellationToken cancel)
        {
            try
            {
                Hidden = Model.Hidden(tokens, batch, length, Workspace, cancel: cancel, options: options);
            }
            catch (NonFiniteException error)
            {
                throw error.Within(name);
            }

            _vectors = Model.Head.Prepare(Workspace);
            LogSums.Ensure(room);
            Best.Ensure(room);
            return Hidden;
        }

        public float* Score(int chunk, int worker)
        {
            float* logits = Model.Head.ChunkLogits(Hidden!, chunk, _vectors, Workspace.Scratch(worker));
            long first = (long)chunk * Hidden!.Lanes;
            PredictionKernel.Normalize(logits, Model.Config.Vocabulary, Hidden.Lanes, LogSums.Pointer + first, Best.Pointer + first);
            return logits;
        }

        public void Dispose()
        {
            Workspace.Dispose();
            LogSums.Dispose();
            Best.Dispose();
        }
    }
}
