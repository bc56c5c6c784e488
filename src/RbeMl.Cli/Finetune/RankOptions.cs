using System.CommandLine;
using RbeMl.Training;

namespace RbeMl.Cli.Finetune;

/// <summary>How processes share a run.</summary>
internal sealed record RankSettings
{
    /// <summary>mpi or none; null for mpi where a launcher is seen.</summary>
    public string? Distributed { get; init; }

    /// <summary>Whether they divide the optimiser's state and update.</summary>
    public bool ShardOptimizer { get; init; }

    /// <summary>How their gradients are added up.</summary>
    public GradientSum Sum { get; init; }

    /// <summary>What these are rounded to on their way.</summary>
    public GradientWire Wire { get; init; }

    /// <summary>Steps that each does alone.</summary>
    public int LocalSteps { get; init; } = 1;

    /// <summary>What of it decides the bits of a run of several processes, in words; null for nothing.</summary>
    public string? Deciding => Sum is GradientSum.Engine ? $"{RankOptions.SumName} engine" : Wire is GradientWire.BFloat16 ? $"{RankOptions.WireName} bf16"
        : LocalSteps > 1 ? FormattableString.Invariant($"{RankOptions.LocalName} {LocalSteps}") : null;

    /// <summary>What is given and changes nothing in one process, in words; null for nothing.</summary>
    public string? Idle => ShardOptimizer ? RankOptions.ShardName : Deciding;
}

/// <summary>The options of a run that several processes share.</summary>
internal sealed class RankOptions
{
    /// <summary>Names of options.</summary>
    public const string ShardName = "--shard-optimizer", SumName = "--sum", WireName = "--wire", LocalName = "--local-steps";

    private readonly Option<string?> _distributed = RunRanks.Option();
    private readonly Option<bool> _shard = new(ShardName)
    {
        Description = "Let the processes of a shared run divide the optimiser's state and update (ZeRO, stage 1): each has its part of the state. The same "
            + "model, bit for bit, and about the same bytes a step.",
    };

    private readonly Option<string?> _sum = Options.OptionalWord(SumName,
        "How processes add up their gradients: reproducible, by a fixed tree that gives the model of one process, or by the engine, the all-reduce of MPI, "
            + "whose bits depend on the number of processes. reproducible if left out.", "reproducible", "engine");
    private readonly Option<string?> _wire = Options.OptionalWord(WireName,
        "Gradients on their way between processes: floats (fp32), or bf16 with error feedback, half of the bytes for slow links, whose bits depend on the "
            + "number of processes. fp32 if left out.", "fp32", "bf16");

    private readonly Option<int?> _local = Options.OptionalWhole(LocalName, 1,
        "Steps that each process does by its own micro-batches before the weights of all, and the optimiser's moments, become their mean: fewer bytes for slow "
            + "links, and another model. 1, if left out, adds up the gradients of each step.");

    /// <summary>All of them, in the order of the help page.</summary>
    public Option[] All => [_distributed, _shard, _sum, _wire, _local];

    /// <summary>Those of a single call, which are not kept for another.</summary>
    public Option[] PerCall => [_distributed];

    /// <summary>Reads them.</summary>
    /// <exception cref="UsageException">Options contradict each other.</exception>
    public RankSettings Read(ParseResult result)
    {
        RankSettings settings = new()
        {
            Distributed = result.GetValue(_distributed),
            ShardOptimizer = result.GetValue(_shard),
            Sum = result.GetValue(_sum) == "engine" ? GradientSum.Engine : GradientSum.Reproducible,
            Wire = result.GetValue(_wire) == "bf16" ? GradientWire.BFloat16 : GradientWire.Float32,
            LocalSteps = result.GetValue(_local) ?? 1,
        };
        if (settings is { Sum: GradientSum.Engine, Wire: GradientWire.BFloat16 })
        {
            throw new UsageException($"{SumName} engine adds up floats, and {WireName} bf16 sends rounded ones. Leave out one of them.");
        }

        if (settings.LocalSteps > 1 && (settings with { LocalSteps = 1 }).Idle is { } gradients)
        {
            throw new UsageException($"{gradients} is for gradients on their way, and with {LocalName} none are sent. Leave out one of them.");
        }

        if (!settings.ShardOptimizer || settings.Deciding is not { } other) return settings;
        throw new UsageException($"{ShardName} gives no process the whole sum of gradients, which {other} makes. Leave out one of them.");
    }
}
