using System.Globalization;
using RbeMl.Cli.Output;
using RbeMl.Layers;

namespace RbeMl.Cli.Inspect;

/// <summary>What <c>rbeml inspect</c> prints.</summary>
internal static class InspectTables
{
    /// <summary>Prints header, matrices, parts and totals.</summary>
    /// <param name="host">Where to.</param>
    /// <param name="record">What.</param>
    /// <param name="all">Whether each matrix has a row; otherwise those of a kind share one.</param>
    public static void Write(CommandHost host, InspectRecord record, bool all)
    {
        host.Say($"{record.File}: {Content(record)}, "
            + $"{Format.Bytes(record.Bytes)}{(record.Verified ? ", every checksum is right" : "")}");
        if (record.Config is { } config) host.Say(Describe(config, record));
        if (record.TokenizerProblem is { } problem) host.Say($"The tokenizer cannot be read: {problem}");
        if (record.Tensors.Count > 0) Matrices(record, all).Write(host);
        foreach (IGrouping<string, MatrixRecord> group in record.Tensors.GroupBy(m => $"{m.Storage}; tiles of {m.Tile}, {m.Transform}"))
        {
            host.Say($"{Format.Count(group.Count(), "matrix", "matrices")}: {group.Key}");
        }

        if (record.DenseTensors.Count > 0)
        {
            FigureTable dense = new FigureTable("dense tensor").Column("count", 1).Column("type", 3).Column("shape", 2).Column("bytes", 4);
            foreach (var kind in record.DenseTensors.GroupBy(t => (Name: all ? t.Name : MatrixKinds.Of(t.Name), t.Type, Shape: string.Join(" x ", t.Shape))))
            {
                dense.Row(kind.Count() == 1 ? kind.First().Name
                    : kind.Key.Name, Format.Count(kind.Count()), kind.Key.Type, kind.Key.Shape, Format.Bytes(kind.Sum(t => t.ByteLength)));
            }

            dense.Write(host);
        }

        Parts(record).Write(host);
        if (record.BitsPerWeight is { } bits)
        {
            string error = record.RelativeError is { } e ? $", relative error {Format.Figure(e)}" : "";
            string alphas = record.AlphaShare is { } share ? $", alphas carry {Percent(share)} of the energy" : "";
            host.Say($"All matrices: {Format.Figure(bits)} bits a weight, {Format.Percent(record.SavedFraction!.Value)} of fp32 saved{error}{alphas}");
        }
    }

    /// <summary>A share that may be far below a percent.</summary>
    public static string Percent(double share) => (100 * share).ToString("G3", CultureInfo.InvariantCulture) + " %";

    /// <summary>What a file holds.</summary>
    public static string Content(InspectRecord record) => record switch
    {
        { Classes: { } classes, Config: { } config } => $"a classifier of {Format.Count(classes, "class", "classes")}, made of {config.Describe()}",
        { Config: { } config } => config.Describe(),
        { Kind: "" } => "a container",
        { Tensors.Count: > 0 } => $"a set of {Format.Count(record.Tensors.Count, "compressed matrix", "compressed matrices")}",
        _ => record.Kind,
    };

    /// <summary>A configuration in a line.</summary>
    public static string Describe(TransformerConfig config, InspectRecord record)
    {
        string shapes = $"{Format.Count(config.Layers, "block")}, width {config.Width}, {Format.Count(config.Heads, "head")}, vocabulary {config.Vocabulary}, "
            + $"{Format.Count(config.MaxSequenceLength, "position")}", tokenizer = $"tokenizer {record.Tokenizer ?? "none"}";
        if (config.Causal) return $"{shapes}, {(config.TiedHead ? "tied" : "untied")} head; {tokenizer}";
        if (record.Encoder is not { } encoder) return $"{shapes}; {tokenizer}";
        string vectors = $"vectors by {encoder.Pooling.ToString().ToLowerInvariant()}{(encoder.Normalize ? ", of unit length" : "")}, "
            + $"of at most {Format.Count(encoder.MaxTokens ?? config.MaxSequenceLength, "token")}";
        string prompts = encoder.Prompts.Count == 0 ? "" : $"; prompts {string.Join(", ", encoder.Prompts.Keys.Order(StringComparer.Ordinal))}";
        return $"{shapes}; {vectors}{prompts}; {tokenizer}";
    }

    /// <summary>What the parts of the model take in the file.</summary>
    public static FigureTable Parts(InspectRecord record)
    {
        FigureTable parts = new FigureTable("part").Column("tensors", 1).Column("bytes", 3).Column("share", 2);
        foreach (PartRecord part in record.Parts)
        {
            parts.Row(part.Part, part.Tensors == 0 ? "" : Format.Count(part.Tensors), Format.Bytes(part.Bytes), Format.Percent(part.Share));
        }

        return parts;
    }

    /// <summary>The matrices, with a row for each, or one for all of a kind.</summary>
    public static FigureTable Matrices(InspectRecord record, bool all)
    {
        int error = record.Tensors.Any(m => m.RelativeError is not null) ? 8 : 0; // a column of nothing but dashes goes first
        FigureTable table = new FigureTable("matrix").Column("count", 3).Column("shape", 2).Column("format", 4)
            .Column("bits/weight", 7, Meanings.Weight).Column("error", error, Meanings.Error)
            .Column("floor", 5, Meanings.Floor).Column("alphas", 1, Meanings.Alphas).Column("bytes", 6).UnknownMeans(Meanings.NoError);
        foreach (var kind in record.Tensors.GroupBy(m => (Name: all ? m.Name : MatrixKinds.Of(m.Name), m.Rows, m.Columns, m.Format)))
        {
            IEnumerable<double> errors = kind.Select(m => m.RelativeError).OfType<double>();
            table.Row(
                kind.Count() == 1 ? kind.First().Name
                : kind.Key.Name, Format.Count(kind.Count()), $"{kind.Key.Rows} x {kind.Key.Columns}", kind.Key.Format,
                    MatrixKinds.Range(kind.Select(m => m.BitsPerWeight), Format.Figure),
                errors.Count() == kind.Count() ? MatrixKinds.Range(errors, Format.Figure)
                : FigureTable.Unknown, MatrixKinds.Range(kind.Select(m => m.ShannonFloor), Format.Figure),
                MatrixKinds.Range(kind.Select(m => m.AlphaShare), Percent), Format.Bytes(kind.Sum(m => m.Bytes)));
        }

        return table;
    }
}
