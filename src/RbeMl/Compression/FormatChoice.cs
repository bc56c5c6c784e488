using RbeMl.Codec;
using RbeMl.Layers;

namespace RbeMl.Compression;

/// <summary>A block whose formats were chosen.</summary>
/// <param name="Options">How each matrix is stored.</param>
/// <param name="Block">The compressed block and its reports.</param>
/// <param name="PredictedError">What curves and sensitivities say of its output's relative error.</param>
/// <param name="MeasuredError">What it is on the activations it was measured on.</param>
public sealed record BlockChoice(PerMatrix<RbeOptions> Options, CalibratedBlock Block, double PredictedError, double MeasuredError);

/// <summary>A matrix whose format was chosen.</summary>
/// <param name="Options">How it is stored.</param>
/// <param name="Matrix">The compressed matrix.</param>
/// <param name="Report">Its size and error.</param>
public sealed record MatrixChoice(RbeOptions Options, RbeMatrix Matrix, CompressionReport Report);

/// <summary>
/// Chooses formats and rates by measurement: curves of size and error for each matrix, the sensitivity of the block's output to each, the best allocation, and
/// a check on the compressed block. Whether weights are stored sparse or quantised follows from the curves alone.
/// </summary>
public static partial class FormatChoice
{
    internal const double CloseEnough = 0.97; // of an error that is allowed: not worth another round

    /// <summary>Chooses for a block and compresses it.</summary>
    /// <param name="dense">The weights.</param>
    /// <param name="config">Their shapes.</param>
    /// <param name="calibration">Inputs of the matrices.</param>
    /// <param name="target">Size or error.</param>
    /// <param name="settings">Candidates; defaults when null.</param>
    /// <param name="heldOut">Activations other than those of the calibration, to measure errors on; null measures on the calibration's own, which flatters when
    /// they are not several times as many as the layers have features.</param>
    /// <param name="workspace">Threads and scratch; null makes one for this call.</param>
    /// <exception cref="UnreachableTargetException">No choice meets the target; it tells the best.</exception>
    /// <exception cref="InvalidSettingException">Candidates are missing, out of range, or of several tile sizes or transforms.</exception>
    public static BlockChoice Choose(
        DenseBlockWeights dense,
        TransformerConfig config,
        BlockCalibration calibration,
        ChoiceTarget target,
        ChoiceSettings? settings = null,
        BlockActivationData? heldOut = null,
        Workspace<float>? workspace = null)
    {
        ArgumentNullException.ThrowIfNull(calibration);
        ArgumentNullException.ThrowIfNull(target);
        settings ??= new ChoiceSettings();
        using Workspace<float>? own = workspace is null ? new Workspace<float>() : null;
        workspace ??= own!;
        BlockExample example = heldOut is null ? calibration.Example : BlockExample.Run(dense, config, heldOut, workspace, settings.Parallel.CancellationToken);
        BlockSensitivity known = BlockSensitivity.Measure(dense, config, calibration, example, settings, workspace);
        BlockWork work = new(dense, config, calibration, example, settings, workspace);
        if (target.Error is { } error) return WithinError(work, known, error);
        double budget = target.BitsPerWeight!.Value * known.Curves.Values.Sum(c => c.Weights);
        return Realize(work, RateAllocator.MinimizeError(known.Curves.Values, known.Sensitivities.Values, budget));
    }

