using System.CommandLine;
using System.Globalization;
using RbeMl.Codec;
using RbeMl.Layers;
using RbeMl.Models;
using RbeMl.Training;

namespace RbeMl.Benchmarks.Training;

/// <summary>
/// The verb that trains one small model over ranks that are threads, by the exact sum of gradients and by what slow links make do with, and prints the loss of
/// each on the whole of a held-out text: the same seeds, data and steps.
/// </summary>
internal static class RanksCommand
{
    private const int WarmupShare = 20;

    public static Command Create()
    {
        Option<string> text = new("--text") { Description = "Text whose characters are the tokens; its last tenth is held out.", Required = true };
        Option<int> steps = new("--steps") { Description = "Steps of a run.", DefaultValueFactory = _ => 300 };
        Option<int> seeds = new("--seeds") { Description = "Seeds of weights and data; figures are means over them.", DefaultValueFactory = _ => 3 };
        Option<int> ranks = new("--ranks") { Description = "Ranks.", DefaultValueFactory = _ => 4 };
        Option<int> micro = new("--micro") { Description = "Micro-batches of a rank in a step.", DefaultValueFactory = _ => 1 };
        Option<int> batch = new("--batch") { Description = "Sequences of a micro-batch, of 64 tokens.", DefaultValueFactory = _ => 3 };
        Option<int> layers = new("--layers") { Description = "Blocks.", DefaultValueFactory = _ => 4 };
        Option<int> width = new("--width") { Description = "Width.", DefaultValueFactory = _ => 128 };
        Option<double> rate = new("--rate") { Description = "Learning rate of all ways.", DefaultValueFactory = _ => 1e-2 };
        Command command = new("ranks", "Trains a small model on several ranks with exact, rounded and local steps, and prints the loss of each.")
        { text, steps, seeds, ranks, micro, batch, layers, width, rate };
        command.SetAction(parsed =>
        {
            TrainingSetting setting = TrainingSetting.Of(parsed.GetValue(text)!, 0, parsed.GetValue(layers), 0, 1);
            int size = parsed.GetValue(ranks), all = parsed.GetValue(steps);
            TrainerOptions plain = new()
            {
                Steps = all,
                BatchSize = parsed.GetValue(batch),
                Context = TrainingSetting.Context,
                Accumulate = size * parsed.GetValue(micro),
                WarmupSteps = all / WarmupShare,
                LearningRate = parsed.GetValue(rate),
                ValidateEvery = 0,
                ValidationSequences = int.MaxValue,
            };
            (string Name, TrainerOptions Options)[] ways =
            [
                ("reproducible sum", plain), ("sum of the engine", plain with { Sum = GradientSum.Engine }),
                ("bf16 on the wire", plain with { Wire = GradientWire.BFloat16 }), ("4 local steps", plain with { LocalSteps = 4 }),
                ("16 local steps", plain with { LocalSteps = 16 }),
            ];
            TransformerConfig config = setting.Config(parsed.GetValue(width));
            double[]? first = null;
            Console.WriteLine("| way | bytes of a rank a step | loss, held-out text | beside the first | seeds |");
            Console.WriteLine("|---|---|---|---|---|");
            foreach ((string name, TrainerOptions options) in ways)
            {
                (double Loss, long Bytes)[] runs =
                    [.. Enumerable.Range(1, parsed.GetValue(seeds)).Select(seed => Train(setting, config, options with { Seed = (ulong)seed }, size))];
                double[] losses = [.. runs.Select(run => run.Loss)];
                first ??= losses;
                string loss = Medians.Spread(losses), beside = Medians.Spread([.. losses.Zip(first, (one, of) => one - of)]);
                Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"| {name} | {runs[0].Bytes} | {loss} | {beside} | {losses.Length} |"));
            }
        });
        return command;
    }

    // Weights are compared by the ranks themselves, before each validation.
    private static (double Loss, long Bytes) Train(TrainingSetting setting, TransformerConfig config, TrainerOptions options, int size)
    {
        (double Loss, long Bytes) told = default;
        new ThreadCollective(size).Run(ranks =>
        {
            using TransformerModel<float> model =
                TransformerModel<float>.Create(config, new RbeOptions { Tile = 64, Format = RbeFormat.Sparse(300) }, options.Seed);
            using Trainer trainer = new(model, setting.Train(options.Seed), setting.Held, options, 1, ranks);
            double loss = trainer.Run();
            if (ranks.Rank == 0) told = (loss, trainer.ExchangedBytes);
        });
        return told;
    }
}
