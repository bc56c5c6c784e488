using RbeMl.Cli.Output;

namespace RbeMl.Cli.Finetune;

/// <summary>Says plainly whether the result of a run is good.</summary>
internal static class Verdict
{
    private const double Learnt = 0.05, Memorised = 0.1, StillFalling = 0.02, Recent = 0.25;

    /// <summary>One or two sentences.</summary>
    public static string Of(RunRecord run)
    {
        ValidationRecord first = run.Validation[0], last = run.Validation[^1], best = run.Validation.MinBy(v => v.Loss)!;
        if (!double.IsFinite(last.Loss)) return "The model is of no use: its loss is no number. Use a smaller --learning-rate.";
        if (last.Step == 0) return run.Steps.Count == 0 ? "No step was done." : "It was stopped before the validation loss was measured again.";
        string choice = run.Model is { } model
            ? $"On text it has not seen it is as unsure as between {Format.Perplexity(last.Loss)} equally likely tokens of "
                + $"{Format.Count(model.Vocabulary)}; before it was {Format.Perplexity(first.Loss)}." : "";
        return $"{Course(run, first, last, best)} {choice}".Trim();
    }

    private static string Course(RunRecord run, ValidationRecord first, ValidationRecord last, ValidationRecord best)
    {
        string length = run.ByTime ? "--seconds" : "--steps";
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
