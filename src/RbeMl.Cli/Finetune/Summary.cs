using RbeMl.Cli.Output;

namespace RbeMl.Cli.Finetune;

/// <summary>What a run prints at its end.</summary>
internal static class Summary
{
    private const int ChartWidth = 64, ChartMargin = 10, LeastChart = 10, SampleIndent = 10;

    /// <summary>Prints losses, curve, memory, samples, and what to do next.</summary>
    public static void Write(CommandHost host, RunRecord run)
    {
        ValidationRecord first = run.Validation[0], last = run.Validation[^1];
        host.Out.WriteLine();
        host.Say($"Validation loss  {Format.Loss(first.Loss)} before, {Format.Loss(last.Loss)} {run.Measured} in {Format.Seconds(run.TrainingSeconds)} "
            + $"(nats a token; perplexity {Format.Perplexity(first.Loss)} -> {Format.Perplexity(last.Loss)})");
        host.Say(Verdict.Of(run), 0);
        host.Out.WriteLine();
        if (run.Quality is { } quality)
        {
            quality.Table("before", "after").Write(host);
            host.Say($"Measured on all {Format.Count(quality.Tokens, "token")} of the {quality.Text}. KL: what the model before would lose by predicting as "
                + "the one after, a measure of how far it moved.", 0);
            host.Out.WriteLine();
        }

        int chart = Math.Clamp((host.Columns ?? int.MaxValue) - ChartMargin, LeastChart, ChartWidth);
        if (run.Steps.Count > 1)
        {
            host.Say("Training loss, nats a token");
            host.Out.WriteLine(LossChart.Draw([.. run.Losses], chart));
        }

        WriteBytes(host, run);
        if (run.Memory is { LimitBytes: { } limit, PredictedBytes: { } predicted } memory)
        {
            string parts = memory.PartSequences > 0 ? $", {Format.Count(memory.PartSequences, "sequence")} at a time" : "";
            host.Say($"Memory limit {Format.Bytes(limit)}: predicted {Format.Bytes(predicted)}, measured {Format.Bytes(memory.PeakBytes)} (peak of the "
                + $"process); checkpointing {memory.Checkpointing}, offload {memory.Offload}{parts}");
        }

        WriteProfile(host, run);
        foreach (SampleRecord sample in run.Samples)
        {
            host.Out.WriteLine();
            Sample("before", $"{Fold(sample.Prompt)}|{Fold(sample.Before)}");
            Sample("after", $"{Fold(sample.Prompt)}|{Fold(sample.After)}");
        }

        host.Out.WriteLine();
        foreach ((string kind, string file) in run.Files) host.Say($"{kind,-8} {PlainText.Line(file)}");
        Next(host, run);

        // What an untrained model writes may be one word of many lines.
        void Sample(string when, string text) =>
            host.Say($"  {when,-8}{(host.Columns is { } width ? Wrap.Cut(text, Math.Max(1, width - SampleIndent)) : text)}", SampleIndent);
    }

    // Lines to copy, so they are not broken.
    private static void Next(CommandHost host, RunRecord run)
    {
        if (!run.Files.TryGetValue("model", out string? model) || run.Model is not { } shape) return;
        string prompt = run.Samples.Count > 0 ? run.Samples[0].Prompt.ReplaceLineEndings(" ") : "The";
        host.Out.WriteLine();
        host.Out.WriteLine("Next:");
        host.Out.WriteLine(
            $"  {CommandLine.Of(host.Program, ["generate", "-m", model, .. shape.Tokenizer == "ids" ? ["--tokens"] : Array.Empty<string>(), "-p", prompt])}");
        host.Out.WriteLine($"  {CommandLine.Of(host.Program, ["inspect", model, "--html", "tiles.html"])}");
    }

    private static void WriteBytes(CommandHost host, RunRecord run)
    {
        FigureTable table = new FigureTable("memory").Column("this run", 3)
            .Column("dense fp32", 1, "what the same model and training would take with every weight a 4-byte number. 1 MiB is 1,048,576 bytes.")
                .Column("saved", 2);
        foreach (ByteRow row in ByteRow.Of(run)) table.Row(row.Name, row.Actual, row.Dense, row.Saved);
        table.Write(host);
    }

    private static void WriteProfile(CommandHost host, RunRecord run)
    {
        if (run.Profile is not { } profile) return;
        host.Out.WriteLine();
        host.Say($"Profile: {profile.Title}");
        FigureTable table = new(ProfileRecord.Headings[0]);
        for (int i = 1; i < ProfileRecord.Headings.Count; i++) table.Column(ProfileRecord.Headings[i], i);
        foreach (string[] row in profile.Rows) table.Row(row[0], row[1..]);
        table.Write(host);
    }

    private static string Fold(string text) => PlainText.Line(text.ReplaceLineEndings(" ⏎ "));
}

/// <summary>A line of the memory table.</summary>
internal readonly record struct ByteRow(string Name, string Actual, string Dense, string Saved)
{
    /// <summary>The lines of a run.</summary>
    public static IEnumerable<ByteRow> Of(RunRecord run)
    {
        if (run.Bytes is not { } bytes || run.DenseBytes is not { } dense) yield break;
        yield return Row("weights", bytes.Weights, dense.Weights);
        yield return Row("gradients", bytes.Gradients, dense.Gradients);
        yield return Row("optimizer", bytes.Optimizer, dense.Optimizer);
        yield return Row("all three", bytes.Weights + bytes.Gradients + bytes.Optimizer, dense.Weights + dense.Gradients + dense.Optimizer);
        yield return new ByteRow("activations", Format.Bytes(bytes.Activations), "", "");
    }

    private static ByteRow Row(string name, long actual, long dense) =>
        new(name, Format.Bytes(actual), Format.Bytes(dense), dense > 0 ? Format.Percent(1 - (double)actual / dense) : "");
}
