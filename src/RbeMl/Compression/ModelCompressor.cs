using RbeMl.Codec;
using RbeMl.Files;
using RbeMl.Layers;

namespace RbeMl.Compression;

/// <summary>
/// Compresses a model block by block. Memory holds the result, one dense block and, when calibrated, the second moments of its matrices' inputs
/// and the activations of the calibration windows; embeddings are read last. Tuning holds the whole model besides.
/// </summary>
public static class ModelCompressor
{
    private const int RandomTokens = 2048; // to choose formats with when there is no calibration

    /// <summary>The name of a matrix in a compressed model, such as <c>blocks.3.attention.query</c>.</summary>
    public static string NameOf(int layer, BlockMatrix matrix) => $"{NameOf(layer)}.{PerMatrix.NameOf(matrix)}";

    /// <summary>Compresses.</summary>
    /// <param name="source">The model.</param>
    /// <param name="request">How. Names are those of <see cref="NameOf(int, BlockMatrix)"/>; matrices that are left out keep every weight,
    /// as coefficients of the block's transform.</param>
    /// <param name="progress">Told of every block and matrix; null for none.</param>
    /// <param name="cancel">Ends the work.</param>
    /// <exception cref="InvalidSettingException">An option is out of range or contradicts another, or a pattern matches nothing.</exception>
    /// <exception cref="TokenException">A calibration token is outside the vocabulary, or a window too long.</exception>
    /// <exception cref="UnreachableTargetException">No choice of formats meets the target.</exception>
    /// <exception cref="CodecDefectException">A matrix has less error than its bits can give.</exception>
    /// <exception cref="NonFiniteException">A weight is NaN or infinite, or became so while the model was tuned.</exception>
    /// <exception cref="WeightRangeException">A format cannot hold numbers as large or as small as a matrix has.</exception>
    /// <exception cref="RbeFileException">A file cannot be read.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public static CompressedModel Compress(IModelFolder source, CompressionRequest request, IProgress<CompressionProgress>? progress = null,
        CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(source);
        ArgumentNullException.ThrowIfNull(request);
        string[] names = [.. Enumerable.Range(0, source.Config.Layers).SelectMany(l => PerMatrix.All.Select(m => NameOf(l, m)))];
        request.Names.RequireMatches(names);
        if (request.Target is not null && !request.Names.IsAll)
        {
            throw new InvalidSettingException("names to include or exclude", "given",
                "a choice of formats looks at all matrices of a model together. Leave the patterns out, or name a format.");
        }

        if (!names.Any(request.Names.Selects))
        {
            throw new InvalidSettingException("matrices", source.Path, "no matrix is left to compress. Include some that are not excluded.");
        }

        if (request.Tuning is { } tuning)
        {
            if (tuning.Steps < 1) throw new InvalidSettingException("tuning steps", tuning.Steps, "use at least 1, or no tuning.");
            if (!(tuning.Rate is > 0 and < 1)) throw new InvalidSettingException("tuning rate", tuning.Rate, "use a small positive number such as 0.002.");
            if (request.Calibration is null) throw new InvalidSettingException("tuning", "given", "it needs calibration windows. Give some, or leave it out.");
            if (!request.MeasureTransform && !TransformMatrix.IsOrthonormal(request.Options.Transform))
            {
                throw new InvalidSettingException("transform", request.Options.Transform,
                    "tuning needs an orthonormal one: use Dct, WalshHadamard, Haar or None, or leave the tuning out.");
            }
        }

        new LeastSize(request.Options).Require(request.Target, "",
            PerMatrix.All.Select(m => PerMatrix.ShapeOf(source.Config, m)).Select(shape => ((long)shape.Rows, (long)shape.Columns)));
        using Workspace<float> workspace = new(request.Threads);
        ModelCompression run = new(source, request, workspace, progress, cancel);
        if (request.Target is { } target) run.Choose(target, request.Calibration ?? CalibrationWindows.Random(source, RandomTokens, request.Seed));
        else run.CompressAll();
        return run.Finish();
    }

    /// <summary>The name of a block.</summary>
    internal static string NameOf(int layer) => $"blocks.{layer}";

    internal static ParallelOptions ParallelFor(CompressionRequest request, CancellationToken cancel) =>
        new() { MaxDegreeOfParallelism = request.Threads == 0 ? -1 : request.Threads, CancellationToken = cancel };
}
