using RbeMl.Codec;
using RbeMl.Files;

namespace RbeMl.Compression;

/// <summary>The tensors of a file, compressed where they are matrices.</summary>
/// <param name="Matrices">Compressed matrices with their reports.</param>
/// <param name="Outcomes">Their figures.</param>
/// <param name="Copied">Names of the tensors that stay as they are.</param>
internal sealed record CompressedTensors(IReadOnlyList<RbeNamedMatrix> Matrices, IReadOnlyList<MatrixOutcome> Outcomes, IReadOnlyList<string> Copied)
{
    /// <summary>Saves matrices and copied tensors, as a whole or not at all.</summary>
    /// <param name="path">The file.</param>
    /// <param name="source">The file of tensors that was compressed.</param>
    /// <exception cref="RbeFileException">A file cannot be read or written.</exception>
    public void Save(string path, SafetensorsSet source)
    {
        ArgumentNullException.ThrowIfNull(source);
        RbeMatrixSet.Save(path, Matrices, Copied.Select(name => RbeDenseTensor.From(source.FileOf(name), name)));
    }
}

/// <summary>
/// Compresses the matrices of a safetensors file: tensors of two sides of at least <see cref="LeastSide"/> and of a float type of 16 or 32 bits. All others,
/// and those that are left out by name, are copied with type and bytes. Memory holds the result and one dense matrix.
/// </summary>
internal static class MatrixSetCompressor
{
    /// <summary>Shortest side of a tensor that is compressed.</summary>
    public const int LeastSide = 32;

    /// <summary>Compresses.</summary>
    /// <param name="source">The tensors.</param>
    /// <param name="request">How. Calibration, LayerNorms and embeddings are for models.</param>
    /// <param name="progress">Told of every matrix; null for none.</param>
    /// <param name="cancel">Ends the work.</param>
    /// <exception cref="InvalidSettingException">An option is out of range or is for models, a pattern matches nothing, nothing is to be
    /// compressed, or a tensor is too large.</exception>
    /// <exception cref="UnreachableTargetException">No format meets the target.</exception>
    /// <exception cref="CodecDefectException">A matrix has less error than its bits can give.</exception>
    /// <exception cref="NonFiniteException">A weight is NaN or infinite.</exception>
    /// <exception cref="RbeFileException">The file cannot be read.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public static CompressedTensors Compress(SafetensorsSet source, CompressionRequest request, IProgress<CompressionProgress>? progress = null,
        CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(source);
        ArgumentNullException.ThrowIfNull(request);
        SafetensorsTensor[] chosen = Chosen(source, request);
        long total = chosen.Sum(t => t.Count), done = 0;
        List<RbeNamedMatrix> matrices = [];
        List<MatrixOutcome> outcomes = [];
        ParallelOptions parallel = ModelCompressor.ParallelFor(request, cancel);
        foreach (SafetensorsTensor tensor in chosen)
        {
            cancel.ThrowIfCancellationRequested();
            progress?.Report(new CompressionProgress(done, total, tensor.Name));
            int rows = (int)tensor.Shape[0], columns = (int)tensor.Shape[1];
            float[] weights = TensorReading.Values(source, tensor.Name);
            (RbeMatrix matrix, CompressionReport report) = WeightRange.Named(tensor.Name, () => CompressOne(weights, rows, columns, request, parallel));
            report.RequirePlausible(tensor.Name);
            matrices.Add(new RbeNamedMatrix(tensor.Name, matrix, report));
            outcomes.Add(new MatrixOutcome(tensor.Name, rows, columns, matrix.Format, report, MatrixOutcome.EnergyOf(weights)));
            done += tensor.Count;
        }

        progress?.Report(new CompressionProgress(total, total, "done"));
        HashSet<string> compressed = [.. chosen.Select(t => t.Name)];
        return new CompressedTensors(matrices, outcomes, [.. source.Tensors.Select(t => t.Name).Where(name => !compressed.Contains(name))]);
    }

    /// <summary>The tensors that a request compresses, checked.</summary>
    /// <exception cref="InvalidSettingException">An option is for models, a pattern matches nothing, nothing is to be compressed, or a tensor is
    /// too large.</exception>
    /// <exception cref="UnreachableTargetException">No format is as small as the target.</exception>
    public static SafetensorsTensor[] Chosen(SafetensorsSet source, CompressionRequest request)
    {
        if (request.Calibration is not null)
        {
            throw new InvalidSettingException("calibration", "tokens",
                $"{source.Path} holds tensors, but says nothing of the model that they belong to. Give a model's folder, or leave the calibration out.");
        }

        if (request.LayerNorm != default || request.Embeddings is not null)
        {
            throw new InvalidSettingException("LayerNorms and embeddings", "stored otherwise",
                $"{source.Path} does not say which tensors they are. Give a model's folder, or leave them out.");
        }

        request.Names.RequireMatches([.. source.Tensors.Select(t => t.Name)]);
        SafetensorsTensor[] chosen = [.. source.Tensors.Where(t => IsMatrix(t) && request.Names.Selects(t.Name))];
        if (chosen.Length == 0)
        {
            throw new InvalidSettingException("tensors", source.Path,
                $"none of its {Amount.Of(source.Tensors.Count, "tensor")} is to be compressed: they need two sides of {LeastSide} or more, type F32, "
                    + $"F16 or BF16, and a name that is included.");
        }

        foreach (SafetensorsTensor tensor in chosen) RequireSize(tensor, request.Options.Tile);
        LeastSize least = new(request.Options);
        foreach (SafetensorsTensor tensor in chosen) least.Require(request.Target, $" for tensor \"{tensor.Name}\"", (tensor.Shape[0], tensor.Shape[1]));

        return chosen;
    }

    private static (RbeMatrix Matrix, CompressionReport Report) CompressOne(float[] weights, int rows, int columns, CompressionRequest request,
        ParallelOptions parallel)
    {
        RbeOptions options = request.Options;
        if (request.MeasureTransform) options = options with { Transform = TransformChoice.Measure(weights, rows, columns, options) };
        if (request.Target is not { } target) return (RbeCompressor.Compress(weights, rows, columns, options, parallel, out CompressionReport report), report);
        ChoiceSettings settings =
            new() { Candidates = ChoiceSettings.CandidatesFor(options.Tile, options.Transform), Seed = request.Seed, Parallel = parallel };
        MatrixChoice choice = FormatChoice.ForMatrix(weights, rows, columns, target, settings);
        return (choice.Matrix, choice.Report);
    }

    private static bool IsMatrix(SafetensorsTensor tensor) =>
        tensor.Shape.Count == 2 && tensor.Shape[0] >= LeastSide && tensor.Shape[1] >= LeastSide && SafetensorsElements.IsFloat(tensor.Element);

    private static void RequireSize(SafetensorsTensor tensor, int tile)
    {
        long rows = (tensor.Shape[0] + tile - 1) / tile * tile, columns = (tensor.Shape[1] + tile - 1) / tile * tile;
        if ((Int128)rows * columns > Array.MaxLength || rows > 1 << 24 || columns > 1 << 24)
        {
            throw new InvalidSettingException($"tensor \"{tensor.Name}\"", tensor.Describe(),
                $"a matrix has at most {Array.MaxLength} weights and {1 << 24} rows or columns in this version. Exclude it by name.");
        }
    }
}
