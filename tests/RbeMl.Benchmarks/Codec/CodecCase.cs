using RbeMl.Compression;
using RbeMl.Layers;

namespace RbeMl.Benchmarks.Codec;

/// <summary>A share of the size that must be saved and an error that must not be exceeded.</summary>
internal sealed record CodecTarget(double SavedShare, double Error);

/// <summary>A block with activations: to calibrate on, to choose rates on, and to measure on.</summary>
internal sealed record CodecCase
{
    /// <summary>Short name, first part of the rows' names.</summary>
    public required string Name { get; init; }

    /// <summary>What it is, and on which activations everything is done.</summary>
    public required string Setting { get; init; }

    public required TransformerConfig Config { get; init; }

    public required DenseBlockWeights Dense { get; init; }

    /// <summary>Matrices that the block really has; the others are zero and count neither in sizes nor in errors.</summary>
    public IReadOnlyList<BlockMatrix> Matrices { get; init; } = PerMatrix.All;

    /// <summary>What calibrated rows are rounded for.</summary>
    public required BlockActivationData Calibration { get; init; }

    /// <summary>What sizes and errors are weighed on when rates are chosen: the calibration and the activations to check on. Neither is measured on.</summary>
    public required (BlockActivationData Calibration, BlockActivationData HeldOut) Choice { get; init; }

    /// <summary>What errors are measured on.</summary>
    public required BlockActivationData Measured { get; init; }

    /// <summary>A second look at errors, on what the calibration saw as well; null for none.</summary>
    public BlockActivationData? Everything { get; init; }

    public IReadOnlyList<CodecTarget> Targets { get; init; } = [];

    /// <summary>Weights of the matrices that count.</summary>
    public long Weights => Matrices.Sum(m => (long)PerMatrix.WeightsOf(Dense, m).Length);
}
