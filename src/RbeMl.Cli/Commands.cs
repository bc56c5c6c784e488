using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;
using System.Text.RegularExpressions;
using RbeMl.Cli.Classify;
using RbeMl.Cli.Compress;
using RbeMl.Cli.Decompress;
using RbeMl.Cli.Embed;
using RbeMl.Cli.Eval;
using RbeMl.Cli.Finetune;
using RbeMl.Cli.Generate;
using RbeMl.Cli.Help;
using RbeMl.Cli.Inspect;
using RbeMl.Mpi;

namespace RbeMl.Cli;

/// <summary>The verbs and what they have in common: exit codes and one-line errors.</summary>
internal static partial class Commands
{
    /// <summary>Runs a command line.</summary>
    /// <param name="args">Its words.</param>
    /// <param name="host">Output, errors and cancellation.</param>
    /// <returns>An <see cref="ExitCode"/>.</returns>
    public static int Run(string[] args, CommandHost host)
    {
        host = host.Plain();
        RootCommand root = Root(host);
        ParseResult parsed = root.Parse(args, CommandLine.AsTheyStand);
        if (parsed.Errors.Count > 0 && parsed.Action is not HelpPage)
        {
            string verb = Words(parsed.CommandResult.Command);
            string message = parsed.CommandResult.Command == root && UnknownVerb(args) is { } word
                ? $"Unrecognized command or argument '{word}'." : FirstError(parsed);
            string mend = DidYouMean(root, parsed.CommandResult.Command, message);
            if (mend.Length == 0 && verb.Length == 0) mend = $" The commands are {string.Join(", ", root.Subcommands.Select(c => c.Name))}.";
            return Fail(host, ExitCode.Usage, $"{message}{mend} See '{host.Program}{verb} --help'.");
        }

        if (MpiCollective.IsLaunched && parsed.Action is not HelpPage && parsed.CommandResult.Command is not RootCommand and not { Name: FinetuneCommand.Name })
        {
            return Fail(host, ExitCode.Usage, $"{Words(parsed.CommandResult.Command).TrimStart()} runs in one process, and this is one of several that would "
                + "each do the same and write the same files. Start it without mpirun.");
        }

        try
        {
            int done = parsed.Invoke(
                new InvocationConfiguration { Output = host.Out, Error = host.Error, EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null });
            return done == ExitCode.Cancelled && host.Stopping is { PipeClosed: true } ? ExitCode.PipeClosed : done;
        }
        catch (Exception error) when (host.Stopping is { PipeClosed: true } || (error as SavedWorkException)?.InnerException is PipeClosedException)
        {
            return error is SavedWorkException ? Fail(host, ExitCode.PipeClosed, error.Message) : ExitCode.PipeClosed;
        }
        catch (Exception error) when (!host.Debug)
        {
            (int code, string message) =
                Explain(error is SavedWorkException { InnerException: { } failure } ? failure : error, $"{host.Program}{Words(parsed.CommandResult.Command)}");
            return Fail(host, code, error is SavedWorkException ? $"{message} {error.Message}" : message);
        }
    }

    /// <summary>What a command line says, of which nothing is done.</summary>
    internal static ParseResult Parse(string[] args, CommandHost host) => Root(host).Parse(args, CommandLine.AsTheyStand);

    private static RootCommand Root(CommandHost host)
    {
        RootCommand root = new(
            """
            Trains and runs small GPT-2 models and sentence encoders whose weights are compressed (RBE) all the time: stored, run and trained
            in that form.

            Try it:
              rbeml finetune
                  trains a model on the documentation of this machine's SDK, about two minutes
              rbeml generate -m rbeml-out/model.rbe -p "Returns the"
                  continues a text with it
              rbeml eval -m rbeml-out/model.rbe --text held-out.txt
                  measures how well it predicts a text
              rbeml inspect rbeml-out/model.rbe --html tiles.html
                  shows what its weights take, and a picture of every tile
              rbeml compress gpt2 -o gpt2.rbe --format trellis --bits 5
                  makes such a model of a Hugging Face GPT-2
              rbeml embed -m minilm --text faq.txt --query "How do I get my money back?"
                  finds the lines that are nearest to a question

            'rbeml <command> --help' explains every option, with examples.
            Exit codes: 0 done, 1 failed, 2 wrong usage, 130 stopped by Ctrl-C or a signal, 141 nobody reads the output any more.
            """)
        {
            HelpName = "rbeml",
        };
        root.Add(FinetuneCommand.Create(host));
        root.Add(GenerateCommand.Create(host));
        root.Add(EvalCommand.Create(host));
        root.Add(CompressCommand.Create(host));
        root.Add(EmbedCommand.Create(host));
        root.Add(ClassifyCommand.Create(host));
        root.Add(InspectCommand.Create(host));
        root.Add(DecompressCommand.Create(host));
        HelpPage help = new(host);
        root.Options.OfType<HelpOption>().Single().Action = help;
        root.SetAction(help.Invoke);
        return root;
    }

