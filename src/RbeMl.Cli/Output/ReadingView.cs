using RbeMl.Text;

namespace RbeMl.Cli.Output;

/// <summary>How much of a text is read: on a terminal, where someone waits.</summary>
internal sealed class ReadingView : IProgress<TextProgress>
{
    private readonly ProgressView? _view;
    private readonly Action<string> _say;

    private ReadingView(ProgressView? view, Action<string> say) => (_view, _say) = (view, say);

    /// <summary>Reads within a view.</summary>
    /// <param name="host">Where it is shown.</param>
    /// <param name="quiet">Whether the output is for JSON alone.</param>
    /// <param name="read">The work.</param>
    public static T Read<T>(CommandHost host, bool quiet, Func<ReadingView, T> read)
    {
        void Say(string line)
        {
            if (quiet) return;
            host.Out.WriteLine(line);
            host.Out.Flush();
        }

        if (quiet || !host.Interactive) return read(new ReadingView(null, Say));
        ProgressView view = ProgressView.For(host, quiet: false);
        T? result = default;
        view.Run(() => result = read(new ReadingView(view, line => view.Show(1, line))));
        return result!;
    }

    /// <summary>Says what comes next.</summary>
    public void Say(string line) => _say(line);

    /// <inheritdoc/>
    public void Report(TextProgress value)
        => _view?.Show(value.Total is > 0 and { } all ? (double)value.Read / all
            : 0, $"reading  {Format.Bytes(value.Read)}{(value.Total is { } total ? $" of {Format.Bytes(total)}" : "")}");
}
