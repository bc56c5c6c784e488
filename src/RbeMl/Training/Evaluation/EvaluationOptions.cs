namespace RbeMl.Training;

/// <summary>How tokens are cut into windows and how many of them go through the model at a time.</summary>
public sealed record EvaluationOptions
{
    /// <summary>Tokens of a window T; 0 takes all positions that the model (and the reference) has.</summary>
    public int Context { get; init; }

    /// <summary>
    /// Tokens from one window of a sequence to the next, 1 .. T; 0 takes T, so that windows do not overlap. With less, each window after the first
    /// repeats T - stride tokens as context only: every prediction is counted once and sees at least that many tokens before it.
    /// </summary>
    public int Stride { get; init; }

    /// <summary>Windows a pass; 0 chooses about 2048 tokens.</summary>
    public int BatchSize { get; init; }

    /// <summary>Predicted tokens at most, from the start of the data; 0 for all.</summary>
    public long Limit { get; init; }

    /// <summary>These options with every 0 replaced.</summary>
    /// <param name="positions">Positions of the model.</param>
    /// <exception cref="InvalidSettingException">A value is out of range.</exception>
    internal EvaluationOptions Resolve(int positions)
    {
        const int PassTokens = 2048;
        NotNegative(nameof(Context), Context);
        NotNegative(nameof(Stride), Stride);
        NotNegative(nameof(BatchSize), BatchSize);
        NotNegative(nameof(Limit), Limit);
        int context = Context == 0 ? positions : Context;
        if (context > positions)
        {
            throw new InvalidSettingException(nameof(Context), context, $"the model has {Amount.Of(positions, "position")}; use at most that.");
        }

        if (Stride > context)
        {
            throw new InvalidSettingException(nameof(Stride), Stride,
                $"a window has {Amount.Of(context, "token")}; use at most that, or some would never be predicted.");
        }

        int batch = BatchSize == 0 ? Math.Max(1, PassTokens / context) : BatchSize;
        if ((long)batch * context > Array.MaxLength)
        {
            throw new InvalidSettingException($"{nameof(BatchSize)} x {nameof(Context)}", (long)batch * context,
                $"a pass holds at most {Array.MaxLength} tokens: use a smaller batch.");
        }

        return this with { Context = context, Stride = Stride == 0 ? context : Stride, BatchSize = batch, Limit = Limit == 0 ? long.MaxValue : Limit };
    }

    private static void NotNegative(string name, long value)
    {
        if (value < 0) throw new InvalidSettingException(name, value, "use 0 or a positive number.");
    }
}
