using Spectre.Console;

namespace RbeMl.Cli.Output;

/// <summary>Shows how far some work is.</summary>
internal abstract class ProgressView
{
    /// <summary>A view that fits the output: live on a terminal, lines elsewhere, nothing when the output is for JSON alone.</summary>
    public static ProgressView For(CommandHost host, bool quiet) => quiet ? new SilentView() : host.Interactive ? new LiveView(host.Raw) : new LineView(host.Out);

    /// <summary>Runs the work within the view.</summary>
    public abstract void Run(Action work);

    /// <summary>Shows a line.</summary>
    /// <param name="done">Fraction of the work that is done.</param>
    /// <param name="line">What to say about it.</param>
    public abstract void Show(double done, string line);

    private sealed class SilentView : ProgressView
    {
        public override void Run(Action work) => work();

        public override void Show(double done, string line)
        {
        }
    }

    /// <summary>A line every twentieth of the work.</summary>
    private sealed class LineView(TextWriter output) : ProgressView
    {
        private const int Lines = 20;
        private int _shown = -1;

        public override void Run(Action work) => work();

        public override void Show(double done, string line)
        {
            int part = (int)(done * Lines);
            if (part == _shown) return;
            _shown = part;
            output.WriteLine(FormattableString.Invariant($"{done * 100,3:F0} %  {PlainText.Line(line)}"));
            output.Flush();
        }
    }

    /// <summary>A progress bar.</summary>
    private sealed class LiveView(TextWriter output) : ProgressView
    {
        private ProgressTask? _task;

        public override void Run(Action work)
        {
            IAnsiConsole console = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(output) });
            console.Progress().AutoClear(false)
                .Columns(new SpinnerColumn(), new ProgressBarColumn { Width = 24 }, new PercentageColumn(), new TaskDescriptionColumn { Alignment = Justify.Left })
                .Start(context =>
                {
                    _task = context.AddTask("starting", maxValue: 1);
                    work();
                });
        }

        public override void Show(double done, string line)
        {
            if (_task is null) return;
            _task.Description = Markup.Escape(PlainText.Line(line));
            _task.Value = done;
        }
    }
}
