using System.CommandLine;
using System.Globalization;
using System.Text.Json;

namespace RbeMl.Benchmarks.MlNet;

/// <summary>The verb below <c>mlnet</c> that measures rows a second.</summary>
internal static class ThroughputCommand
{
    private static readonly JsonSerializerOptions s_json = new() { WriteIndented = true };

    public static Command Create()
    {
        Option<string?> data = new("--data") { Description = "A file of lines \"class TAB text\"; without it the documentation of the installed SDK." };
        Option<int> rows = new("--rows") { Description = "Texts of a pass.", DefaultValueFactory = _ => 256 };
        Option<int> layers = new("--layers") { Description = "Blocks of the model.", DefaultValueFactory = _ => 6 };
        Option<int> width = new("--width") { Description = "Width of the model, a multiple of 64.", DefaultValueFactory = _ => 384 };
        Option<int> threads = new("--threads") { Description = "Threads of the side with several; 0 for one a processor.", DefaultValueFactory = _ => 0 };
        Option<int> rounds = new("--rounds") { Description = "Pairs of measurements.", DefaultValueFactory = _ => 11 };
        Option<bool> quick = new("--quick") { Description = "Few pairs and a short warm-up: to see that it works; times scatter." };
        Option<string?> json = new("--json") { Description = "Writes the rows as JSON, to a file or to standard output.", Arity = ArgumentArity.ZeroOrOne };
        Least(rows, 1);
        Least(layers, 1);
        Least(rounds, 1);
        Least(threads, 0);
        width.Validators.Add(r =>
        {
            if (r.GetValue(width) is < 64 or > 65536 || r.GetValue(width) % 64 != 0) r.AddError("--width: use a multiple of 64.");
        });
        Command command =
            new("throughput", "Rows a second of Featurize and TextClassification: read ahead or row by row, on one thread or several.") { data,
                rows, layers, width, threads, rounds, quick, json };
        command.SetAction(parsed =>
        {
            string? file = parsed.GetValue(json);
            bool writesJson = parsed.GetResult(json) is not null, hurried = parsed.GetValue(quick);
            TextWriter output = writesJson && file is null ? Console.Error : Console.Out;
            int several = parsed.GetValue(threads) is > 0 and var given ? given : Environment.ProcessorCount;
            List<ThroughputRow> found = [];
            try
            {
                using Throughput throughput =
                    new(TextSet.Load(parsed.GetValue(data), 1), parsed.GetValue(rows), parsed.GetValue(layers), parsed.GetValue(width), several);
                throughput.Run(hurried ? Math.Min(3, parsed.GetValue(rounds)) : parsed.GetValue(rounds), hurried ? 0.1 : 0.5, Show);
                if (writesJson) Write(found, file);
                return 0;
            }
            catch (Exception error) when (error is InvalidDataException or IOException or UnauthorizedAccessException)
            {
                Console.Error.WriteLine(error.Message);
                return 1;
            }

            void Show(ThroughputRow row)
            {
                if (found.Count == 0)
                {
                    output.WriteLine(
                        string.Create(CultureInfo.InvariantCulture,
                        $"{row.Machine.Processor}, {row.Machine.Processors} processors; {row.Model}; {row.Rows} texts of "
                            + $"{(double)row.Tokens / row.Rows:F1} tokens on average; medians, ratio = median of paired ratios"));
                    output.WriteLine($"{"",-24} {"rows/s",24} {"rows/s",24} {"ratio",7}");
                }

                found.Add(row);
                output.WriteLine(
                    FormattableString.Invariant(
                    $"{row.Name,-24} {row.First,15} {row.FirstRowsPerSecond,8:F0} {row.Second,15} {row.SecondRowsPerSecond,8:F0} {row.Ratio,7:F2}"));
            }
        });
        return command;
    }

    private static void Least(Option<int> option, int least) => option.Validators.Add(r =>
    {
        if (r.GetValue(option) < least) r.AddError($"{option.Name}: use at least {least}.");
    });

    private static void Write(List<ThroughputRow> rows, string? file)
    {
        string text = JsonSerializer.Serialize(rows, s_json);
        if (file is null) Console.WriteLine(text);
        else File.WriteAllText(file, text);
    }
}
