using System.CommandLine;
using System.CommandLine.Help;
using RbeMl.Cli.Compress;
using RbeMl.Cli.Decompress;
using RbeMl.Cli.Eval;
using RbeMl.Cli.Finetune;
using RbeMl.Cli.Generate;
using RbeMl.Cli.Inspect;

namespace RbeMl.Cli;

/// <summary>The verbs and what they have in common: exit codes and one-line errors.</summary>
internal static class Commands
{
    /// <summary>Runs a command line.</summary>
    /// <param name="args">Its words.</param>
    /// <param name="host">Output, errors and cancellation.</param>
    /// <returns>An <see cref="ExitCode"/>.</returns>
    public static int Run(string[] args, CommandHost host)
    {
        RootCommand root = new(
            """
            Trains and runs small GPT-2 models whose weights are compressed (RBE) all the time: stored, run and trained in that form.

            Try it:
              rbeml finetune                  train a model on this machine's SDK documentation, about two minutes
              rbeml generate --model rbeml-out/model.rbe --prompt "Returns the"
              rbeml eval --model rbeml-out/model.rbe --text held-out.txt
              rbeml compress gpt2 -o gpt2.rbe --format trellis --bits 5
              rbeml inspect rbeml-out/model.rbe --html tiles.html
              rbeml finetune --help           every option, with examples
            """)
        {
            HelpName = "rbeml",
        };
        root.Add(FinetuneCommand.Create(host));
        root.Add(GenerateCommand.Create(host));
        root.Add(EvalCommand.Create(host));
        root.Add(CompressCommand.Create(host));
        root.Add(InspectCommand.Create(host));
        root.Add(DecompressCommand.Create(host));
        root.SetAction(result => new HelpAction().Invoke(result));
        ParseResult parsed = root.Parse(args);
        if (parsed.CommandResult.Command == root) ShortenDescriptions(root);
        if (parsed.Errors.Count > 0 && parsed.Action is not HelpAction)
        {
            string verb = parsed.CommandResult.Command == root ? "" : $" {parsed.CommandResult.Command.Name}";
            return Fail(host, ExitCode.Usage, $"{parsed.Errors[0].Message} See 'rbeml{verb} --help'.");
        }

        try
        {
            return parsed.Invoke(new InvocationConfiguration { Output = host.Out, Error = host.Error, EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null });
        }
        catch (Exception error) when (!host.Debug)
        {
            (int code, string message) = Explain(error is SavedWorkException { InnerException: { } failure } ? failure : error, parsed.CommandResult.Command.Name);
            return Fail(host, code, error is SavedWorkException ? $"{message} {error.Message}" : message);
        }
    }

    private static (int Code, string Message) Explain(Exception error, string verb) => error switch
    {
        UsageException => (ExitCode.Usage, $"{error.Message} See 'rbeml {verb} --help'."),
        RbeException => (ExitCode.Failed, error.Message),
        OperationCanceledException => (ExitCode.Cancelled, "cancelled before there was anything to save."),
        OverflowException => (ExitCode.Failed, "the sizes multiply to more than can be counted. Use a smaller --batch, --context, --width or --vocabulary."),
        IOException => (ExitCode.Failed, $"reading or writing failed: {error.Message.TrimEnd('.')}. Check where standard output goes, and the space left there."),
        OutOfMemoryException => (ExitCode.Failed, "out of memory. Use a smaller --batch, --context or --width, --checkpointing full, or --memory-limit."),
        _ => (ExitCode.Failed, $"{error.GetType().Name}: {error.Message} (set RBEML_DEBUG=1 to see where)."),
    };

    // The list of verbs needs one line of each.
    private static void ShortenDescriptions(RootCommand root)
    {
        foreach (Command verb in root.Subcommands) verb.Description = verb.Description!.Split('\n')[0].Trim();
    }

    private static int Fail(CommandHost host, int code, string message)
    {
        try
        {
            host.Error.WriteLine($"rbeml: {string.Join(' ', message.Split('\n', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))}");
        }
        catch (IOException)
        {
            // Nobody can be told; the exit code still says it.
        }

        return code;
    }
}
