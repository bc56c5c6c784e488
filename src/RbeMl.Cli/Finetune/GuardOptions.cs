using System.CommandLine;

namespace RbeMl.Cli.Finetune;

/// <summary>What a run does when a loss or gradient is no number.</summary>
internal enum OnDivergence
{
    /// <summary>It ends, and says where.</summary>
    Stop,

    /// <summary>The step changes nothing, and the next follows.</summary>
    Skip,

    /// <summary>It goes back to its last state, with half the learning rate.</summary>
    Rollback,
}

/// <summary>The options of what a run does when something goes wrong, or nothing gets better.</summary>
internal sealed class GuardOptions
{
    private readonly Option<string> _divergence =
        Options.Word("--on-divergence", "stop",
            "What to do where a loss or gradient is NaN or infinite: stop; skip the step, ten in a row at most; or rollback to the last good state with half "
                + "the learning rate, three times at most. The start and each tenth of the run leave a state then, but for weights whose loss has jumped.",
            "stop", "skip", "rollback");
    private readonly Option<int> _patience =
        Options.Whole("--patience", 0, 0,
            "End when so many validations in a row (there are ten in a run) were no better than the best, and keep the weights of the best; 0 keeps the last.");

    /// <summary>All of them, in the order of the help page.</summary>
    public Option[] All => [_divergence, _patience];

    /// <summary>What to do where a loss or gradient is no number.</summary>
    /// <exception cref="UsageException">There would be no state to go back to.</exception>
    public OnDivergence Divergence(ParseResult result, bool states)
    {
        OnDivergence way = Enum.Parse<OnDivergence>(result.GetValue(_divergence)!, ignoreCase: true);
        return way != OnDivergence.Rollback || states ? way
            : throw new UsageException("--on-divergence rollback goes back to a state, and --state-every 0 saves none. Leave one of them out.");
    }

    /// <summary>Validations in a row without a better one; 0 for no end.</summary>
    public int Patience(ParseResult result) => result.GetValue(_patience);
}
