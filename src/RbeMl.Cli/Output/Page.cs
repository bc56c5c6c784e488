using System.Net;

namespace RbeMl.Cli.Output;

/// <summary>Text for HTML pages.</summary>
internal static class Page
{
    /// <summary>Text escaped for HTML, which has no way to write control characters: they are shown as in <see cref="PlainText"/>.</summary>
    public static string Text(string text) => WebUtility.HtmlEncode(PlainText.Clean(text));
}
