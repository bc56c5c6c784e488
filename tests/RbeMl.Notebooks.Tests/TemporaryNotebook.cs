using System.Text.Json.Nodes;
using RbeMl.Notebooks.Tests.Documents;

namespace RbeMl.Notebooks.Tests;

/// <summary>A small notebook in a folder of its own, as if it stood in the repository's notebooks folder.</summary>
internal sealed class TemporaryNotebook : IDisposable
{
    private readonly string _root = Path.Combine(Path.GetTempPath(), $"rbeml-notebook-{Guid.NewGuid():N}");

    /// <param name="cells">Source of the code cells; a first cell of text is added.</param>
    public TemporaryNotebook(params string[] cells)
    {
        string folder = Path.Combine(_root, "notebooks");
        Directory.CreateDirectory(folder);
        FilePath = Path.Combine(folder, "small.ipynb");
        JsonArray all = [Cell("markdown", "intro", "# Small\n")];
        for (int i = 0; i < cells.Length; i++) all.Add(Cell("code", $"code-{i + 1}", cells[i]));
        JsonObject kernel = new() { ["display_name"] = ".NET (C#)", ["language"] = "C#", ["name"] = ".net-csharp" };
        JsonObject info =
            new() { ["defaultKernelName"] = "csharp", ["items"] = new JsonArray(new JsonObject { ["aliases"] = new JsonArray(), ["name"] = "csharp" }) };
        Write(new JsonObject
        {
            ["cells"] = all,
            ["metadata"] = new JsonObject { ["kernelspec"] = kernel, ["polyglot_notebook"] = new JsonObject { ["kernelInfo"] = info } },
            ["nbformat"] = 4,
            ["nbformat_minor"] = 5,
        });
    }

    public string FilePath { get; }

    public string Folder => Path.GetDirectoryName(FilePath)!;

    /// <summary>A notebook whose outputs are those of a run.</summary>
    public static async Task<TemporaryNotebook> RunAsync(params string[] cells)
    {
        TemporaryNotebook notebook = new(cells);
        await NotebookCheck.WriteAsync(notebook.FilePath);
        return notebook;
    }

    /// <summary>Changes the file's JSON, keeping its layout.</summary>
    public void Edit(Action<JsonObject> change)
    {
        JsonObject json = NotebookDocument.Load(FilePath).Json;
        change(json);
        Write(json);
    }

    public Task<IReadOnlyList<string>> CheckAsync() => NotebookCheck.CheckAsync(FilePath);

    public void Dispose() => Directory.Delete(_root, recursive: true);

    private static JsonNode Cell(string type, string id, string source)
    {
        JsonObject cell = new() { ["cell_type"] = type, ["id"] = id, ["metadata"] = new JsonObject(), ["source"] = NotebookJson.ToLines(source) };
        if (type == "markdown") return cell;
        cell["metadata"] = new JsonObject { ["polyglot_notebook"] = new JsonObject { ["kernelName"] = "csharp" } };
        cell["execution_count"] = null;
        cell["outputs"] = new JsonArray();
        return cell;
    }

    private void Write(JsonObject json) => File.WriteAllText(FilePath, NotebookJson.Write(json));
}
