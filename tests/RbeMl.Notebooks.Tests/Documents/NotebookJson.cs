using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace RbeMl.Notebooks.Tests.Documents;

/// <summary>Reading and writing a notebook's JSON: two spaces, line feeds, texts as arrays of lines, a line feed at the end.</summary>
internal static class NotebookJson
{
    private static readonly JsonSerializerOptions s_format = new()
    {
        WriteIndented = true,
        IndentSize = 2,
        NewLine = "\n",
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, // <, > and letters beyond ASCII stay readable; nobody pastes the file into a page
    };

    public static string Write(JsonObject notebook) => notebook.ToJsonString(s_format) + "\n";

    /// <summary>Lines that keep their line feeds; the last one only if the text ends with one.</summary>
    public static JsonArray ToLines(string text)
    {
        JsonArray lines = [];
        for (int start = 0; start < text.Length;)
        {
            int feed = text.IndexOf('\n', start);
            int end = feed < 0 ? text.Length : feed + 1;
            lines.Add(text[start..end]);
            start = end;
        }

        return lines;
    }

    /// <summary>A text that is a string or an array of lines.</summary>
    public static string Lines(this JsonObject json, string name) => json[name] switch
    {
        JsonArray lines => string.Concat(lines.Select(l => AsText(l, name))),
        JsonNode text => AsText(text, name),
        null => throw new FormatException($"'{name}' is missing."),
    };

    public static string Text(this JsonObject json, string name) => AsText(json[name], name);

    public static string? TextOrNull(this JsonNode? json) => json is JsonValue value && value.TryGetValue(out string? text) ? text : null;

    private static string AsText(JsonNode? json, string name) => json.TextOrNull() ?? throw new FormatException($"'{name}' is missing or no text.");
}
