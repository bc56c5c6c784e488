using System.CommandLine;
using System.Globalization;
using System.Runtime.ExceptionServices;
using RbeMl.Cli.Output;
using RbeMl.Layers;
using RbeMl.Models;
using RbeMl.Mpi;
using RbeMl.Training;

namespace RbeMl.Cli.Finetune;

/// <summary>What the exchange of gradients costs.</summary>
/// <param name="Ranks">Ranks.</param>
/// <param name="Transport">What connects them.</param>
/// <param name="BytesPerStep">Bytes that the first rank sends in a step.</param>
/// <param name="DenseBytesPerStep">What it would send of the same model with every weight a 4-byte number.</param>
/// <param name="EmbeddingBytesPerStep">Of the bytes those of embeddings.</param>
internal sealed record RanksRecord(int Ranks, string Transport, long BytesPerStep, long DenseBytesPerStep, long EmbeddingBytesPerStep)
{
    private const double Much = 0.5;

    /// <summary>In words; with what makes it less, where dense embeddings are most of it.</summary>
    public string Describe()
    {
        string advice = EmbeddingBytesPerStep < Much * BytesPerStep ? "" : $" {Format.Bytes(EmbeddingBytesPerStep)} of it are dense embeddings: a --model from "
            + "compress --embeddings sparse sends less.";
        return $"Ranks: {Ranks} over {Transport}; a step sends {Format.Bytes(BytesPerStep)} from the first, of a dense model "
            + $"{Format.Bytes(DenseBytesPerStep)}.{advice}";
    }
}

/// <summary>
/// The ranks of a run: all do the same, the first speaks and writes. What depends on the clock, on signals or on files is decided by the first
/// or told to all, and an error of one ends all with one message.
/// </summary>
internal sealed class RunRanks : IDisposable
{
    private readonly CommandHost _host;
    private readonly RankTalk _talk;
    private readonly MpiCollective? _joined;

    private RunRanks(ICollective? collective, MpiCollective? joined, CommandHost host)
    {
        (Collective, _joined, _talk) = (collective, joined, new RankTalk(collective ?? SingleProcess.Instance));
        bool plain = Several; // a terminal that ranks are given by their launcher is none
        _host = !plain ? host : IsFirst ? host with { Interactive = false, Width = () => null, ErrorWidth = () => null }
            : new CommandHost(TextWriter.Null, TextWriter.Null) { Cancel = host.Cancel, Stopping = host.Stopping, Program = host.Program, In = host.In };
    }

    /// <summary>The ranks; null for one process.</summary>
    public ICollective? Collective { get; }

    /// <summary>Whether there are several.</summary>
    public bool Several => _talk.Several;

    /// <summary>How many there are.</summary>
    public int Size => _talk.Ranks.Size;

    /// <summary>Whether this is the first, which speaks and writes.</summary>
    public bool IsFirst => _talk.Ranks.Rank == 0;

    /// <summary><c>--distributed</c>.</summary>
    public static Option<string?> Option() => Options.OptionalWord("--distributed",
        "Whether processes that mpirun or srun started share the micro-batches of each step (mpi, the same model bit for bit as from one process, which "
            + "takes an --accumulate of at least as many) or train apart (none). If left out mpi where there are several.", "mpi", "none");

    /// <summary>Joins the ranks that a launcher started, unless they are to be left apart.</summary>
    /// <param name="how">mpi, none, or null for mpi where a launcher is seen.</param>
    /// <param name="host">Output, and the ranks of a test.</param>
    /// <exception cref="DistributedException">There is no launcher, or its MPI cannot be loaded.</exception>
    public static RunRanks Join(string? how, CommandHost host)
    {
        if (host.Collective is { } given) return new RunRanks(given, null, host);
        if (how == "none" || (how is null && !MpiCollective.IsLaunched)) return new RunRanks(null, null, host);
        MpiCollective joined = MpiCollective.Join();
        return new RunRanks(joined, joined, host);
    }

    /// <summary>Does the run. Where a rank fails all end, and the first says why.</summary>
    /// <param name="work">Does it, given what this rank sees of the outside world.</param>
    /// <returns>An <see cref="ExitCode"/>, which the first rank alone tells of a failure: launchers kill the other ranks as soon as one does, and the first
    /// has to say why.</returns>
    public int Run(Func<CommandHost, int> work)
    {
        if (!Several) return work(_host);
        try
        {
            int code = work(_host);
            _talk.Agree(RankTask.Done);
            return IsFirst ? code : ExitCode.Done;
        }
        catch (DistributedException error) when (error.Rank is null) // there is no way to tell the others
        {
            new ForgivingWriter(_host.Error).WriteLine($"rbeml: {error.Message}");
            _talk.Ranks.Abort(error.Message);
            throw;
        }
        catch (Exception error)
        {
            Exception first = _talk.Leave(error);
            if (!IsFirst) return ExitCode.Done;
            ExceptionDispatchInfo.Throw(first is DistributedException { Rank: 0, InnerException: { } own } ? own : first);
            throw;
        }
    }

    /// <summary>Requires all ranks to be started with the same options.</summary>
    /// <param name="options">Values by name.</param>
    /// <param name="own">Options that may differ.</param>
    public void RequireSame(IReadOnlyDictionary<string, string[]?> options, params string[] own) => _talk.RequireSame(
        [.. options.Where(option => !own.Contains(option.Key)).OrderBy(option => option.Key, StringComparer.Ordinal)
            .Select(option => (option.Key, option.Value is null ? "none" : string.Join(' ', option.Value)))]);

    /// <summary>Threads of a rank: what is asked for, else its part of the processors of this machine.</summary>
    public int Threads(int asked)
    {
        if (asked > 0 || _joined is null) return asked;
        return MpiBinding.IsBound ? Environment.ProcessorCount : Math.Max(1, Environment.ProcessorCount / _joined.LocalSize);
    }

    /// <summary>What should be known before the run, in a sentence; null for nothing.</summary>
    public string? Warning(int asked) => asked == 0 && _joined is not null && MpiBinding.IsBound && Environment.ProcessorCount == 1
        ? string.Create(CultureInfo.InvariantCulture,
            $"the launcher bound each rank to one of this machine's {MpiBinding.Online} processors. Start it with --bind-to none to use more.") : null;

    /// <summary>Whether something is so on any rank.</summary>
    public bool Any(bool here) => Several ? _talk.Any(here) : here;

    /// <summary>The first rank's number.</summary>
    public double OfFirst(double here) => Several ? _talk.OfFirst(here) : here;

    /// <summary>What a step of a trainer costs; null for one process.</summary>
    public RanksRecord? Record(Trainer trainer)
    {
        if (!Several) return null;
        long embeddings = trainer.Gradients.Slices.Where(slice => slice.Kind == ParameterKind.Embedding).Sum(slice => (long)slice.Length);
        return new RanksRecord(_talk.Ranks.Size, _talk.Ranks.Description, trainer.ExchangedBytes,
            trainer.BytesExchanged(ModelSize.Of(trainer.Model).DenseValues), trainer.BytesExchanged(embeddings));
    }

    /// <summary>Leaves the ranks, once all do.</summary>
    public void Dispose() => _joined?.Dispose();
}
