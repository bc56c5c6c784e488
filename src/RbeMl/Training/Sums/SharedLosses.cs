using System.Runtime.InteropServices;
using RbeMl.Models;

namespace RbeMl.Training;

/// <summary>The losses of a step and of a validation, of which each rank computes a part, added up by every rank in the order of one process.</summary>
internal sealed class SharedLosses
{
    private readonly RankTalk _ranks;
    private readonly MicroBatch _batch;
    private readonly StepLosses _step; // of each micro-batch
    private readonly int[] _tokenBytes; // of each rank
    private readonly float[] _tokens; // of a batch of each rank, one by one

    /// <summary>Prepares it.</summary>
    /// <param name="ranks">The ranks.</param>
    /// <param name="batch">Where a batch is filled.</param>
    /// <param name="accumulate">Micro-batches of a step.</param>
    public SharedLosses(RankTalk ranks, MicroBatch batch, int accumulate)
    {
        (_ranks, _batch, _step) = (ranks, batch, new StepLosses(ranks.Ranks, accumulate));
        int size = ranks.Ranks.Size;
        _tokens = new float[checked(size * batch.Tokens)];
        _tokenBytes = new int[size];
        Array.Fill(_tokenBytes, sizeof(float) * batch.Tokens);
    }

    /// <summary>The sum of the losses of a micro-batch of this rank.</summary>
    public double this[int micro]
    {
        set => _step[micro] = value;
    }

    /// <summary>The micro-batches of a rank, of which it needs at least one.</summary>
    /// <exception cref="InvalidSettingException">There are more ranks than micro-batches.</exception>
    public static (int First, int Last) ShareOf(SumTree tree, ICollective ranks) => tree.Leaves >= ranks.Size ? tree.ShareOf(ranks.Rank, ranks.Size)
        : throw new InvalidSettingException(nameof(TrainerOptions.Accumulate), tree.Leaves,
            $"{Amount.Of(ranks.Size, "rank")} share the micro-batches of a step: use at least {ranks.Size}, and a smaller BatchSize for steps of the same "
                + "size, or start fewer ranks.");

    /// <summary>The sum of the losses of a step.</summary>
    public double Sum() => _step.Sum();

    /// <summary>The losses of the first sequences of a source, token by token, and how many tokens they predict.</summary>
    /// <param name="source">The source.</param>
    /// <param name="sequences">How many.</param>
    /// <param name="model">What predicts.</param>
    /// <param name="activations">Its activations.</param>
    public (double Sum, long Predicted) Validate(ITokenSource source, long sequences, TransformerModel<float> model, TransformerContext<float> activations)
    {
        (int rank, int size) = (_ranks.Ranks.Rank, _ranks.Ranks.Size);
        double sum = 0;
        long predicted = 0, batches = (sequences + _batch.Sequences - 1) / _batch.Sequences;
        for (long first = 0; first < batches; first += size)
        {
            int some = 0;
            Span<float> own = _tokens.AsSpan(rank * _batch.Tokens, _batch.Tokens);
            own.Clear();
            try
            {
                int count = (int)Math.Clamp(sequences - ((first + rank) * _batch.Sequences), 0, _batch.Sequences);
                if (count > 0)
                {
                    _batch.Fill(source, first + rank);
                    some = _batch.Predicted(count);
                    _batch.LossSum(count, model, activations, losses: own[..(count * (_batch.Tokens / _batch.Sequences))]);
                }
            }
            catch (Exception error)
            {
                _ranks.Failed(error);
            }

            predicted += _ranks.Agree(RankTask.Validation, some).Count;
            _ranks.Ranks.AllGather(MemoryMarshal.AsBytes(_tokens.AsSpan()), _tokenBytes);
            foreach (float loss in _tokens) sum += loss; // 0 where nothing is predicted
        }

        return (sum, predicted);
    }
}
