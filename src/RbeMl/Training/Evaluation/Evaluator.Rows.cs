using RbeMl.Layers;
using RbeMl.Memory;
using RbeMl.Models;
using RbeMl.Text;

namespace RbeMl.Training;

/// <content>Measures the rows of a data set, laid out and masked as a training has them.</content>
public sealed unsafe partial class Evaluator
{
    private readonly GrowableBuffer<int> _positions = new();
    private readonly RowDocuments _documents = new();
    private readonly ForwardOptions<float> _isolated = new();

    /// <summary>
    /// Measures what a validation of a <see cref="Trainer"/> on the same data does: each row is taken once, what is only read is not measured, and attention
    /// sees what the data's packing lets it see. Data in random order is shuffled instead; rows have the context of the options, and no stride.
    /// </summary>
    /// <param name="data">Rows of documents, sequences or a stream.</param>
    /// <param name="tokenizer">What the ids stand for, for bits a byte; null where they are no text.</param>
    /// <param name="progress">Told after every pass, on the calling thread.</param>
    /// <param name="cancel">Ends the evaluation between two blocks or two chunks of tokens.</param>
    /// <exception cref="TokenException">The data has ids that the model does not have, or nothing is to be predicted.</exception>
    /// <exception cref="NonFiniteException">A model made a NaN or an infinity.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled; the last progress holds the result so far.</exception>
    /// <exception cref="ConcurrentUseException">Another evaluation is under way.</exception>
    public EvaluationResult Evaluate(TokenDataset data, ITokenizer? tokenizer = null, IProgress<EvaluationProgress>? progress = null,
        CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(data);
        using Hold held = _lease.Claim(), weights = _model.Model.Parameters.Lease.Share(), others = _reference is null ? default
            : _reference.Model.Parameters.Lease.Share();
        if (data.Vocabulary > _model.Model.Config.Vocabulary)
        {
            throw new TokenException($"the data has token ids up to {data.Vocabulary - 1}, the model a vocabulary of {_model.Model.Config.Vocabulary}. Use the "
                + "model's own tokenizer or ids.");
        }

        int context = _options.Context, batch = _options.BatchSize;
        data = data.ForValidation(context).WithoutRepeats();
        int[] inputs = new int[checked(batch * context)], targets = new int[inputs.Length], positions = new int[data.IsolatesDocuments ? inputs.Length : 0];
        long rows = data.PieceCount(context), total = Math.Min(Count(data, rows, inputs, targets), _options.Limit);
        if (total == 0) throw TokenTargets.None("the data");
        EvaluationSums sums = default;
        for (long first = 0; first < rows && sums.Tokens < total; first += batch)
        {
            cancel.ThrowIfCancellationRequested();
            int count = (int)Math.Min(batch, rows - first) * context;
            data.Fill(first / batch, batch, context, inputs, targets);
            if (data.IsolatesDocuments) data.FillPositions(first / batch, batch, context, positions);
            Cut(targets.AsSpan(0, count), total - sums.Tokens);
            if (TokenTargets.Count(targets.AsSpan(0, count)) == 0) continue;
            int room = Panel<float>.RoundUp(count, Panel<float>.WideLanes);
            int* wanted = _targets.Ensure(room);
            new Span<int>(wanted, room).Fill(-1);
            targets.AsSpan(0, count).CopyTo(new Span<int>(wanted, room));
            Pass(inputs[..count], count / context, context, Documents(positions.AsSpan(0, Math.Min(positions.Length, count))), room, cancel);
            Add(id => tokenizer is null ? 0 : tokenizer.BytesOf(id).Length, count, ref sums);
            progress?.Report(new EvaluationProgress(Result(sums), total));
        }

        return Result(sums);

        EvaluationResult Result(in EvaluationSums so) => this.Result(tokenizer is null ? null : so.Bytes, so);
    }

    // Predictions of all rows.
    private long Count(TokenDataset data, long rows, int[] inputs, int[] targets)
    {
        int context = _options.Context, batch = _options.BatchSize;
        long all = 0;
        for (long first = 0; first < rows; first += batch)
        {
            data.Fill(first / batch, batch, context, inputs, targets);
            all += TokenTargets.Count(targets.AsSpan(0, (int)Math.Min(batch, rows - first) * context));
        }

        return all;
    }

    // Leaves so many targets.
    private static void Cut(Span<int> targets, long left)
    {
        foreach (ref int target in targets)
        {
            if (target >= 0 && --left < 0) target = -1;
        }
    }

    // What the blocks need to know of documents that share rows; null where there are none.
    private ForwardOptions<float>? Documents(ReadOnlySpan<int> positions)
    {
        if (positions.IsEmpty) return null;
        _isolated.Positions = _positions.Ensure(positions.Length);
        positions.CopyTo(new Span<int>(_isolated.Positions, positions.Length));
        _documents.Fill(positions);
        _isolated.Documents = _documents;
        return _isolated;
    }
}
