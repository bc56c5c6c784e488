using System.CommandLine;
using RbeMl.Storage;
using RbeMl.Text;
using RbeMl.Training;

namespace RbeMl.Cli;

/// <summary>Short ways to declare options with their checks.</summary>
internal static class Options
{
    /// <summary>A whole number with a default and a range.</summary>
    public static Option<int> Whole(string name, int value, int least, string description, int most = int.MaxValue)
        => new(name)
        {
            Description = description,
            DefaultValueFactory = _ => value,
            CustomParser = result => Number.Whole(result, name, least, most),
            HelpName = "n"
        };

    /// <summary>A whole number that may be left out.</summary>
    public static Option<int?> OptionalWhole(string name, int least, string description, int most = int.MaxValue)
        => new(name) { Description = description, CustomParser = result => Number.Whole(result, name, least, most), HelpName = "n" };

    /// <summary>A real number with a default and a range.</summary>
    public static Option<double> Real(string name, double value, double least, double most, string description, bool above = false)
        => new(name)
        {
            Description = description,
            DefaultValueFactory = _ => value,
            CustomParser = result => Number.Real(result, name, least, most, above),
            HelpName = "x"
        };

    /// <summary>A real number that may be left out.</summary>
    public static Option<double?> OptionalReal(string name, double least, double most, string description, bool above = false)
        => new(name) { Description = description, CustomParser = result => Number.Real(result, name, least, most, above), HelpName = "x" };

    /// <summary>Steps, or minutes with an m behind them.</summary>
    public static Option<SaveInterval> Interval(string name, SaveInterval value, string description) => new(name)
    {
        Description = description,
        DefaultValueFactory = _ => value,
        CustomParser = result => Number.Interval(result, name),
        HelpName = "n|minutes",
    };

    /// <summary>What <c>--seed</c> is unless given.</summary>
    public const ulong DefaultSeed = 1337;

    /// <summary><c>--seed</c>.</summary>
    public static Option<ulong> Seed(string description)
        => new("--seed")
        {
            Description = description,
            DefaultValueFactory = _ => DefaultSeed,
            CustomParser = result => Number.Whole(result, "--seed", 0UL, ulong.MaxValue),
            HelpName = "n"
        };

    /// <summary>One of some words.</summary>
    public static Option<string> Word(string name, string value, string description, params string[] words) =>
        new Option<string>(name) { Description = description, DefaultValueFactory = _ => value }.OneOf(words);

    /// <summary>One of some words, which may be left out.</summary>
    public static Option<string?> OptionalWord(string name, string description, params string[] words) =>
        new Option<string?>(name) { Description = description }.OneOf(words);

    // What is not given is the default, or nothing.
    private static Option<T> OneOf<T>(this Option<T> option, string[] words)
    {
        option.HelpName = string.Join('|', words);
        option.Validators.Add(result =>
        {
            if (result.Tokens is not [.., { Value: var word }] || words.Contains(word)) return;
            result.AddError($"{option.Name} {word}: use one of {string.Join(", ", words)}.");
        });
        return option;
    }

    /// <summary>A file name that may be left out.</summary>
    public static Option<string?> File(string name, string helpName, string description, params string[] aliases) =>
        new Option<string?>(name, aliases) { Description = description, HelpName = helpName }.Named();

    /// <summary>Refuses empty names, which no file or folder has.</summary>
    public static Option<T> Named<T>(this Option<T> option)
    {
        option.Validators.Add(result =>
        {
            if (result.Tokens.Any(token => token.Value.Length == 0)) result.AddError($"{option.Name} \"\": the name is empty.");
            FileOptions.RefuseOptions(result);
        });
        return option;
    }

    /// <summary><c>--json [file]</c>.</summary>
    public static Option<string?> Json() => new Option<string?>("--json")
    {
        Description = "Write the result as one JSON document, to a file or (without one, or with -) to standard output, which then holds nothing else.",
        HelpName = "file",
        Arity = ArgumentArity.ZeroOrOne,
    }.Named();

    /// <summary><c>--special</c>.</summary>
    public static Option<bool> Special() =>
        new("--special")
        {
            Description = "Names of the tokenizer's special tokens in the text, such as <|endoftext|>, stand for these; without it they are plain text.",
        };

    /// <summary>Whether a tokenizer is to find special tokens in texts.</summary>
    /// <param name="tokenizer">The tokenizer.</param>
    /// <param name="special">Whether <c>--special</c> was given.</param>
    /// <exception cref="InvalidSettingException">It was, and the tokenizer has no special tokens.</exception>
    public static bool FindsSpecial(ITokenizer tokenizer, bool special)
    {
        if (!special || tokenizer is Gpt2Tokenizer { Special.Count: > 0 }) return special;
        throw new InvalidSettingException("--special", "on", "the model's tokenizer has no special tokens; leave it out.");
    }

    /// <summary>Whether the option stands on the command line.</summary>
    public static bool Given(this ParseResult result, Option option) => result.GetResult(option) is { Implicit: false };

    /// <summary>Where <c>--json</c> writes.</summary>
    public static JsonTarget JsonTarget(this ParseResult result, Option<string?> option)
    {
        if (!result.Given(option)) return new JsonTarget(false, null);
        return new JsonTarget(true, result.GetValue(option) is FileOptions.StandardOutput ? null : result.GetValue(option));
    }

    /// <summary>Refuses a file to be written that is also one of <paramref name="others"/>.</summary>
    /// <exception cref="UsageException">It is.</exception>
    public static void RequireDistinct(string written, IEnumerable<string> others)
    {
        if (others.FirstOrDefault(other => AtomicFile.IsSame(written, other)) is { } same)
        {
            throw new UsageException($"{written} would replace {same}, another file of this command. Choose another name.");
        }
    }
}

/// <summary>Where JSON goes.</summary>
/// <param name="Wanted">Whether <c>--json</c> was given.</param>
/// <param name="File">The file; null means standard output.</param>
internal readonly record struct JsonTarget(bool Wanted, string? File)
{
    /// <summary>Whether standard output belongs to the JSON alone.</summary>
    public bool OnOutput => Wanted && File is null;

    /// <summary>Writes the document where it is wanted.</summary>
    public void Write(CommandHost host, string json)
    {
        if (!Wanted) return;
        json = PlainText.Json(json);
        if (File is null) host.Out.WriteLine(json);
        else AtomicFile.WriteText(File, json + "\n");
    }
}
