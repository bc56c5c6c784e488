using System.CommandLine;
using RbeMl.Codec;
using RbeMl.Compression;

namespace RbeMl.Benchmarks.Codec;

/// <summary>The verb that prints what each format makes of some blocks. Needs nothing of torch.</summary>
internal static class CodecCommand
{
    public static Command Create()
    {
        Option<string?> models = new("--models") { Description = $"A folder with {CodecCases.ModelFile} and {CodecCases.WhisperFile}, or one of them." };
        Option<string?> json = new("--json") { Description = "Writes the rows as JSON, to a file or to standard output.", Arity = ArgumentArity.ZeroOrOne };
        Option<string?> only = new("--only") { Description = "Only rows whose case/format contains this." };
        Option<bool> quick = new("--quick") { Description = "Fewer formats and less to calibrate on." };
        Command command = new("codec", "Compresses blocks in every format and prints size, weight error, block error and time.") { models, json, only, quick };
        command.SetAction(parsed =>
        {
            string? file = parsed.GetValue(json);
            bool writesJson = parsed.GetResult(json) is not null;
            CodecTable table = new(writesJson && file is null ? Console.Error : Console.Out);
            try
            {
                foreach (CodecCase one in Cases(parsed.GetValue(models), parsed.GetValue(quick), table.Say))
                {
                    Run(one, parsed.GetValue(only), parsed.GetValue(quick), table);
                }

                table.Conclude();
                if (writesJson) table.WriteJson(file);
                return 0;
            }
            catch (Exception error) when (error is RbeException or InvalidDataException or IOException or UnauthorizedAccessException)
            {
                Console.Error.WriteLine(error.Message);
                return 1;
            }
        });
        return command;
    }

    private static IEnumerable<CodecCase> Cases(string? folder, bool quick, Action<string> say)
    {
        int sequences = quick ? 16 : 64;
        yield return CodecCases.Gpt2Initialization(sequences);
        if (folder is null)
        {
            say($"Trained weights are shown as well with --models <folder>: {CodecCases.ModelFile} (its attention half) and {CodecCases.WhisperFile} "
                + $"(two blocks with real activations).");
            yield break;
        }

        string gpt2 = Path.Combine(folder, CodecCases.ModelFile), whisper = Path.Combine(folder, CodecCases.WhisperFile);
        if (File.Exists(gpt2)) yield return CodecCases.Gpt2Attention(gpt2, sequences);
        else say($"Not shown, as {folder} does not hold it: {CodecCases.ModelFile}");
        if (!File.Exists(whisper)) say($"Not shown, as {folder} does not hold it: {CodecCases.WhisperFile}");
        else foreach (CodecCase one in CodecCases.Whisper(whisper, say)) yield return one;
    }

    private static void Run(CodecCase one, string? only, bool quick, CodecTable table)
    {
        (string Name, Action<CodecMeasurement> Measure)[] rows =
            [.. Rows(quick).Where(row => only is null || $"{one.Name}/{row.Name}".Contains(only, StringComparison.OrdinalIgnoreCase))];
        if (rows.Length == 0) return;
        using CodecMeasurement measurement = new(one, row => table.Add(one, row));
        table.Start(one, measurement.Damping);
        foreach ((_, Action<CodecMeasurement> measure) in rows) measure(measurement);
        table.Finish(one);
    }

    private static IEnumerable<(string Name, Action<CodecMeasurement> Measure)> Rows(bool quick)
    {
        foreach ((string name, RbeOptions options) in CodecFormats.Uniform(quick))
        {
            yield return (name, m => m.Uniform(name, options, calibrated: false));
            string calibrated = $"{name}, calibrated";
            if (CodecFormats.TakesCalibration(options.Format)) yield return (calibrated, m => m.Uniform(calibrated, options, calibrated: true));
        }

        foreach (double budget in quick ? CodecFormats.Budgets[1..2] : CodecFormats.Budgets)
        {
            string name = FormattableString.Invariant($"chosen for {budget} bits");
            yield return (name, m => m.Chosen(name, ChoiceTarget.Bits(budget)));
        }

        string within = FormattableString.Invariant($"chosen for an error of {CodecFormats.Error}");
        yield return (within, m => m.Chosen(within, ChoiceTarget.MostError(CodecFormats.Error)));
    }
}
