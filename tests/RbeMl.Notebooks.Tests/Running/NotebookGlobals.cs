using System.Diagnostics.CodeAnalysis;

namespace RbeMl.Notebooks.Tests.Running;

/// <summary>HTML to be shown as it is.</summary>
public sealed record HtmlString(string Value)
{
    public override string ToString() => Value;
}

/// <summary>Something displayed that can be replaced later.</summary>
public sealed class DisplayedValue
{
    private readonly CellOutputs _outputs;
    private readonly int _index;
    private readonly string? _mimeType;

    internal DisplayedValue(CellOutputs outputs, int index, string? mimeType) => (_outputs, _index, _mimeType) = (outputs, index, mimeType);

    /// <summary>Shows another value in the same place.</summary>
    public void Update(object? value) => _outputs.Replace(_index, value, _mimeType);
}

/// <summary>What cells may use without a declaration: the part of Polyglot's surface that the notebooks need, under its names.</summary>
[SuppressMessage("Style", "IDE1006", Justification = "Polyglot's names.")]
[SuppressMessage("Naming", "CA1707", Justification = "Polyglot's names.")]
public sealed class NotebookGlobals
{
    internal CellOutputs Outputs { get; set; } = new();

    /// <summary>Shows a value.</summary>
    /// <param name="value">Text, a number, <see cref="HTML"/>, or anything with a ToString of its own.</param>
    /// <param name="mimeType">What the text of the value is; text/html for <see cref="HTML"/>, otherwise text/plain.</param>
    public DisplayedValue display(object? value, string? mimeType = null) => new(Outputs, Outputs.Display(value, mimeType), mimeType);

    /// <summary>Marks text as HTML.</summary>
    public HtmlString HTML(string html) => new(html);
}
