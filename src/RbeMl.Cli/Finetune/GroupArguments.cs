using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;
using RbeMl.Codec;
using RbeMl.Training;

namespace RbeMl.Cli.Finetune;

/// <summary>The options of the learning rate's course, and of parameters that are trained in another way.</summary>
internal sealed class GroupArguments
{
    private readonly Option<string> _schedule =
        Options.Word("--schedule", "cosine", "How the learning rate falls after the warm-up: along a cosine, a straight line, or not at all.",
            "cosine", "linear", "constant");
    private readonly Option<double> _final =
        Options.Real("--final-rate", 0.1, 0, 1, "What the schedule ends at, as a fraction of the highest learning rate; 0 falls to nothing.");
    private readonly Option<int> _cycles =
        Options.Whole("--cycles", 1, 1, "How often the schedule is run through in the run: more than once gives warm restarts.", 10_000);
    private readonly Option<int?> _find = FindOption();
    private readonly Option<string[]> _groups = new Option<string[]>("--group")
    {
        Description = "Train the parameters of some names in another way, such as *.bias:decay=0.1, blocks.0.*:frozen, or embedding.*:rate=0.3,decay=0 "
            + "(rate is a factor; trained undoes frozen; with --train-bits also bits=3). * stands for any characters; of several that match the last decides.",
        HelpName = "pattern:settings",
        AllowMultipleArgumentsPerToken = true,
    }.Named();

    /// <summary>All of them, in the order of the help page.</summary>
    public Option[] All => [_schedule, _final, _cycles, _groups];

    /// <summary><c>--find-rate [steps]</c>: of a single call, and so not kept for another.</summary>
    public Option FindRate => _find;

    /// <summary>What they say of the learning rate.</summary>
    public (RateSchedule Schedule, double Final, int Cycles) Course(ParseResult result) =>
        (Enum.Parse<RateSchedule>(result.GetValue(_schedule)!, ignoreCase: true), result.GetValue(_final), result.GetValue(_cycles));

    /// <summary>Whether the course's details make a difference; null where it is none of them.</summary>
    public bool? HasEffect(Option option, ParseResult result) => option == _final || option == _cycles ? result.GetValue(_schedule) != "constant" : null;

    /// <summary>The groups.</summary>
    /// <exception cref="UsageException">One cannot be read.</exception>
    public IReadOnlyList<ParameterGroup> Groups(ParseResult result) => [.. (result.GetValue(_groups) ?? []).Select(Read)];

    /// <summary>Steps of a search for the learning rate; null for a training.</summary>
    public int? Search(ParseResult result) => result.Given(_find) ? result.GetValue(_find) ?? new LearningRateFinderOptions().Steps : null;

    /// <summary>The words of a command line without <c>--find-rate</c> and some options, to be given again.</summary>
    public IReadOnlyList<string> WordsWithout(ParseResult result, params Option[] left)
    {
        HashSet<Token> gone = new(ReferenceEqualityComparer.Instance);
        foreach (OptionResult option in left.Append(_find).Select(result.GetResult).OfType<OptionResult>())
        {
            if (option.IdentifierToken is { } name) gone.Add(name);
            gone.UnionWith(option.Tokens);
        }

        IEnumerable<Token> kept = result.Tokens.Where(token => token.Type != TokenType.Command && !gone.Contains(token));
        return [.. CommandLine.PathOf(result.CommandResult.Command), .. kept.Select(token => token.Value)]; // one of --config has no token of the verb
    }

    /// <summary>Refuses what contradicts itself.</summary>
    /// <param name="result">The command line.</param>
    /// <param name="delta">Whether a delta is trained.</param>
    /// <param name="others">What goes with no search for a rate.</param>
    /// <exception cref="UsageException">Options do.</exception>
    public void Check(ParseResult result, bool delta, params Option[] others)
    {
        if (result.Given(_find) && others.FirstOrDefault(result.Given) is { } other)
        {
            throw new UsageException($"{_find.Name} looks for the rate of a run that is to begin, and writes nothing. Leave out {other.Name}.");
        }

        if (Groups(result).FirstOrDefault(group => group.Frozen == false) is { } more && delta)
        {
            throw new UsageException($"--group {more.Pattern}:trained would train what a delta leaves as it is, and its file could not hold it. "
                + "Use --delta-with, or leave it out.");
        }

        if (((Option[])[_final, _cycles]).FirstOrDefault(result.Given) is { } idle && HasEffect(idle, result) == false)
        {
            throw new UsageException($"{idle.Name} is for a rate that falls, and --schedule is constant. Leave out one of them.");
        }
    }

    /// <summary>What the library says of groups, by the name of the option; null for anything else.</summary>
    public static InvalidSettingException? InWords(InvalidSettingException error)
    {
        if (!error.Setting.StartsWith("parameter group", StringComparison.Ordinal)) return null;
        string[] parts = error.Message[(error.Setting.Length + 3)..].Split(": ", 2); // "setting = value: mend"
        return new InvalidSettingException("--group", parts[0], parts[1]);
    }

    private static Option<int?> FindOption()
    {
        const string Name = "--find-rate";
        const int MostSearched = 100_000;
        Option<int?> option = Options.OptionalWhole(Name, LearningRateFinderOptions.LeastSteps,
            "Look for a learning rate instead of training: so many steps, 100 if left out, on a copy of the model, each at a higher rate, until the loss runs "
                + "away. Draws the losses, suggests a rate with the command line that uses it, and writes nothing.", MostSearched);
        option.HelpName = "steps";
        option.CustomParser = result => result.Tokens.Count == 0 ? null : Number.Whole(result, Name, LearningRateFinderOptions.LeastSteps, MostSearched);
        option.Arity = ArgumentArity.ZeroOrOne;
        return option;
    }

    private static ParameterGroup Read(string text)
    {
        int colon = text.LastIndexOf(':');
        if (colon < 1 || colon == text.Length - 1) throw Wrong();
        ParameterGroup group = new(text[..colon]);
        foreach (string setting in text[(colon + 1)..].Split(','))
        {
            string[] parts = setting.Split('=');
            bool number = double.TryParse(parts[^1], NumberStyles.Float, CultureInfo.InvariantCulture, out double value) && parts.Length == 2;
            group = parts[0] switch
            {
                "rate" when number && value is > 0 and <= 1e6 => group with { RateFactor = value },
                "decay" when number && value is >= 0 and < 10 => group with { WeightDecay = value },
                "bits" when number && value is >= QuantizedTiles.LeastBits and <= 8 && value == Math.Floor(value) => group with { TrainBits = (int)value },
                "frozen" when parts.Length == 1 => group with { Frozen = true },
                "trained" when parts.Length == 1 => group with { Frozen = false },
                _ => throw Wrong(),
            };
        }

        return group;

        UsageException Wrong() => new($"--group {text}: write names, a colon, and rate=0.5, decay=0, bits=3, frozen or trained, with commas between them.");
    }
}
