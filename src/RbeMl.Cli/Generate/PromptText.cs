using RbeMl.Text;

namespace RbeMl.Cli.Generate;

/// <summary>The text of <c>--prompt</c>.</summary>
internal static class PromptText
{
    private const int MostCharacters = 1 << 26;

    /// <summary>The text itself, or what standard input holds, without the line end it ends in: shells and editors add one.</summary>
    /// <exception cref="RbeFileException">The input is not of the encoding, or too long.</exception>
    /// <exception cref="OperationCanceledException">Cancelled while it was read.</exception>
    public static string Of(string given, CommandHost host, TextOptions options)
    {
        if (given != TextInput.Standard) return given;
        // a terminal may never end
        string text = Task.Run(() => Read(host.In, options), CancellationToken.None).WaitAsync(host.Cancel).GetAwaiter().GetResult();
        return text.EndsWith('\n') ? text[..^(text.EndsWith("\r\n", StringComparison.Ordinal) ? 2 : 1)] : text;
    }

    private static string Read(Stream input, TextOptions options)
    {
        using TextFileReader reader = new(input, TextInput.StandardName, options);
        return TextFile.ReadAll(reader, MostCharacters);
    }
}
