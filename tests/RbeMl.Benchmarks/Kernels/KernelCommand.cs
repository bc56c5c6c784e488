using System.CommandLine;
using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Toolchains.InProcess.Emit;

namespace RbeMl.Benchmarks.Kernels;

/// <summary>The verb that times single kernels on one thread, with BenchmarkDotNet in this process. Needs nothing of torch.</summary>
internal static class KernelCommand
{
    public static Command Create()
    {
        Argument<string> filter =
            new("filter")
            {
                Description = "Part of the benchmarks' names, such as Transform; all without it.",
                Arity = ArgumentArity.ZeroOrOne,
                DefaultValueFactory = _ => ""
            };
        Option<bool> quick = new("--quick") { Description = "Few iterations: to see that it works; times scatter." };
        Command command = new("kernels", "Times single kernels on one thread, with their managed allocations.") { filter, quick };
        command.SetAction(parsed =>
        {
            Job job = (parsed.GetValue(quick) ? Job.Dry : Job.ShortRun).WithToolchain(InProcessEmitToolchain.Instance);
            string artifacts = Path.Combine(Path.GetTempPath(), "rbeml-benchmarks");
            IConfig config = DefaultConfig.Instance.AddJob(job).WithArtifactsPath(artifacts)
                .WithOptions(ConfigOptions.JoinSummary | ConfigOptions.DisableOptimizationsValidator);
            BenchmarkDotNet.Reports.Summary[] summaries =
                [.. BenchmarkSwitcher.FromAssembly(typeof(KernelCommand).Assembly).Run(["--filter", $"*{parsed.GetValue(filter)}*"], config)];
            bool done = summaries.Length > 0 && summaries.All(s => !s.HasCriticalValidationErrors && s.Reports.Length > 0 && s.Reports.All(r => r.Success));
            if (!done) Console.Error.WriteLine("No benchmark ran, or one failed: see above.");
            return done ? 0 : 1;
        });
        return command;
    }
}
