using System.IO.Compression;
using System.Text.Json;
using RbeMl.Cli;
using RbeMl.Files;
using RbeMl.Models;
using RbeMl.Tests.Files;

namespace RbeMl.Tests.Cli;

/// <summary>What belongs together says so, and what was there is kept.</summary>
public sealed class RunFilesTests : IDisposable
{
    private static readonly string[] s_names = ["metrics", "metrics", "model", "model", "report", "run"];
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private string Out(string name) => _folder.File(Path.Combine("out", name));

    private RunMark Mark() => RunMark.Of(JsonDocument.Parse(File.ReadAllText(Out("metrics.json"))).RootElement)!;

    [Fact]
    public void Model_zip_metrics_and_report_carry_one_mark()
    {
        TinyJob.Run(_folder);
        RunMark mark = Mark();
        Assert.Matches("^[0-9a-f]{32}$", mark.RunId);
        using (ModelBundle bundle = ModelFile.Load(Out("model.rbe")))
        {
            Assert.Equal(mark, bundle.Run);
            Assert.Equal(mark.WeightsHash, RunMark.HashOf(bundle.Model));
        }

        Assert.Equal(mark, RunMark.Of(RbeInspection.Read(Out("model.rbe")).Metadata));
        using (ZipArchive zip = ZipFile.OpenRead(Out("model.zip"))) Assert.Equal($"rbeml run {mark.RunId} {mark.WeightsHash}", zip.Comment);
        Assert.Contains($"<meta name=\"rbeml-run\" content=\"{mark.RunId} {mark.WeightsHash}\">", File.ReadAllText(Out("report.html")));
    }

    [Fact]
    public void The_same_run_has_the_same_mark_and_another_another()
    {
        TinyJob.Run(_folder, "--seed", "5");
        RunMark first = Mark();
        TinyJob.Run(_folder, "--seed", "5", "--threads", "2", "--checkpointing", "full");
        Assert.Equal(first, Mark());
        foreach (string[] other in new string[][] { ["--seed", "6"], ["--steps", "7"], ["--learning-rate", "1e-3"], ["--coefficients", "128"] })
        {
            TinyJob.Run(_folder, [.. TinyJob.Override(["--seed", "5"], other), .. other]);
            Assert.NotEqual(first.RunId, Mark().RunId);
        }
    }

    /// <summary>A run that was killed before it saved leaves its options beside the files of the one before.</summary>
    [Fact]
    public void Files_of_one_run_have_one_number()
    {
        TinyJob.Run(_folder, "--seed", "1");
        byte[] model = File.ReadAllBytes(Out("model.rbe"));
        string first = RunMixture.RunIdOf(Out("run.json"))!;
        foreach (string name in (string[])["run", "metrics"]) // as the second run renames them at its first step
        {
            string extension = name == "run" ? ".json" : ".jsonl";
            File.Move(Out(name + extension), Out($"{name}-1{extension}"));
        }

        File.WriteAllText(Out("run.json"), File.ReadAllText(Out("run-1.json")).Replace(first, new string('0', 32), StringComparison.Ordinal));
        File.WriteAllText(Out("metrics.jsonl"), "");
        TinyJob.Run(_folder, "--seed", "3");
        Assert.Equal(model, File.ReadAllBytes(Out("model-1.rbe")));
        Assert.Equal(first, RunMixture.RunIdOf(Out("run-1.json")));
        Assert.Equal(first, RunMixture.MarkOf(Out("metrics-1.json"))!.RunId);
        Assert.Equal(new string('0', 32), RunMixture.RunIdOf(Out("run-2.json")));
        Assert.Equal("", File.ReadAllText(Out("metrics-2.jsonl")));
        Assert.False(File.Exists(Out("model-2.rbe")));
    }

