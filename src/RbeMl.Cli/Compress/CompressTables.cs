using RbeMl.Cli.Output;

namespace RbeMl.Cli.Compress;

/// <summary>What <c>rbeml compress</c> prints.</summary>
internal static class CompressTables
{
    /// <summary>Prints a line for each kind of matrix, the other parts and the totals.</summary>
    public static void Write(CommandHost host, CompressRecord record)
    {
        FigureTable table = new FigureTable("matrices").Column("count", 2).Column("shape", 1).Column("format", 3)
            .Column("bits/weight", 6, Meanings.Weight).Column("error", 7, Meanings.Error).Column("floor", 5, Meanings.Floor);
        foreach (var kind in record.Tensors.GroupBy(t => (Name: MatrixKinds.Of(t.Name), t.Rows, t.Columns, t.Format)))
        {
            // All of one shape, so plain means are those of the weights.
            double bits = kind.Average(t => t.BitsPerWeight), error = Math.Sqrt(kind.Average(t => t.RelativeError * t.RelativeError));
            table.Row(kind.Count() == 1 ? kind.First().Name
                : kind.Key.Name, Format.Count(kind.Count()), $"{kind.Key.Rows} x {kind.Key.Columns}", kind.Key.Format, Format.Figure(bits),
                    Format.Figure(error), Format.Figure(Math.Pow(2, -bits)));
        }

        table.Write(host);
        Part(host, "LayerNorms", record.LayerNorms);
        Part(host, "embeddings", record.Embeddings);
        if (record.Copied is { Count: > 0 } copied) host.Say($"{Format.Count(copied.Count, "tensor")} copied unchanged");
        if (record.BlockErrors is { } blocks)
        {
            string norms = record.LayerNorms?.Storage == "dense" ? "" : $" ({Format.Figure(blocks.WithDenseLayerNorms.Max())} with dense LayerNorms)";
            host.Say($"Output error of blocks on {Format.Count(record.CalibrationTokens ?? 0, "calibration token")}: mean "
                + $"{Format.Figure(blocks.Errors.Average())}, worst {Format.Figure(blocks.Errors.Max())}{norms}");
        }

        if (record.Vectors is { } vectors)
        {
            host.Say(FormattableString.Invariant($"Vectors of {vectors.Sequences} sequences of the calibration, beside the dense model's: ")
                + FormattableString.Invariant($"cosine {vectors.MeanCosine:F5} in the mean, {vectors.LeastCosine:F5} at least"));
        }

        if (record.TokenizerProblem is { } problem) host.Say($"Without a tokenizer: the model's cannot be read ({problem})");
        host.Say($"All matrices: {Format.Figure(record.BitsPerWeight)} bits a weight, {Format.Percent(record.SavedFraction)} of fp32 saved, relative "
            + $"error {Format.Figure(record.RelativeError)}");
        host.Say($"{record.Output}: {Format.Bytes(record.Bytes)} for {Format.Bytes(record.DenseBytes)} dense, in {Format.Seconds(record.Seconds)}, "
            + $"peak memory {Format.Bytes(record.PeakBytes)}");
    }

    private static void Part(CommandHost host, string name, PartFigures? part)
    {
        if (part is null) return;
        string error = part.Storage == "dense" ? ""
            : $", relative error {Format.Figure(part.RelativeError)}; saves {100 * part.SavedOfModel:0.###} % of the dense model";
        host.Say(FormattableString.Invariant($"{name}: {part.Storage}, {Format.Bytes(part.Bytes)} for {Format.Bytes(part.DenseBytes)} dense{error}"));
    }
}
