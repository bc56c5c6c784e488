using System.Text.Json;
using RbeMl.Cli;
using RbeMl.Storage;
using RbeMl.Tests.Files;
using RbeMl.Training;

namespace RbeMl.Tests.Cli;

/// <summary><c>finetune</c> on several ranks, here threads: the run of one process, of which the first rank speaks and writes.</summary>
public sealed class DistributedRunTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private JsonElement Metrics => JsonDocument.Parse(File.ReadAllText(_folder.File("out/metrics.json"))).RootElement;

    private string Hash => Metrics.GetProperty("weightsHash").GetString()!;

    private string[] Args(params string[] more) =>
        TinyJob.Args(_folder, [.. TinyJob.Override(["--accumulate", "4", "--batch", "2"], more), "--overwrite", .. more]);

    private static CommandRun[] RunRanks(int size, Func<int, string[]> args, (string Seen, CancellationTokenSource Cancel)? until = null)
    {
        CommandRun[] runs = new CommandRun[size];
        new ThreadCollective(size).Run(ranks =>
        {
            StringWriter output = until is { } one ? new WatchedOutput(one.Seen, one.Cancel.Cancel) : new StringWriter(), error = new();
            int code = Commands.Run(args(ranks.Rank), new CommandHost(output, error)
            {
                Collective = ranks,
                Cancel = ranks.Rank == 0 && until is { } cancelled ? cancelled.Cancel.Token : default,
            });
            runs[ranks.Rank] = new CommandRun(code, output.ToString(), error.ToString());
        });
        return runs;
    }

    // All ranks end, and the first says why.
    private static void Fail(CommandRun[] runs, int code, string message)
    {
        runs[0].Fails(code, message);
        Assert.All(runs[1..], run => Assert.Equal((0, "", ""), (run.Code, run.Out, run.Error)));
    }

    [Fact]
    public void Its_model_and_figures_are_those_of_one_process_and_the_first_rank_alone_speaks()
    {
        CommandRun.Of(Args()).Succeeds();
        (string model, JsonElement alone) = (Hash, Metrics);
        Assert.Equal(JsonValueKind.Undefined, alone.TryGetProperty("ranks", out JsonElement none) ? none.ValueKind : JsonValueKind.Undefined);
        for (int size = 2; size <= 4; size++)
        {
            CommandRun[] runs = RunRanks(size, _ => Args());
            Assert.All(runs, run => run.Succeeds());
            Assert.Equal(model, Hash);
            Assert.Equal(alone.GetProperty("runId").GetString(), Metrics.GetProperty("runId").GetString());
            Assert.Equal(Numbers(alone, "steps", "loss"), Numbers(Metrics, "steps", "loss"));
            Assert.Equal(Numbers(alone, "validation", "loss"), Numbers(Metrics, "validation", "loss"));
            Assert.Contains($"Ranks: {size} over threads of one process; a step sends ", runs[0].Out.ReplaceLineEndings(" "));
            Assert.All(runs[1..], run => Assert.Equal(("", ""), (run.Out, run.Error)));
            JsonElement ranks = Metrics.GetProperty("ranks");
            Assert.Equal(size, ranks.GetProperty("ranks").GetInt32());
            Assert.InRange(ranks.GetProperty("bytesPerStep").GetInt64(), 1, ranks.GetProperty("denseBytesPerStep").GetInt64() - 1);
        }
    }

    [Fact]
    public void A_divided_optimizer_makes_the_model_of_one_process_and_its_states_go_on_anywhere()
    {
        string[] all = ["--steps", "20", "--state-every", "1"], shared = [.. all, "--shard-optimizer"];
        CommandRun.Of(Args(all)).Succeeds();
        (string whole, JsonElement alone) = (Hash, Metrics);
        using CancellationTokenSource cancel = new();
        CommandRun[] stopped = RunRanks(3, _ => Args(shared), ("step 8/", cancel));
        Assert.Equal([ExitCode.Cancelled, ExitCode.Done, ExitCode.Done], stopped.Select(run => run.Code));
        Assert.Single(Directory.GetFiles(_folder.File("out"), "state-*"));
        CommandRun[] resumed = RunRanks(2, _ => Args([.. shared, "--resume"]));
        Assert.All(resumed, run => run.Succeeds());
        Assert.Equal((whole, alone.GetProperty("runId").GetString()), (Hash, Metrics.GetProperty("runId").GetString()));
        Assert.InRange(Metrics.GetProperty("bytes").GetProperty("optimizer").GetInt64(), 1, alone.GetProperty("bytes").GetProperty("optimizer").GetInt64() - 1);
    }

    [Fact]
    public void A_divided_optimizer_goes_back_on_all_ranks_too()
    {
        string[] args = ["--learning-rate", "10", "--clip", "0", "--warmup", "0", "--weight-decay", "9.9", "--steps", "400", "--on-divergence", "rollback",
            "--state-every", "5"];
        CommandRun alone = CommandRun.Of(Args(args));
        CommandRun[] runs = RunRanks(2, _ => Args([.. args, "--shard-optimizer"]));
        Assert.Equal((alone.Code, alone.Error), (runs[0].Code, runs[0].Error));
    }

    [Theory]
    [InlineData("--sum", "engine", 0.9, 1.1)]
    [InlineData("--wire", "bf16", 0.4, 0.6)]
    [InlineData("--local-steps", "4", 0.7, 0.8)] // weights and two moments every four steps
    public void Another_sum_makes_another_model_of_a_run_of_its_own(string option, string value, double least, double most)
    {
        Assert.All(RunRanks(2, _ => Args()), run => run.Succeeds());
        (string hash, JsonElement plain) = (Hash, Metrics);
        Assert.All(RunRanks(2, _ => Args(option, value)), run => run.Succeeds());
        JsonElement other = Metrics;
        Assert.NotEqual((hash, plain.GetProperty("runId").GetString()), (Hash, other.GetProperty("runId").GetString()));
        Assert.Equal(value, other.GetProperty("settings").GetProperty(option).GetString());
        Assert.InRange(Bytes(other) / Bytes(plain), least, most);
        string again = Hash;
        Assert.All(RunRanks(2, _ => Args(option, value)), run => run.Succeeds());
        Assert.Equal(again, Hash);
        CommandRun alone = CommandRun.Of(Args(option, value));
        alone.Succeeds();
        Assert.Contains($"rbeml: note: {option} {value} is for several processes, and changes nothing in one.", alone.Error.ReplaceLineEndings(" "));

        static double Bytes(JsonElement metrics) => metrics.GetProperty("ranks").GetProperty("bytesPerStep").GetDouble();
    }

    [Fact]
    public void Options_of_ranks_that_exclude_each_other_are_refused()
    {
        CommandRun.Of(Args("--sum", "engine", "--wire", "bf16")).Fails(2, "--sum engine adds up floats, and --wire bf16 sends rounded ones. Leave out");
        CommandRun.Of(Args("--sum", "engine", "--shard-optimizer")).Fails(2, "gives no process the whole sum of gradients, which --sum engine");
        CommandRun.Of(Args("--wire", "bf16", "--shard-optimizer")).Fails(2, "which --wire bf16 makes. Leave out one of them.");
        CommandRun.Of(Args("--wire", "bf16", "--local-steps", "4")).Fails(2, "is for gradients on their way, and with --local-steps none");
        CommandRun.Of(Args("--shard-optimizer", "--local-steps", "4")).Fails(2, "with --local-steps none are sent. Leave out one of them.");
        CommandRun.Of(Args("--sum", "mpi")).Fails(2, "--sum");
    }

    /// <summary>
    /// A rank fails where the others do not expect it, which here is when it is to tell how it is: they learn of it at their next step, and the first, or
    /// whichever of them writes, saves the weights of the last step that was done.
    /// </summary>
    [Theory]
    [InlineData(0, false)]
    [InlineData(1, false)]
    [InlineData(2, true)]
    public void An_error_outside_of_a_step_loses_none_of_the_steps_that_were_done(int failing, bool shared)
    {
        string[] args = ["--steps", "100", "--save-minutes", "0", "--state-every", "0", .. shared ? (string[])["--shard-optimizer"] : []];
        CommandRun[] runs = new CommandRun[3];
        new ThreadCollective(3).Run(ranks =>
        {
            StringWriter output = new(), error = new();
            ICollective own = ranks.Rank == failing ? new FailingOnce(ranks, 150) : ranks;
            int code = Commands.Run(Args(args), new CommandHost(output, error) { Collective = own });
            runs[ranks.Rank] = new CommandRun(code, output.ToString(), error.ToString());
        });
        Assert.NotEqual(0, runs[0].Code);
        string told = runs[0].Error.ReplaceLineEndings(" ");
        Assert.Contains("the cable is out", told);
        int steps = Metrics.GetProperty("steps").GetArrayLength();
        Assert.InRange(steps, 10, 99);
        Assert.Contains(string.Create(System.Globalization.CultureInfo.InvariantCulture, $"The model after {steps} steps is saved in"), told);
        Assert.True(File.Exists(_folder.File("out/model.rbe")));
    }

    [Fact]
    public void An_option_that_differs_is_named_before_anything_is_written()
    {
        Fail(RunRanks(3, rank => Args(rank == 2 ? ["--seed", "7"] : [])), 1, "rank 2: --seed: it has 7, rank 0 has 1337. Start all ranks with");
        Assert.False(Directory.Exists(_folder.File("out")));
    }

    [Fact]
    public void A_file_that_is_missing_is_told_once()
    {
        Fail(RunRanks(2, _ => Args("--text", _folder.File("none.txt"))), 1, "none.txt");
    }

    [Fact]
    public void A_folder_that_the_first_rank_cannot_write_ends_all()
    {
        string held = _folder.File("out");
        Directory.CreateDirectory(held);
        using FolderLock? taken = FolderLock.TryTake(held);
        Fail(RunRanks(3, _ => Args()), 1, "is a folder that another run is writing to");
    }

    [Fact]
    public void More_ranks_than_micro_batches_are_refused()
    {
        Fail(RunRanks(3, _ => Args("--accumulate", "2")), 1, "Accumulate = 2: 3 ranks share the micro-batches of a step: use at least 3");
        Assert.False(File.Exists(_folder.File("out/model.rbe")));
    }

    [Fact]
    public void Stopped_on_one_rank_it_saves_and_goes_on_with_another_number_of_ranks()
    {
        string[] all = ["--steps", "20", "--state-every", "1"];
        CommandRun.Of(Args(all)).Succeeds();
        string whole = Hash;
        foreach (int after in (int[])[3, 1])
        {
            using CancellationTokenSource cancel = new();
            CommandRun[] stopped = RunRanks(2, _ => Args(all), ("step 8/", cancel));
            Assert.Equal([ExitCode.Cancelled, ExitCode.Done], stopped.Select(run => run.Code));
            Assert.InRange(Metrics.GetProperty("steps").GetArrayLength(), 8, 9);
            Assert.All(RunRanks(after, _ => Args([.. all, "--resume"])), run => run.Succeeds());
            Assert.Equal(whole, Hash);
            Assert.Empty(Directory.GetFiles(_folder.File("out"), "state-*"));
        }
    }

    [Fact]
    public void A_run_that_goes_back_goes_back_on_all_ranks()
    {
        string[] args = ["--learning-rate", "10", "--clip", "0", "--warmup", "0", "--weight-decay", "9.9", "--steps", "400", "--on-divergence", "rollback",
            "--state-every", "5"];
        CommandRun alone = CommandRun.Of(Args(args));
        CommandRun[] runs = RunRanks(2, _ => Args(args));
        Assert.Equal(alone.Code, runs[0].Code);
        Assert.Contains("rbeml: note: rollback at step ", runs[0].Error);
        Assert.Equal(alone.Error, runs[0].Error);
        Assert.Equal("", runs[1].Error);
    }

    [Fact]
    public void A_run_limited_by_time_ends_on_all_ranks_at_the_same_step()
    {
        CommandRun[] runs = RunRanks(2, _ => Args("--seconds", "0.5", "--steps", "1000000"));
        Assert.All(runs, run => run.Succeeds());
        Assert.InRange(Metrics.GetProperty("steps").GetArrayLength(), 1, 999_999);
    }

    private static double[] Numbers(JsonElement metrics, string list, string name) =>
        [.. metrics.GetProperty(list).EnumerateArray().Select(each => each.GetProperty(name).GetDouble())];

    // Fails once, at the given one of the places where ranks tell each other how they are.
    private sealed class FailingOnce(ICollective ranks, int when) : ICollective
    {
        private const int StateBytes = 24;
        private int _told;

        public int Rank => ranks.Rank;

        public int Size => ranks.Size;

        public string Description => ranks.Description;

        public void AllToAll(ReadOnlySpan<byte> send, ReadOnlySpan<int> sendCounts, Span<byte> receive, ReadOnlySpan<int> receiveCounts) =>
            ranks.AllToAll(send, sendCounts, receive, receiveCounts);

        public void AllGather(Span<byte> all, ReadOnlySpan<int> counts)
        {
            if (!counts.ContainsAnyExcept(StateBytes) && ++_told == when) throw new InvalidOperationException("the cable is out");
            ranks.AllGather(all, counts);
        }

        public void AllReduceSum(Span<float> values) => ranks.AllReduceSum(values);

        public void Abort(string reason) => ranks.Abort(reason);
    }

    private sealed class WatchedOutput(string seen, Action act) : StringWriter
    {
        public override void WriteLine(string? value)
        {
            base.WriteLine(value);
            if (value?.Contains(seen, StringComparison.Ordinal) == true) act();
        }
    }
}
