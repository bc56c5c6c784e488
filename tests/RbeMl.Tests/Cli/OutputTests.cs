using System.Globalization;
using System.Text.RegularExpressions;
using RbeMl.Cli;
using RbeMl.Cli.Finetune;
using RbeMl.Cli.Output;
using RbeMl.Training;

namespace RbeMl.Tests.Cli;

public sealed class OutputTests
{
    [Fact]
    public void The_rate_of_a_run_is_all_tokens_over_all_seconds()
    {
        RunRecord run = new();
        run.Add(new TrainingProgress(1, 2, 1, 1e-3, 1, 100, 1, null, 1000)); // 10 s
        run.Add(new TrainingProgress(2, 2, 1, 1e-3, 1, 300, 1, null, 600)); // 2 s
        Assert.Equal(1600 / 12.0, run.TokensPerSecond, 1e-9);
    }

    [Fact]
    public void Numbers_read_the_same_everywhere()
    {
        Assert.Equal(
            ["1,234,568", "1.2346", "512 B", "1.5 KiB", "2.0 MiB", "3.25 GiB", "84.1 %", "1:05", "2:00:01", "9.9 s", "1 min 45 s", "2 h 3 min"],
            [Format.Count(1234567.8), Format.Loss(1.23456), Format.Bytes(512), Format.Bytes(1536), Format.Bytes(2 << 20),
            Format.Bytes(3.25 * (1 << 30)), Format.Percent(0.8412), Format.Time(TimeSpan.FromSeconds(65)),
                Format.Time(TimeSpan.FromSeconds(7201)), Format.Seconds(9.94), Format.Seconds(105.2), Format.Seconds(7405)]);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(7)]
    [InlineData(5000)]
    public void A_falling_loss_is_drawn_from_the_upper_left_to_the_lower_right(int count)
    {
        (double, long)[] falling = [.. Enumerable.Range(0, count).Select(i => (5 - (4.0 * i / Math.Max(1, count - 1)), 1L))];
        string[] lines = LossChart.Draw(falling, 20, 6).Split('\n');
        string[] rows = [.. lines[..6].Select(line => line[(line.IndexOf('│', StringComparison.Ordinal) + 1)..])];
        Assert.All(rows, row => Assert.Equal(20, row.Length));
        if (count == 1)
        {
            Assert.Single(rows, row => row.All(c => c != '\u2800'));
            return;
        }

        Assert.NotEqual('\u2800', rows[0][0]);
        Assert.NotEqual('\u2800', rows[5][19]);
        Assert.Equal('\u2800', rows[0][19]);
        Assert.Equal('\u2800', rows[5][0]);
        Assert.InRange(double.Parse(lines[0][..7], CultureInfo.InvariantCulture), 4.9, 5);
    }

    [Fact]
    public void Steps_that_share_a_dot_weigh_by_their_tokens()
    {
        // Each dot is of two steps: 4 nats over 30 tokens and 1 nat over 10 are 3.25 nats a token, not 2.5; the first are of 5.
        (double, long)[] losses = [.. Enumerable.Range(0, 80).Select(i => i < 2 ? (5.0, 7L) : i % 2 == 0 ? (4.0, 30L) : (1.0, 10L))];
        Assert.Equal([5, .. Enumerable.Repeat(3.25, 39)], LossChart.Columns(losses, 40));
        string[] lines = LossChart.Draw(losses, 20, 6).Split('\n');
        Assert.StartsWith("   5.00 │", lines[0]);
        Assert.StartsWith("   3.25 │", lines[5]);

        // The report has 240 dots; validation before and after spans the axis from 1 to 5.
        RunRecord run = new();
        run.Validation.AddRange([new ValidationRecord(0, 5), new ValidationRecord(480, 1)]);
        for (int i = 0; i < 480; i++) run.Steps.Add(new StepRecord(i + 1, i % 2 == 0 ? 4 : 1, 1e-3, 1, 1, 1, i % 2 == 0 ? 30 : 10));
        MatchCollection dots = Regex.Matches(LossCurve.Svg(run), "cy=\"([0-9.]+)\"");
        double[] heights = [.. dots.Select(dot => double.Parse(dot.Groups[1].Value, CultureInfo.InvariantCulture))];
        Assert.Equal(242, heights.Length);
        double first = heights[240], last = heights[241];
        Assert.All(heights[..240], y => Assert.Equal(first + ((5 - 3.25) / 4 * (last - first)), y, 0.15));
    }

    [Theory]
    [InlineData(10, null, 3, 0.3)]
    [InlineData(10, null, 10, 1)]
    [InlineData(10, 1e9, 5, 0.5)]
    [InlineData(null, 1e-9, 1, 1)]
    [InlineData(1000000, 1e-9, 1, 1)]
    public void A_run_is_as_far_as_its_steps_or_its_time(int? steps, double? seconds, int done, double fraction)
    {
        RunClock clock = new(steps, seconds);
        Thread.Sleep(1);
        Assert.Equal(fraction, clock.Fraction(done), 6);
        Assert.Equal(fraction == 1, clock.IsOver(done));
        Assert.False(clock.IsOver(0));
    }

    [Fact]
    public void Lines_of_progress_are_few_and_tell_all()
    {
        StringWriter output = new();
        TrainingView view = TrainingView.For(new CommandHost(output, TextWriter.Null), quiet: false, steps: 1000);
        view.Validation = new ValidationRecord(400, 2.5);
        view.Run(() =>
        {
            for (int step = 1; step <= 1000; step++)
            {
                view.Report(new TrainingProgress(step, 1000, 3.25, 1e-3, 1, 12345.6, 100 << 20, null, 768), step / 1000.0, TimeSpan.FromSeconds(step));
            }
        });
        string[] lines = output.ToString().Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.InRange(lines.Length, 20, 22);
        Assert.Contains(lines,
            line => line.Contains("step 500/1000  loss 3.2500  validation 2.5000 at step 400  8:20 left  12,346 tokens/s  100.0 MiB",
            StringComparison.Ordinal));
        StringWriter silent = new();
        TrainingView.For(new CommandHost(silent, TextWriter.Null), quiet: true, steps: 10).Report(default, 0.5, TimeSpan.Zero);
        Assert.Equal("", silent.ToString());
    }

