using System.Diagnostics;
using System.Text.Json;
using RbeMl.Cli;
using RbeMl.Files;
using RbeMl.Models;
using RbeMl.Tests.Files;
using RbeMl.Tests.Support;

namespace RbeMl.Mpi.Tests;

/// <summary><c>mpirun -np N rbeml finetune</c> is the run of one process, and ends with one message where a rank fails.</summary>
public sealed class RunTests : IDisposable
{
    private const int Steps = 12;
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private string[] Args(string folder, params string[] more)
    {
        string text = _folder.Write("text.txt", string.Concat(Enumerable.Repeat("the cat sat on the mat and the dog sat on the log. ", 40)));
        return
        [
            "finetune", "--text", text, "--out", _folder.File(folder), "--layers", "1", "--width", "32", "--heads", "2", "--context", "16", "--batch", "2",
            "--tile", "32", "--coefficients", "256", "--threads", "1", "--tokenizer", "characters", "--accumulate", "6", "--overwrite",
            .. more.Contains("--steps") ? [] : (string[])["--steps", $"{Steps}"], .. more,
        ];
    }

    private JsonElement Metrics(string folder) => JsonDocument.Parse(File.ReadAllText(_folder.File($"{folder}/metrics.json"))).RootElement;

    private string Hash(string folder) => Metrics(folder).GetProperty("weightsHash").GetString()!;

    private string Alone(params string[] more)
    {
        Assert.Equal(0, Commands.Run(Args("alone", more), new CommandHost(TextWriter.Null, TextWriter.Null)));
        return Hash("alone");
    }

    private async Task Same(string kind, int ranks, string transport, params string[] more)
    {
        string expected = Alone();
        Ended ended = await Launch.Run(kind, ranks, Args("shared", more));
        ended.Succeeds();
        Assert.Equal(expected, Hash("shared"));
        Assert.Equal(Metrics("alone").GetProperty("runId").GetString(), Metrics("shared").GetProperty("runId").GetString());
        Assert.Equal(ranks, Metrics("shared").GetProperty("ranks").GetProperty("ranks").GetInt32());
        Assert.Contains(transport, Metrics("shared").GetProperty("ranks").GetProperty("transport").GetString(), StringComparison.OrdinalIgnoreCase);
        Assert.Single(ended.Out.Split('\n'), line => line.Contains("Ranks: ", StringComparison.Ordinal));
        Assert.DoesNotContain(Directory.GetFiles(_folder.File("shared")), file => Path.GetFileName(file) is "model-1.rbe" or "metrics-1.json");
        using ModelBundle model = ModelFile.Load(_folder.File("shared/model.rbe"));
    }

    [MpiFact(Launch.OpenMpi)]
    public Task Two_ranks_of_Open_MPI_make_the_model_of_one_process() => Same(Launch.OpenMpi, 2, "Open MPI");

    [MpiFact(Launch.OpenMpi)]
    public Task Three_ranks_of_Open_MPI_make_the_model_of_one_process() => Same(Launch.OpenMpi, 3, "Open MPI");

    [MpiFact(Launch.Mpich)]
    public Task Two_ranks_of_MPICH_make_the_model_of_one_process() => Same(Launch.Mpich, 2, "MPICH");

    [MpiFact(Launch.OpenMpi)]
    public Task Three_ranks_of_Open_MPI_that_divide_the_optimizer_make_it_too() => Same(Launch.OpenMpi, 3, "Open MPI", "--shard-optimizer");

    [MpiFact(Launch.Mpich)]
    public Task Three_ranks_of_MPICH_that_divide_the_optimizer_make_it_too() => Same(Launch.Mpich, 3, "MPICH", "--shard-optimizer");

    // Near it, and the same again; the ranks hold their weights against each other themselves.
    private async Task Near(string kind, int ranks, double tolerance, params string[] more)
    {
        Alone();
        double expected = Loss("alone");
        (await Launch.Run(kind, ranks, Args("shared", more))).Succeeds();
        string hash = Hash("shared");
        Assert.NotEqual(Hash("alone"), hash);
        Assert.InRange(Math.Abs(Loss("shared") - expected), 0, tolerance * expected);
        (await Launch.Run(kind, ranks, Args("shared", more))).Succeeds();
        Assert.Equal(hash, Hash("shared"));
    }

    private double Loss(string folder) => Metrics(folder).GetProperty("validation").EnumerateArray().Last().GetProperty("loss").GetDouble();

    [MpiFact(Launch.OpenMpi)]
    public Task The_sum_of_Open_MPI_is_near() => Near(Launch.OpenMpi, 2, 1e-4, "--sum", "engine");

    [MpiFact(Launch.Mpich)]
    public Task The_sum_of_MPICH_is_near() => Near(Launch.Mpich, 2, 1e-4, "--sum", "engine");

    [MpiFact(Launch.OpenMpi)]
    public Task Rounded_gradients_are_near() => Near(Launch.OpenMpi, 2, 2e-2, "--wire", "bf16");

    [MpiFact(Launch.OpenMpi)]
    public async Task A_rank_with_another_option_is_named_before_anything_is_written()
    {
        Ended ended = await Launch.Run(Launch.OpenMpi, null, (1, Args("shared")), (1, Args("shared", "--seed", "7")));
        ended.Fails("rbeml: rank 1: --seed: it has 7, rank 0 has 1337.");
        Assert.False(Directory.Exists(_folder.File("shared")));
    }

