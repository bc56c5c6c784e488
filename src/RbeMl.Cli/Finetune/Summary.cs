using RbeMl.Cli.Output;
using Spectre.Console;

namespace RbeMl.Cli.Finetune;

/// <summary>What a run prints at its end.</summary>
internal static class Summary
{
    /// <summary>Prints losses, curve, memory and samples.</summary>
    public static void Write(CommandHost host, RunRecord run)
    {
        TextWriter output = host.Out;
        ValidationRecord first = run.Validation[0], last = run.Validation[^1];
        output.WriteLine();
        output.WriteLine($"Validation loss  {Format.Loss(first.Loss)} before, {Format.Loss(last.Loss)} after {last.Step} steps (nats a token; perplexity {Format.Perplexity(first.Loss)} -> {Format.Perplexity(last.Loss)})");
        output.WriteLine();
        if (run.Steps.Count > 1) output.WriteLine("Training loss\n" + LossChart.Draw([.. run.Steps.Select(step => step.Loss)]));
        WriteBytes(host, run);
        if (run.Memory is { LimitBytes: { } limit, PredictedBytes: { } predicted } memory)
        {
            string parts = memory.PartSequences > 0 ? $", {memory.PartSequences} sequences at a time" : "";
            output.WriteLine($"Memory limit {Format.Bytes(limit)}: predicted {Format.Bytes(predicted)}, measured {Format.Bytes(memory.PeakBytes)} (peak of the process); checkpointing {memory.Checkpointing}, offload {memory.Offload}{parts}");
        }

        WriteProfile(host, run);
        foreach (SampleRecord sample in run.Samples)
        {
            output.WriteLine();
            output.WriteLine($"  before  {Fold(sample.Prompt)}|{Fold(sample.Before)}");
            output.WriteLine($"  after   {Fold(sample.Prompt)}|{Fold(sample.After)}");
        }

        output.WriteLine();
        foreach ((string kind, string file) in run.Files) output.WriteLine($"{kind,-8} {PlainText.Line(file)}");
    }

    private static void WriteBytes(CommandHost host, RunRecord run)
    {
        Table table = Tables.New(host, "memory", "this run", "dense fp32", "saved");
        foreach (ByteRow row in ByteRow.Of(run)) table.Row(row.Name, row.Actual, row.Dense, row.Saved);
        Tables.Console(host).Write(table);
    }

    private static void WriteProfile(CommandHost host, RunRecord run)
    {
        if (run.Profile is not { } profile) return;
        host.Out.WriteLine($"Profile: {profile.Title}");
        Table table = Tables.New(host, [.. ProfileRecord.Headings]);
        foreach (string[] row in profile.Rows) table.Row(row);
        Tables.Console(host).Write(table);
    }

    private static string Fold(string text) => text.ReplaceLineEndings(" ⏎ ");
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

    private static ByteRow Row(string name, long actual, long dense) => new(name, Format.Bytes(actual), Format.Bytes(dense), Format.Percent(1 - (double)actual / dense));
}
