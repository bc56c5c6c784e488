using System.Globalization;
using System.Text;
using RbeMl.Training;

namespace RbeMl.MLNet.Training;

/// <content>In words.</content>
public sealed partial record TrainingSummary
{
    /// <summary>A few lines: what was trained on, how long it took, how it ended, and the last epochs.</summary>
    public override string ToString()
    {
        const int MostEpochs = 5;
        if (Examples == 0 && Steps == 0) return "not trained";
        StringBuilder text = new();
        Add($"{Examples} examples");
        if (ValidationExamples > 0) Add($", {ValidationExamples} to validate");
        if (SkippedRows > 0) Add($", {SkippedRows} rows left out");
        Add($"; {Steps} steps in {Seconds:F1} s, seed {Seed}");
        if (Method is { } method) Add($"; {Word(method)}");
        if (Cancelled) Add($"; cancelled");
        if (StoppedEarly) Add($"; stopped early");
        if (BestEpoch > 0) Add($"; weights of epoch {BestEpoch}");
        if (CrossValidatedAccuracy is { } right)
        {
            Add($"\ncross-validated on the untrained embeddings: accuracy {100 * right:F1} %, log-loss {CrossValidatedLoss:F3}");
        }

        if (Epochs.Count > MostEpochs) Add($"\n... {Epochs.Count - MostEpochs} epochs before");
        for (int i = Math.Max(0, Epochs.Count - MostEpochs); i < Epochs.Count; i++)
        {
            Add($"\nepoch {i + 1}: loss {Epochs[i].Loss:F4}");
            if (Epochs[i].ValidationLoss is { } loss) Add($", validation {loss:F4}");
            if (Epochs[i].ValidationAccuracy is { } share) Add($", accuracy {100 * share:F1} %");
        }

        return text.ToString();

        static string Word(FewLabelMethod method) => method switch
        {
            FewLabelMethod.Frozen => "frozen",
            FewLabelMethod.FineTuned => "fine-tuned",
            _ => "contrastive",
        };

        void Add(FormattableString part) => text.Append(part.ToString(CultureInfo.InvariantCulture));
    }
}
