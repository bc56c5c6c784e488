using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using RbeMl.Cli;
using RbeMl.Cli.Finetune;
using RbeMl.Files;
using RbeMl.Models;
using RbeMl.Storage;
using RbeMl.Tests.Files;
using RbeMl.Tests.Support;
using RbeMl.Training;

namespace RbeMl.Tests.Cli;

/// <summary>A finetune that was killed goes on with <c>--resume</c>, and its files are those of one that was never stopped.</summary>
public sealed class ResumeTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private string Out(string name) => _folder.File(Path.Combine("out", name));

    private string[] States => [.. Directory.GetFiles(_folder.File("out"), "state-*").Select(file => Path.GetFileName(file)!).Order()];

    private CommandRun Stopped(int after, params string[] more) => StoppedOf(after, TinyJob.Args(_folder, more));

    private static CommandRun StoppedOf(int after, string[] args)
    {
        using CancellationTokenSource cancel = new();
        WatchedWriter output = new(text =>
        {
            if (text.Contains($"step {after}/", StringComparison.Ordinal)) cancel.Cancel();
        });
        StringWriter error = new();
        int code = Commands.Run(args, new CommandHost(output, error) { Cancel = cancel.Token });
        return new CommandRun(code, output.ToString(), error.ToString());
    }

    // What does not depend on time.
    private (string Model, string Steps, string Validation, string Samples) Result()
    {
        JsonElement metrics = JsonDocument.Parse(File.ReadAllText(Out("metrics.json"))).RootElement;
        using ModelBundle bundle = ModelFile.Load(Out("model.rbe"));
        Assert.Equal(RunMark.HashOf(bundle.Model), bundle.Run!.WeightsHash);
        Assert.Equal(bundle.Run, RunMark.Of(metrics));
        string steps = string.Join('\n', metrics.GetProperty("steps").EnumerateArray().Select(step =>
            string.Join(' ', new[] { "step", "loss", "learningRate", "gradientNorm", "tokens" }.Select(key => step.GetProperty(key).GetRawText()))));
        return ($"{bundle.Run}", steps, metrics.GetProperty("validation").GetRawText(), metrics.GetProperty("samples").GetRawText());
    }

    [Theory]
    [InlineData("adamw", "1", "2")]
    [InlineData("sgd", "2", "1")]
    [InlineData("lion", "1", "1")]
    public void Stopped_and_resumed_it_has_the_files_of_a_run_that_never_stopped(string optimizer, string threads, string others)
    {
        string[] options = ["--optimizer", optimizer, "--steps", "12", "--dropout", "0.1"];
        TinyJob.Run(_folder, [.. options, "--threads", threads]);
        var whole = Result();
        CommandRun stopped = Stopped(5, [.. options, "--overwrite", "--threads", threads]);
        Assert.Equal(130, stopped.Code);
        Assert.Single(States);
        CommandRun resumed = CommandRun.Of(TinyJob.Args(_folder, [.. options, "--resume", "--threads", others]));
        resumed.Succeeds();
        Assert.Contains("Resuming after ", resumed.Out);
        Assert.Equal(whole, Result());
        Assert.Empty(States);
        Assert.Equal(6, Directory.GetFiles(_folder.File("out")).Length); // those of the part before were replaced, not kept as another run's
    }

    /// <summary>The model that the run saved has taken the place of the one that it began with, in the format asked for.</summary>
    [Fact]
    public void A_model_that_goes_on_in_its_place_in_another_format_is_resumed()
    {
        TinyJob.Run(_folder, "--steps", "2");
        byte[] begun = File.ReadAllBytes(Out("model.rbe"));
        string[] line =
        [
            "finetune", "--model", Out("model.rbe"), "--text", _folder.File("text.txt"), "--out", _folder.File("out"), "--batch", "4", "--threads", "1",
            "--steps", "12", "--format", "quantized", "--bits", "4", "--coefficients", "50", "--tile", "32",
        ];
        CommandRun.Of([.. line, "--overwrite"]).Succeeds();
        var whole = Result();
        File.WriteAllBytes(Out("model.rbe"), begun);
        Assert.Equal(130, StoppedOf(5, [.. line, "--overwrite"]).Code);
        CommandRun.Of([.. line, "--resume"]).Succeeds();
        Assert.Equal(whole, Result());
    }

    [Fact]
    public void Where_the_latest_state_is_damaged_the_one_before_is_named()
    {
        string[] line = ["--steps", "12", "--state-every", "1", "--keep-states", "2"];
        CommandRun stopped = Stopped(5, line);
        Assert.Equal(130, stopped.Code);
        Assert.Contains("The same command with --resume goes on.", stopped.Out, StringComparison.Ordinal);
        string[] states = [.. States.Select(Out).OrderBy(file => file.Length).ThenBy(file => file)];
        Assert.Equal(2, states.Length);
        using (FileStream latest = File.OpenWrite(states[1])) latest.SetLength(latest.Length / 2);
        CommandRun.Of(TinyJob.Args(_folder, [.. line, "--resume"])).Fails(1, $"Or go on from an earlier one: --resume {states[0]}.");
        CommandRun.Of(TinyJob.Args(_folder, [.. line, "--resume", states[0]])).Succeeds();
    }

    [Fact]
    public void Texts_that_differ_anywhere_are_other_runs()
    {
        TinyJob.Run(_folder, "--steps", "1");
        string first = Result().Model, text = File.ReadAllText(_folder.File("text.txt"));
        string other = _folder.Write("other.txt", text[..(text.Length / 2)] + "the dog sat on" + text[((text.Length / 2) + 14)..]);
        TinyJob.Run(_folder, "--steps", "1", "--text", other, "--overwrite");
        Assert.NotEqual(first.Split(',')[0], Result().Model.Split(',')[0]);
    }

    [Fact]
    public void States_come_every_so_many_steps_and_the_latest_are_kept()
    {
        List<string> seen = [];
        WatchedWriter output = new(text =>
        {
            if (text.Contains(" %  step ", StringComparison.Ordinal)) seen.Add(string.Join(' ', States));
        });
        string[] args = TinyJob.Args(_folder, "--state-every", "2", "--keep-states", "2", "--steps", "9");
        Assert.Equal(0, Commands.Run(args, new CommandHost(output, new StringWriter())));
        Assert.Equal(["", "", "state-2.rbe", "state-2.rbe", "state-2.rbe state-4.rbe", "state-2.rbe state-4.rbe", "state-4.rbe state-6.rbe",
            "state-4.rbe state-6.rbe", "state-6.rbe state-8.rbe"], seen);
        Assert.Empty(States);
    }

    [Theory]
    [InlineData("1e-9m", true)]
    [InlineData("10m", false)]
    [InlineData("0", false)]
    [InlineData("0m", false)]
    public void They_come_by_time_or_never(string every, bool saved)
    {
        bool seen = false;
        WatchedWriter output = new(text => seen |= text.Contains(" %  step ", StringComparison.Ordinal) && States.Length > 0);
        Assert.Equal(0, Commands.Run(TinyJob.Args(_folder, "--state-every", every), new CommandHost(output, new StringWriter())));
        Assert.Equal(saved, seen);
    }

    [Fact]
    public void Without_states_none_is_saved_when_it_is_stopped()
    {
        Assert.Equal(130, Stopped(3, "--steps", "12", "--state-every", "0").Code);
        Assert.Empty(States);
        CommandRun.Of(TinyJob.Args(_folder, "--resume")).Fails(1, "has no training state to resume");
    }

    /// <summary>What the library calls otherwise has the name of its option in messages.</summary>
    [Fact]
    public void Settings_are_told_by_their_options()
    {
        HashSet<string> options = [.. FinetuneCommand.Create(new CommandHost(TextWriter.Null, TextWriter.Null)).Options.Select(option => option.Name)];
        foreach ((string name, _) in new TrainerOptions().Deciding()) Assert.Contains(RunStates.OptionOf(name), options);
    }

    [Fact]
    public void A_folder_takes_one_run_at_a_time()
    {
        string folder = Directory.CreateDirectory(_folder.File("out")).FullName;
        using (FolderLock.Take(folder))
        {
            if (!OperatingSystem.IsWindows()) CommandRun.Of(TinyJob.Args(_folder)).Fails(1, "another run is writing to. Wait for it");
            Assert.Empty(Directory.GetFiles(folder));
        }

        CommandRun.Of(TinyJob.Args(_folder)).Succeeds();
    }

    [Fact]
    public void A_run_of_other_options_data_or_seconds_is_refused_and_nothing_changes()
    {
        Stopped(4, "--steps", "12", "--seed", "5");
        Dictionary<string, byte[]> before = Directory.GetFiles(_folder.File("out")).ToDictionary(file => file, File.ReadAllBytes);
        string other = _folder.Write("other.txt", string.Concat(Enumerable.Repeat(TinyJob.Text, 39)));
        foreach ((string[] options, string said) in new (string[], string)[]
        {
            (["--seed", "6"], "--seed: the training state has 5, this run has 6. Resume with what the run was begun with, or begin a new run without this "
                + "state. It was begun with: "),
            (["--seed", "5", "--learning-rate", "1e-3"], "--learning-rate: the training state has 0.003, this run has 0.001."),
            (["--seed", "5", "--text", other], "training data: the training state has 1836 tokens, checksum"),
            (["--seed", "5", "--seconds", "500"], "--seconds: the training state has none, this run has 500 s."),
            (["--seed", "5", "--layers", "2"], "model: the training state has 1 block of width 32"),
            (["--seed", "5", "--steps", "13"], "--steps: the training state has 12, this run has 13."),
        })
        {
            CommandRun.Of(TinyJob.Args(_folder, [.. TinyJob.Override(["--steps", "12"], options), .. options, "--resume"])).Fails(1, said);
        }

        Assert.Equal(before, Directory.GetFiles(_folder.File("out")).ToDictionary(file => file, File.ReadAllBytes));
        CommandRun.Of(TinyJob.Args(_folder, "--steps", "12", "--seed", "5", "--resume", Out("model.rbe"))).Fails(1, "a training state");
        CommandRun.Of(TinyJob.Args(_folder, "--steps", "12", "--seed", "5", "--resume", _folder.File("none.rbe"))).Fails(1, "no such file");
        CommandRun.Of(TinyJob.Args(_folder, "--steps", "12", "--seed", "5", "--resume")).Succeeds();
    }

    [Fact]
    public void States_of_an_earlier_run_are_kept_under_another_name_and_go_on_from_there()
    {
        TinyJob.Run(_folder, "--steps", "12", "--seed", "5");
        var whole = Result();
        Stopped(4, "--steps", "12", "--seed", "5", "--overwrite");
        string state = States.Single(), kept = state.Replace(".rbe", "-1.rbe", StringComparison.Ordinal);
        Assert.Contains($"{state} as {kept}", TinyJob.Run(_folder, "--seed", "7").Out);
        Assert.Equal([kept], States);
        CommandRun.Of(TinyJob.Args(_folder, "--steps", "12", "--seed", "5", "--resume", Out(kept))).Succeeds();
        Assert.Equal(whole, Result());
        TinyJob.Run(_folder, "--overwrite");
    }

    [Fact]
    public void A_model_that_is_continued_in_its_place_is_resumed()
    {
        TinyJob.Run(_folder, "--seed", "1");
        string model = Out("model.rbe"), first = _folder.File("first.rbe");
        File.Copy(model, first);
        string[] more = ["finetune", "--model", model, "--text", _folder.File("text.txt"), "--out", _folder.File("out"), "--steps", "8", "--threads", "1"];
        CommandRun.Of(more).Succeeds();
        var whole = Result();
        File.Copy(first, model, overwrite: true);
        using CancellationTokenSource cancel = new();
        WatchedWriter output = new(text => { if (text.Contains("step 3/", StringComparison.Ordinal)) cancel.Cancel(); });
        Assert.Equal(130, Commands.Run(more, new CommandHost(output, new StringWriter()) { Cancel = cancel.Token }));
        CommandRun.Of([.. more, "--resume"]).Succeeds();
        Assert.Equal((whole.Model, whole.Steps, whole.Validation), (Result().Model, Result().Steps, Result().Validation));
        Assert.Equal(File.ReadAllBytes(first), File.ReadAllBytes(Out("model-2.rbe")));
    }

    [Fact]
    public void A_run_limited_by_time_has_the_seconds_that_were_left()
    {
        string[] options = ["--seconds", "1000"];
        string[] args = [.. TinyJob.Args(_folder, options).Where((_, i) => true)];
        int steps = Array.IndexOf(args, "--steps");
        args = [.. args[..steps], .. args[(steps + 2)..]];
        using CancellationTokenSource cancel = new();
        WatchedWriter output = new(text => { if (text.Contains("step 1 ", StringComparison.Ordinal)) cancel.Cancel(); });
        Assert.Equal(130, Commands.Run(args, new CommandHost(output, new StringWriter()) { Cancel = cancel.Token }));
        string state = Out(States.Single()), late = Out("late.rbe"), over = Out("over.rbe");
        Training.StateFiles.Change(state, late, metadata => metadata["parts"]!["finetune"]!["seconds"] = 999.99);
        Training.StateFiles.Change(state, over, metadata => metadata["parts"]!["finetune"]!["seconds"] = 1000.5);
        CommandRun.Of([.. args, "--resume", over]).Fails(1, "its run is complete");
        CommandRun run = CommandRun.Of([.. args, "--resume", late]);
        run.Succeeds();
        JsonElement metrics = JsonDocument.Parse(File.ReadAllText(Out("metrics.json"))).RootElement;
        Assert.InRange(metrics.GetProperty("trainingSeconds").GetDouble(), 1000, 1500);
        Assert.True(metrics.GetProperty("steps").GetArrayLength() > 1, "no step was done in the time that was left");
    }

    /// <summary>Killed as by the system for want of memory, at a moment that depends on the machine.</summary>
    [Fact]
    public async Task Killed_at_any_moment_it_goes_on()
    {
        string[] options = ["--steps", "30", "--state-every", "1", "--keep-states", "2"];
        TinyJob.Run(_folder, options);
        var whole = Result();
        Directory.Delete(_folder.File("out"), recursive: true);
        Random random = new(3);
        int kills = 0, resumed = 0;
        using CancellationTokenSource patience = Patience.Start();
        for (bool done = false; !done;)
        {
            bool resume = Directory.Exists(_folder.File("out")) && States.Length > 0;
            using Process process = ProcessTests.Start(TinyJob.Args(_folder, [.. options, .. resume ? ["--resume"] : Array.Empty<string>()]));
            Task<string> error = process.StandardError.ReadToEndAsync(patience.Token);
            int lines = kills < 3 ? random.Next(1, 12) : int.MaxValue; // then it may come to its end
            while (lines > 0 && await process.StandardOutput.ReadLineAsync(patience.Token) is { } line)
            {
                if (line.Contains("step ", StringComparison.Ordinal)) lines--;
            }

            if (lines == 0) process.Kill();
            await process.StandardOutput.ReadToEndAsync(patience.Token);
            await process.WaitForExitAsync(patience.Token);
            done = process.ExitCode == 0;
            if (lines > 0) Assert.True(done, await error);
            kills += done ? 0 : 1;
            resumed += resume ? 1 : 0;
        }

        Assert.True(kills > 0 && resumed > 0, string.Create(CultureInfo.InvariantCulture, $"{kills} kills, {resumed} resumed"));
        Assert.Equal(whole, Result());
        Assert.Empty(States);
    }
}
