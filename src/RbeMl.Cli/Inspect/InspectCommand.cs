using System.CommandLine;
using RbeMl.Files;
using RbeMl.Models;
using RbeMl.Storage;

namespace RbeMl.Cli.Inspect;

/// <summary><c>rbeml inspect</c>: what a file holds, matrix by matrix and tile by tile.</summary>
internal sealed class InspectCommand
{
    private readonly Argument<string> _file = FileOptions.Input("file.rbe", "Model or set of matrices (.rbe).");
    private readonly Option<bool> _verify = new("--verify") { Description = "Read everything and check every checksum." };
    private readonly Option<bool> _all =
        new("--all") { Description = "A row for each matrix; without it those of a kind share one, with the least and the largest of their figures." };
    private readonly Option<string?> _html =
        Options.File("--html", "page", "Write a page that draws every tile: relative error, energy, and the share of it that the alphas carry.").Written();
    private readonly Option<string?> _reference =
        Options.File("--reference", "file",
            "Measure errors against these weights instead of taking those that the file itself has: a Hugging Face folder, a "
            + ".safetensors file or another .rbe with the same matrices.");
    private readonly Option<string?> _json = Options.Json();

    /// <summary>The command.</summary>
    public static Command Create(CommandHost host)
    {
        InspectCommand verb = new();
        Command command = new(
            "inspect",
            """
            Shows what a compressed file holds: its matrices with format, size and error, what the parts of the model take, configuration and tokenizer.

            The floor (Shannon) is the least relative error that so many bits can give on independent Gaussian weights.
            Errors are those that compression measured, where the file has them; --reference measures them anew.

            Examples:
              rbeml inspect rbeml-out/model.rbe
              rbeml inspect rbeml-out/model.rbe --all
              rbeml inspect rbeml-out/model.rbe --verify --json
              rbeml inspect small.rbe --reference gpt2 --html tiles.html
            """);
        command.Add(verb._file);
        foreach (Option option in new Option[] { verb._all, verb._verify, verb._html, verb._reference, verb._json }) command.Add(option);
        command.SetAction(result => verb.Run(result, host));
        return command;
    }

    private int Run(ParseResult result, CommandHost host)
    {
        JsonTarget json = result.JsonTarget(_json);
        string path = result.GetValue(_file)!;
        string? page = result.GetValue(_html), reference = result.GetValue(_reference);
        List<string> kept = [path, .. new[] { reference }.OfType<string>()];
        foreach (string written in new[] { page, json.File }.OfType<string>())
        {
            Options.RequireDistinct(written, kept);
            AtomicFile.CheckFile(written);
            kept.Add(written);
        }

        bool verify = result.GetValue(_verify);
        RbeInspection file = RbeInspection.Read(path, verify, host.Cancel);
        RunMixture.Warn(host, ModelSource.FileOf(path), RunMark.Of(file.Metadata));
        host.Cancel.ThrowIfCancellationRequested();
        using ReferenceWeights? weights = reference is null ? null : ReferenceWeights.Open(reference);
        List<MatrixFigures> matrices = [];
        foreach (RbeMatrixInspection matrix in file.Matrices)
        {
            matrices.Add(MatrixFigures.Of(matrix, weights));
            host.Cancel.ThrowIfCancellationRequested();
        }

        InspectRecord record = InspectRecord.Of(file, matrices, verify, reference);
        if (page is not null) AtomicFile.WriteText(page, TilePage.Html(record, matrices));
        LaterWork later = new();
        later.Do(() => json.Write(host, record.ToJson()));
        later.Do(() =>
        {
            if (json.OnOutput) return;
            InspectTables.Write(host, record, result.GetValue(_all));
            if (page is not null) host.Say($"page  {page}");
        });
        later.ThrowFirst(page is null ? null : $"The page is saved, {page}.");
        return ExitCode.Done;
    }
}