    /// <summary>Chooses for a bare matrix by the error of its weights alone, and compresses it.</summary>
    /// <param name="weights"><c>[rows * columns]</c>.</param>
    /// <param name="rows">Output features.</param>
    /// <param name="columns">Input features.</param>
    /// <param name="target">Size or error.</param>
    /// <param name="settings">Candidates; defaults when null.</param>
    /// <exception cref="UnreachableTargetException">No candidate meets the target; it tells the best.</exception>
    /// <exception cref="ShapeMismatchException">The span does not hold rows x columns values.</exception>
    /// <exception cref="NonFiniteException">A weight is NaN or infinite.</exception>
    public static MatrixChoice ForMatrix(ReadOnlySpan<float> weights, int rows, int columns, ChoiceTarget target, ChoiceSettings? settings = null)
    {
        ArgumentNullException.ThrowIfNull(target);
        settings ??= new ChoiceSettings();
        RateCurve curve = RateCurve.Measure(weights, rows, columns, settings.Candidates, settings.Seed, settings.Tiles, settings.Parallel);
        double budget = (target.BitsPerWeight ?? double.PositiveInfinity) * curve.Weights, best = double.PositiveInfinity;

        // In the order the sample suggests, the whole matrix decides: most accurate first within a size, smallest first within an error.
        IEnumerable<RatePoint> order = target.Error is { } allowed
            ? curve.Points.Where(p => p.Error <= allowed).OrderBy(p => p.Bits).Concat(curve.Points.Where(p => p.Error > allowed).OrderBy(p => p.Error))
            : curve.Points.OrderBy(p => p.Error).ThenBy(p => p.Bits);
        foreach (RatePoint point in order)
        {
            if (target.Error is null && point.Bits > budget * 1.01)
            {
                best = Math.Min(best, point.Bits / curve.Weights);
                continue;
            }

            RbeMatrix matrix = RbeCompressor.Compress(weights, rows, columns, point.Options, settings.Parallel, out CompressionReport report);
            if (report.Bits <= budget && report.RelativeError <= (target.Error ?? double.PositiveInfinity))
            {
                return new MatrixChoice(point.Options, matrix, report);
            }

            best = Math.Min(best, target.Error is null ? report.BitsPerWeight : report.RelativeError);
        }

        throw target.Error is { } error
            ? new UnreachableTargetException(FormattableString.Invariant($"A weight error of {error:G4}"), best,
                "Allow more error, or offer more accurate formats.")
            : new UnreachableTargetException(FormattableString.Invariant($"{target.BitsPerWeight:G4} bits a weight"), best,
                "Allow more bits, or offer smaller formats.");
    }

    // The prediction leaves out how errors of several matrices meet; each round aims again by the ratio of what was measured to what was wanted.
    private static BlockChoice WithinError(BlockWork work, BlockSensitivity known, double error)
    {
        BlockChoice? best = null;
        double aim = error, least = double.PositiveInfinity;
        HashSet<string> seen = [];
        for (int round = 0; round < work.Settings.Rounds; round++)
        {
            RateAllocation allocation = Reachable(known.Curves.Values, known.Sensitivities.Values, aim);
            if (!seen.Add(string.Join(' ', allocation.Choices))) break;
            BlockChoice choice = Realize(work, allocation);
            least = Math.Min(least, choice.MeasuredError);
            if (choice.MeasuredError <= error && (best is null || choice.Block.Bits < best.Block.Bits)) best = choice;
            if (choice.MeasuredError <= error && choice.MeasuredError >= CloseEnough * error) break;
            aim = Math.Min(aim, allocation.Error * 1.5) * Math.Clamp(error / choice.MeasuredError * (choice.MeasuredError > error ? CloseEnough : 1), 0.25, 4);
        }

        if (best is null && seen.Add(string.Join(' ', Reachable(known.Curves.Values, known.Sensitivities.Values, 0).Choices)))
        {
            BlockChoice finest = Realize(work, Reachable(known.Curves.Values, known.Sensitivities.Values, 0));
            least = Math.Min(least, finest.MeasuredError);
            if (finest.MeasuredError <= error) best = finest;
        }

        return best ?? throw new UnreachableTargetException(
            FormattableString.Invariant($"A block error of {error:G4}"), least,
            "Allow more error, offer more accurate formats, or calibrate with more tokens.");
    }

    // The allocation for an error, or the most accurate one if there is none.
    internal static RateAllocation Reachable(IReadOnlyList<RateCurve> curves, IReadOnlyList<double> sensitivities, double error)
    {
        try
        {
            return RateAllocator.MinimizeBits(curves, sensitivities, error);
        }
        catch (UnreachableTargetException)
        {
            return RateAllocator.MinimizeError(curves, sensitivities, double.PositiveInfinity);
        }
    }

    internal static BlockChoice Realize(BlockWork work, RateAllocation allocation)
    {
        PerMatrix<RbeOptions> options = new(m => work.Settings.Candidates[allocation.Choices[(int)m]]);
        CalibratedBlock block = CalibratedBlock.Compress(work.Dense, work.Config, options, work.Calibration, work.Settings.Parallel);
        return new BlockChoice(options, block, allocation.Error,
            block.OutputError(work.Config, work.Example, work.Workspace, work.Settings.Parallel.CancellationToken));
    }
}
