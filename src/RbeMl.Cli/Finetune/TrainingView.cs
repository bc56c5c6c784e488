using RbeMl.Cli.Output;
using RbeMl.Training;
using Spectre.Console;

namespace RbeMl.Cli.Finetune;

/// <summary>Shows a running training.</summary>
internal abstract class TrainingView
{
    private readonly int? _steps;

    private protected TrainingView(int? steps) => _steps = steps;

    /// <summary>Last validation loss.</summary>
    public double? Validation { get; set; }

    /// <summary>A view that fits the output: live on a terminal, lines elsewhere, nothing when the output is for JSON alone.</summary>
    public static TrainingView For(CommandHost host, bool quiet, int? steps) =>
        quiet ? new SilentView(steps) : host.Interactive ? new LiveView(host.Out, steps) : new LineView(host.Out, steps);

    /// <summary>Runs the training within the view.</summary>
    public abstract void Run(Action train);

    /// <summary>Shows a step.</summary>
    /// <param name="progress">The step.</param>
    /// <param name="done">Fraction of the work that is done.</param>
    /// <param name="elapsed">Time so far.</param>
    public void Report(TrainingProgress progress, double done, TimeSpan elapsed)
    {
        TimeSpan left = done > 0 ? elapsed * ((1 - done) / done) : TimeSpan.Zero;
        string loss = $"loss {Format.Loss(progress.Loss)}", validation = Validation is { } v ? $"validation {Format.Loss(v)}" : "";
        string step = _steps is { } all ? $"step {progress.Step}/{all}" : $"step {progress.Step}";
        string rest = $"{Format.Count(progress.TokensPerSecond)} tokens/s  {Format.Bytes(progress.ResidentBytes)}  {Format.Time(left)} left";
        Show(done, $"{step}  {loss}  {validation}  {rest}");
    }

    private protected abstract void Show(double done, string line);

    private sealed class SilentView(int? steps) : TrainingView(steps)
    {
        public override void Run(Action train) => train();

        private protected override void Show(double done, string line)
        {
        }
    }

    /// <summary>A line every twentieth of the work.</summary>
    private sealed class LineView(TextWriter output, int? steps) : TrainingView(steps)
    {
        private const int Lines = 20;
        private int _shown = -1;

        public override void Run(Action train) => train();

        private protected override void Show(double done, string line)
        {
            int part = (int)(done * Lines);
            if (part == _shown) return;
            _shown = part;
            output.WriteLine($"{done * 100,3:F0} %  {line}");
            output.Flush();
        }
    }

    /// <summary>A progress bar.</summary>
    private sealed class LiveView(TextWriter output, int? steps) : TrainingView(steps)
    {
        private ProgressTask? _task;

        public override void Run(Action train)
        {
            IAnsiConsole console = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(output) });
            console.Progress().AutoClear(false)
                .Columns(new SpinnerColumn(), new ProgressBarColumn { Width = 24 }, new PercentageColumn(), new TaskDescriptionColumn { Alignment = Justify.Left })
                .Start(context =>
                {
                    _task = context.AddTask("starting", maxValue: 1);
                    train();
                });
        }

        private protected override void Show(double done, string line)
        {
            if (_task is null) return;
            _task.Description = Markup.Escape(line);
            _task.Value = done;
        }
    }
}
