using RbeMl.Cli.Output;
using RbeMl.Training;

namespace RbeMl.Cli.Finetune;

/// <summary>Shows a running training.</summary>
internal sealed class TrainingView
{
    private readonly ProgressView _view;
    private readonly int? _steps;

    private TrainingView(ProgressView view, int? steps) => (_view, _steps) = (view, steps);

    /// <summary>Last validation, which is of an earlier step than the loss beside it.</summary>
    public ValidationRecord? Validation { get; set; }

    /// <summary>A view that fits the output, see <see cref="ProgressView.For"/>.</summary>
    public static TrainingView For(CommandHost host, bool quiet, int? steps) => new(ProgressView.For(host, quiet), steps);

    /// <summary>Runs the training within the view.</summary>
    public void Run(Action train) => _view.Run(train);

    /// <summary>Shows a step.</summary>
    /// <param name="progress">The step.</param>
    /// <param name="done">Fraction of the work that is done.</param>
    /// <param name="elapsed">Time so far.</param>
    public void Report(TrainingProgress progress, double done, TimeSpan elapsed)
    {
        string loss = $"loss {Format.Loss(progress.Loss)}", validation = Validation is { } v ? $"validation {Format.Loss(v.Loss)} at step {v.Step}" : "";
        string step = _steps is { } all ? $"step {progress.Step}/{all}" : $"step {progress.Step}";
        _view.Show(done, step, loss, validation, Format.Left(done, elapsed), $"{Format.Count(progress.TokensPerSecond)} tokens/s",
            Format.Bytes(progress.ResidentBytes));
    }
}
