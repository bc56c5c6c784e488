using System.CommandLine;
using System.Diagnostics;
using System.Globalization;

namespace RbeMl.Benchmarks.Training;

/// <summary>The verb that trains one small model in many ways and validates each on the whole of a held-out text.</summary>
internal static class TrainingCommand
{
    // Of a way's time a step: steps that are not timed, turns of all ways, and steps of a turn.
    private const int WarmSteps = 10, Rounds = 15, StepsOfRound = 6;

    public static Command Create()
    {
        Option<string> text = new("--text") { Description = "Text to learn; its last tenth is held out.", Required = true };
        Option<int> bytePairs = new("--byte-pairs") { Description = "Byte pairs to learn of the text as tokens; 0 takes its characters." };
        Option<int> layers = new("--layers") { Description = "Blocks of the model; its width is a way's.", DefaultValueFactory = _ => 4 };
        Option<string> ways = new("--ways")
        {
            Description = TrainingWay.Help,
            DefaultValueFactory = _ => "300:adamw,1024:muon,all:adamw,all:muon,all@64:muon,4096:muon:0.006:6,4096:muon:0.006:4,4096:muon:0.006:3,"
                + "4096:muon:0.006:2+3,4096:muon:0.006:2",
        };
        Option<int> steps = new("--steps") { Description = "Steps of a run.", DefaultValueFactory = _ => 2000 };
        Option<string?> seconds = new("--seconds")
        {
            Description = "Seconds of training, with commas, instead of steps: the time of a step of each way is measured first, all ways by turns, and a run "
                + "has the steps that fit into them. So only the first minute wants an idle machine.",
        };
        Option<int> seeds = new("--seeds") { Description = "Seeds of weights and data; figures are means over them.", DefaultValueFactory = _ => 5 };
        Option<int> firstSeed = new("--first-seed") { Description = "The first of the seeds, to go on with a table.", DefaultValueFactory = _ => 1 };
        Option<int> average = new("--average")
        {
            Description = "Steps that an average of the weights looks back on; 0 validates the last weights.",
            DefaultValueFactory = _ => 100,
        };
        Option<int> threads = new("--threads") { Description = "Threads.", DefaultValueFactory = _ => 1 };
        Command command = new("training", "Trains nanoGPT's small model (4 layers, width 128, context 64, batch 12) and prints the loss of each way.")
        { text, bytePairs, layers, ways, steps, seconds, seeds, firstSeed, average, threads };
        command.SetAction(parsed =>
        {
            TrainingSetting setting = TrainingSetting.Of(parsed.GetValue(text)!, parsed.GetValue(bytePairs), parsed.GetValue(layers), parsed.GetValue(average),
                parsed.GetValue(threads));
            TrainingWay[] all = [.. parsed.GetValue(ways)!.Split(',', StringSplitOptions.TrimEntries).Select(TrainingWay.Parse)];
            ulong[] chosen = [.. Enumerable.Range(parsed.GetValue(firstSeed), parsed.GetValue(seeds)).Select(seed => (ulong)seed)];
            if (parsed.GetValue(seconds) is { } times)
            {
                BySeconds(setting, all, [.. times.Split(',').Select(each => double.Parse(each, CultureInfo.InvariantCulture))], chosen);
            }
            else
            {
                ByBytes(setting, all, parsed.GetValue(steps), chosen);
            }
        });
        return command;
    }

    private static void ByBytes(TrainingSetting setting, TrainingWay[] ways, int steps, ulong[] seeds)
    {
        Console.WriteLine("| way | values | bytes of the file | optimiser's bytes | loss, held-out text | seeds | ms a step |");
        Console.WriteLine("|---|---|---|---|---|---|---|");
        foreach (TrainingWay way in ways)
        {
            Run[] runs = [.. seeds.Select(seed => Train(setting, way, steps, seed))];
            (Run first, double time) = (runs[0], runs.Average(run => run.Milliseconds));
            Print($"| {way.Text} | {first.Values} | {first.Bytes} | {first.OptimizerBytes} | {Spread(runs)} | {runs.Length} | {time:F1} |");
        }
    }

    private static void BySeconds(TrainingSetting setting, TrainingWay[] ways, double[] seconds, ulong[] seeds)
    {
        double[] times = StepTimes(setting, ways);
        Print($"ms a step, threads {setting.Threads}:");
        foreach ((TrainingWay way, double time) in ways.Zip(times)) Print($"{way.Text} {time:F2}");
        Console.WriteLine("| way | seconds | steps | loss, held-out text | seeds |");
        Console.WriteLine("|---|---|---|---|---|");
        foreach (double second in seconds)
        {
            foreach ((TrainingWay way, double time) in ways.Zip(times))
            {
                int steps = Math.Max(1, (int)(1e3 * second / time));
                Run[] runs = [.. seeds.Select(seed => Train(setting, way, steps, seed))];
                Print($"| {way.Text} | {second} | {steps} | {Spread(runs)} | {runs.Length} |");
            }
        }
    }

    // Medians, all ways by turns, so that what else the machine does meets all alike.
    private static double[] StepTimes(TrainingSetting setting, TrainingWay[] ways)
    {
        List<double>[] times = [.. ways.Select(_ => new List<double>())];
        ITrainingRun[] runs = [.. ways.Select(way => way.Start(setting, int.MaxValue / 2, 1))];
        foreach (ITrainingRun run in runs)
        {
            for (int i = 0; i < WarmSteps; i++) run.Step();
        }

        for (int round = 0; round < Rounds; round++)
        {
            for (int way = 0; way < ways.Length; way++)
            {
                runs[way].Step();
                long started = Stopwatch.GetTimestamp();
                for (int i = 0; i < StepsOfRound; i++) runs[way].Step();
                times[way].Add(Stopwatch.GetElapsedTime(started).TotalMilliseconds / StepsOfRound);
            }
        }

        foreach (ITrainingRun run in runs) run.Dispose();
        return [.. times.Select(Medians.Of)];
    }

    private static Run Train(TrainingSetting setting, TrainingWay way, int steps, ulong seed)
    {
        using ITrainingRun run = way.Start(setting, steps, seed);
        long started = Stopwatch.GetTimestamp();
        for (int step = 0; step < steps; step++) run.Step();
        double milliseconds = Stopwatch.GetElapsedTime(started).TotalMilliseconds / steps, loss = run.Validate();
        return new Run(run.Values, run.FileBytes(), run.OptimizerBytes, loss, milliseconds);
    }

    private static string Spread(Run[] runs) => Medians.Spread([.. runs.Select(run => run.Loss)]);

    private static void Print(FormattableString line) => Console.WriteLine(line.ToString(CultureInfo.InvariantCulture));

    private sealed record Run(long Values, long Bytes, long OptimizerBytes, double Loss, double Milliseconds);
}
