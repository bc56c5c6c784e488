using System.Text.Json;
using RbeMl.Layers;
using RbeMl.Tests.Files;

namespace RbeMl.Tests.Cli;

public sealed class ProfileTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private JsonElement Metrics() => JsonDocument.Parse(File.ReadAllText(_folder.File("out/metrics.json"))).RootElement;

    [Fact]
    public void Profile_shows_where_the_time_goes_in_summary_metrics_and_report()
    {
        CommandRun run = TinyJob.Run(_folder, "--profile", "--checkpointing", "full");
        JsonElement profile = Metrics().GetProperty("profile");
        JsonElement[] stages = [.. profile.GetProperty("stages").EnumerateArray()];
        string[] names = [.. Enum.GetValues<ProfileStage>().Where(stage => stage != ProfileStage.Exchange) // one process has nothing to exchange
            .Select(stage => JsonNamingPolicy.CamelCase.ConvertName($"{stage}")), "rest"];
        Assert.Equal(names, stages.Select(s => s.GetProperty("name").GetString()));
        Assert.Equal(6, profile.GetProperty("steps").GetInt32());
        double Sum(string key) => stages.Sum(s => s.GetProperty(key).GetDouble());

        // Every stage and the whole are cut to the 100 ns of a TimeSpan.
        double whole = profile.GetProperty("seconds").GetDouble(), cut = (stages.Length + 1) * 1e-7;
        Assert.Equal(whole, Sum("seconds"), cut);
        Assert.Equal(1, Sum("share"), cut / whole);
        Assert.All(stages,
            s => Assert.Equal(s.GetProperty("seconds").GetDouble() * 1e3 / s.GetProperty("count").GetInt64(),
            s.GetProperty("averageMilliseconds").GetDouble(), 1e-9));
        Assert.InRange(whole, 1e-9, Metrics().GetProperty("trainingSeconds").GetDouble());

        string page = File.ReadAllText(_folder.File("out/report.html"));
        Assert.All(["feed forward backward", "weight gradients", "optimizer", "rest"], stage =>
        {
            Assert.Contains(stage, run.Out);
            Assert.Contains($"<td>{stage}</td>", page);
        });
    }

    [Fact]
    public void Without_it_there_is_no_profile()
    {
        CommandRun run = TinyJob.Run(_folder);
        Assert.False(Metrics().TryGetProperty("profile", out _));
        Assert.DoesNotContain("Profile:", run.Out);
        Assert.DoesNotContain("Where the time goes", File.ReadAllText(_folder.File("out/report.html")));
    }
}
