using System.CommandLine;
using System.Globalization;
using System.Text.Json;

namespace RbeMl.Benchmarks.FewLabels;

/// <summary>The verb that compares bags of words with pretrained encoders where labels are few.</summary>
internal static class FewLabelsCommand
{
    public static Command Create()
    {
        Option<string> data = new("--data") { Description = "Folder of files of lines \"class TAB text\".", Required = true };
        Option<string> files = new("--files")
        {
            Description = "Names of the files, with commas.",
            DefaultValueFactory = _ => "SMSSpamCollection.tsv,wikipedia-detox-250-line-data.tsv",
        };
        Option<string> labels = new("--labels") { Description = "Labelled texts a class, with commas; all for all.", DefaultValueFactory = _ => "8,16,50,all" };
        Option<string> models = new("--models") { Description = "Of MiniLM and ArcticXs, with commas.", DefaultValueFactory = _ => "MiniLM,ArcticXs" };
        Option<string> formats = new("--formats") { Description = "Bits of the weights: of dense, 8, 5, 4, with commas.", DefaultValueFactory = _ => "4" };
        Option<string> ways = new("--ways")
        {
            Description = "Of words, frozen, biases (of a calibrated model), fine-tuned and contrastive (with a delta), with commas.",
            DefaultValueFactory = _ => "words,frozen,biases,fine-tuned,contrastive",
        };
        Option<int> seeds = new("--seeds") { Description = "Draws of the labels; figures are means over them.", DefaultValueFactory = _ => 3 };
        Option<string?> work = new("--work") { Description = "Folder that keeps the compressed models; else they are made anew." };
        Command command = new("few-labels",
            "Trains on a few labelled texts a class, each way in a process of its own, and measures on 500 texts or a fifth of the data, the same for all.")
        { data, files, labels, models, formats, ways, seeds, work };
        command.SetAction(parsed =>
        {
            string folder = parsed.GetValue(work) is { } kept ? Directory.CreateDirectory(kept).FullName
                : Directory.CreateTempSubdirectory("rbeml-few-labels-").FullName;
            try
            {
                Plan plan = new(parsed.GetValue(data)!, Split(files), Split(labels), Split(models), Split(formats), Split(ways), parsed.GetValue(seeds));
                plan.Run(folder);
                return 0;
            }
            catch (Exception error) when (error is InvalidDataException or IOException or UnauthorizedAccessException or RbeException)
            {
                Console.Error.WriteLine(error.Message);
                return 1;
            }
            finally
            {
                if (parsed.GetValue(work) is null) Directory.Delete(folder, recursive: true);
            }

            string[] Split(Option<string> option) =>
                parsed.GetValue(option)!.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
        });
        return command;
    }

    private sealed record Plan(string Folder, string[] Files, string[] Labels, string[] Models, string[] Formats, string[] Ways, int Seeds)
    {
        public void Run(string work)
        {
            Console.WriteLine($"| data, labels a class | way | accuracy % | macro F1 | log-loss | seconds | peak MiB | file MiB |");
            Console.WriteLine($"|---|---|---|---|---|---|---|---|");
            foreach (string file in Files)
            {
                foreach (string labels in Labels)
                {
                    string name = $"{Path.GetFileNameWithoutExtension(file)}, {labels}";
                    if (Ways.Contains("words"))
                    {
                        (string Way, FewLabelsRow[] Rows)[] both = [.. FewLabelsRun.Words.Select(way => (way, Rows(file, labels, way, "")))];
                        (string way, FewLabelsRow[] rows) = both.MaxBy(w => w.Rows.Average(r => r.Accuracy));
                        Print(name, way, rows);
                    }

                    foreach (string model in Models)
                    {
                        foreach (string format in Formats)
                        {
                            foreach (string way in Ways.Where(FewLabelsRun.Methods.ContainsKey))
                            {
                                Print(name, $"{model}, {(format == "dense" ? format : format + " bits")}, {way}", Rows(file, labels, way,
                                    EncoderFiles.Make(work, model, format, FewLabelsRun.Methods[way].Delta)));
                            }
                        }
                    }
                }
            }
        }

        private static void Print(string data, string way, FewLabelsRow[] rows)
        {
            double Mean(Func<FewLabelsRow, double> value) => rows.Average(value);
            double deviation = Math.Sqrt(rows.Average(r => Math.Pow(r.Accuracy - Mean(x => x.Accuracy), 2)));
            Console.WriteLine(FormattableString.Invariant(
                $"| {data} | {way} | {100 * Mean(r => r.Accuracy):F1} ± {100 * deviation:F1} | {Mean(r => r.MacroF1):F3} | {Mean(r => r.LogLoss):F3} | ")
                + FormattableString.Invariant(
                $"{Mean(r => r.FitSeconds):F1} | {rows.Max(r => r.PeakBytes) / 1048576.0:F0} | {Mean(r => r.FileBytes) / 1048576:F1} |"));
        }

        private FewLabelsRow[] Rows(string file, string labels, string way, string model) =>
            Child(Path.Combine(Folder, file), labels == "all" ? "0" : labels, Seeds, way, model);

        private static FewLabelsRow[] Child(string file, string labels, int seeds, string way, string model) => JsonSerializer.Deserialize<FewLabelsRow[]>(
            ChildProcess.Output(way, FewLabelsRun.Verb, file, labels, seeds.ToString(CultureInfo.InvariantCulture), way, model))!;
    }
}
