using System.Collections;
using System.Globalization;
using RbeMl.Notebooks.Tests.Documents;

namespace RbeMl.Notebooks.Tests.Running;

/// <summary>A shown value as text by mime type, in the invariant culture.</summary>
internal static class ValueText
{
    /// <param name="value">The value.</param>
    /// <param name="mimeType">What its text is; null goes by the value.</param>
    public static IReadOnlyDictionary<string, string> Of(object? value, string? mimeType) => new Dictionary<string, string>
    {
        [mimeType ?? (value is HtmlString ? NotebookOutput.Html : NotebookOutput.Plain)] = Text(value),
    };

    private static string Text(object? value) => value switch
    {
        null => "<null>",
        string text => text,
        IFormattable formattable => formattable.ToString(null, CultureInfo.InvariantCulture),
        IEnumerable sequence => $"[ {string.Join(", ", sequence.Cast<object?>().Select(Text))} ]",
        _ => value.ToString() ?? "",
    };
}
