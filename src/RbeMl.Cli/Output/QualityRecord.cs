using RbeMl.Training;

namespace RbeMl.Cli.Output;

/// <summary>How well a model predicts a text, beside the model that it was made of.</summary>
/// <param name="Text">What was predicted.</param>
/// <param name="Tokens">Predicted tokens, each counted once.</param>
/// <param name="Loss">Mean loss, nats a token.</param>
/// <param name="ReferenceLoss">That of the model that it was made of.</param>
/// <param name="BitsPerByte">Bits a byte; null where the data is no text.</param>
/// <param name="ReferenceBitsPerByte">Those of the model that it was made of.</param>
/// <param name="Top1Accuracy">Share of the tokens that the model holds likeliest.</param>
/// <param name="Kl">Mean KL(before || now), nats a token.</param>
/// <param name="Top1Agreement">Share of the tokens for which both models hold the same likeliest.</param>
internal sealed record QualityRecord(string Text, long Tokens, double Loss, double ReferenceLoss, double? BitsPerByte, double? ReferenceBitsPerByte,
    double Top1Accuracy, double Kl, double Top1Agreement)
{
    private const int Enough = 1000; // a share of so many tokens is known to a few hundredths

    /// <summary>A sentence for where too few tokens were predicted to tell, to be said before what the figures say; else empty.</summary>
    public string Doubt => Tokens >= Enough ? ""
        : $"Only {Format.Count(Tokens, "token")} {(Tokens == 1 ? "was" : "were")} predicted, which is too few to tell. ";

    /// <summary>Of an evaluation beside a reference.</summary>
    /// <param name="text">What was predicted.</param>
    /// <param name="found">The evaluation.</param>
    /// <param name="bytesPerToken">Bytes of text that a predicted token stands for, in the mean; null where the data is no text.</param>
    public static QualityRecord Of(string text, EvaluationResult found, double? bytesPerToken)
    {
        double? bits = bytesPerToken is { } bytes ? 1 / Math.Log(2) / bytes : null;
        return new QualityRecord(text, found.Tokens, found.Nll, found.ReferenceNll!.Value, found.Nll * bits, found.ReferenceNll * bits,
            found.Top1Accuracy, found.Kl!.Value, found.Top1Agreement!.Value);
    }

    /// <summary>The figures as a table.</summary>
    /// <param name="before">What the model that it was made of is called.</param>
    /// <param name="now">What this one is called.</param>
    public FigureTable Table(string before, string now)
    {
        FigureTable table = new FigureTable("quality").Column(before, 1).Column(now, 2);
        table.Row("loss, nats a token", Format.Loss(ReferenceLoss), Format.Loss(Loss));
        table.Row("perplexity", Format.Figure(Math.Exp(ReferenceLoss)), Format.Figure(Math.Exp(Loss)));
        if (BitsPerByte is { } bits) table.Row("bits a byte", Format.Loss(ReferenceBitsPerByte!.Value), Format.Loss(bits));
        table.Row("likeliest token was right", "", Format.Percent(Top1Accuracy));
        table.Row($"KL({before} || {now}), nats a token", "", Format.Figure(Kl));
        table.Row("same likeliest token", "", Format.Percent(Top1Agreement));
        return table;
    }
}
