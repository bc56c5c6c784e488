using System.CommandLine;
using System.Diagnostics;
using System.Text.Json;
using RbeMl.Cli.Output;
using RbeMl.Files;
using RbeMl.Storage;

namespace RbeMl.Cli.Decompress;

/// <summary><c>rbeml decompress</c>: dense weights for other programs.</summary>
internal sealed class DecompressCommand
{
    private readonly Argument<string> _file = FileOptions.Input("file.rbe", "Model or set of matrices (.rbe).");
    private readonly Option<string> _out = FileOptions.Output("path", "Where to write: a folder, or a file that ends in .safetensors.");
    private readonly Option<string> _type =
        Options.Word("--dtype", "f32", "Type of the decoded weights; tensors that were never compressed keep theirs.", "f32", "f16", "bf16");
    private readonly Option<string?> _json = Options.Json();

    /// <summary>The command.</summary>
    public static Command Create(CommandHost host)
    {
        DecompressCommand verb = new();
        Command command = new(
            "decompress",
            """
            Writes the dense weights of a compressed file, for programs that know nothing of it.

            A model becomes a folder in Hugging Face's GPT-2 layout (config.json, model.safetensors, vocab.json, merges.txt and tokenizer.json), an
            encoder one in its BERT layout with the files of sentence-transformers, or each one .safetensors file with the same names.
            A set of matrices becomes a .safetensors file with the names it was compressed under.

            Examples:
              rbeml decompress rbeml-out/model.rbe -o gpt2-dense
              rbeml decompress rbeml-out/model.rbe -o model.safetensors --dtype bf16
              rbeml decompress weights.rbe -o weights.safetensors
            """);
        command.Add(verb._file);
        foreach (Option option in new Option[] { verb._out, verb._type, verb._json }) command.Add(option);
        command.SetAction(result => verb.Run(result, host));
        return command;
    }

    private int Run(ParseResult result, CommandHost host)
    {
        JsonTarget json = result.JsonTarget(_json);
        string path = result.GetValue(_file)!, output = result.GetValue(_out)!;
        Options.RequireDistinct(output, [path]);
        if (json.File is { } file)
        {
            Options.RequireDistinct(file, [path, output]);
            AtomicFile.CheckFile(file);
        }

        string type = result.GetValue(_type)!;
        Stopwatch watch = Stopwatch.StartNew();
        DenseExportResult written = DenseExport.Write(path, output, Enum.Parse<SafetensorsElement>(type, ignoreCase: true), host.Cancel);
        LaterWork later = new();
        later.Do(() =>
        {
            if (!json.OnOutput)
            {
                host.Say($"{output}: {Format.Count(written.Tensors, "tensor")}, "
                    + $"{Format.Bytes(written.Bytes)}{(written.Tokenizer ? ", with the tokenizer" : "")}");
                if (written.LostTokenizer is { } lost)
                {
                    host.Say($"The model's tokenizer ({lost}) has no place in "
                        + $"{(output.EndsWith(".safetensors", StringComparison.OrdinalIgnoreCase) ? "a single file" : "Hugging Face's layout")}; keep "
                        + $"{path} for it.");
                }

                if (written.TokenizerProblem is { } problem) host.Say($"Without a tokenizer: the model's cannot be read ({problem})");
            }
        });
        later.Do(() => json.Write(host, JsonSerializer.Serialize(
            new
            {
                File = path,
                Output = output,
                written.Kind,
                written.Architecture,
                Dtype = type,
                written.Tensors,
                written.Bytes,
                written.Tokenizer,
                written.LostTokenizer,
                written.TokenizerProblem,
                Seconds = watch.Elapsed.TotalSeconds
            }, JsonStyle.Indented)));
        later.ThrowFirst($"The dense weights are saved, {output}.");
        return ExitCode.Done;
    }
}
