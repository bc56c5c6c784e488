using System.Globalization;
using RbeMl.Cli.Output;
using RbeMl.Layers;
using Spectre.Console;

namespace RbeMl.Cli.Inspect;

/// <summary>What <c>rbeml inspect</c> prints.</summary>
internal static class InspectTables
{
    /// <summary>Prints header, matrices, parts and totals.</summary>
    public static void Write(CommandHost host, InspectRecord record)
    {
        TextWriter output = host.Out;
        output.WriteLine($"{record.File}: {(record.Kind.Length == 0 ? "a container" : record.Kind)}, {Format.Bytes(record.Bytes)}{(record.Verified ? ", every checksum is right" : "")}");
        if (record.Config is { } config) output.WriteLine(Describe(config, record.Tokenizer));
        if (record.TokenizerProblem is { } problem) output.WriteLine($"The tokenizer cannot be read: {problem}");
        if (record.Tensors.Count > 0) Tables.Console(host).Write(Matrices(host, record));
        foreach (IGrouping<string, MatrixRecord> group in record.Tensors.GroupBy(m => $"{m.Format}: {m.Storage}; tiles of {m.Tile}, {m.Transform}"))
        {
            output.WriteLine($"{group.Count()} {(group.Count() == 1 ? "matrix" : "matrices")} {group.Key}");
        }

        if (record.DenseTensors.Count > 0)
        {
            Table dense = Tables.New(host, "dense tensor", "type", "shape", "bytes");
            foreach (var tensor in record.DenseTensors) dense.Row(tensor.Name, tensor.Type, string.Join(" x ", tensor.Shape), Format.Bytes(tensor.ByteLength));
            Tables.Console(host).Write(dense);
        }

        Table parts = Tables.New(host, "part", "tensors", "bytes", "share");
        foreach (PartRecord part in record.Parts) parts.Row(part.Part, part.Tensors == 0 ? "" : Format.Count(part.Tensors), Format.Bytes(part.Bytes), Format.Percent(part.Share));
        Tables.Console(host).Write(parts);
        if (record.BitsPerWeight is { } bits)
        {
            string error = record.RelativeError is { } e ? $", relative error {Format.Figure(e)}" : "";
            string alphas = record.AlphaShare is { } share ? $", alphas carry {Percent(share)} of the energy" : "";
            output.WriteLine($"All matrices: {Format.Figure(bits)} bits a weight, {Format.Percent(record.SavedFraction!.Value)} of fp32 saved{error}{alphas}");
        }
    }

    /// <summary>A share that may be far below a percent.</summary>
    public static string Percent(double share) => (100 * share).ToString("G3", CultureInfo.InvariantCulture) + " %";

    /// <summary>A configuration in a line.</summary>
    public static string Describe(TransformerConfig config, string? tokenizer) =>
        $"GPT-2: {config.Layers} blocks, width {config.Width}, {config.Heads} heads, vocabulary {config.Vocabulary}, {config.MaxSequenceLength} positions, {(config.TiedHead ? "tied" : "untied")} head; tokenizer {tokenizer ?? "none"}";

    private static Table Matrices(CommandHost host, InspectRecord record)
    {
        Table table = Tables.New(host, "matrix", "shape", "format", "bits/weight", "error", "floor", "alphas", "bytes");
        foreach (MatrixRecord m in record.Tensors)
        {
            table.Row(
                m.Name, $"{m.Rows} x {m.Columns}", m.Format, Format.Figure(m.BitsPerWeight), m.RelativeError is { } error ? Format.Figure(error) : "-",
                Format.Figure(m.ShannonFloor), Percent(m.AlphaShare), Format.Bytes(m.Bytes));
        }

        return table;
    }
}