    // The names from the verb down, each after a blank.
    private static string Words(Command command) => string.Concat(CommandLine.PathOf(command).Select(name => $" {name}"));

    // Options after a word that is no command are not what is wrong.
    private static string? UnknownVerb(string[] args) => args is [{ Length: > 0 } word, ..] && word[0] != '-' ? word : null;

    private static (int Code, string Message) Explain(Exception error, string command) => error switch
    {
        UsageException => (ExitCode.Usage, $"{error.Message} See '{command} --help'."),
        RbeException => (ExitCode.Failed, error.Message),
        OperationCanceledException => (ExitCode.Cancelled, "cancelled before there was anything to save."),
        OverflowException => (ExitCode.Failed, "the sizes multiply to more than can be counted. Use a smaller --batch, --context, --width or --vocabulary."),
        IOException => (ExitCode.Failed,
            $"reading or writing failed: {error.Message.TrimEnd('.')}. Check where standard output goes, and the space left there."),
        OutOfMemoryException => (ExitCode.Failed, "out of memory. Use a smaller --batch, --context or --width, --checkpointing full, or --memory-limit."),
        _ => (ExitCode.Failed, $"{error.GetType().Name}: {error.Message} (set RBEML_DEBUG=1 to see where)."),
    };

    // The names that a misspelt one may stand for. The parser finds them, and says so in lines of its own: "'x' was not matched. ...", then a name a line.
    private static string DidYouMean(RootCommand root, Command command, string message)
    {
        if (Unrecognized().Match(message) is not { Success: true } match) return "";
        string word = match.Groups[1].Value.Split('=')[0];
        ParseResult alone = root.Parse(command == root ? [word] : [.. CommandLine.PathOf(command), "argument", word], CommandLine.AsTheyStand);
        if (alone.Action is not ParseErrorAction action) return "";
        (action.ShowHelp, action.ShowTypoCorrections) = (false, true);
        using StringWriter text = new();
        alone.Invoke(new InvocationConfiguration { Output = text, Error = TextWriter.Null });
        string kind = word.StartsWith("--", StringComparison.Ordinal) ? "--" : word.StartsWith('-') ? "-" : "";
        string[] names = [.. text.ToString().ReplaceLineEndings("\n").Split('\n')
            .SkipWhile(line => !line.StartsWith($"'{word}' ", StringComparison.Ordinal)).Skip(1).TakeWhile(line => line.Length > 0 && line[0] != '\'')
            .Where(name => kind.Length > 0 ? name.StartsWith(kind, StringComparison.Ordinal) : name[0] != '-')];
        return names.Length == 0 ? "" : $" Did you mean {string.Join(" or ", names)}?";
    }

    // The error that helps most: a misspelt name makes others of what follows it.
    private static string FirstError(ParseResult parsed) =>
        parsed.Errors.Select(error => error.Message)
            .OrderByDescending(message => message.StartsWith(FileOptions.NameMissing, StringComparison.Ordinal)
                || Unrecognized().Match(message) is { Success: true } match && match.Groups[1].Value.StartsWith('-')).First();

    [GeneratedRegex("^Unrecognized command or argument '(.*)'", RegexOptions.Singleline | RegexOptions.CultureInvariant)]
    private static partial Regex Unrecognized();

    private static int Fail(CommandHost host, int code, string message)
    {
        if (host.Stopping is { } stopping && !stopping.MayTell()) return code;
        try
        {
            host.Complain($"rbeml: {string.Join(' ', message.Split('\n', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))}");
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            // Nobody can be told; the exit code still says it.
        }

        return code;
    }
}
