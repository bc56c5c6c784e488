using System.Net;
using System.Text;

namespace RbeMl.Cli.Output;

/// <summary>Text for HTML pages.</summary>
internal static class Page
{
    /// <summary>Text escaped for HTML; control characters, which HTML has no way to write, become U+FFFD.</summary>
    public static string Text(string text)
    {
        StringBuilder clean = new(text.Length);
        foreach (char c in text) clean.Append(char.IsControl(c) && c is not ('\n' or '\t') ? '\uFFFD' : c);
        return WebUtility.HtmlEncode(clean.ToString());
    }
}
