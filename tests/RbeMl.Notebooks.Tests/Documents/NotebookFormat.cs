using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using RbeMl.Notebooks.Tests.Running;

namespace RbeMl.Notebooks.Tests.Documents;

/// <summary>What a notebook file must be like for Polyglot Notebooks to open it and for reviews to be readable.</summary>
public static partial class NotebookFormat
{
    private const string Kernel = ".net-csharp";
    private const string Language = "csharp";

    [GeneratedRegex("^[a-zA-Z0-9_-]{1,64}$")]
    private static partial Regex CellId();

    /// <summary>Everything that is wrong with the file, its outputs apart; empty when nothing is.</summary>
    public static List<string> Check(NotebookDocument notebook)
    {
        List<string> problems = [];
        JsonObject json = notebook.Json;
        if (Number(json["nbformat"]) != 4 || Number(json["nbformat_minor"]) != 5) problems.Add("file: nbformat is not 4.5.");
        JsonNode? metadata = json["metadata"], kernelInfo = metadata?["polyglot_notebook"]?["kernelInfo"];
        if (metadata?["kernelspec"]?["name"].TextOrNull() != Kernel) problems.Add($"file: metadata.kernelspec.name is not {Kernel}.");
        if (metadata?["kernelspec"]?["language"].TextOrNull() != "C#") problems.Add("file: metadata.kernelspec.language is not C#.");
        if (kernelInfo?["defaultKernelName"].TextOrNull() != Language)
        {
            problems.Add($"file: metadata.polyglot_notebook.kernelInfo.defaultKernelName is not {Language}.");
        }

        if (kernelInfo?["items"] is not JsonArray items || !items.Any(i => i?["name"].TextOrNull() == Language))
        {
            problems.Add($"file: metadata.polyglot_notebook.kernelInfo.items has no {Language}.");
        }

        HashSet<string> ids = new(StringComparer.Ordinal);
        foreach (NotebookCell cell in notebook.Cells) CheckCell(cell, ids, problems);
        string text = notebook.Text.Replace("\r\n", "\n", StringComparison.Ordinal); // a checkout may change line ends
        if (problems.Count == 0 && notebook.ToText() != text)
        {
            problems.Add("file: not in the committed layout (two spaces, sources as arrays of lines, line feed at the end). Write the "
                + "outputs once, that puts it right.");
        }

        return problems;
    }

    /// <summary>Everything that is wrong with the outputs in the file before anything is run.</summary>
    public static List<string> CheckOutputs(NotebookDocument notebook)
    {
        List<string> problems = [];
        foreach (NotebookCell cell in notebook.Cells.Where(c => c.IsCode))
        {
            if (cell.Outputs.Count == 0) problems.Add($"{cell.Place}: has no output. Every code cell shows something; write the outputs.");
            if (cell.Outputs.Any(o => o.Kind == OutputKind.Error)) problems.Add($"{cell.Place}: its output is an error.");
            if (Number(cell.Json["execution_count"]) != cell.Number)
            {
                problems.Add($"{cell.Place}: execution_count is not {cell.Number}, so the cells were not run once from top to bottom.");
            }
        }

        return problems;
    }

    private static void CheckCell(NotebookCell cell, HashSet<string> ids, List<string> problems)
    {
        string? id = cell.Json["id"].TextOrNull(), type = cell.Json["cell_type"].TextOrNull();
        if (id is null || !CellId().IsMatch(id)) problems.Add($"{cell.Place}: its id is missing or not 1 to 64 letters, digits, - and _.");
        else if (!ids.Add(id)) problems.Add($"{cell.Place}: its id is taken by another cell.");
        if (type is not ("code" or "markdown")) problems.Add($"{cell.Place}: cell_type is neither code nor markdown.");
        if (cell.Json["metadata"] is not JsonObject metadata) problems.Add($"{cell.Place}: has no metadata.");
        else if (cell.IsCode
            && metadata["polyglot_notebook"]?["kernelName"].TextOrNull()
            != Language) problems.Add($"{cell.Place}: metadata.polyglot_notebook.kernelName is not {Language}.");
        if (cell.Json["source"] is null) problems.Add($"{cell.Place}: has no source.");
        else if (cell.IsCode) problems.AddRange(NotebookReferences.Check(cell.Source).Select(problem => $"{cell.Place}: {problem}"));
        if (cell.IsCode && cell.Json["outputs"] is not JsonArray) problems.Add($"{cell.Place}: has no array of outputs.");
        if (!cell.IsCode && cell.Json["outputs"] is not null) problems.Add($"{cell.Place}: text has no outputs.");
    }

    private static int? Number(JsonNode? json) =>
        json is JsonValue value && value.GetValueKind() == JsonValueKind.Number && value.TryGetValue(out int number) ? number : null;
}
