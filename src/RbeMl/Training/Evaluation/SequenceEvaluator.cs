using RbeMl.Kernels;
using RbeMl.Layers;
using RbeMl.Memory;
using RbeMl.Models;

namespace RbeMl.Training;

/// <summary>
/// How well a model predicts each of many sequences: the mean loss of every one, whose exponential is its perplexity. A sequence's result is the same,
/// bit for bit, whatever else is in the call and for any number of threads. One call at a time.
/// </summary>
public sealed unsafe class SequenceEvaluator : IDisposable, ILeased
{
    // Padded tokens that go through the model at a time.
    private const int PassTokens = 2048;
    private readonly TransformerModel<float> _model;
    private readonly Workspace<float> _workspace;
    private readonly bool _ownsWorkspace;
    private readonly GrowableBuffer<double> _logSums = new();
    private readonly GrowableBuffer<int> _best = new();
    private readonly Lease _lease;

    /// <summary>Prepares evaluations on threads of its own.</summary>
    /// <param name="model">The model; it stays its owner's.</param>
    /// <param name="threads">0 for one a processor.</param>
    public SequenceEvaluator(TransformerModel<float> model, int threads = 0)
        : this(model, new Workspace<float>(threads)) => _ownsWorkspace = true;

    /// <summary>Prepares evaluations on the threads of a workspace.</summary>
    /// <param name="model">The model; it stays its owner's.</param>
    /// <param name="workspace">Threads and scratch; it stays its owner's.</param>
    public SequenceEvaluator(TransformerModel<float> model, Workspace<float> workspace)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(workspace);
        (_model, _workspace) = (model, workspace);
        _lease = new Lease(this);
    }

    /// <summary>Mean negative log-likelihood of each sequence's tokens after its first.</summary>
    /// <param name="tokens">Ids of all sequences, one after the other.</param>
    /// <param name="lengths">[B] tokens of each, at least 1.</param>
    /// <param name="losses">[B], written: nats a predicted token; NaN for a sequence of one token, which predicts nothing.</param>
    /// <param name="counts">[B], written: predicted tokens, one less than the length.</param>
    /// <exception cref="TokenException">A sequence is empty or longer than the model's positions, or an id is outside the vocabulary.</exception>
    /// <exception cref="ShapeMismatchException">Shapes do not fit together.</exception>
    /// <exception cref="InvalidSettingException">The model is not causal.</exception>
    /// <exception cref="NonFiniteException">A logit is NaN or infinite.</exception>
    /// <exception cref="ConcurrentUseException">Another call is under way, here or on the workspace.</exception>
    public void SequenceLosses(ReadOnlySpan<int> tokens, ReadOnlySpan<int> lengths, Span<double> losses, Span<int> counts)
    {
        if (losses.Length != lengths.Length || counts.Length != lengths.Length)
        {
            throw new ShapeMismatchException("losses and counts", $"{lengths.Length} values like the lengths",
                $"{losses.Length} and {counts.Length}", "Pass room for one value a sequence.");
        }

        using Hold held = _lease.Claim(), weights = _model.Parameters.Lease.Share(), scratch = _workspace.Lease.Claim();
        using RaggedBatches batches = new(tokens, lengths, _model.Config, PassTokens);
        lengths = batches.Lengths;
        while (batches.MoveNext())
        {
            Panel<float> x = _model.Hidden(batches.Tokens, batches.Count, batches.Length, _workspace);
            float* vectors = _model.Head.Prepare(_workspace);
            int room = x.Chunks * x.Lanes;
            fixed (int* ids = batches.Tokens)
            {
                ScoreWork work = new(_model, x, vectors, ids, _logSums.Ensure(room), _best.Ensure(room), _workspace);
                _workspace.Workers.For(x.Chunks, ref work);
            }

            for (int i = 0; i < batches.Count; i++)
            {
                int row = batches.Row(i), count = lengths[row] - 1;
                double sum = 0;
                for (int t = 0; t < count; t++) sum += _logSums.Pointer[(i * batches.Length) + t];
                if (!double.IsFinite(sum))
                {
                    throw new NonFiniteException("model",
                        $"its logits for sequence {row} are not finite. Its weights are damaged or its training diverged. Go back to an earlier file of it.");
                }

                (losses[row], counts[row]) = (sum / count, count);
            }
        }
    }

    /// <summary>Frees the memory, after the call that is using it.</summary>
    public void Dispose() => _lease.Dispose();

    void ILeased.Free()
    {
        _logSums.Dispose();
        _best.Dispose();
        if (_ownsWorkspace) _workspace.Dispose();
    }

    // One chunk of tokens: logits, their log-sum-exp, and from that the loss of the token after each.
    private readonly struct ScoreWork(TransformerModel<float> model, Panel<float> x, float* vectors, int* tokens, double* logSums, int* best,
        Workspace<float> workspace) : IParallelWork
    {
        public void Execute(int item, int worker)
        {
            int lanes = x.Lanes, first = item * lanes;
            float* logits = model.Head.ChunkLogits(x, item, vectors, workspace.Scratch(worker));
            PredictionKernel.Normalize(logits, model.Config.Vocabulary, lanes, logSums + first, best + first);

            // The last token of a sequence predicts nothing; what stands there is not read.
            for (int lane = 0; lane < lanes && first + lane + 1 < x.Tokens; lane++)
            {
                logSums[first + lane] -= logits[((long)tokens[first + lane + 1] * lanes) + lane];
            }
        }
    }
}
