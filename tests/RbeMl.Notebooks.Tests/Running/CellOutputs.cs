using System.Text;
using RbeMl.Notebooks.Tests.Documents;

namespace RbeMl.Notebooks.Tests.Running;

/// <summary>Collects what a cell writes and shows, in order; text of one stream that follows itself is one output. Any thread may write.</summary>
internal sealed class CellOutputs
{
    private readonly Lock _lock = new();
    private readonly List<NotebookOutput> _outputs = [];
    private readonly StringBuilder _text = new();
    private string _stream = "";

    public CellOutputs()
    {
        Out = new Writer(this, "stdout");
        Error = new Writer(this, "stderr");
    }

    public TextWriter Out { get; }

    public TextWriter Error { get; }

    public int Display(object? value, string? mimeType)
    {
        lock (_lock)
        {
            Flush();
            _outputs.Add(new NotebookOutput(OutputKind.DisplayData, "", ValueText.Of(value, mimeType)));
            return _outputs.Count - 1;
        }
    }

    public void Replace(int index, object? value, string? mimeType)
    {
        lock (_lock) _outputs[index] = _outputs[index] with { Data = ValueText.Of(value, mimeType) };
    }

    /// <summary>Everything so far and the value of the last expression, if there is one.</summary>
    public IReadOnlyList<NotebookOutput> Finish(object? result)
    {
        lock (_lock)
        {
            Flush();
            if (result is not null) _outputs.Add(new NotebookOutput(OutputKind.ExecuteResult, "", ValueText.Of(result, null)));
            return [.. _outputs];
        }
    }

    private void Write(string stream, ReadOnlySpan<char> text)
    {
        lock (_lock)
        {
            if (stream != _stream) Flush();
            _stream = stream;
            _text.Append(text);
        }
    }

    private void Flush()
    {
        if (_text.Length > 0) _outputs.Add(NotebookOutput.Stream(_stream, _text.ToString()));
        _text.Clear();
    }

    private sealed class Writer : TextWriter
    {
        private readonly CellOutputs _outputs;
        private readonly string _stream;

        public Writer(CellOutputs outputs, string stream)
            : base(System.Globalization.CultureInfo.InvariantCulture)
        {
            (_outputs, _stream) = (outputs, stream);
            NewLine = "\n"; // the same file on every system
        }

        public override Encoding Encoding => Encoding.UTF8;

        public override void Write(char value) => _outputs.Write(_stream, [value]);

        public override void Write(string? value) => _outputs.Write(_stream, value);

        public override void Write(char[] buffer, int index, int count) => _outputs.Write(_stream, buffer.AsSpan(index, count));

        public override void Write(ReadOnlySpan<char> buffer) => _outputs.Write(_stream, buffer);
    }
}
