using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using RbeMl.Files;
using RbeMl.Kernels;
using RbeMl.Layers;
using RbeMl.Models;

namespace RbeMl.Benchmarks;

/// <summary>
/// The verb that measures a whole model as somebody who generates with it meets it: bytes of the file, time to load it with a warm cache, memory, a new token
/// and a prompt. One model a process, so that memory is its own. Needs nothing of torch.
/// </summary>
internal static class ModelCommand
{
    private const int Prompt = 512, Loads = 7;

    public static Command Create()
    {
        Argument<string> file = new("file") { Description = "A .rbe file of a language model." };
        Option<int> threads = new("--threads") { Description = "Threads; 0 for one a processor.", DefaultValueFactory = _ => 0 };
        Option<int> past = new("--past") { Description = "Tokens in the cache before the new one.", DefaultValueFactory = _ => 128 };
        Option<int> tokens = new("--tokens") { Description = "New tokens to time.", DefaultValueFactory = _ => 200 };
        Option<WeightPrecision?> precision = new("--precision") { Description = "Of a copy for generation; the model itself without it." };
        Command command = new("model", "Times loading, a new token and a prompt of a model, and tells its memory.") { file, threads, past, tokens, precision };
        command.SetAction(parsed =>
        {
            try
            {
                Run(parsed.GetValue(file)!, parsed.GetValue(threads), parsed.GetValue(past), parsed.GetValue(tokens), parsed.GetValue(precision));
                return 0;
            }
            catch (Exception error) when (error is InvalidDataException or RbeException or IOException)
            {
                Console.Error.WriteLine(error.Message);
                return 1;
            }
        });
        return command;
    }

    private static void Run(string path, int threads, int past, int tokens, WeightPrecision? precision)
    {
        long began = Stopwatch.GetTimestamp();
        ModelBundle bundle = ModelFile.Load(path);
        double first = Stopwatch.GetElapsedTime(began).TotalMilliseconds;
        TransformerModel<float> model = precision is { } given ? bundle.Model.ToInference(given) : bundle.Model;
        TransformerConfig config = model.Config;
        if (past < 1 || tokens < 1 || past + (long)tokens > config.MaxSequenceLength)
        {
            throw new InvalidDataException($"--past {past} and --tokens {tokens} are more than the model's {config.MaxSequenceLength} positions, or none.");
        }

        using Workspace<float> workspace = new(threads);
        using KvCache<float> cache = new(config, 1, past + tokens);
        float[] logits = new float[config.Vocabulary];
        Random random = new(1);
        int[] prompt = [.. Enumerable.Range(0, Math.Min(Prompt, config.MaxSequenceLength)).Select(_ => random.Next(config.Vocabulary))];
        int[] before = [.. Enumerable.Range(0, past).Select(_ => random.Next(config.Vocabulary))];
        model.LastLogits(before, 1, past, workspace, cache, logits);
        double[] steps = new double[tokens];
        for (int t = 0; t < tokens; t++) steps[t] = Time(() => model.LastLogits([random.Next(config.Vocabulary)], 1, 1, workspace, cache, logits));
        string memory = Memory();
        double whole = Medians.Of([.. Enumerable.Range(0, 5).Select(_ => Time(() => model.LastLogits(prompt, 1, prompt.Length, workspace, null, logits)))]);
        double load = Medians.Of([.. Enumerable.Range(0, Loads).Select(_ => Time(() => ModelFile.Load(path).Dispose()))]);
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"{Path.GetFileName(path)}: {Mebibytes(new FileInfo(path).Length)}; load {load:F0} ms, the first in the process {first:F0}; {memory}; "
                + $"token at {past} {Medians.Of(steps):F2} ms; prompt of {prompt.Length} {whole:F0} ms; {workspace.Workers.Threads} threads"));
        if (!ReferenceEquals(model, bundle.Model)) model.Dispose();
        bundle.Dispose();
    }

    private static double Time(Action action)
    {
        long began = Stopwatch.GetTimestamp();
        action();
        return Stopwatch.GetElapsedTime(began).TotalMilliseconds;
    }

    // Of Linux's account: all that is resident, the largest it was, and what no file stands behind.
    private static string Memory()
    {
        const string Status = "/proc/self/status";
        if (!File.Exists(Status)) return $"{Mebibytes(Environment.WorkingSet)} resident";
        Dictionary<string, long> sizes = File.ReadLines(Status).Select(line => line.Split(':', StringSplitOptions.TrimEntries))
            .Where(parts => parts[1].EndsWith(" kB", StringComparison.Ordinal))
            .ToDictionary(parts => parts[0], parts => 1024 * long.Parse(parts[1][..^3], CultureInfo.InvariantCulture));
        return $"{Mebibytes(sizes["VmRSS"])} resident ({Mebibytes(sizes["RssAnon"])} of it in no file), {Mebibytes(sizes["VmHWM"])} at most";
    }

    private static string Mebibytes(long bytes) => string.Create(CultureInfo.InvariantCulture, $"{bytes / 1048576.0:F0} MiB");
}
