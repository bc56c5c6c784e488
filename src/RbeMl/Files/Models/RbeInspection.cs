using System.Text.Json;
using RbeMl.Codec;
using RbeMl.Layers;
using RbeMl.Models;
using RbeMl.Storage;

namespace RbeMl.Files;

/// <summary>A matrix as <see cref="RbeInspection"/> finds it.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Matrix">The matrix; codes that are mapped are read only when they are used.</param>
/// <param name="Bits">Stored bits, counted as in <see cref="CompressionReport"/>.</param>
/// <param name="RelativeError">‖W − Ŵ‖ / ‖W‖ as compression measured it; null when the file has no report.</param>
/// <param name="TileErrors">The same of every tile, row-major; null when the file has no report.</param>
internal sealed record RbeMatrixInspection(string Name, RbeMatrix Matrix, long Bits, double? RelativeError, IReadOnlyList<float>? TileErrors)
{
    /// <summary>Weights: rows x columns.</summary>
    public long Weights => (long)Matrix.Rows * Matrix.Columns;

    /// <summary>Stored bits for each weight.</summary>
    public double BitsPerWeight => (double)Bits / Weights;

    /// <summary>2^-<see cref="BitsPerWeight"/>, see <see cref="CompressionReport.ShannonFloor"/>.</summary>
    public double ShannonFloor => Math.Pow(2, -BitsPerWeight);
}

/// <summary>What a <c>.rbe</c> file holds, from the file alone. Weights are not decoded.</summary>
internal sealed record RbeInspection
{
    private RbeInspection()
    {
    }

    /// <summary>The file.</summary>
    public required string Path { get; init; }

    /// <summary>Bytes of the file.</summary>
    public required long Length { get; init; }

    /// <summary>What kind of content it says it has, a <see cref="ContentKind"/> or another; empty when it says nothing.</summary>
    public required string Kind { get; init; }

    /// <summary>All of its metadata.</summary>
    public required JsonElement Metadata { get; init; }

    /// <summary>The configuration of a model, or of a classifier's; null when it is none.</summary>
    public TransformerConfig? Config { get; init; }

    /// <summary>The kind of model; null when it is none, or of a kind that no folder has.</summary>
    public ModelFolderKind? Architecture => Config is { } config ? ModelFolders.Kinds.FirstOrDefault(kind => kind.Holds(config)) : null;

    /// <summary>Classes of a classifier; null when it is none.</summary>
    public int? Classes { get; init; }

    /// <summary>How an encoder makes a vector of a text; null when it is none.</summary>
    public EncoderSettings? Encoder { get; init; }

    /// <summary>Why a model's tokenizer cannot be read; null when it can, or there is none.</summary>
    public string? TokenizerProblem { get; init; }

    /// <summary>Everything stored, in the order of the file.</summary>
    public required IReadOnlyList<RbeTensorInfo> Tensors { get; init; }

    /// <summary>The compressed matrices.</summary>
    public IReadOnlyList<RbeMatrixInspection> Matrices { get; init; } = [];

    /// <summary>Tensors carried along as they are.</summary>
    public IReadOnlyList<RbeDenseInfo> DenseTensors { get; init; } = [];

    /// <summary>Inspects a file.</summary>
    /// <param name="path">The file, or the folder that <c>finetune</c> wrote.</param>
    /// <param name="verify">Whether to check every checksum; without, those of codes and of dense values are not.</param>
    /// <param name="cancel">Ends the reading.</param>
    /// <exception cref="RbeFileException">The file is no container, damaged, or its parts do not fit together.</exception>
    /// <exception cref="NonFiniteException">A stored value is NaN or infinite.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public static RbeInspection Read(string path, bool verify = false, CancellationToken cancel = default)
    {
        path = ModelSource.FileOf(path);
        using RbeContainer file = RbeContainer.Open(path);
        return Read(file, verify, cancel);
    }

    /// <summary>Inspects an open file, which stays open.</summary>
    /// <inheritdoc cref="Read(string, bool, CancellationToken)"/>
    /// <param name="file">The file.</param>
    /// <param name="verify">Whether to check every checksum; without, those of codes and of dense values are not.</param>
    /// <param name="cancel">Ends the reading.</param>
    public static RbeInspection Read(RbeContainer file, bool verify = false, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(file);
        string path = file.Path;
        if (verify) file.Verify(cancel);
        JsonFields metadata = new(path, "metadata", file.Metadata);
        string kind = file.Metadata.TryGetProperty("kind", out _) ? metadata.Text("kind") : "";
        RbeInspection found = new() { Path = path, Length = file.Length, Kind = kind, Metadata = file.Metadata, Tensors = file.Tensors };
        TransformerConfig? config = kind is ContentKind.Model or ContentKind.Classifier ? ModelFile.ReadConfig(metadata.Object("config")) : null;
        return kind switch
        {
            ContentKind.Model or ContentKind.Classifier => found with
            {
                Config = config,
                Encoder = EncoderJson.Read(metadata, config!),
                Classes = kind == ContentKind.Classifier ? metadata.Object("classifier").Whole("classes", 1, int.MaxValue) : null,
                TokenizerProblem = ModelFile.ReadTokenizer(metadata).Problem,
                Matrices = ReadMatrices(file, metadata, cancel),
            },
            RbeMatrixSet.Kind =>
                found with
                {
                    Matrices = ReadMatrices(file, metadata, cancel),
                    DenseTensors = [.. metadata.Objects("dense").Select(entry => RbeDenseInfo.Read(file, entry).Info)]
                },
            _ => found,
        };
    }

    private static RbeMatrixInspection[] ReadMatrices(RbeContainer file, JsonFields metadata, CancellationToken cancel) =>
        [.. metadata.Objects("matrices").Select(fields =>
    {
        cancel.ThrowIfCancellationRequested();
        (string name, RbeMatrix matrix) = RbeMatrixFile.Read(file, fields, new HashSet<string>(), new RbeLoadOptions { Verify = false });
        (double RelativeError, float[] TileErrors)? report = RbeReportFile.Read(file, fields, name, matrix.TileCount);
        return new RbeMatrixInspection(name, matrix, CompressionReport.CountBits(matrix), report?.RelativeError, report?.TileErrors);
    })];
}
