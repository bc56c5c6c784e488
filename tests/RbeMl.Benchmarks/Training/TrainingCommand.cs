using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using RbeMl.Codec;
using RbeMl.Layers;
using RbeMl.Models;
using RbeMl.Training;

namespace RbeMl.Benchmarks.Training;

/// <summary>The verb that trains one small model in many ways and validates each on the whole of a held-out text.</summary>
internal static class TrainingCommand
{
    public static Command Create()
    {
        Option<string> text = new("--text") { Description = "Text whose characters are the tokens; its last tenth is held out.", Required = true };
        Option<string> ways = new("--ways")
        {
            Description = "Ways, with commas: coefficients a tile of 64 x 64 (all for the dense weights themselves), a colon, optimiser, and, after "
                + "others, its rate for coefficients (0 for what follows from 0.01) and the bits that are trained.",
            DefaultValueFactory = _ => "300:adamw,300:muon,1024:adamw,1024:muon,1600:adamw,1600:muon,4096:adamw,4096:muon,all:adamw,all:muon",
        };
        Option<int> steps = new("--steps") { Description = "Steps of a run.", DefaultValueFactory = _ => 2000 };
        Option<int> seeds = new("--seeds") { Description = "Seeds of weights and data; figures are means over them.", DefaultValueFactory = _ => 3 };
        Option<int> threads = new("--threads") { Description = "Threads.", DefaultValueFactory = _ => 1 };
        Command command = new("training", "Trains nanoGPT's small model (4 layers, width 128, context 64, batch 12) and prints the loss of each way.")
        { text, ways, steps, seeds, threads };
        command.SetAction(parsed =>
        {
            string all = File.ReadAllText(parsed.GetValue(text)!);
            char[] alphabet = [.. all.Distinct().Order()];
            int[] ids = [.. all.Select(c => Array.BinarySearch(alphabet, c))];
            Console.WriteLine("| way | values | loss, held-out text | seeds | ms a step |");
            Console.WriteLine("|---|---|---|---|---|");
            foreach (string way in parsed.GetValue(ways)!.Split(',', StringSplitOptions.TrimEntries))
            {
                Run[] runs =
                    [.. Enumerable.Range(1, parsed.GetValue(seeds)).Select(seed =>
                        Train(way.Split(':'), ids, alphabet.Length, parsed.GetValue(steps), (ulong)seed, parsed.GetValue(threads)))];
                double mean = runs.Average(run => run.Loss), spread = Math.Sqrt(runs.Average(run => Math.Pow(run.Loss - mean, 2)));
                Console.WriteLine(FormattableString.Invariant(
                    $"| {way} | {runs[0].Values} | {mean:F4} ± {spread:F4} | {runs.Length} | {runs.Average(run => run.Milliseconds):F1} |"));
            }
        });
        return command;
    }

    private sealed record Run(long Values, double Loss, double Milliseconds);

    private static Run Train(string[] way, int[] ids, int vocabulary, int steps, ulong seed, int threads)
    {
        const int Context = 64;
        TransformerConfig config = new() { Layers = 4, Heads = 4, Width = 128, Vocabulary = vocabulary, MaxSequenceLength = Context };
        RbeOptions compression = way[0] == "all"
            ? new RbeOptions { Transform = TileTransform.None, Alphas = false, Format = RbeFormat.Sparse(64 * 64) }
            : way[0] == "4096" ? new RbeOptions { Alphas = false, Format = RbeFormat.Sparse(64 * 64) }
            : new RbeOptions { Format = RbeFormat.Sparse(int.Parse(way[0], CultureInfo.InvariantCulture), SupportRule.Runs(16)) };
        using TransformerModel<float> model = TransformerModel<float>.Create(config, compression, seed);
        int train = ids.Length * 9 / 10;
        TokenDataset held = TokenDataset.FromStream(ids[train..], vocabulary, order: TokenOrder.Sequential);
        TrainerOptions options = new()
        {
            Steps = steps,
            BatchSize = 12,
            Context = Context,
            Optimizer = OptimizerOptions.All.Single(optimizer => optimizer.Name == way[1]),
            LearningRate = 1e-2,
            CoefficientLearningRate = way.Length > 2 && double.Parse(way[2], CultureInfo.InvariantCulture) is > 0 and var rate ? rate : null,
            TrainBits = way.Length > 3 ? int.Parse(way[3], CultureInfo.InvariantCulture) : null,
            Seed = seed,
            ValidateEvery = 0,
            ValidationSequences = int.MaxValue,
        };
        using Trainer trainer = new(model, TokenDataset.FromStream(ids[..train], vocabulary, seed), held, options, threads);
        Stopwatch watch = new();
        for (int step = 0; step < steps; step++)
        {
            watch.Start();
            trainer.Step();
            watch.Stop();
        }

        return new Run(model.Parameters.TrainableCount, trainer.Validate(), watch.Elapsed.TotalMilliseconds / steps);
    }
}
