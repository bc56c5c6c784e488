using System.Text.Json.Nodes;

namespace RbeMl.Notebooks.Tests.Documents;

/// <summary>What one output of a cell is.</summary>
public enum OutputKind
{
    /// <summary>Text written to the console; the only type is text/plain.</summary>
    Stream,

    /// <summary>Something handed to <c>display</c>.</summary>
    DisplayData,

    /// <summary>The value of the cell's last expression.</summary>
    ExecuteResult,

    /// <summary>An exception, as notebook front ends save it.</summary>
    Error,
}

/// <summary>One output of a code cell, as nbformat 4.5 keeps it.</summary>
/// <param name="Kind">What it is.</param>
/// <param name="Name">The stream's name, "stdout" or "stderr"; empty for the other kinds.</param>
/// <param name="Data">Text by mime type.</param>
public sealed record NotebookOutput(OutputKind Kind, string Name, IReadOnlyDictionary<string, string> Data)
{
    public const string Plain = "text/plain";
    public const string Html = "text/html";

    public static NotebookOutput Stream(string name, string text) => new(OutputKind.Stream, name, new Dictionary<string, string> { [Plain] = text });

    /// <summary>Reads an element of a cell's "outputs".</summary>
    /// <exception cref="FormatException">It is not an output of nbformat 4.5.</exception>
    public static NotebookOutput FromJson(JsonObject json)
    {
        string type = json.Text("output_type");
        return type switch
        {
            "stream" => Stream(json.Text("name"), json.Lines("text")),
            "error" => new NotebookOutput(OutputKind.Error, "", new Dictionary<string, string> { [Plain] = $"{json.Text("ename")}: {json.Text("evalue")}" }),
            "display_data" => new NotebookOutput(OutputKind.DisplayData, "", ReadData(json)),
            "execute_result" => new NotebookOutput(OutputKind.ExecuteResult, "", ReadData(json)),
            _ => throw new FormatException($"the output type '{type}' is unknown."),
        };
    }

    /// <summary>An element of a cell's "outputs".</summary>
    /// <param name="executionCount">The cell's number among the code cells, from 1.</param>
    public JsonObject ToJson(int executionCount)
    {
        if (Kind == OutputKind.Stream)
        {
            return new JsonObject { ["name"] = Name, ["output_type"] = "stream", ["text"] = NotebookJson.ToLines(Data[Plain]) };
        }

        JsonObject data = [];
        foreach ((string type, string text) in Data.OrderBy(d => d.Key, StringComparer.Ordinal)) data[type] = NotebookJson.ToLines(text);
        if (Kind == OutputKind.DisplayData) return new JsonObject { ["data"] = data, ["metadata"] = new JsonObject(), ["output_type"] = "display_data" };
        return new JsonObject { ["data"] = data, ["execution_count"] = executionCount, ["metadata"] = new JsonObject(), ["output_type"] = "execute_result" };
    }

    private static Dictionary<string, string> ReadData(JsonObject json)
    {
        JsonObject data = json["data"] as JsonObject ?? throw new FormatException("'data' is missing.");
        return data.ToDictionary(d => d.Key, d => data.Lines(d.Key));
    }
}