    [MpiFact(Launch.OpenMpi)]
    public async Task A_library_that_is_missing_is_refused_before_anything_is_written()
    {
        Ended ended = await Launch.Run(Launch.OpenMpi, new Dictionary<string, string> { ["RBEML_MPI"] = _folder.File("libnone.so") }, (2, Args("shared")));
        ended.Fails("can be loaded. Install the MPI of that launcher (Debian, Ubuntu: apt-get install -y openmpi-bin)");
        Assert.False(Directory.Exists(_folder.File("shared")));
    }

    [MpiFact(Launch.OpenMpi, Launch.Mpich)]
    public async Task The_library_of_another_MPI_is_refused_before_anything_is_written()
    {
        Ended ended = await Launch.Run(Launch.OpenMpi, new Dictionary<string, string> { ["RBEML_MPI"] = "libmpich.so.12" }, (2, Args("shared")));
        ended.Fails("launcher and library are of different MPIs. Set RBEML_MPI to the library of the launcher");
        Assert.False(Directory.Exists(_folder.File("shared")));
    }

    [MpiFact(Launch.OpenMpi)]
    public async Task Another_verb_is_refused()
    {
        Ended ended = await Launch.Run(Launch.OpenMpi, 2, "eval", "--model", _folder.File("none.rbe"), "--text", _folder.File("none.txt"));
        ended.Fails("eval runs in one process");
    }

    [MpiFact(Launch.OpenMpi)]
    public Task A_rank_of_Open_MPI_that_is_killed_ends_the_job_and_its_state_is_whole() => Killed(Launch.OpenMpi, 1);

    [MpiFact(Launch.OpenMpi)]
    public Task The_first_rank_that_is_killed_ends_the_job_and_its_state_is_whole() => Killed(Launch.OpenMpi, 0);

    [MpiFact(Launch.Mpich)]
    public Task A_rank_of_MPICH_that_is_killed_ends_the_job_and_its_state_is_whole() => Killed(Launch.Mpich, 1);

    private async Task Killed(string kind, int rank)
    {
        // Long enough to be killed in the middle, and short enough to show a line every 200 steps.
        string[] many = ["--state-every", "1", "--steps", "4000"];
        using (Process process = Launch.Start(kind, null, (2, Args("shared", many))))
        {
            Task<string> error = process.StandardError.ReadToEndAsync(Patience.Start().Token);
            while (!Directory.Exists(_folder.File("shared")) || Directory.GetFiles(_folder.File("shared"), "state-*.rbe").Length == 0)
            {
                Assert.NotNull(await process.StandardOutput.ReadLineAsync(Patience.Start().Token));
            }

            Assert.Equal(0, Signals.Send(Launch.ProcessOf(rank, _folder.Path), 9));
            await process.StandardOutput.ReadToEndAsync(Patience.Start().Token);
            await process.WaitForExitAsync(Patience.Start().Token);
            Assert.NotEqual(0, process.ExitCode);
            if (kind == Launch.OpenMpi) Assert.Contains($"rank {rank} with PID", await error, StringComparison.Ordinal);
        }

        // What is there is sound, and gone on with until the first step is shown.
        using CancellationTokenSource cancel = new();
        StringWriter wrong = new();
        int code = Commands.Run(Args("shared", [.. many, "--resume"]), new CommandHost(new CancellingWriter("step ", cancel), wrong) { Cancel = cancel.Token });
        Assert.Equal((ExitCode.Cancelled, ""), (code, wrong.ToString()));
    }

    private sealed class CancellingWriter(string seen, CancellationTokenSource cancel) : StringWriter
    {
        public override void WriteLine(string? value)
        {
            if (value?.Contains(seen, StringComparison.Ordinal) == true) cancel.Cancel();
        }
    }

    [MpiFact(Launch.OpenMpi)]
    public async Task A_state_of_two_ranks_is_resumed_on_three_and_on_one_with_the_same_bits()
    {
        string[] all = ["--steps", "3000", "--state-every", "50", "--keep-states", "2"];
        string whole = Alone(all);
        using (Process process = Launch.Start(Launch.OpenMpi, null, (2, Args("shared", all))))
        {
            Task<string> error = process.StandardError.ReadToEndAsync(Patience.Start().Token);
            while (!Directory.Exists(_folder.File("shared")) || Directory.GetFiles(_folder.File("shared"), "state-*.rbe").Length == 0)
            {
                Assert.NotNull(await process.StandardOutput.ReadLineAsync(Patience.Start().Token));
            }

            Assert.Equal(0, Signals.Send(Launch.ProcessOf(1, _folder.Path), 9));
            await process.StandardOutput.ReadToEndAsync(Patience.Start().Token);
            await process.WaitForExitAsync(Patience.Start().Token);
            await error;
        }

        foreach (string file in Directory.GetFiles(_folder.File("shared"), "state-*.rbe"))
        {
            Directory.CreateDirectory(_folder.File("once"));
            File.Copy(file, Path.Combine(_folder.File("once"), Path.GetFileName(file)));
        }

        (await Launch.Run(Launch.OpenMpi, 3, Args("shared", [.. all, "--resume"]))).Succeeds();
        Assert.Equal(whole, Hash("shared"));
        Assert.Equal(0, Commands.Run(Args("once", [.. all, "--resume"]), new CommandHost(TextWriter.Null, TextWriter.Null)));
        Assert.Equal(whole, Hash("once"));
    }

    [MpiFact(Launch.OpenMpi)]
    public async Task Json_on_standard_output_is_one_document()
    {
        Ended ended = await Launch.Run(Launch.OpenMpi, 2, Args("shared", "--json"));
        ended.Succeeds();
        Assert.Equal(Hash("shared"), JsonDocument.Parse(ended.Out).RootElement.GetProperty("weightsHash").GetString());
    }
}
