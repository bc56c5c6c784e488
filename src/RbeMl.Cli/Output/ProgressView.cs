using Spectre.Console;
using Spectre.Console.Rendering;

namespace RbeMl.Cli.Output;

/// <summary>Shows how far some work is.</summary>
internal abstract class ProgressView
{
    /// <summary>A view that fits the output: live on a terminal, lines elsewhere, nothing when the output is for JSON alone.</summary>
    public static ProgressView For(CommandHost host, bool quiet) => quiet ? new SilentView() : host.Interactive ? new LiveView(host) : new LineView(host);

    /// <summary>Runs the work within the view.</summary>
    public abstract void Run(Action work);

    /// <summary>Shows how far it is.</summary>
    /// <param name="done">Fraction of the work that is done.</param>
    /// <param name="parts">What to say about it, the most important first; a part stays in one line where it can.</param>
    public abstract void Show(double done, params string[] parts);

    /// <summary>The parts in as many lines as they take.</summary>
    internal static IEnumerable<string> Flow(IEnumerable<string> parts, int width)
    {
        string line = "";
        foreach (string part in parts.Where(part => part.Length > 0))
        {
            if (line.Length > 0 && Wrap.Cells(line) + 2 + Wrap.Cells(part) <= width)
            {
                line += $"  {part}";
                continue;
            }

            if (line.Length > 0) yield return line;
            string[] broken = [.. Wrap.Lines(part, width)];
            foreach (string full in broken[..^1]) yield return full;
            line = broken[^1];
        }

        if (line.Length > 0) yield return line;
    }

    private sealed class SilentView : ProgressView
    {
        public override void Run(Action work) => work();

        public override void Show(double done, params string[] parts)
        {
        }
    }

    /// <summary>A line every twentieth of the work.</summary>
    private sealed class LineView(CommandHost host) : ProgressView
    {
        private const int Lines = 20;
        private int _shown = -1;

        public override void Run(Action work) => work();

        public override void Show(double done, params string[] parts)
        {
            int part = (int)(done * Lines);
            if (part == _shown) return;
            _shown = part;
            try
            {
                host.Say($"{done * 100,3:F0} %  {string.Join("  ", parts.Where(text => text.Length > 0).Select(PlainText.Line))}", 7);
                host.Out.Flush();
            }
            catch (IOException)
            {
                // A line that cannot be shown ends no work; what is written at its end reports it.
            }
        }
    }

    /// <summary>A progress bar over lines of what is happening.</summary>
    private sealed class LiveView(CommandHost host) : ProgressView
    {
        private ProgressTask? _task;
        private string[] _parts = ["starting"];

        public override void Run(Action work)
        {
            IAnsiConsole console = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(new ForgivingWriter(host.Raw)) });
            console.Progress().AutoClear(false).Columns(new BarColumn(this)).Start(context =>
            {
                _task = context.AddTask("work", maxValue: 1);
                work();
            });
        }

        public override void Show(double done, params string[] parts)
        {
            _parts = [.. parts.Select(PlainText.Line)];
            if (_task is not null) _task.Value = done;
        }

        /// <summary>Takes the whole line: Spectre's own columns leave the bar out where they do not fit beside each other.</summary>
        private sealed class BarColumn(LiveView view) : ProgressColumn
        {
            private const int Longest = 48, Shortest = 5, PercentWidth = 7;

            public override IRenderable Render(RenderOptions options, ProgressTask task, TimeSpan deltaTime)
            {
                int width = Width(options), bar = Math.Clamp(width - PercentWidth, Shortest, Longest), done = (int)(bar * task.Value);
                string mark = options.Unicode ? "━" : "-";
                string line = $"[{(task.Value >= 1 ? "green" : "blue")}]{Repeat(mark, done)}[/][grey]{Repeat(mark, bar - done)}[/] {task.Value * 100,3:F0} %";
                return new Rows([new Markup(line), .. Flow(view._parts, width).Select(text => new Spectre.Console.Text(text))]);
            }

            public override int? GetColumnWidth(RenderOptions options) => Width(options);

            private static int Width(RenderOptions options) => Math.Max(Shortest + PercentWidth, options.ConsoleSize.Width - 2);

            private static string Repeat(string mark, int count) => string.Concat(Enumerable.Repeat(mark, count));
        }
    }
}
