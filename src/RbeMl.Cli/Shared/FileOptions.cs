using System.CommandLine;
using System.CommandLine.Parsing;

namespace RbeMl.Cli;

/// <summary>Options that name files, the same on every verb.</summary>
internal static class FileOptions
{
    /// <summary>What stands for standard output.</summary>
    public const string StandardOutput = "-";

    /// <summary>How the error of an option without its name begins.</summary>
    public const string NameMissing = "A name is missing";

    /// <summary><c>--model</c> of the verbs that only read one.</summary>
    public static Option<string> Model(string description) =>
        new Option<string>("--model", "-m") { Description = description, HelpName = "model", Required = true }.Named();

    /// <summary><c>--output</c>, which must be given.</summary>
    public static Option<string> Output(string helpName, string description) =>
        new Option<string>("--output", "-o", "--out") { Description = description, HelpName = helpName, Required = true }.Named().Written();

    /// <summary>The file a verb is about, its one argument.</summary>
    public static Argument<string> Input(string name, string description)
    {
        Argument<string> argument = new(name) { Description = description };
        argument.Validators.Add(result =>
        {
            if (result.Tokens.Any(token => token.Value.Length == 0)) result.AddError($"The name of <{name}> is empty.");
            RefuseOptions(result);
        });
        return argument;
    }

    /// <summary>An option where a name may stand is no name, be it misspelt or after one whose name is missing: a file called so is written ./--name.</summary>
    public static void RefuseOptions(SymbolResult result)
    {
        string what = result is OptionResult option ? option.Option.Name : "the command";
        IEnumerable<string> known = result.Parent is CommandResult verb ? verb.Command.Options.SelectMany(o => o.Aliases.Append(o.Name)) : [];
        foreach (string word in result.Tokens.Select(token => token.Value))
        {
            if (known.Contains(word)) result.AddError($"{NameMissing} between {what} and {word}.");
            else if (word.StartsWith("--", StringComparison.Ordinal)) result.AddError($"Unrecognized command or argument '{word}'.");
        }
    }

    /// <summary>
    /// For a name that is written to: refuses <c>-</c>. Standard output is for what a verb says; only <c>--json</c> takes it, and then the
    /// verb says nothing else.
    /// </summary>
    public static Option<T> Written<T>(this Option<T> option)
    {
        option.Validators.Add(result =>
        {
            if (result.Tokens.Any(token => token.Value == StandardOutput))
            {
                result.AddError($"{option.Name} -: only --json writes to standard output. Give a name; ./- is a file called so.");
            }
        });
        return option;
    }
}
