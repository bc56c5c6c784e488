using RbeMl.Codec;
using RbeMl.Layers;
using RbeMl.Models;

namespace RbeMl.Compression;

/// <summary>How a model or a file of tensors is to be compressed.</summary>
public sealed record CompressionRequest
{
    /// <summary>How each matrix is stored; with a <see cref="Target"/> only its tile and transform count.</summary>
    public required RbeOptions Options { get; init; }

    /// <summary>Chooses each matrix's format by measurement; null stores all as <see cref="Options"/> say.</summary>
    public ChoiceTarget? Target { get; init; }

    /// <summary>Whether the transform is chosen by measurement, for each block of a model and for each matrix of a file of tensors.</summary>
    public bool MeasureTransform { get; init; }

    /// <summary>
    /// Windows of token ids, all of one length (<see cref="CalibrationWindows"/>), whose activations calibrate a model's matrices; null compresses each matrix
    /// for its weights alone.
    /// </summary>
    public IReadOnlyList<int[]>? Calibration { get; init; }

    /// <summary>
    /// Whether a calibration also weighs what each matrix's outputs are worth to what the model is asked for, by gradients on the windows. Else all
    /// outputs of a matrix count alike.
    /// </summary>
    public bool WeighOutputs { get; init; } = true;

    /// <summary>
    /// Tunes the model on the calibration windows while its matrices are rounded one after the other; null rounds them for what each says of itself. Needs a
    /// <see cref="Calibration"/>, an orthonormal transform, and memory for the whole model as floats six times over. Matrices that <see cref="Names"/> leave
    /// out are not trained.
    /// </summary>
    public TuningOptions? Tuning { get; init; }

    /// <summary>Matrices to compress; the others keep every weight.</summary>
    public NamePatterns Names { get; init; } = NamePatterns.All;

    /// <summary>Storage of a model's LayerNorms.</summary>
    public LayerNormStorage LayerNorm { get; init; }

    /// <summary>How token embedding and untied head are stored; null keeps them dense.</summary>
    public RbeOptions? Embeddings { get; init; }

    /// <summary>Threads; 0 for one a processor. They change no bit of the result.</summary>
    public int Threads { get; init; }

    /// <summary>Seed of what is drawn: tiles to measure formats on, and tokens where there are none to calibrate with.</summary>
    public ulong Seed { get; init; }
}

/// <summary>How far a compression is.</summary>
/// <param name="Done">Weights looked at, times over where they are looked at several times.</param>
/// <param name="Total">The same at the end.</param>
/// <param name="Name">What is being done: the last matrix or block.</param>
public sealed record CompressionProgress(long Done, long Total, string Name);

/// <summary>A compressed matrix's figures.</summary>
/// <param name="Name">Its name in the output.</param>
/// <param name="Rows">Output features.</param>
/// <param name="Columns">Input features.</param>
/// <param name="Format">How it is stored.</param>
/// <param name="Report">Size and error.</param>
/// <param name="Energy">‖W‖² of the original.</param>
public sealed record MatrixOutcome(string Name, int Rows, int Columns, RbeFormat Format, CompressionReport Report, double Energy)
{
    /// <summary>Bits for each weight of several matrices.</summary>
    public static double BitsPerWeight(IReadOnlyCollection<MatrixOutcome> matrices) => Sum(matrices, m => m.Report.Bits) / Sum(matrices, m => m.Report.Weights);

    /// <summary>‖W − Ŵ‖ / ‖W‖ of several matrices together.</summary>
    public static double RelativeError(IReadOnlyCollection<MatrixOutcome> matrices)
    {
        double energy = Sum(matrices, m => m.Energy), error = matrices.Sum(m => m.Report.RelativeError * m.Report.RelativeError * m.Energy);
        return energy > 0 ? Math.Sqrt(error / energy) : 0;
    }

    private static double Sum(IReadOnlyCollection<MatrixOutcome> matrices, Func<MatrixOutcome, double> figure)
    {
        Items.Require(matrices, nameof(matrices));
        return matrices.Sum(figure);
    }

    internal static double EnergyOf(ReadOnlySpan<float> weights)
    {
        double sum = 0;
        foreach (float w in weights) sum += (double)w * w;
        return sum;
    }
}

/// <summary>What a part of the model other than its matrices takes.</summary>
/// <param name="DenseBytes">As fp32.</param>
/// <param name="Bytes">As stored.</param>
/// <param name="RelativeError">Of its values, in all.</param>
public sealed record PartOutcome(long DenseBytes, long Bytes, double RelativeError);

/// <summary>A compressed model with its figures.</summary>
/// <param name="Weights">The weights, ready for <see cref="TransformerModel{T}"/>.</param>
/// <param name="Matrices">The blocks' matrices, and tables where they are compressed.</param>
/// <param name="LayerNorms">All LayerNorms.</param>
/// <param name="Embeddings">Token and position embedding and an untied head.</param>
/// <param name="BlockErrors">Relative error of each block's output on the calibration windows with the input that the dense model gives it;
/// empty without.</param>
/// <param name="BlockErrorsDenseNorms">The same with exact LayerNorms, to tell what storing them otherwise costs.</param>
public sealed record CompressedModel(
    TransformerWeights Weights, IReadOnlyList<MatrixOutcome> Matrices, PartOutcome LayerNorms, PartOutcome Embeddings,
    IReadOnlyList<double> BlockErrors, IReadOnlyList<double> BlockErrorsDenseNorms)
{
    /// <summary>How near an encoder's vectors are to the dense ones on the calibration windows; null without these, and for language models.</summary>
    public EmbeddingFigures? Vectors { get; init; }

    /// <summary>What tuning came to; null without.</summary>
    public TuningFigures? Tuned { get; init; }

    /// <summary>The reports by name, for <see cref="RbeMl.Files.ModelFile"/>.</summary>
    public IReadOnlyDictionary<string, CompressionReport> Reports => Matrices.ToDictionary(m => m.Name, m => m.Report);
}
