using System.CommandLine;
using RbeMl.Cli.Help;

namespace RbeMl.Cli.Finetune;

/// <summary><c>rbeml finetune</c>: trains a new model or continues with one.</summary>
internal static class FinetuneCommand
{
    /// <summary>The command.</summary>
    public static Command Create(CommandHost host)
    {
        Verb command = new(
            "finetune",
            """
            Trains a small GPT-2 whose weights stay compressed all the time. Without options: about two minutes on the English of the installed
            .NET SDK's documentation. Ctrl-C saves and ends; the same command with --resume goes on.

            Writes to --out: model.rbe (the model with its tokenizer), model.zip (the same for ML.NET: perplexity and continuation of texts),
            metrics.json (every step), report.html (loss curve, memory, samples).
            The model is saved as soon as the last step is done, and every --save-minutes before that. Files of an earlier run are kept: its
            model.rbe becomes model-1.rbe, and so on.

            Examples:
              rbeml finetune
              rbeml finetune --text book.txt --steps 2000 --out book
              rbeml finetune --text names.txt --tokenizer characters --layers 2 --width 64 --context 32 --steps 500
              rbeml finetune --model rbeml-out/model.rbe --text more.txt --steps 200 --learning-rate 1e-3 --out more
              rbeml finetune --tokens ids.txt --vocabulary 512 --seconds 60
              rbeml finetune --text book.txt --steps 2000 --out book --resume
            """);
        FinetuneOptions options = new();
        options.AddTo(command);
        command.SetAction(result =>
        {
            JsonTarget json = result.JsonTarget(options.Json);
            return new FinetuneJob(options.Read(result, host.Program), json, host).Run();
        });
        return command;
    }
}
