using System.Text.Json;
using RbeMl.Cli.Output;
using RbeMl.Codec;
using RbeMl.Compression;

namespace RbeMl.Cli.Compress;

/// <summary>One matrix in the document.</summary>
internal sealed record TensorRecord(string Name, int Rows, int Columns, string Format, double BitsPerWeight, double RelativeError, double ShannonFloor);

/// <summary>LayerNorms or embeddings in the document; <c>SavedOfModel</c> is the share of the dense model's bytes that storing them so saves.</summary>
internal sealed record PartFigures(string Storage, long DenseBytes, long Bytes, double RelativeError, double SavedOfModel);

/// <summary>Errors of block outputs on the calibration windows, one a block.</summary>
internal sealed record BlockErrors(IReadOnlyList<double> Errors, IReadOnlyList<double> WithDenseLayerNorms);

/// <summary>The JSON document of <c>rbeml compress</c>.</summary>
internal sealed record CompressRecord
{
    /// <summary>What was compressed.</summary>
    public required string Input { get; init; }

    /// <summary>The file that was written.</summary>
    public required string Output { get; init; }

    /// <summary>The compressed matrices.</summary>
    public required IReadOnlyList<TensorRecord> Tensors { get; init; }

    /// <summary>Tensors of a file that were copied; null for a model.</summary>
    public IReadOnlyList<string>? Copied { get; init; }

    /// <summary>Bits for each weight of the matrices.</summary>
    public required double BitsPerWeight { get; init; }

    /// <summary>‖W − Ŵ‖ / ‖W‖ of all matrices together.</summary>
    public required double RelativeError { get; init; }

    /// <summary>Share of the matrices' fp32 size that is saved.</summary>
    public required double SavedFraction { get; init; }

    /// <summary>Bytes of the file.</summary>
    public required long Bytes { get; init; }

    /// <summary>Bytes of everything as fp32, or of a file of tensors as it is.</summary>
    public required long DenseBytes { get; init; }

    /// <summary>Why the model's tokenizer could not be read, so that the file has none; null when it was, or there is none.</summary>
    public string? TokenizerProblem { get; init; }

    /// <summary>Tokens that calibrated; null without.</summary>
    public int? CalibrationTokens { get; init; }

    /// <summary>Whether rounding weighed what outputs are worth; null without calibration.</summary>
    public bool? OutputsWeighed { get; init; }

    /// <summary>Steps of tuning, and the divergence or one less the cosine after them, on windows held out; null without.</summary>
    public TuningFigures? Tuning { get; init; }

    /// <summary>Null for a file of tensors.</summary>
    public PartFigures? LayerNorms { get; init; }

    /// <summary>Null for a file of tensors.</summary>
    public PartFigures? Embeddings { get; init; }

    /// <summary>Null without calibration.</summary>
    public BlockErrors? BlockErrors { get; init; }

    /// <summary>How near an encoder's vectors are to the dense ones; null without calibration, and for language models.</summary>
    public EmbeddingFigures? Vectors { get; init; }

    /// <summary>How the model predicts a text beside the dense one; null without <c>--measure</c>.</summary>
    public QualityRecord? Quality { get; init; }

    /// <summary>What was done to the model, in words, and what to try next; null for a file of tensors.</summary>
    public string? Verdict { get; init; }

    /// <summary>Wall-clock time.</summary>
    public required double Seconds { get; init; }

    /// <summary>The process's peak resident set.</summary>
    public required long PeakBytes { get; init; }

    /// <summary>A matrix.</summary>
    public static TensorRecord Of(MatrixOutcome m) =>
        new(m.Name, m.Rows, m.Columns, FormatName(m.Format), m.Report.BitsPerWeight, m.Report.RelativeError, m.Report.ShannonFloor);

    /// <summary>The JSON document.</summary>
    public string ToJson() => JsonSerializer.Serialize(this, JsonStyle.Indented);

    /// <summary>sparse, quantized, trellis, seed.</summary>
    public static string FormatName(RbeFormat format) => format.GetType().Name.Replace("Format", "", StringComparison.Ordinal).ToLowerInvariant();
}
