using RbeMl.Layers;
using RbeMl.Models;
using RbeMl.Training;

namespace RbeMl.MLNet.LanguageModels;

/// <summary>
/// Mean losses of texts of any length: a text longer than the context is read in windows of it that share one token, so that every token but the first
/// is predicted once, from those before it in its window.
/// </summary>
internal static class WindowLosses
{
    /// <summary>Measures; a text's result is the same, bit for bit, whatever else is in the call.</summary>
    /// <param name="model">The model.</param>
    /// <param name="workspace">Threads and scratch.</param>
    /// <param name="context">Tokens of a window, at least 2.</param>
    /// <param name="tokens">Ids of all texts, one after the other.</param>
    /// <param name="lengths">Tokens of each.</param>
    /// <param name="losses">Written: nats a predicted token; NaN where there are fewer than two tokens.</param>
    /// <returns>Sum of all losses, and predicted tokens, of all texts together.</returns>
    /// <exception cref="NonFiniteException">A logit is NaN or infinite.</exception>
    public static (double Sum, long Tokens) Measure(TransformerModel<float> model, Workspace<float> workspace, int context,
        ReadOnlySpan<int> tokens, ReadOnlySpan<int> lengths, Span<double> losses)
    {
        List<int> ids = new(tokens.Length), sizes = new(lengths.Length), owners = new(lengths.Length);
        for (int i = 0, start = 0; i < lengths.Length; start += lengths[i++])
        {
            for (int at = 0; at + 1 < lengths[i]; at += context - 1)
            {
                int size = Math.Min(context, lengths[i] - at);
                ids.AddRange(tokens.Slice(start + at, size));
                sizes.Add(size);
                owners.Add(i);
            }
        }

        losses.Fill(double.NaN);
        if (sizes.Count == 0) return (0, 0);
        double[] means = new double[sizes.Count];
        int[] counts = new int[sizes.Count];
        using SequenceEvaluator evaluator = new(model, workspace);
        evaluator.SequenceLosses(ids.ToArray(), sizes.ToArray(), means, counts);
        (double Sum, long Tokens) all = (0, 0);
        for (int first = 0, end; first < means.Length; first = end)
        {
            (double sum, long count) = (0, 0);
            for (end = first; end < means.Length && owners[end] == owners[first]; end++) (sum, count) = (sum + (means[end] * counts[end]), count + counts[end]);
            losses[owners[first]] = sum / count;
            all = (all.Sum + sum, all.Tokens + count);
        }

        return all;
    }

    /// <summary>Mean loss over all tokens of many texts, some at a time.</summary>
    public static double Mean(TransformerModel<float> model, Workspace<float> workspace, int context, IReadOnlyList<int[]> texts)
    {
        const int together = 64;
        (double sum, long count) = (0, 0);
        foreach (int[][] some in texts.Chunk(together))
        {
            (double part, long tokens) =
                Measure(model, workspace, context, some.SelectMany(t => t).ToArray(), some.Select(t => t.Length).ToArray(), new double[some.Length]);
            (sum, count) = (sum + part, count + tokens);
        }

        return sum / count;
    }
}
