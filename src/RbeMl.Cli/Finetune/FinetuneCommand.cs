using System.CommandLine;
using RbeMl.Cli.Data;
using RbeMl.Cli.Help;

namespace RbeMl.Cli.Finetune;

/// <summary><c>rbeml finetune</c>: trains a new model or continues with one.</summary>
internal static class FinetuneCommand
{
    /// <summary>Its name; the one verb that several processes share.</summary>
    public const string Name = "finetune";

    /// <summary>The command.</summary>
    public static Command Create(CommandHost host)
    {
        Verb command = new(
            Name,
            """
            Trains a small GPT-2 whose weights stay compressed all the time. Without options: about two minutes on the English of the installed
            .NET SDK's documentation. Ctrl-C saves and ends; the same command with --resume goes on.

            Writes to --out: model.rbe (the model with its tokenizer), model.zip (the same for ML.NET: perplexity and continuation of texts),
            metrics.json (every step), report.html (loss curve, memory, samples), and from the first step on metrics.jsonl (a line a step) and
            run.json (every option, for --config).
            With --find-rate it looks for a learning rate instead and writes none of them.
            The model is saved as soon as the last step is done, and every --save-minutes before that. Files of an earlier run are kept: its
            model.rbe becomes model-1.rbe, and so on.

            Examples:
              rbeml finetune
              rbeml finetune --text book.txt --steps 2000 --out book
              rbeml finetune --text names.txt --tokenizer characters --layers 2 --width 64 --context 32 --steps 500
              rbeml finetune --model rbeml-out/model.rbe --text more.txt --steps 200 --learning-rate 1e-3 --out more
              rbeml finetune --model gpt2-folder --text chats.jsonl --steps 200 --learning-rate 1e-4 --out chat
              rbeml finetune --tokens ids.txt --vocabulary 512 --seconds 60
              rbeml finetune --text book.txt --steps 2000 --out book --resume
              rbeml finetune --config book/run.json --seed 2 --out book-2
              rbeml finetune --text book.txt --steps 2000 --out book --find-rate
              mpirun -np 4 --bind-to none rbeml finetune --text book.txt --steps 2000 --accumulate 8
            """);
        FinetuneOptions options = new();
        options.AddTo(command);
        command.SetAction(result =>
        {
            ParseResult all = options.WithConfig(result);
            FinetuneSettings settings = options.Read(all, host.Program);
            using RunRanks ranks = RunRanks.Join(settings.Ranks.Distributed, host);
            string? bound = ranks.Warning(settings.Threads);
            settings = settings with { Threads = ranks.Threads(settings.Threads) };
            return ranks.Run(own =>
            {
                if (DataFiles.Twice(settings.TextFiles) is { } twice) own.Complain($"rbeml: note: {twice} is given more than once, and is learnt as often.");
                if (bound is not null) own.Complain($"rbeml: note: {bound}");
                if (!ranks.Several && settings.Ranks.Idle is { } idle)
                {
                    own.Complain($"rbeml: note: {idle} is for several processes, and changes nothing in one.");
                }

                return new FinetuneJob(settings, all.JsonTarget(options.Json), own, ranks).Run();
            });
        });
        return command;
    }
}
