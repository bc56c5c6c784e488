using System.Text.Json;
using RbeMl.Cli;
using RbeMl.Files;
using RbeMl.Models;
using RbeMl.Tests.Files;

namespace RbeMl.Tests.Cli;

/// <summary>Whatever fails after the steps of a training, the model is there.</summary>
public sealed class EarlySaveTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private string Out(string name) => _folder.File(Path.Combine("out", name));

    private CommandRun Run(Action<string> onWrite, params string[] more)
    {
        StringWriter error = new();
        WatchedWriter output = new(onWrite);
        int code = Commands.Run(TinyJob.Args(_folder, more), new CommandHost(output, error));
        return new CommandRun(code, output.ToString(), error.ToString());
    }

    private int StepsOfMetrics() => JsonDocument.Parse(File.ReadAllText(Out("metrics.json"))).RootElement.GetProperty("steps").GetArrayLength();

    [Theory]
    [InlineData("Validation loss", 6)]
    [InlineData("Training loss", 6)]
    [InlineData("before  ", 6)]
    [InlineData("model.rbe", 6)]
    public void An_output_that_fails_after_the_steps_leaves_the_model_and_says_where(string part, int steps)
    {
        CommandRun run = Run(text =>
        {
            if (text.Contains(part, StringComparison.Ordinal)) throw new IOException("No space left on device");
        });
        run.Fails(1, $"No space left on device. Check where standard output goes, and the space left there. The model after {steps} steps is saved in "
            + $"{Out("model.rbe")}.");
        ModelFile.Load(Out("model.rbe")).Dispose();
        Assert.Equal(steps, StepsOfMetrics());
        Assert.True(File.Exists(Out("report.html")) && File.Exists(Out("model.zip")), "the other files were left out");
    }

    [Theory]
    [InlineData("model.zip")]
    [InlineData("metrics.json")]
    [InlineData("report.html")]
    public void A_file_that_cannot_be_written_at_the_end_leaves_the_others(string name)
    {
        CommandRun run = Run(text =>
        {
            if (text.Contains("step 5/6", StringComparison.Ordinal)) Directory.CreateDirectory(Out(name));
        });
        run.Fails(1, $"it is a folder). Choose a folder you may write to, with space left. The model after 6 steps is saved in {Out("model.rbe")}.");
        string[] written = ["model.rbe", .. new[] { "model.zip", "metrics.json", "report.html" }.Where(other => other != name)];
        Assert.All(written, file => Assert.True(new FileInfo(Out(file)).Length > 0, file));
        ModelFile.Load(Out("model.rbe")).Dispose();
    }

    [Fact]
    public void A_full_device_for_the_document_leaves_the_model()
    {
        if (!File.Exists("/dev/full")) return;
        CommandRun.Of(TinyJob.Args(_folder, "--json", "/dev/full")).Fails(1, $"The model after 6 steps is saved in {Out("model.rbe")}.");
        ModelFile.Load(Out("model.rbe")).Dispose();
    }

    [Fact]
    public void It_saves_while_it_trains()
    {
        List<int> saved = [];
        Run(text =>
        {
            if (!text.Contains(" %  step ", StringComparison.Ordinal) || !File.Exists(Out("model.rbe"))) return;
            using ModelBundle bundle = ModelFile.Load(Out("model.rbe"));
            JsonElement metrics = JsonDocument.Parse(File.ReadAllText(Out("metrics.json"))).RootElement;
            Assert.Equal(RunMark.Of(metrics), bundle.Run);
            Assert.Equal(RunMark.HashOf(bundle.Model), bundle.Run!.WeightsHash);
            saved.Add(StepsOfMetrics());
        }, "--save-minutes", "1e-9").Succeeds();
        Assert.Equal([1, 2, 3, 4, 5], saved);
    }

    [Theory]
    [InlineData("0")]
    [InlineData("10")]
    public void It_does_not_save_before_it_is_time(string minutes)
    {
        bool early = false;
        Run(text => early |= text.Contains(" %  step ", StringComparison.Ordinal) && File.Exists(Out("model.rbe")), "--save-minutes", minutes).Succeeds();
        Assert.False(early, "saved while training");
    }

    [Fact]
    public void A_save_that_fails_in_between_ends_no_training()
    {
        CommandRun run = Run(text =>
        {
            if (text.Contains("step 1/6", StringComparison.Ordinal)) Directory.CreateDirectory(Out("metrics.json"));
            if (text.Contains("step 4/6", StringComparison.Ordinal)) Directory.Delete(Out("metrics.json"));
        }, "--save-minutes", "1e-9");
        Assert.Equal(0, run.Code);
        Assert.StartsWith("rbeml: note: saving after 1 step failed, and training goes on", run.Error);
        Assert.Equal(6, StepsOfMetrics());
    }

    [Fact]
    public void A_training_that_fails_leaves_the_weights_before_the_failure()
    {
        int seen = 0;
        CommandRun run = Run(text =>
        {
            if (text.Contains(" %  step ", StringComparison.Ordinal) && ++seen == 3) throw new InvalidOperationException("a failure of the view");
        });
        run.Fails(1, $"a failure of the view (set RBEML_DEBUG=1 to see where). The model after 3 steps is saved in {Out("model.rbe")}.");
        using ModelBundle bundle = ModelFile.Load(Out("model.rbe"));
        Assert.Equal(3, StepsOfMetrics());
        Assert.Equal(JsonDocument.Parse(File.ReadAllText(Out("metrics.json"))).RootElement.GetProperty("weightsHash").GetString(),
            RunMark.HashOf(bundle.Model));
    }

    [Fact]
    public void Cancelled_before_the_first_step_nothing_is_replaced()
    {
        TinyJob.Run(_folder);
        byte[] before = File.ReadAllBytes(Out("model.rbe"));
        using CancellationTokenSource cancel = new();
        WatchedWriter output = new(text =>
        {
            if (text.StartsWith("Data:", StringComparison.Ordinal)) cancel.Cancel();
        });
        StringWriter error = new();
        Assert.Equal(130, Commands.Run(TinyJob.Args(_folder), new CommandHost(output, error) { Cancel = cancel.Token }));
        Assert.Equal("rbeml: cancelled before there was anything to save." + Environment.NewLine, error.ToString());
        Assert.Equal(before, File.ReadAllBytes(Out("model.rbe")));
        Assert.Equal(6, Directory.GetFileSystemEntries(_folder.File("out")).Length);
    }
}
