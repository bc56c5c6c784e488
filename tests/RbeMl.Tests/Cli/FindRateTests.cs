using System.Globalization;
using System.Text.Json;
using RbeMl.Tests.Files;

namespace RbeMl.Tests.Cli;

/// <summary><c>finetune --find-rate</c>.</summary>
public sealed class FindRateTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Its_command_is_whole_where_options_come_from_a_file()
    {
        TinyJob.Run(_folder, "--steps", "2");
        string file = _folder.File("out/run.json"), figures = _folder.File("rates.json");
        CommandRun.Of("finetune", "--config", file, "--out", _folder.File("b"), "--find-rate", "60", "--json", figures).Succeeds();
        JsonElement json = JsonDocument.Parse(File.ReadAllText(figures)).RootElement;
        string[] next = [.. json.GetProperty("next").EnumerateArray().Select(word => word.GetString()!)];
        Assert.Equal("finetune", next[0]);
        Assert.DoesNotContain("--config", next);
        CommandRun.Of(next).Succeeds();
    }

    [Fact]
    public void It_suggests_a_rate_and_a_command_and_writes_nothing_but_its_result()
    {
        string[] args = TinyJob.Args(_folder, "--steps", "80", "--csv", _folder.File("steps.csv"), "--coefficient-learning-rate", "6e-3",
            "--learning-rate", "3e-3");
        string figures = _folder.File("rates.json");
        CommandRun run = CommandRun.Of([.. args, "--find-rate", "60", "--json", figures]);
        run.Succeeds();
        Assert.Equal([figures, _folder.File("text.txt")], Directory.GetFileSystemEntries(_folder.Path).Order(StringComparer.Ordinal));
        JsonElement json = JsonDocument.Parse(File.ReadAllText(figures)).RootElement;
        double rate = json.GetProperty("suggested").GetDouble();
        double[] rates = [.. json.GetProperty("points").EnumerateArray().Select(point => point.GetProperty("learningRate").GetDouble())];
        Assert.True(json.GetProperty("findRate").GetBoolean());
        Assert.InRange(rates.Length, 10, 60);
        Assert.InRange(rate, rates[0], json.GetProperty("lowest").GetDouble());
        string[] next = [.. json.GetProperty("next").EnumerateArray().Select(word => word.GetString()!)];
        Assert.Equal([.. args[..^4], "--learning-rate"], next[..^3]);
        Assert.Equal("--coefficient-learning-rate", next[^2]);
        Assert.Equal((rate, 2 * rate), (double.Parse(next[^3], CultureInfo.InvariantCulture), double.Parse(next[^1], CultureInfo.InvariantCulture)));
        Assert.Contains("Suggested learning rate: ", run.Out, StringComparison.Ordinal);
        Assert.Contains($"  rbeml {string.Join(' ', next.Take(2))}", run.Out, StringComparison.Ordinal);
        Assert.Contains(run.Out, c => c is > '\u2800' and <= '\u28ff');

        // The command runs, and the same search has the same figures, on any number of threads.
        CommandRun.Of([.. next]).Succeeds();
        File.Delete(_folder.File("steps.csv"));
        CommandRun again = CommandRun.Of([.. args.Select((word, i) => i > 0 && args[i - 1] == "--threads" ? "2" : word), "--find-rate", "60", "--json"]);
        Assert.Equal(json.GetProperty("points").GetRawText(), JsonDocument.Parse(again.Out).RootElement.GetProperty("points").GetRawText());
    }

    [Fact]
    public void What_makes_no_sense_with_it_is_refused()
    {
        CommandRun.Of(TinyJob.Args(_folder, "--find-rate", "--resume")).Fails(2, "Leave out --resume");
        CommandRun.Of(TinyJob.Args(_folder, "--find-rate", "--dry-run")).Fails(2, "Leave out --dry-run");
        CommandRun.Of(TinyJob.Args(_folder, "--find-rate", "--profile")).Fails(2, "Leave out --profile");
        CommandRun.Of(TinyJob.Args(_folder, "--find-rate", "9")).Fails(2, "--find-rate");
        CommandRun.Of(TinyJob.Args(_folder, "--find-rate", "--steps", "0")).Fails(2, "--steps");
        Assert.False(Path.Exists(_folder.File("out")));
    }

    [Theory]
    [InlineData("--train-bits", "4", "--optimizer", "muon")]
    [InlineData("--coefficients", "256", "--optimizer", "sgd", "--offload", "spill")]
    public void Other_trainings_are_searched_too(params string[] more)
    {
        CommandRun run = CommandRun.Of(["finetune", "--text", _folder.Write("text.txt", string.Concat(Enumerable.Repeat(TinyJob.Text, 40))), "--layers", "1",
            "--width", "64", "--heads", "2", "--context", "16", "--batch", "4", "--threads", "1", "--tokenizer", "characters", "--out",
            _folder.File("out"), "--find-rate", "40", "--json", .. more]);
        run.Succeeds();
        Assert.NotEqual(JsonValueKind.Null, JsonDocument.Parse(run.Out).RootElement.GetProperty("suggested").ValueKind);
        Assert.False(Path.Exists(_folder.File("out")));
    }
}
