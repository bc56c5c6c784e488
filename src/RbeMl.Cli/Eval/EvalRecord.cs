using System.Text.Json;
using System.Text.Json.Serialization;
using RbeMl.Cli.Output;
using RbeMl.Models;
using RbeMl.Training;

namespace RbeMl.Cli.Eval;

/// <summary>The JSON document of <c>rbeml eval</c>.</summary>
internal sealed record EvalRecord(
    string Model, string? Reference, string Data, long Tokens, double Nll, double? BitsPerByte, long? Bytes, double Top1Accuracy, double? Kl,
    double? Top1Agreement,
    int Context, int Stride, double Seconds, double TokensPerSecond, long WeightsBytes, double BitsPerParameter, bool Cancelled)
{
    public EvalRecord(string model, string? reference, string data, EvaluationResult figures, EvaluationOptions options, double seconds,
        ModelSize size, bool cancelled)
        : this(
            model, reference, data, figures.Tokens, figures.Nll, figures.BitsPerByte, figures.Bytes, figures.Top1Accuracy, figures.Kl, figures.Top1Agreement,
            options.Context, options.Stride, seconds, figures.Tokens / seconds, size.Bytes, size.BitsPerParameter, cancelled)
    {
    }

    /// <summary>exp(nll); null when that is beyond a double, for JSON has no infinity.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.Never)]
    public double? Perplexity => double.IsFinite(Math.Exp(Nll)) ? Math.Exp(Nll) : null;

    /// <summary>The JSON document.</summary>
    public string ToJson() => JsonSerializer.Serialize(this, JsonStyle.Indented);
}