    [Fact]
    public void The_files_of_an_earlier_run_are_kept_under_names_that_are_said()
    {
        byte[][] models = new byte[3][];
        for (int run = 0; run < 3; run++)
        {
            string said = TinyJob.Run(_folder, "--seed", $"{run}").Out;
            if (run > 0)
            {
                Assert.Contains(
                    $"model.rbe as model-{run}.rbe, model.zip as model-{run}.zip, metrics.json as metrics-{run}.json, report.html as report-{run}.html", said);
            }

            models[run] = File.ReadAllBytes(Out("model.rbe"));
        }

        Assert.Equal(models[0], File.ReadAllBytes(Out("model-1.rbe")));
        Assert.Equal(models[1], File.ReadAllBytes(Out("model-2.rbe")));
        Assert.Equal(Out("model-2.rbe"),
            JsonDocument.Parse(File.ReadAllText(Out("metrics.json"))).RootElement.GetProperty("kept").GetProperty("model.rbe").GetString());
        Assert.Equal(s_names.SelectMany(name => new[] { name, name + "-1", name + "-2" }).Order(),
            Directory.GetFiles(_folder.File("out")).Select(Path.GetFileNameWithoutExtension).Order());
    }

    [Fact]
    public void Overwrite_replaces_them()
    {
        TinyJob.Run(_folder);
        CommandRun run = TinyJob.Run(_folder, "--overwrite", "--seed", "2");
        Assert.DoesNotContain("kept", run.Out);
        Assert.Equal(6, Directory.GetFiles(_folder.File("out")).Length);
    }

    [Theory]
    [InlineData("model.rbe")]
    [InlineData("model.zip")]
    [InlineData("metrics.json")]
    [InlineData("report.html")]
    public void A_file_of_somebody_else_is_never_replaced(string name)
    {
        Directory.CreateDirectory(_folder.File("out"));
        File.WriteAllText(Out(name), "mine");
        CommandRun.Of(TinyJob.Args(_folder, "--overwrite")).Fails(1, "was not written by finetune");
        Assert.Equal("mine", File.ReadAllText(Out(name)));
        TinyJob.Run(_folder);
        Assert.Equal("mine", File.ReadAllText(Out(name.Replace(".", "-1.", StringComparison.Ordinal))));
    }

    [Fact]
    public void A_link_to_the_model_keeps_what_it_led_to()
    {
        if (OperatingSystem.IsWindows()) return; // links need a right there
        Directory.CreateDirectory(_folder.File("out"));
        string elsewhere = _folder.Write("elsewhere.rbe", "mine");
        File.CreateSymbolicLink(Out("model.rbe"), elsewhere);
        TinyJob.Run(_folder);
        Assert.Equal("mine", File.ReadAllText(Out("model-1.rbe")));
        ModelFile.Load(Out("model.rbe")).Dispose();
    }

    [Theory]
    [InlineData("generate", "--model", "{}", "--prompt", "the", "--max-tokens", "2")]
    [InlineData("eval", "--model", "{}", "--text", "{text}", "--limit", "20")]
    [InlineData("inspect", "{}")]
    public void Readers_say_when_the_files_beside_a_model_are_of_another_run(params string[] verb)
    {
        TinyJob.Run(_folder);
        string[] args =
            [.. verb.Select(word => word.Replace("{}", Out("model.rbe"), StringComparison.Ordinal)
                .Replace("{text}", _folder.File("text.txt"), StringComparison.Ordinal))];
        Assert.Equal((0, ""), (CommandRun.Of(args).Code, CommandRun.Of(args).Error));
        byte[] report = File.ReadAllBytes(Out("report.html"));
        TinyJob.Run(_folder, "--seed", "3");
        File.Copy(Out("model-1.rbe"), Out("model.rbe"), overwrite: true);
        CommandRun mixed = CommandRun.Of(args);
        Assert.Equal(0, mixed.Code);
        Assert.Equal($"rbeml: note: model.zip and metrics.json and report.html beside {Out("model.rbe")} are of other weights: from "
            + $"another run, or one that ended early." + Environment.NewLine, mixed.Error);
        File.WriteAllBytes(Out("report.html"), report);
        File.Delete(Out("model.zip"));
        Assert.StartsWith("rbeml: note: metrics.json beside", CommandRun.Of(args).Error);
        File.Copy(Out("model.rbe"), Out("other.rbe"));
        Assert.Equal("", CommandRun.Of([.. args.Select(word => word == Out("model.rbe") ? Out("other.rbe") : word)]).Error);
    }
}
