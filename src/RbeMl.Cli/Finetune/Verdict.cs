using System.Globalization;
using RbeMl.Cli.Output;

namespace RbeMl.Cli.Finetune;

/// <summary>Says plainly whether the result of a run is good.</summary>
internal static class Verdict
{
    private const double Learnt = 0.05, Memorised = 0.1, StillFalling = 0.02, Recent = 0.25, Little = 0.05, Much = 0.5;

    /// <summary>One or two sentences.</summary>
    public static string Of(RunRecord run)
    {
        ValidationRecord first = run.Validation[0], last = run.Validation[^1], best = run.Validation.MinBy(v => v.Loss)!;
        if (!double.IsFinite(last.Loss)) return "The model is of no use: its loss is no number. Use a smaller --learning-rate.";
        if (last.Step == 0) return run.Steps.Count == 0 ? "No step was done." : "It was stopped before the validation loss was measured again.";
        string choice = run.Model is { } model
            ? $"On text it has not seen it is as unsure as between {Format.Perplexity(last.Loss)} equally likely tokens of "
                + $"{Format.Count(model.Vocabulary)}; before it was {Format.Perplexity(first.Loss)}."
                + (run.BitsPerByte is { } bits ? string.Create(CultureInfo.InvariantCulture, $" That is {bits:F2} bits a byte of the text.") : "") : "";
        return $"{Course(run, first, last, best)} {choice}{(run.Quality is { } quality ? $" {Moved(quality)}" : "")}".Trim();
    }

    // Of a model that was given: what training did to its predictions on held-out data of this run, which says nothing of other texts.
    private static string Moved(QualityRecord quality)
    {
        string how = quality.Kl switch
        {
            <= Little => "It predicts nearly as before",
            <= Much => "It predicts differently from before",
            _ => "It has moved far from the model before",
        };
        string mend = quality.Kl > Much
            ? " What that could do on other texts may be lost: measure one with rbeml eval. A smaller --learning-rate, fewer steps or a --delta move it less."
            : "";
        return $"{quality.Doubt}{how}: its likeliest token is that of the model before for {Format.Percent(quality.Top1Agreement)} of the tokens (divergence "
            + $"{Format.Figure(quality.Kl)} nats a token).{mend}";
    }

    // Whether the training loss went on falling after a step.
    private static bool Falls(RunRecord run, int from)
    {
        StepRecord[] after = [.. run.Steps.Skip(from)], before = [.. run.Steps.Take(from).TakeLast(after.Length)];
        return after.Length > 0 && before.Length > 0 && after.Average(step => step.Loss) < before.Average(step => step.Loss);
    }

    private static string Course(RunRecord run, ValidationRecord first, ValidationRecord last, ValidationRecord best)
    {
        string length = run.ByTime ? "--seconds" : "--steps";
        if (run.BestStep is { } kept)
        {
            return $"It was best after step {Format.Count(kept)}, whose weights are kept; after that it got worse on text it has not seen"
                + $"{(Falls(run, kept) ? " while it still got better on its own: it began to learn that by heart" : "")}. Use more text or --dropout.";
        }

        if (last.Loss > first.Loss + Learnt) return "It got worse. Use a smaller --learning-rate.";
        if (last.Loss > first.Loss - Learnt) return $"It has hardly learnt anything. Give it more {length}, or another --learning-rate.";
        if (last.Loss > best.Loss + Memorised)
        {
            return $"It was better after step {best.Step} ({Format.Loss(best.Loss)}) and has begun to learn the text by heart. Use "
                + $"{(run.ByTime ? "less" : "fewer")} {length}, more text or --dropout.";
        }

        ValidationRecord? earlier = run.Validation.LastOrDefault(v => v.Step > 0 && v.Step <= (1 - Recent) * last.Step);
        return earlier is null || earlier.Loss - last.Loss > StillFalling
            ? $"It has learnt, and was still getting better at the end: more {length} would help."
            : "It has learnt, and hardly got better towards the end: a larger model or more text would help more than a longer run.";
    }
}
