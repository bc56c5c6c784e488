using System.Text.Json;
using RbeMl.Cli;
using RbeMl.Cli.Finetune;
using RbeMl.Tests.Files;
using RbeMl.Training;

namespace RbeMl.Tests.Cli;

/// <summary>What a run does where a loss is no number, or gets no better.</summary>
public sealed class GuardTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private JsonElement Metrics => JsonDocument.Parse(File.ReadAllText(_folder.File("out/metrics.json"))).RootElement;

    // Learns the training text by heart, which is of other words than the validation.
    private string[] Overfits(params string[] more) => TinyJob.Args(_folder,
        ["--text", _folder.Write("few.txt", string.Concat(Enumerable.Repeat("the cat sat on the mat. ", 20))), "--validation",
            _folder.Write("held.txt", string.Concat(Enumerable.Repeat("tame tac stea nome hot am. ", 20))), "--steps", "60", "--learning-rate", "2e-2",
            "--average-horizon", "0", "--overwrite", .. more]);

    // Weights beyond what a float holds after a few steps.
    private string[] Diverges(params string[] more) => DivergesIn("4000", more);

    private string[] DivergesIn(string steps, params string[] more) => TinyJob.Args(_folder,
        ["--learning-rate", "10", "--clip", "0", "--warmup", "0", "--weight-decay", "9.9", "--steps", steps, "--overwrite", .. more]);

    [Fact]
    public void Patience_ends_a_run_that_gets_no_better_and_keeps_the_best()
    {
        CommandRun.Of(Overfits()).Succeeds();
        double[] all = Losses();
        Assert.Equal(60, Metrics.GetProperty("steps").GetArrayLength());
        int best = Array.IndexOf(all, all.Skip(1).Min());
        Assert.InRange(best, 1, 7); // or the text is not what it should be
        int[] looks = [.. Metrics.GetProperty("validation").EnumerateArray().Select(look => look.GetProperty("step").GetInt32())];
        string last = Metrics.GetProperty("weightsHash").GetString()!;

        CommandRun run = CommandRun.Of(Overfits("--patience", "2"));
        run.Succeeds();
        Assert.Equal((looks[best], looks[best + 2], true), (Metrics.GetProperty("bestStep").GetInt32(), Metrics.GetProperty("steps").GetArrayLength(),
            Metrics.GetProperty("stoppedEarly").GetBoolean()));
        Assert.Equal(all[best], Losses()[^1], 6); // the whole validation is as long as a look here
        Assert.Contains($"It was best after step {looks[best]}, whose weights are kept", run.Out.ReplaceLineEndings(" "));
        Assert.NotEqual(last, Metrics.GetProperty("weightsHash").GetString());
        Assert.Equal("2", Metrics.GetProperty("settings").GetProperty("--patience").GetString());

        // Stopped after the best and resumed, it ends with the same.
        string whole = Metrics.GetProperty("weightsHash").GetString()!;
        string[] args = Overfits("--patience", "2", "--state-every", "1");
        Assert.Equal(130, Until(args, $"step {looks[best] + 3}/").Code);
        CommandRun.Of([.. args, "--resume", "--patience", "3"]).Fails(2, "--patience");
        CommandRun.Of([.. args, "--resume"]).Succeeds();
        Assert.Equal(whole, Metrics.GetProperty("weightsHash").GetString());
    }

    [Fact]
    public void A_run_that_diverges_goes_back_with_a_smaller_rate_and_tells()
    {
        CommandRun run = CommandRun.Of(Diverges("--on-divergence", "rollback", "--state-every", "5"));
        string[] told = [.. run.Error.Split('\n').Where(line => line.StartsWith("rbeml: note: rollback at step ", StringComparison.Ordinal))];
        Assert.InRange(told.Length, 1, 3);
        Assert.Contains(" with 0.5 of the learning rate, the first of 3 times: step ", told[0]);
        if (told.Length > 1) Assert.Contains(" with 0.25 of the learning rate, the second of 3 times: step ", told[1]);
        Assert.True(run.Code == 0 || run.Error.Contains("predict nothing any more", StringComparison.Ordinal), run.Error);
        int[] steps = [.. File.ReadLines(_folder.File("out/metrics.jsonl")).Select(line => JsonDocument.Parse(line).RootElement)
            .Where(line => line.TryGetProperty("loss", out _)).Select(line => line.GetProperty("step").GetInt32())];
        Assert.Equal(Enumerable.Range(1, steps.Length), steps); // those that were given up stand there no more
        CommandRun.Of(Diverges("--on-divergence", "rollback", "--state-every", "0")).Fails(2, "--state-every 0 saves none");
        CommandRun.Of("finetune", "--on-divergence", "on").Fails(2, "use one of stop, skip, rollback");
    }

    /// <summary>Of characters of one byte each, bits a byte are bits a token; of byte pairs fewer.</summary>
    [Fact]
    public void Bits_a_byte_are_those_of_the_validation()
    {
        string said = TinyJob.Run(_folder).Out;
        double bits = Metrics.GetProperty("bitsPerByte").GetDouble();
        Assert.Equal(Losses()[^1] / Math.Log(2), bits, 10);
        Assert.Contains(FormattableString.Invariant($"That is {bits:F2} bits a byte of the text."), said.ReplaceLineEndings(" "));
        TinyJob.Run(_folder, "--tokenizer", "bpe", "--overwrite");
        Assert.InRange(Metrics.GetProperty("bitsPerByte").GetDouble(), 0.1, 0.9 * Losses()[^1] / Math.Log(2));
    }

    /// <summary>Weights that predict nothing are none that a skipped step would mend.</summary>
    [Fact]
    public void Weights_that_predict_nothing_end_the_run_whatever_is_skipped()
    {
        CommandRun run = CommandRun.Of(Diverges("--on-divergence", "skip"));
        Assert.Equal(1, run.Code);
        Assert.Contains("predict nothing any more and are not saved", run.Error);
        Assert.Contains("The weights themselves are ruined, which no skipped step mends.", run.Error);
    }

    /// <summary>A rate at which the first step ruins the weights: only the start is worth going back to.</summary>
    [Fact]
    public void A_run_goes_back_to_no_state_that_is_ruined_itself()
    {
        CommandRun run = CommandRun.Of(Diverges("--on-divergence", "rollback", "--optimizer", "lion", "--state-every", "1", "--keep-states", "5"));
        string[] told = [.. run.Error.Split('\n').Where(line => line.Contains("note: rollback at step ", StringComparison.Ordinal))];
        Assert.All(told, line => Assert.Contains(": to step 0 with ", line));
        Assert.Single(run.Error.Split('\n'), line => line.Contains("no state is saved of such", StringComparison.Ordinal));
        if (run.Code == 0) return; // ruined, and no number was too large
        Assert.Equal(3, told.Length);
        Assert.Contains("The run went back 3 of 3 times, and it went wrong at 0.125 of the learning rate too. Use one below 1.25.", run.Error);
    }

    /// <summary>A look at the held-out text finds ruined weights before the next step does, and the last step has no next.</summary>
    [Fact]
    public void A_run_goes_back_where_a_look_finds_its_weights_ruined()
    {
        CommandRun run = CommandRun.Of(DivergesIn("7", "--on-divergence", "rollback", "--final-rate", "1", "--average-horizon", "0"));
        string[] told = [.. run.Error.Split('\n').Where(line => line.Contains("note: rollback at step ", StringComparison.Ordinal))];
        Assert.True(told.Length == 3, run.Error);
        Assert.Contains(told, line => !line.Contains(" of 3 times: step ", StringComparison.Ordinal));
        Assert.Equal(1, run.Code);
        Assert.Contains("predict nothing any more and are not saved", run.Error);
        Assert.Contains("The run went back 3 of 3 times", run.Error);
        Assert.False(File.Exists(_folder.File("out/model.rbe")));
    }

    [Fact]
    public void The_best_of_a_run_is_the_mean_of_ten_steps_without_those_skipped()
    {
        Assert.Equal((double.PositiveInfinity, 0), RunGuard.BestOf([]));
        Assert.Equal((5, 0), RunGuard.BestOf(Steps(5, 1, 1)));
        Assert.Equal((1, 0), RunGuard.BestOf(Steps([5, .. Enumerable.Repeat(1.0, 10), 700])));
        (double mean, double deviation) = RunGuard.BestOf(Steps([5, .. Enumerable.Range(0, 10).Select(i => i % 2 * 2.0)]));
        Assert.Equal((1, 1), (mean, deviation));
        List<StepRecord> skipped = Steps([5, .. Enumerable.Repeat(1.0, 9)]);
        skipped.Add(skipped[^1] with { Tokens = 0 });
        Assert.Equal(1.4, RunGuard.BestOf(skipped).Mean, 12);

        static List<StepRecord> Steps(params double[] losses) => [.. losses.Select((loss, i) => new StepRecord(i + 1, loss, 1, 1, 1, 1, 1))];
    }

    [Theory]
    [InlineData(2, 5, 3, true)]
    [InlineData(2, 4, 3, false)]
    [InlineData(0, 9, 1, false)]
    [InlineData(3, 3, 0, true)]
    public void The_rule_of_patience(int patience, int done, int best, bool over) => Assert.Equal(over, EarlyStopping.IsOver(patience, done, best));

    private double[] Losses() => [.. Metrics.GetProperty("validation").EnumerateArray().Select(each => each.GetProperty("loss").GetDouble())];

    private static CommandRun Until(string[] args, string seen)
    {
        using CancellationTokenSource cancel = new();
        WatchedWriter output = new(text =>
        {
            if (text.Contains(seen, StringComparison.Ordinal)) cancel.Cancel();
        });
        int code = Commands.Run(args, new CommandHost(output, TextWriter.Null) { Cancel = cancel.Token });
        return new CommandRun(code, output.ToString(), "");
    }
}
