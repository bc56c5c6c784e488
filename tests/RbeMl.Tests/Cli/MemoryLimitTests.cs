using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;
using RbeMl.Tests.Files;
using RbeMl.Tests.Support;

namespace RbeMl.Tests.Cli;

/// <summary><c>--memory-limit</c> in a process of its own, whose peak is what the system measured.</summary>
public sealed partial class MemoryLimitTests : IDisposable
{
    private const double MiB = 1 << 20;

    // Activations of about 100 MiB a whole batch: enough to stand out of the runtime's own memory.
    private static readonly string[] s_shape =
        ["--layers", "3", "--width", "128", "--heads", "2", "--context", "128", "--batch", "32", "--steps", "2", "--threads", "2",
            "--coefficients", "256", "--tokenizer", "characters"];

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task The_limit_is_kept_the_peak_foretold_and_the_model_the_same()
    {
        (int code, string error, JsonElement? none, byte[] model) = await Run();
        Assert.Equal((0, ""), (code, error));
        JsonElement free = none!.Value;
        Assert.False(free.TryGetProperty("predictedBytes", out _));
        Assert.True(File.Exists(_folder.File("out/model.zip")));
        double unlimited = free.GetProperty("peakBytes").GetInt64() / MiB;

        (code, error, _, _) = await Run("--memory-limit", "20");
        Assert.Equal(1, code);
        Match least = LeastFigure().Match(error);
        Assert.True(least.Success, error);
        int figure = int.Parse(least.Groups[1].Value, CultureInfo.InvariantCulture);
        Assert.InRange(figure, 30, unlimited - 30);

        // The runtime at rest differs by some MiB from run to run; hence a tenth more than the least.
        int limit = figure * 11 / 10;
        (code, error, JsonElement? memory, byte[] limited) = await Run("--memory-limit", limit.ToString(CultureInfo.InvariantCulture));
        Assert.Equal((0, ""), (code, error));
        double predicted = memory!.Value.GetProperty("predictedBytes").GetInt64() / MiB, peak = memory.Value.GetProperty("peakBytes").GetInt64() / MiB;
        Assert.InRange(peak, 1, limit);
        Assert.InRange(predicted / peak, 0.9, 1.1);
        // it is 2 to 3 below, and would be 5 to 6 above if the plan left nothing for what a process takes beyond its rest
        Assert.InRange(peak - predicted, double.MinValue, 2);
        Assert.Equal(model, limited);
        long step = memory.Value.GetProperty("stepBytes").GetInt64();
        Assert.InRange(step / (double)memory.Value.GetProperty("predictedStepBytes").GetInt64(), 1, 1.01);
        Assert.True(step < free.GetProperty("stepBytes").GetInt64() / 2);
        Assert.Empty(Directory.GetFiles(_folder.File("out"), "*.spill"));
        Assert.False(File.Exists(_folder.File("out/model.zip")), "ML.NET does not fit into what the training leaves");
    }

    /// <summary>Weights of 27 MiB, beside a runtime at rest that differs by some.</summary>
    [Fact]
    public async Task The_best_weights_that_patience_keeps_are_foretold()
    {
        const double copy = 4 * 12 * 384 * 384 * sizeof(float) / MiB;
        string[] large = ["--layers", "4", "--width", "384", "--heads", "4", "--context", "16", "--batch", "1", "--coefficients", "1024",
            "--steps", "2", "--memory-limit", "4000"];
        double without = await Foretold(), with = await Foretold("--patience", "3");
        Assert.InRange(with - without, 0.6 * copy, 1.6 * copy);

        async Task<double> Foretold(params string[] more)
        {
            (int code, string error, JsonElement? memory, _) = await Start([.. large, .. more]);
            Assert.Equal((0, ""), (code, error));
            return memory!.Value.GetProperty("predictedBytes").GetInt64() / MiB;
        }
    }

    [Fact]
    public void What_is_given_restricts_the_choice()
    {
        CommandRun.Of(Args("--memory-limit", "100000")).Succeeds();
        Assert.Equal(("none", "none", 0), Choice());
        Assert.True(File.Exists(_folder.File("out/model.zip")));
        CommandRun.Of(Args("--memory-limit", "100000", "--checkpointing", "full", "--offload", "bf16")).Succeeds();
        Assert.Equal(("full", "bf16", 0), Choice());
        CommandRun.Of(Args("--offload", "spill", "--checkpointing", "selective")).Succeeds();
        Assert.Equal(("selective", "spill", 0), Choice());
        CommandRun.Of(Args("--memory-limit", "1", "--checkpointing", "none", "--offload", "none")).Fails(1, "checkpointing none, offload none");

        string[] Args(params string[] more) => TinyJob.Args(_folder, more);

        (string, string, int) Choice()
        {
            JsonElement memory = Memory();
            return (memory.GetProperty("checkpointing").GetString()!, memory.GetProperty("offload").GetString()!,
                memory.GetProperty("partSequences").GetInt32());
        }
    }

    [GeneratedRegex(@"the least possible is (\d+) MiB")]
    private static partial Regex LeastFigure();

    private Task<(int Code, string Error, JsonElement? Memory, byte[] Model)> Run(params string[] more) => Start([.. s_shape, .. more]);

    private async Task<(int Code, string Error, JsonElement? Memory, byte[] Model)> Start(string[] options)
    {
        using CancellationTokenSource patience = Patience.Start();
        using Process process = ProcessTests.Start(TinyJob.Args(_folder, options));
        Task<string> error = process.StandardError.ReadToEndAsync(patience.Token);
        await process.StandardOutput.ReadToEndAsync(patience.Token);
        await process.WaitForExitAsync(patience.Token);
        return process.ExitCode != 0 ? (process.ExitCode, await error, null, [])
            : (0, await error, Memory(), await File.ReadAllBytesAsync(_folder.File("out/model.rbe")));
    }

    private JsonElement Memory() => JsonDocument.Parse(File.ReadAllText(_folder.File("out/metrics.json"))).RootElement.GetProperty("memory");
}
