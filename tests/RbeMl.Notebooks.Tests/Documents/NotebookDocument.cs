using System.Text.Json;
using System.Text.Json.Nodes;

namespace RbeMl.Notebooks.Tests.Documents;

/// <summary>A cell of a notebook.</summary>
/// <param name="Json">The cell; outputs are written into it.</param>
/// <param name="Index">Its place in the file, from 1.</param>
/// <param name="Number">Its number among the code cells, from 1; 0 for text.</param>
public sealed record NotebookCell(JsonObject Json, int Index, int Number)
{
    public bool IsCode => Number > 0;

    public string Source => Json.Lines("source");

    /// <summary>How messages name the cell.</summary>
    public string Place => $"cell {Index} ({Json["id"].TextOrNull() ?? "no id"})";

    /// <summary>The outputs in the file.</summary>
    public IReadOnlyList<NotebookOutput> Outputs => [.. ((JsonArray?)Json["outputs"] ?? []).Select(o => NotebookOutput.FromJson(o!.AsObject()))];

    /// <summary>Puts outputs in place of those in the file.</summary>
    public void SetOutputs(IEnumerable<NotebookOutput> outputs)
    {
        Json["execution_count"] = Number;
        Json["outputs"] = new JsonArray([.. outputs.Select(o => (JsonNode)o.ToJson(Number))]);
    }
}

/// <summary>An .ipynb file.</summary>
public sealed class NotebookDocument
{
    private NotebookDocument(string path, string text, JsonObject json, IReadOnlyList<NotebookCell> cells)
    {
        (FilePath, Text, Json, Cells) = (path, text, json, cells);
    }

    public string FilePath { get; }

    /// <summary>The file as it was read.</summary>
    public string Text { get; }

    public JsonObject Json { get; }

    public IReadOnlyList<NotebookCell> Cells { get; }

    /// <summary>Reads a notebook.</summary>
    /// <exception cref="NotebookException">It is not JSON or has no cells.</exception>
    public static NotebookDocument Load(string path)
    {
        string text = File.ReadAllText(path);
        try
        {
            JsonObject json = JsonNode.Parse(text) as JsonObject ?? throw new FormatException("it is not a JSON object.");
            JsonArray cells = json["cells"] as JsonArray ?? throw new FormatException("'cells' is missing.");
            List<NotebookCell> list = [];
            int number = 0;
            foreach (JsonNode? cell in cells)
            {
                JsonObject o = cell as JsonObject ?? throw new FormatException("a cell is no object.");
                list.Add(new NotebookCell(o, list.Count + 1, o["cell_type"].TextOrNull() == "code" ? ++number : 0));
            }

            return new NotebookDocument(Path.GetFullPath(path), text, json, list);
        }
        catch (Exception error) when (error is JsonException or FormatException)
        {
            throw new NotebookException(path, "file", $"cannot be read as a notebook: {error.Message}", error);
        }
    }

    /// <summary>The file's content in the one format that is committed.</summary>
    public string ToText()
    {
        foreach (NotebookCell cell in Cells) cell.Json["source"] = NotebookJson.ToLines(cell.Source);
        return NotebookJson.Write(Json);
    }

    /// <summary>Writes the file.</summary>
    public void Save() => File.WriteAllText(FilePath, ToText());
}