    [Fact]
    public void Text_in_the_report_is_escaped()
    {
        RunRecord run = new() { Samples = [new SampleRecord("<b>&", "\u0001", "\"x\"</blockquote>")] };
        run.Validation.Add(new ValidationRecord(0, 3));
        string page = ReportPage.Html(run);
        Assert.Contains("&lt;b&gt;&amp;", page);
        Assert.Contains("&lt;/blockquote&gt;", page);
        Assert.DoesNotContain("\u0001", page);
    }

    [Theory]
    [InlineData("3 2 1.5 1.2", "still getting better", "hardly")]
    [InlineData("3 1.205 1.203 1.202 1.2", "hardly got better towards the end", "more --steps would")]
    [InlineData("3 1.2 1.5 1.9", "learn the text by heart", "better at the end")]
    [InlineData("3 3.2", "got worse", "learnt")]
    [InlineData("3 2.99", "hardly learnt", "worse")]
    [InlineData("3 NaN", "of no use", "tokens")]
    public void The_verdict_is_plain(string losses, string part, string other)
    {
        RunRecord run = new() { Model = new ModelRecord(1, 1, 32, 1024, 16, "", 32, "Dct", "bpe", 1, 1) };
        double[] values = [.. losses.Split(' ').Select(v => double.Parse(v, CultureInfo.InvariantCulture))];
        run.Validation.AddRange(values.Select((loss, i) => new ValidationRecord(100 * i, loss)));
        string verdict = Verdict.Of(run);
        Assert.Contains(part, verdict);
        Assert.DoesNotContain(other, verdict);
        if (double.IsFinite(values[^1])) Assert.Contains($"{Format.Perplexity(values[^1])} equally likely tokens of 1,024", verdict);
    }

    [Theory]
    [InlineData("3 2 1.5 1.2", "more --seconds would help")]
    [InlineData("3 1.2 1.5 1.9", "Use less --seconds")]
    [InlineData("3 2.99", "Give it more --seconds")]
    [InlineData("3 1.205 1.203 1.202 1.2", "more than a longer run")]
    public void The_verdict_on_a_run_that_time_ended_speaks_of_time(string losses, string part)
    {
        RunRecord run = new() { ByTime = true };
        run.Validation.AddRange(losses.Split(' ').Select((v, i) => new ValidationRecord(100 * i, double.Parse(v, CultureInfo.InvariantCulture))));
        Assert.Contains(part, Verdict.Of(run));
        Assert.DoesNotContain("steps", Verdict.Of(run).Replace($"after step {run.Validation.MinBy(v => v.Loss)!.Step}", "", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("rbeml finetune --text 'my book.txt'", "finetune", "--text", "my book.txt")]
    [InlineData("rbeml generate -p 'it'\\''s'", "generate", "-p", "it's")]
    [InlineData("rbeml eval -m a/b.rbe --limit 10", "eval", "-m", "a/b.rbe", "--limit", "10")]
    public void A_command_line_can_be_typed_again(string line, params string[] args)
    {
        if (!OperatingSystem.IsWindows()) Assert.Equal(line, CommandLine.Of("rbeml", args));
    }

    [Fact]
    public void Text_is_broken_between_words_alone()
    {
        Assert.Equal(["model    a/very/long/name", "  that is whole"], Wrap.Lines("model    a/very/long/name that is whole", 25, 2));
        Assert.Equal(["  a  b", "  c"], Wrap.Lines("  a  b c", 6, 2));
        Assert.Equal(["日本 日本", "日本"], Wrap.Lines("日本 日本 日本", 9));
        Assert.Equal([""], Wrap.Lines("", 9));

        // Controls are shown as a picture of one cell each.
        Assert.Equal(["\u001C\u001Cab", "cdef"], Wrap.Lines("\u001C\u001Cab cdef", 6));
        Assert.Equal("ab\u001C d\u0007", Wrap.Cut("ab\u001Cd\u0007", 3));
    }

    [Fact]
    public void The_report_says_how_it_was_made_and_draws_what_was_measured()
    {
        RunRecord run =
            new()
            {
                Command = "rbeml finetune --text '<a>'",
                Version = "1.2.3",
                Settings = new Dictionary<string, string> { ["--seed"] = "77" },
                Machine = new MachineRecord("A <processor>", 2, 256, "Some system", ".NET 10")
            };
        run.Validation.AddRange([new ValidationRecord(0, 3), new ValidationRecord(40, 2)]);
        for (int step = 1; step <= 40; step++) run.Steps.Add(new StepRecord(step, 3 - (step / 40.0), 1e-3, 1, 1, 1, 1));
        string page = ReportPage.Html(run);
        Assert.All(["&lt;a&gt;", "rbeml 1.2.3", "--seed", "77", "A &lt;processor&gt;, 2 logical processors, vectors of 256 bits; Some "
            + "system; .NET 10", "optimiser step", "loss, nats a token", "<b>0:</b> 3.0000</span> <span><b>40:</b> 2.0000</span>",
            "viewBox=\"0 0 720 480\""], part => Assert.Contains(part, page));
        Assert.Equal(42, Regex.Count(page, "<circle"));
        Assert.DoesNotContain("<processor>", page);
    }
}
