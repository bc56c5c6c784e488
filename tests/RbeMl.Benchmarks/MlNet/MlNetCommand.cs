using System.CommandLine;
using System.Globalization;
using System.Text.Json;

namespace RbeMl.Benchmarks.MlNet;

/// <summary>The verb that compares <c>ml.Rbe.TextClassification</c> with ML.NET's own ways on the same split.</summary>
internal static class MlNetCommand
{
    private static readonly JsonSerializerOptions s_json = new() { WriteIndented = true };

    public static Command Create()
    {
        Option<string?> data =
            new("--data") { Description = "A file of lines \"class TAB text\"; without it the documentation of the installed SDK, by namespace." };
        Option<string?> model =
            new("--model") { Description = "A .rbe file or the folder of a GPT-2 with its tokenizer: adds the ways that begin with a pretrained model." };
        Option<string?> only = new("--only") { Description = "Only the ways whose name contains this." };
        Option<int> seed = new("--seed") { Description = "Seed of split and training.", DefaultValueFactory = _ => 1 };
        Option<string?> json = new("--json") { Description = "Writes the rows as JSON, to a file or to standard output.", Arity = ArgumentArity.ZeroOrOne };
        Command command =
            new("mlnet", "Trains text classifiers on 80 % of the data, each in a process of its own, and measures them on the rest.") { data,
                model, only, seed, json };
        command.Subcommands.Add(ThroughputCommand.Create());
        command.SetAction(parsed =>
        {
            string? file = parsed.GetValue(json);
            bool writesJson = parsed.GetResult(json) is not null;
            try
            {
                List<ContestRow> rows =
                    Run(parsed.GetValue(data), parsed.GetValue(model), parsed.GetValue(only), parsed.GetValue(seed), writesJson && file is null
                        ? Console.Error : Console.Out);
                if (!writesJson) return 0;
                string text = JsonSerializer.Serialize(rows, s_json);
                if (file is null) Console.WriteLine(text);
                else File.WriteAllText(file, text);
                return 0;
            }
            catch (Exception error) when (error is InvalidDataException or IOException or UnauthorizedAccessException)
            {
                Console.Error.WriteLine(error.Message);
                return 1;
            }
        });
        return command;
    }

    private static List<ContestRow> Run(string? data, string? model, string? only, int seed, TextWriter output)
    {
        List<ContestRow> rows = [];
        output.WriteLine($"{"way",-38} {"accuracy",9} {"macro F1",9} {"log-loss",9} {"fit s",8} {"score s",8} {"peak MiB",9}");
        foreach (string way in TextContest.Ways.Keys.Where(w => model is not null || !TextContest.NeedsModel(w))
            .Where(w => only is null || w.Contains(only, StringComparison.OrdinalIgnoreCase)))
        {
            ContestRow row = Child(data ?? "", way, seed, model ?? "");
            rows.Add(row);
            output.WriteLine(
                FormattableString.Invariant(
                $"{way,-38} {row.Accuracy,9:P2} {row.MacroF1,9:F4} {row.LogLoss,9:F4} {row.FitSeconds,8:F1} {row.ScoreSeconds,8:F1} {row.PeakBytes >> 20,9}"));
        }

        if (rows.Count > 0)
        {
            output.WriteLine(FormattableString.Invariant($"{rows[0].Data}: {rows[0].Texts} training texts, {rows[0].Classes} classes, seed {seed}"));
        }

        return rows;
    }

    private static ContestRow Child(string data, string way, int seed, string model) => JsonSerializer.Deserialize<ContestRow>(
        ChildProcess.Output(way, TextContest.Verb, data, way, seed.ToString(CultureInfo.InvariantCulture), model))!;
}
