using System.Text.Json.Nodes;
using RbeMl.Notebooks.Tests.Documents;

namespace RbeMl.Notebooks.Tests;

/// <summary>What the format check finds in a notebook's file.</summary>
public sealed class FormatTests
{
    public static TheoryData<string, string> Faults => new()
    {
        { "nbformat_minor", "nbformat is not 4.5" },
        { "kernelspec", "kernelspec.name" },
        { "language", "kernelspec.language" },
        { "kernelInfo", "defaultKernelName" },
        { "items", "items has no csharp" },
        { "no id", "its id is missing" },
        { "bad id", "its id is missing" },
        { "same id", "taken by another cell" },
        { "kernelName", "kernelName is not csharp" },
        { "cell_type", "neither code nor markdown" },
        { "metadata", "has no metadata" },
        { "outputs", "has no array of outputs" },
        { "text outputs", "text has no outputs" },
        { "source", "has no source" },
    };

    [Theory]
    [MemberData(nameof(Faults))]
    public void AFaultIsFound(string fault, string message)
    {
        using TemporaryNotebook notebook = new("Console.WriteLine(1);");
        Assert.Empty(NotebookFormat.Check(NotebookDocument.Load(notebook.FilePath)));
        notebook.Edit(json => Break(json, fault));
        Assert.Contains(message, Assert.Single(NotebookFormat.Check(NotebookDocument.Load(notebook.FilePath))), StringComparison.Ordinal);
    }

    [Fact]
    public void AnotherLayoutIsFound()
    {
        using TemporaryNotebook notebook = new("Console.WriteLine(1);");
        File.WriteAllText(notebook.FilePath, File.ReadAllText(notebook.FilePath).TrimEnd('\n'));
        Assert.Contains("layout", Assert.Single(NotebookFormat.Check(NotebookDocument.Load(notebook.FilePath))), StringComparison.Ordinal);
    }

    private static void Break(JsonObject json, string fault)
    {
        JsonObject metadata = json["metadata"]!.AsObject(), text = json["cells"]![0]!.AsObject(), code = json["cells"]![1]!.AsObject();
        JsonNode info = metadata["polyglot_notebook"]!["kernelInfo"]!;
        switch (fault)
        {
            case "nbformat_minor": json["nbformat_minor"] = 4; break;
            case "kernelspec": metadata["kernelspec"]!["name"] = "python3"; break;
            case "language": metadata["kernelspec"]!.AsObject().Remove("language"); break;
            case "kernelInfo": info["defaultKernelName"] = "fsharp"; break;
            case "items": info["items"]![0]!["name"] = "fsharp"; break;
            case "no id": code.Remove("id"); break;
            case "bad id": code["id"] = "a b"; break;
            case "same id": code["id"] = (string)text["id"]!; break;
            case "kernelName": code["metadata"]!["polyglot_notebook"]!["kernelName"] = "pwsh"; break;
            case "cell_type": text["cell_type"] = "raw"; break;
            case "metadata": text.Remove("metadata"); break;
            case "outputs": code.Remove("outputs"); break;
            case "text outputs": text["outputs"] = new JsonArray(); break;
            case "source": text.Remove("source"); break;
            default: throw new ArgumentOutOfRangeException(nameof(fault), fault, null);
        }
    }
}
