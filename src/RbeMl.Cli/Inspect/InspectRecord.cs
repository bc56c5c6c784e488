using System.Text.Json;
using RbeMl.Cli.Compress;
using RbeMl.Cli.Finetune;
using RbeMl.Cli.Output;
using RbeMl.Codec;
using RbeMl.Files;
using RbeMl.Layers;
using RbeMl.Models;

namespace RbeMl.Cli.Inspect;

/// <summary>One matrix in the document.</summary>
internal sealed record MatrixRecord(
    string Name, int Rows, int Columns, string Format, string Storage, int Tile, string Transform, double BitsPerWeight, double? RelativeError,
    double ShannonFloor, double Norm, double AlphaShare, long Bytes);

/// <summary>What a part of the model takes in the file.</summary>
internal sealed record PartRecord(string Part, int Tensors, long Bytes, double Share);

/// <summary>The JSON document of <c>rbeml inspect</c>.</summary>
internal sealed record InspectRecord
{
    /// <summary>The file.</summary>
    public required string File { get; init; }

    /// <summary>What it holds: <c>model</c>, <c>classifier</c>, <c>matrices</c>, or what a kind unknown to this version is called.</summary>
    public required string Kind { get; init; }

    /// <summary>Kind of model, as <c>model_type</c> names it: <c>gpt2</c> or <c>bert</c>; null when it is none.</summary>
    public string? Architecture { get; init; }

    /// <summary>Classes of a classifier; null when it is none.</summary>
    public int? Classes { get; init; }

    /// <summary>Bytes of the file.</summary>
    public required long Bytes { get; init; }

    /// <summary>Whether every checksum was checked.</summary>
    public required bool Verified { get; init; }

    /// <summary>What errors were measured against; null for what the file has.</summary>
    public string? Reference { get; init; }

    /// <summary>The model's configuration.</summary>
    public TransformerConfig? Config { get; init; }

    /// <summary>How an encoder makes a vector of a text; null when it is none.</summary>
    public EncoderSettings? Encoder { get; init; }

    /// <summary>The tokenizer, described; null when there is none.</summary>
    public string? Tokenizer { get; init; }

    /// <summary>Why the tokenizer cannot be read; null when it can, or there is none.</summary>
    public string? TokenizerProblem { get; init; }

    /// <summary>The matrices.</summary>
    public required IReadOnlyList<MatrixRecord> Tensors { get; init; }

    /// <summary>Tensors carried along as they are.</summary>
    public IReadOnlyList<RbeDenseInfo> DenseTensors { get; init; } = [];

    /// <summary>What the parts take.</summary>
    public required IReadOnlyList<PartRecord> Parts { get; init; }

    /// <summary>Bits for each weight of all matrices.</summary>
    public double? BitsPerWeight { get; init; }

    /// <summary>Relative error of all matrices together; null unless all are known.</summary>
    public double? RelativeError { get; init; }

    /// <summary>Share of the fp32 size of the matrices that is saved.</summary>
    public double? SavedFraction { get; init; }

    /// <summary>Share of all energy that the alphas carry.</summary>
    public double? AlphaShare { get; init; }

    /// <summary>The document of a file.</summary>
    public static InspectRecord Of(RbeInspection file, IReadOnlyList<MatrixFigures> matrices, bool verified, string? reference)
    {
        FileParts parts = new(file);
        long weights = matrices.Sum(m => m.Weights), bits = matrices.Sum(m => m.Bits);
        double energy = matrices.Sum(m => m.Tiles.Energy), original = matrices.Sum(m => m.OriginalEnergy);
        bool any = matrices.Count > 0, known = any && original > 0 && matrices.All(m => m.RelativeError is not null);
        return new InspectRecord
        {
            File = file.Path,
            Kind = ContentKind.Word(file.Kind),
            Architecture = file.Architecture?.ModelType,
            Classes = file.Classes,
            Bytes = file.Length,
            Verified = verified,
            Reference = reference,
            Config = file.Config,
            Encoder = file.Encoder,
            Tokenizer = TokenizerName(file.Metadata),
            TokenizerProblem = file.TokenizerProblem,
            Tensors = [.. matrices.Select(m => Record(m, parts.BytesOf(m.Name)))],
            DenseTensors = file.DenseTensors,
            Parts = parts.All(),
            BitsPerWeight = any ? (double)bits / weights : null,
            SavedFraction = any ? 1 - (double)bits / weights / 32 : null,
            RelativeError = known ? Math.Sqrt(matrices.Sum(m => m.RelativeError!.Value * m.RelativeError.Value * m.OriginalEnergy) / original) : null,
            AlphaShare = energy > 0 ? matrices.Sum(m => m.Tiles.AlphaEnergies.Sum()) / energy : null,
        };
    }

    /// <summary>The JSON document.</summary>
    public string ToJson() => JsonSerializer.Serialize(this, JsonStyle.Words);

    private static MatrixRecord Record(MatrixFigures m, long bytes)
    {
        double bits = (double)m.Bits / m.Weights;
        return new MatrixRecord(
            m.Name, m.Matrix.Rows, m.Matrix.Columns, FormatName(m.Matrix.Format), TrainingModel.Describe(m.Matrix), m.Matrix.Tile,
            m.Matrix.Transform.ToString(), bits, m.RelativeError, Math.Pow(2, -bits), Math.Sqrt(m.Tiles.Energy), m.Tiles.AlphaShare, bytes);
    }

    private static string FormatName(RbeFormat format) => CompressRecord.FormatName(format);

    private static string? TokenizerName(JsonElement metadata) =>
        metadata.ValueKind == JsonValueKind.Object && metadata.TryGetProperty("tokenizer", out JsonElement tokenizer)
            && tokenizer.ValueKind == JsonValueKind.Object
            && tokenizer.TryGetProperty("kind", out JsonElement kind) && kind.ValueKind == JsonValueKind.String
            ? kind.GetString()
            : null;
}
