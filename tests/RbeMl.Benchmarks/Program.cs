using System.CommandLine;
using RbeMl.Benchmarks;
using RbeMl.Benchmarks.Codec;
using TorchSharp;

Argument<string> which = new("what") { Description = "block: one GPT-2 block; step: a training step of a small model; all: both." };
which.AcceptOnlyFromAmong("block", "step", "all");
Option<int> threads = new("--threads") { Description = "Threads of both sides; 0 for one a processor.", DefaultValueFactory = _ => 0 };
Option<int> rounds = new("--rounds") { Description = "Pairs of measurements.", DefaultValueFactory = _ => 11 };
Option<string?> json = new("--json") { Description = "Writes the results as JSON, to a file or to standard output.", Arity = ArgumentArity.ZeroOrOne };
Option<string?> only = new("--only") { Description = "Only the comparisons whose name contains this." };
threads.Validators.Add(r =>
{
    if (r.GetValue(threads) is < 0 or > 1024) r.AddError("--threads: use 0 for one a processor, or a positive number.");
});
rounds.Validators.Add(r =>
{
    if (r.GetValue(rounds) is < 1 or > 100000) r.AddError("--rounds: use at least 1.");
});

RootCommand root = new("Times the library side by side with TorchSharp's dense fp32 in one process, after checking that both compute the same.") { which, threads, rounds, json, only };
root.SetAction(parsed =>
{
    string what = parsed.GetValue(which)!;
    int count = parsed.GetValue(threads) is > 0 and var given ? given : Environment.ProcessorCount;
    bool writesJson = parsed.GetResult(json) is not null;
    string? file = parsed.GetValue(json);
    torch.set_num_threads(count);
    Report report = new(count, writesJson && file is null ? Console.Error : Console.Out);
    Comparison comparison = new(count, parsed.GetValue(rounds), parsed.GetValue(only), report.Add);
    try
    {
        if (what is "block" or "all") BlockBenchmark.Run(comparison);
        if (what is "step" or "all") StepBenchmark.Run(comparison);
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
ParseResult result = root.Parse(args);
return result.Errors.Count > 0 ? Wrong(result) : result.Invoke();

static int Wrong(ParseResult result)
{
    foreach (System.CommandLine.Parsing.ParseError error in result.Errors) Console.Error.WriteLine(error.Message);
    return 2;
}
