using System.CommandLine;
using RbeMl.Benchmarks;
using RbeMl.Benchmarks.Codec;
using RbeMl.Benchmarks.Encoders;
using RbeMl.Benchmarks.FewLabels;
using RbeMl.Benchmarks.Kernels;
using RbeMl.Benchmarks.MlNet;
using RbeMl.Benchmarks.Peers;
using RbeMl.Benchmarks.Training;
using RbeMl.Oracle.Tests.Native;
using TorchSharp;

if (args is [MemoryChild.Verb, .. string[] rest]) return MemoryChild.Run(rest);
if (args is [TextContest.Verb, .. string[] contest]) return TextContest.Run(contest);
if (args is [PeersCommand.ChildVerb, .. string[] peer]) return PeersCommand.Child(peer);
if (args is [FewLabelsRun.Verb, .. string[] few]) return FewLabelsRun.Run(few);
Argument<string> which =
    new("what")
    {
        Description = "block: one GPT-2 block; decode: a new token with a cache; step: a training step of a small model; quantized: a block of frozen weights; "
            + "scaling: a block by batch and length; all: these five; fusion: LayerNorm fused into the transform, off and on; memory: what training a "
            + "block takes, in processes of their own; make-gpt2: no measurement, writes an untrained GPT-2 into a folder, for measuring 'rbeml "
            + "compress' and 'rbeml decompress'.",
    };
which.AcceptOnlyFromAmong("block", "decode", "step", "quantized", "scaling", "all", "fusion", "memory", "make-gpt2");
Argument<string?> folder = new("folder") { Description = "Folder that make-gpt2 writes.", Arity = ArgumentArity.ZeroOrOne };
Option<string> random = new("--random") { Description = "Layers and width of make-gpt2.", DefaultValueFactory = _ => "12,768", HelpName = "layers,width" };
Option<int> threads = new("--threads") { Description = "Threads of both sides; 0 for one a processor.", DefaultValueFactory = _ => 0 };
Option<int> rounds = new("--rounds") { Description = "Pairs of measurements.", DefaultValueFactory = _ => 11 };
Option<string?> json = new("--json") { Description = "Writes the results as JSON, to a file or to standard output.", Arity = ArgumentArity.ZeroOrOne };
Option<bool> quick = new("--quick") { Description = "Few pairs, short warm-up, every second size: to see that it works; times scatter." };
Option<string?> only = new("--only") { Description = "Only the comparisons whose name contains this." };
threads.Validators.Add(r =>
{
    if (r.GetValue(threads) is < 0 or > 1024) r.AddError("--threads: use 0 for one a processor, or a positive number.");
});
rounds.Validators.Add(r =>
{
    if (r.GetValue(rounds) is < 1 or > 100000) r.AddError("--rounds: use at least 1.");
});

RootCommand root =
    new("Times the library side by side with TorchSharp's dense fp32 in one process, after checking that both compute the same.") { which,
        folder, random, threads, rounds, quick, json, only };
root.SetAction(parsed =>
{
    string what = parsed.GetValue(which)!;
    if (what == "make-gpt2" != parsed.GetValue(folder) is { Length: > 0 })
    {
        Console.Error.WriteLine("make-gpt2, and nothing else, takes a folder to write.");
        return 2;
    }

    int count = parsed.GetValue(threads) is > 0 and var given ? given : Environment.ProcessorCount;
    bool writesJson = parsed.GetResult(json) is not null;
    string? file = parsed.GetValue(json);
    if (what == "make-gpt2") return Make(parsed.GetValue(folder)!, parsed.GetValue(random)!);
    HeldFinalizers.Hold();
    torch.set_num_threads(count);
    if (what == "memory")
    {
        MemoryBenchmark memory = new(count, writesJson && file is null ? Console.Error : Console.Out);
        memory.Run(parsed.GetValue(only));
        if (writesJson) memory.WriteJson(file);
        return 0;
    }

    Report report = new(count, writesJson && file is null ? Console.Error : Console.Out, what == "fusion");
    bool hurried = parsed.GetValue(quick);
    Comparison Pairs(Action<Timing> finished) =>
        new(count, hurried ? Math.Min(3, parsed.GetValue(rounds)) : parsed.GetValue(rounds), parsed.GetValue(only), finished, hurried ? 0.1 : 0.5);
    Comparison comparison = Pairs(report.Add);
    try
    {
        if (what is "block" or "all") BlockBenchmark.Run(comparison);
        if (what is "decode" or "all") DecodeBenchmark.Run(comparison);
        if (what is "step" or "all") StepBenchmark.Run(comparison);
        if (what is "quantized" or "all") QuantizedBenchmark.Run(comparison);
        if (what is "scaling" or "all") new ScalingBenchmark(comparison, report.Say, hurried).Run();
        if (what == "fusion") FusionBenchmark.Run(Pairs(report.AddFusion));
        if (writesJson) report.WriteJson(file);
        return 0;
    }
    catch (Exception error) when (error is InvalidDataException or IOException or UnauthorizedAccessException)
    {
        Console.Error.WriteLine(error.Message);
        return 1;
    }
});
root.Subcommands.Add(CodecCommand.Create());
root.Subcommands.Add(KernelCommand.Create());
root.Subcommands.Add(Int8Command.Create());
root.Subcommands.Add(ModelCommand.Create());
root.Subcommands.Add(MlNetCommand.Create());
root.Subcommands.Add(EncoderCommand.Create());
root.Subcommands.Add(FewLabelsCommand.Create());
root.Subcommands.Add(RetrievalCommand.Create());
root.Subcommands.Add(TrainingCommand.Create());
root.Subcommands.Add(RanksCommand.Create());
root.Subcommands.Add(DeltaCommand.Create());
root.Subcommands.Add(PeersCommand.Create());
ParseResult result = root.Parse(args);
return result.Errors.Count > 0 ? Wrong(result) : result.Invoke();

static int Make(string folder, string shape)
{
    try
    {
        RandomGpt2.Write(folder, shape);
        return 0;
    }
    catch (Exception error) when (error is RbeMl.RbeException or InvalidDataException or IOException)
    {
        Console.Error.WriteLine(error.Message);
        return 1;
    }
}

static int Wrong(ParseResult result)
{
    foreach (System.CommandLine.Parsing.ParseError error in result.Errors) Console.Error.WriteLine(error.Message);
    return 2;
}
