using System.Diagnostics;
using RbeMl.Codec;
using RbeMl.Files;
using RbeMl.Models;
using RbeMl.Tests.Files;
using RbeMl.Tests.Support;
using RbeMl.Training;

namespace RbeMl.Tests.Cli;

/// <summary>Verbs stopped in the middle of work that takes long, as processes: nothing half written, nothing left.</summary>
public sealed class CancelledTests : IDisposable
{
    private const int Side = 2048, Matrices = 200;
    private readonly TemporaryFolder _folder = new();

    private string Out => _folder.File("new");

    public void Dispose() => _folder.Dispose();

    // Each begins with a look at the folder of its --json, which it makes, and then works for a long while.
    private string[] Long(string verb) => verb switch
    {
        "compress" => ["compress", Dense(), "-o", Path.Combine(Out, "a.rbe"), "--format", "trellis", "--bits", "6", "--threads", "1"],
        "compress --format auto" => ["compress", Dense(), "-o", Path.Combine(Out, "a.rbe"), "--format", "auto", "--target-bits", "5", "--threads", "1"],
        "embed" => EncoderJob.Long(verb, _folder, "-o", Path.Combine(Out, "a.npy")),
        "classify train" => EncoderJob.Long(verb, _folder, "-o", Path.Combine(Out, "a.rbe")),
        "classify predict" => EncoderJob.Long(verb, _folder, "-o", Path.Combine(Out, "a.tsv")),
        "classify eval" => EncoderJob.Long(verb, _folder),
        "decompress" => ["decompress", Set(), "-o", Path.Combine(Out, "a.safetensors")],
        "inspect" => ["inspect", Set(), "--html", Path.Combine(Out, "a.html")],
        "inspect --verify" => ["inspect", Set(), "--verify"],
        _ => throw new ArgumentException(verb),
    };

    private string Dense()
    {
        float[] values = Numbers.Normal(1024 * 1024, 3, 0.1);
        SafetensorsWriter.Write(_folder.File("w.safetensors"), Enumerable.Range(0, 8).Select(i => SafetensorsSource.From($"w{i}", values, [1024, 1024])));
        return _folder.File("w.safetensors");
    }

    // One matrix many times: small in the file and large when decoded.
    private string Set()
    {
        RbeOptions options = new() { Format = RbeFormat.Sparse(1, SupportRule.LowFrequency), Alphas = false };
        RbeMatrix matrix = RbeCompressor.Compress(new float[Side * Side], Side, Side, options, out CompressionReport report);
        RbeMatrixSet.Save(_folder.File("w.rbe"), [.. Enumerable.Range(0, Matrices).Select(i => new RbeNamedMatrix($"w{i}", matrix, report))], []);
        return _folder.File("w.rbe");
    }

    [Theory]
    [InlineData("compress")]
    [InlineData("compress --format auto")]
    [InlineData("embed")]
    [InlineData("classify train")]
    [InlineData("classify predict")]
    [InlineData("classify eval")]
    [InlineData("decompress")]
    [InlineData("inspect")]
    [InlineData("inspect --verify")]
    public async Task A_signal_ends_the_work_and_leaves_nothing(string verb)
    {
        if (OperatingSystem.IsWindows()) return; // a console signal would reach the test runner too
        using CancellationTokenSource patience = Patience.Start();
        using Process process = ProcessTests.Start([.. Long(verb), "--json", Path.Combine(Out, "figures.json")]);
        Task<string> error = process.StandardError.ReadToEndAsync(patience.Token), output = process.StandardOutput.ReadToEndAsync(patience.Token);
        while (!Directory.Exists(Out) && !process.HasExited) await Task.Delay(1, patience.Token);
        Assert.Equal(0, Signals.Send(process.Id, Signals.Interrupt));
        await process.WaitForExitAsync(patience.Token);
        Assert.Equal("rbeml: cancelled before there was anything to save.\n", await error);
        Assert.Equal(130, process.ExitCode);
        Assert.Empty(Directory.GetFileSystemEntries(Out));
        await output;
    }

    // As when the terminal went away: there is nobody to tell, and the exit code still says it.
    [Theory]
    [InlineData("inspect --verify")]
    [InlineData("compress")]
    public async Task Errors_that_nobody_takes_change_no_exit_code(string verb)
    {
        if (!File.Exists("/dev/full")) return; // Linux
        Assert.False(Signals.Ignored(Signals.Hangup));
        using CancellationTokenSource patience = Patience.Start();
        string command =
            string.Join(' ',
                new[] { "dotnet", Path.Combine(AppContext.BaseDirectory, "RbeMl.Cli.dll") }.Concat(Long(verb)).Append("--json")
                .Append(Path.Combine(Out, "figures.json")).Select(word => $"'{word}'"));
        using Process process = Process.Start("/bin/sh", ["-c", $"exec {command} > /dev/full 2> /dev/full"]);
        while (!Directory.Exists(Out) && !process.HasExited) await Task.Delay(1, patience.Token);
        Assert.Equal(0, Signals.Send(process.Id, Signals.Hangup));
        await process.WaitForExitAsync(patience.Token);
        Assert.Equal(130, process.ExitCode);
        Assert.Empty(Directory.GetFileSystemEntries(Out));
    }

    [Fact]
    public void Library_calls_end_when_they_are_cancelled()
    {
        CancellationToken cancelled = new(canceled: true);
        string set = Set(), model = Tiny();
        Throws(() => DenseExport.Write(set, Path.Combine(Out, "a.safetensors"), cancel: cancelled));
        Throws(() => DenseExport.Write(model, Path.Combine(Out, "a"), cancel: cancelled));
        Throws(() => RbeInspection.Read(set, verify: true, cancelled));
        Throws(() => RbeInspection.Read(set, verify: false, cancelled));
        using (RbeContainer file = RbeContainer.Open(set)) Throws(() => file.Verify(cancelled));
        using ModelBundle bundle = ModelFile.Load(model);
        Throws(() => Gpt2Directory.Save(Path.Combine(Out, "a"), bundle.Model, cancel: cancelled));
        using Evaluator evaluator = new(bundle.Model, threads: 1);
        Throws(() => evaluator.Evaluate(EvaluationData.FromSequences([[0, 1, 2]]), cancel: cancelled));
        Assert.Empty(Directory.GetFileSystemEntries(Out));

        static void Throws(Action call) => Assert.ThrowsAny<OperationCanceledException>(call);
    }

    private string Tiny()
    {
        TinyJob.Run(_folder, "--steps", "1");
        Directory.CreateDirectory(Out);
        return _folder.File("out/model.rbe");
    }
}
