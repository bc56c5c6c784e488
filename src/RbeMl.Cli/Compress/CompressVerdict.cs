using System.Globalization;
using RbeMl.Cli.Output;

namespace RbeMl.Cli.Compress;

/// <summary>Says plainly what a compression did to a model, and what to try next.</summary>
internal static class CompressVerdict
{
    // Of the divergence from the dense model, in nats a token. The loss of a model of a size is known to a hundredth or so from seed to seed, and a tenth is
    // what a model of half the size loses.
    private const double Same = 0.01, Near = 0.05, Worse = 0.2;
    private const double SameCosine = 0.999, NearCosine = 0.99, WorseCosine = 0.97;

    /// <summary>One or two sentences and the next thing to try; null for a file of tensors.</summary>
    public static string? Of(CompressRecord record) => record switch
    {
        { Quality: { } quality } => OfPredictions(record, quality),
        { Vectors: { } vectors } => OfVectors(record, vectors.MeanCosine),
        { Embeddings: null } => null, // a file of tensors
        { CalibrationTokens: null } => "What this does to outputs was not measured. Next: a --calibration text, which makes outputs err less at the same size.",
        _ => "What this does to predictions was not measured. Next: --measure with a text that is not the calibration's.",
    };

    private static string OfPredictions(CompressRecord record, QualityRecord quality)
    {
        string figures = $"For {Format.Percent(quality.Top1Agreement)} of the tokens of this text both hold the same likeliest, and its perplexity is "
            + $"{Format.Figure(Math.Exp(quality.Loss))} where the dense model's is {Format.Figure(Math.Exp(quality.ReferenceLoss))}.";
        return quality.Doubt + quality.Kl switch
        {
            <= Same => $"It predicts as the dense model does. {figures} Next: fewer bits a weight, if size matters.",
            <= Near => $"It predicts nearly as the dense model does. {figures} {Next(record, "", "one more bit a weight, if that is too far")}",
            <= Worse => $"It predicts noticeably worse than the dense model. {figures} {Next(record, "", "more bits a weight")}",
            _ => $"It does not predict as the dense model does any more. {figures} {Next(record, " and ", "more bits a weight")}",
        };
    }

    private static string OfVectors(CompressRecord record, double cosine)
    {
        string figures = string.Create(CultureInfo.InvariantCulture, $"Its vectors have a cosine of {cosine:F4} with the dense model's in the mean.");
        return cosine switch
        {
            >= SameCosine => $"It embeds as the dense model does. {figures} Next: fewer bits a weight, if size matters.",
            >= NearCosine => $"It embeds nearly as the dense model does. {figures} {Next(record, "", "one more bit a weight, if that is too far")}",
            >= WorseCosine => $"It embeds noticeably differently from the dense model. {figures} {Next(record, "", "more bits a weight")}",
            _ => $"It does not embed as the dense model does any more. {figures} {Next(record, " and ", "more bits a weight")}",
        };
    }

    // What costs no bytes comes first.
    private static string Next(CompressRecord record, string and, string bits)
    {
        string? free = record.CalibrationTokens is null ? "a --calibration text, at the same size"
            : record.Tuning is null ? "--tune 500, at the same size" : null;
        return $"Next: {(free is null ? bits : and.Length > 0 ? $"{bits}{and}{free}" : $"{free}; then {bits}")}.";
    }
}
