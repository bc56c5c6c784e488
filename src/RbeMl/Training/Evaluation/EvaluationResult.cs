namespace RbeMl.Training;

/// <summary>How well a model predicts, and how far it is from a reference model.</summary>
public sealed record EvaluationResult
{
    /// <summary>Predicted tokens.</summary>
    public required long Tokens { get; init; }

    /// <summary>Mean negative log-likelihood, nats a predicted token.</summary>
    public required double Nll { get; init; }

    /// <summary>exp(<see cref="Nll"/>).</summary>
    public double Perplexity => Math.Exp(Nll);

    /// <summary>Share of the tokens that the model holds likeliest.</summary>
    public required double Top1Accuracy { get; init; }

    /// <summary>Bytes of the predicted tokens: of UTF-8, or of the files they were read from in another encoding; null where the data is no text.</summary>
    public long? Bytes { get; init; }

    /// <summary>Total nats / ln 2 / <see cref="Bytes"/>; null where the data is no text.</summary>
    public double? BitsPerByte => Bytes is > 0 and { } bytes ? Nll * Tokens / Math.Log(2) / bytes : null;

    /// <summary>Mean KL(reference || model), nats a token; null without a reference.</summary>
    public double? Kl { get; init; }

    /// <summary>Mean negative log-likelihood of the reference, nats a predicted token; null without a reference.</summary>
    public double? ReferenceNll { get; init; }

    /// <summary>Share of the tokens for which model and reference hold the same id likeliest; null without a reference.</summary>
    public double? Top1Agreement { get; init; }
}

/// <summary>An evaluation on its way.</summary>
/// <param name="SoFar">The result over the tokens done.</param>
/// <param name="Total">Tokens to predict in all.</param>
public readonly record struct EvaluationProgress(EvaluationResult SoFar, long Total);
