using System.Diagnostics;
using RbeMl.Codec;
using RbeMl.Compression;
using RbeMl.Layers;

namespace RbeMl.Benchmarks.Codec;

/// <summary>Measures all rows of a case.</summary>
internal sealed class CodecMeasurement : IDisposable
{
    private readonly CodecCase _case;
    private readonly Action<CodecRow> _finished;
    private readonly Workspace<float> _workspace = new();
    private readonly BlockCalibration _calibration;
    private readonly BlockCalibration _choice;
    private readonly BlockExample _example;
    private readonly BlockExample? _everything;

    public CodecMeasurement(CodecCase of, Action<CodecRow> finished)
    {
        (_case, _finished) = (of, finished);

        // How far rounding may trust the tokens is found on those that rates are chosen with.
        _choice = BlockCalibration.Run(of.Dense, of.Config, of.Choice.Calibration, _workspace)
            .Tuned(of.Dense, of.Config, of.Choice.HeldOut, workspace: _workspace);
        bool same = ReferenceEquals(of.Choice.Calibration, of.Calibration);
        _calibration = same ? _choice : BlockCalibration.Run(of.Dense, of.Config, of.Calibration, _workspace, _choice.Damping);
        _example = BlockExample.Run(of.Dense, of.Config, of.Measured, _workspace);
        _everything = of.Everything is { } all ? BlockExample.Run(of.Dense, of.Config, all, _workspace) : null;
    }

    /// <summary>Damping of calibrated rows; null when each matrix has its own estimate.</summary>
    public double? Damping => _calibration.Damping;

    /// <summary>One format for all matrices.</summary>
    public void Uniform(string name, RbeOptions options, bool calibrated)
    {
        long start = Stopwatch.GetTimestamp();
        CalibratedBlock block = CalibratedBlock.Compress(_case.Dense, _case.Config, new(options), calibrated ? _calibration : null);
        Add(name, "", block, start);
    }

    /// <summary>Formats chosen for a target, then calibrated on all that may be calibrated on.</summary>
    public void Chosen(string name, ChoiceTarget target)
    {
        long start = Stopwatch.GetTimestamp();
        BlockChoice choice;
        try
        {
            choice = FormatChoice.Choose(_case.Dense, _case.Config, _choice, OfAllMatrices(target), null, _case.Choice.HeldOut, _workspace);
        }
        catch (UnreachableTargetException error)
        {
            _finished(new CodecRow(name, error.Message, double.NaN, double.NaN, double.NaN, double.NaN, double.NaN,
                Stopwatch.GetElapsedTime(start).TotalSeconds));
            return;
        }

        CalibratedBlock block = ReferenceEquals(_choice, _calibration) ? choice.Block
            : CalibratedBlock.Compress(_case.Dense, _case.Config, choice.Options, _calibration);
        string formats = string.Join(' ', _case.Matrices.Select(m => Describe(choice.Options[m].Format)));
        Add($"{name}, calibrated", formats, block, start);

        // The same formats, rounded without regard to the input: what of the gain is the choice, and what the feedback.
        start = Stopwatch.GetTimestamp();
        Add(name, formats, CalibratedBlock.Compress(_case.Dense, _case.Config, choice.Options), start);
    }

    public void Dispose() => _workspace.Dispose();

    // Matrices that are zero take the smallest candidate; a budget for the others is raised by that.
    private ChoiceTarget OfAllMatrices(ChoiceTarget target)
    {
        if (target.BitsPerWeight is not { } bits || _case.Matrices.Count == PerMatrix.All.Count) return target;
        double least = 0;
        long zeros = 0;
        foreach (BlockMatrix m in PerMatrix.All.Except(_case.Matrices))
        {
            (int rows, int columns) = PerMatrix.ShapeOf(_case.Config, m);
            RateCurve curve = RateCurve.Measure(PerMatrix.WeightsOf(_case.Dense, m), rows, columns, new ChoiceSettings().Candidates);
            least += curve.Points.Min(p => p.Bits);
            zeros += curve.Weights;
        }

        return ChoiceTarget.Bits(((bits * _case.Weights) + least) / (_case.Weights + zeros));
    }

    private void Add(string name, string setting, CalibratedBlock block, long start)
    {
        double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds, error = 0, energy = 0;
        long bits = 0;
        foreach (BlockMatrix m in _case.Matrices)
        {
            CompressionReport report = block.Reports[m];
            report.RequirePlausible($"{_case.Name}, {name}, {m}");
            double norm = Norm(PerMatrix.WeightsOf(_case.Dense, m));
            bits += report.Bits;
            error += Math.Pow(report.RelativeError * norm, 2);
            energy += norm * norm;
        }

        double rate = (double)bits / _case.Weights;
        (double blockError, double branchError) = Errors(block, _example);
        CodecRow row = new(name, setting, rate, 1 - (rate / 32), Math.Sqrt(error / energy), blockError, branchError, seconds);
        if (_everything is { } all)
        {
            (double everywhere, double branch) = Errors(block, all);
            row = row with { BlockErrorEverywhere = everywhere, BranchErrorEverywhere = branch };
        }

        _finished(row);
    }

    private (double Block, double Branch) Errors(CalibratedBlock block, BlockExample example)
    {
        double error = block.OutputError(_case.Config, example, _workspace);

        // ‖y0‖ / ‖y0 − x‖ at the same positions.
        return (error, error / example.Expected.RelativeErrorOf(example.Input.Values));
    }

    private static string Describe(RbeFormat format) => format switch
    {
        QuantizedFormat q => $"q{q.Bits}",
        TrellisFormat { Outliers: > 0 } t => $"t{t.Bits}+{t.Outliers}",
        TrellisFormat t => $"t{t.Bits}",
        SparseFormat s => $"k{s.Coefficients}",
        _ => format.ToString(),
    };

    private static double Norm(ReadOnlySpan<float> values)
    {
        double sum = 0;
        foreach (float value in values) sum += (double)value * value;
        return Math.Sqrt(sum);
    }
}
