using System.IO.Compression;
using System.Text;
using System.Text.Json;
using RbeMl.Files;
using RbeMl.Models;

namespace RbeMl.Cli;

/// <summary>
/// The run that the files beside a <c>model.rbe</c> are of, each in its own way: keys of metrics.json, the comment of model.zip, a meta
/// element of report.html.
/// </summary>
internal static class RunMixture
{
    private const string ZipPrefix = "rbeml run ", MetaStart = "<meta name=\"rbeml-run\" content=\"";

    /// <summary>What the zip says about its run.</summary>
    public static string ZipComment(RunMark mark) => $"{ZipPrefix}{mark.RunId} {mark.WeightsHash}";

    /// <summary>What the page says about its run.</summary>
    public static string Meta(string runId, string? weightsHash) => $"{MetaStart}{runId} {weightsHash}\">";

    /// <summary>Says on standard error when files beside a model are of another run or of other weights.</summary>
    /// <param name="host">Where to say it.</param>
    /// <param name="model">The model's file; only one named as finetune names it has such neighbours.</param>
    /// <param name="mark">What it says about its run.</param>
    public static void Warn(CommandHost host, string model, RunMark? mark)
    {
        if (Path.GetFileName(model) != RunFiles.ModelName) return;
        RunFiles files = new(Path.GetDirectoryName(model) ?? "", overwrite: false);
        string[] others =
            [.. files.All.Where(file => file != files.Model && File.Exists(file) && MarkOf(file) is { } other && other != mark)
                .Select(file => Path.GetFileName(file)!)];
        if (others.Length > 0)
        {
            host.Complain($"rbeml: note: {string.Join(" and ", others)} beside {model} {(others.Length == 1 ? "is" : "are")} of other weights: from "
                + $"another run, or one that ended early.");
        }
    }

    /// <summary>The run that a file of it says it is of; null for a file that says nothing, or cannot be read.</summary>
    public static RunMark? MarkOf(string file)
    {
        try
        {
            return Path.GetExtension(file) switch
            {
                ".rbe" => OfModel(file),
                ".zip" => OfZip(file),
                ".json" => OfJson(FileBeginning.Read(file)),
                _ => OfPage(Encoding.UTF8.GetString(FileBeginning.Read(file))),
            };
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or InvalidDataException or JsonException or RbeFileException)
        {
            return null;
        }
    }

    /// <summary>The run that a JSON document says it is of; null for one that does not, or cannot be read.</summary>
    public static string? RunIdOf(string file)
    {
        try
        {
            return File.Exists(file) ? Keys(FileBeginning.Read(file)).Id : null;
        }
        catch (Exception error) when (error is JsonException or RbeFileException)
        {
            return null;
        }
    }

    private static RunMark? OfModel(string file)
    {
        using RbeContainer model = RbeContainer.Open(file);
        return RunMark.Of(model.Metadata);
    }

    private static RunMark? OfZip(string file)
    {
        using ZipArchive zip = ZipFile.OpenRead(file);
        return zip.Comment.StartsWith(ZipPrefix, StringComparison.Ordinal) ? OfWords(zip.Comment[ZipPrefix.Length..]) : null;
    }

    private static RunMark? OfJson(byte[] beginning) =>
        Keys(beginning) is ({ } id, { } weights) ? new RunMark(id, weights) : null;

    // The first keys of the document, which goes on with all steps.
    private static (string? Id, string? Weights) Keys(byte[] beginning)
    {
        Utf8JsonReader reader = new(beginning, isFinalBlock: false, default);
        string? id = null, weights = null;
        while ((id is null || weights is null) && reader.Read() && reader.TokenType is JsonTokenType.StartObject or JsonTokenType.PropertyName)
        {
            if (reader.TokenType != JsonTokenType.PropertyName) continue;
            string key = reader.GetString()!;
            if (!reader.Read() || reader.TokenType != JsonTokenType.String) break;
            if (key == "runId") id = reader.GetString();
            if (key == "weightsHash") weights = reader.GetString();
        }

        return (id, weights);
    }

    private static RunMark? OfPage(string beginning)
    {
        int start = beginning.IndexOf(MetaStart, StringComparison.Ordinal);
        if (start < 0) return null;
        start += MetaStart.Length;
        int end = beginning.IndexOf('"', start);
        return end < 0 ? null : OfWords(beginning[start..end]);
    }

    private static RunMark? OfWords(string text) => text.Split(' ') is [var id, var weights] ? new RunMark(id, weights) : null;
}
