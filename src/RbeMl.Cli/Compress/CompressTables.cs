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

        Blocks(host, record);
        if (record.Tuning is { } tuning && record.Vectors is null)
        {
            host.Say($"Tuned in {Format.Count(tuning.Steps, "step")}: divergence (KL) from the dense model on held-out windows {Format.Figure(tuning.Loss)}");
        }

        if (record.Vectors is { } vectors)
        {
            host.Say(FormattableString.Invariant($"Vectors of {vectors.Sequences} sequences of the calibration, beside the dense model's: ")
                + FormattableString.Invariant($"cosine {vectors.MeanCosine:F5} in the mean, {vectors.LeastCosine:F5} at least"));
        }

        if (record.Quality is { } quality)
        {
            host.Out.WriteLine();
            quality.Table("dense", "compressed").Write(host);
            host.Say($"Measured on all {Format.Count(quality.Tokens, "predicted token")} of {quality.Text}", 0);
            host.Out.WriteLine();
        }

        if (record.TokenizerProblem is { } problem) host.Say($"Without a tokenizer: the model's cannot be read ({problem})");
        host.Say($"All matrices: {Format.Figure(record.BitsPerWeight)} bits a weight, {Format.Percent(record.SavedFraction)} of fp32 saved, relative "
            + $"error {Format.Figure(record.RelativeError)}");
        host.Say($"{record.Output}: {Format.Bytes(record.Bytes)} for {Format.Bytes(record.DenseBytes)} dense, in {Format.Seconds(record.Seconds)}, "
            + $"peak memory {Format.Bytes(record.PeakBytes)}");
        if (record.Verdict is { } verdict) host.Say(verdict, 0);
    }

    // What is lost where: of a model a line a block.
    private static void Blocks(CommandHost host, CompressRecord record)
    {
        var blocks = record.Tensors.Where(t => t.Name.StartsWith("blocks.", StringComparison.Ordinal)).GroupBy(t => t.Name.Split('.')[1]).ToList();
        if (record.Embeddings is null || blocks.Count == 0) return;
        FigureTable table = new FigureTable("block").Column("bits/weight", 1).Column("error of weights", 2);
        if (record.BlockErrors is not null) table.Column("error of outputs", 3, "of the block's output on the calibration, beside the dense model's.");
        foreach (var block in blocks)
        {
            double weights = block.Sum(Size), bits = block.Sum(t => t.BitsPerWeight * Size(t)) / weights;
            double error = Math.Sqrt(block.Sum(t => t.RelativeError * t.RelativeError * Size(t)) / weights);
            int layer = int.Parse(block.Key, System.Globalization.CultureInfo.InvariantCulture);
            string[] outputs = record.BlockErrors is { } errors ? [Format.Figure(errors.Errors[layer])] : [];
            table.Row(block.Key, [Format.Figure(bits), Format.Figure(error), .. outputs]);
        }

        table.Write(host);

        static double Size(TensorRecord tensor) => (double)tensor.Rows * tensor.Columns;
    }

    private static void Part(CommandHost host, string name, PartFigures? part)
    {
        if (part is null) return;
        string error = part.Storage == "dense" ? ""
            : $", relative error {Format.Figure(part.RelativeError)}; saves {100 * part.SavedOfModel:0.###} % of the dense model";
        host.Say(FormattableString.Invariant($"{name}: {part.Storage}, {Format.Bytes(part.Bytes)} for {Format.Bytes(part.DenseBytes)} dense{error}"));
    }
}
