using System.Diagnostics;
using RbeMl.Files;
using RbeMl.Tests.Files;
using RbeMl.Tests.Support;

namespace RbeMl.Tests.Cli;

/// <summary>Verbs as processes that are stopped, or whose output nobody takes. Linux and macOS: needs a shell and signals.</summary>
public sealed class StoppingTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private string Model()
    {
        TinyJob.Run(_folder, "--steps", "2");
        File.WriteAllText(_folder.File("long.txt"), string.Concat(Enumerable.Repeat(TinyJob.Text, 40000)));
        return _folder.File("out/model.rbe");
    }

    // Work that goes on for minutes.
    private string[] Long(string verb) => verb switch
    {
        "inspect" => ["inspect", Model()],
        "embed" or "classify predict" or "classify eval" => EncoderJob.Long(verb, _folder),
        "classify train" => EncoderJob.Long(verb, _folder, "-o", _folder.File("c.rbe")),
        "generate" => ["generate", "--model", Model(), "--prompt", "the", "--max-tokens", "100000000", "--threads", "1"],
        _ => ["eval", "--model", Model(), "--text", _folder.File("long.txt"), "--stride", "1", "--batch", "1", "--threads", "1"],
    };

    [Theory]
    [InlineData("generate", Signals.Interrupt)]
    [InlineData("generate", Signals.Terminate)]
    [InlineData("eval", Signals.Interrupt)]
    [InlineData("embed", Signals.Interrupt)]
    [InlineData("classify train", Signals.Interrupt)]
    [InlineData("classify predict", Signals.Interrupt)]
    [InlineData("classify eval", Signals.Interrupt)]
    [InlineData("eval", Signals.Terminate)]
    [InlineData("generate", Signals.Quit)]
    [InlineData("eval", Signals.Quit)]
    public async Task A_signal_ends_a_verb_with_130(string verb, int signal)
    {
        if (OperatingSystem.IsWindows()) return; // a console signal would reach the test runner too
        using CancellationTokenSource patience = Patience.Start();
        using Process process = ProcessTests.Start(Long(verb));
        Task<string> error = process.StandardError.ReadToEndAsync(patience.Token);
        Assert.Equal(1, await process.StandardOutput.ReadAsync(new char[1], patience.Token)); // it works
        Task<string> rest = process.StandardOutput.ReadToEndAsync(patience.Token);
        Assert.Equal(0, Signals.Send(process.Id, signal));
        await process.WaitForExitAsync(patience.Token);
        Assert.Equal(130, process.ExitCode);
        await rest;
        Assert.DoesNotContain("   at ", await error);
    }

    [Theory]
    [InlineData("generate", "| head -c 20")]
    [InlineData("generate", "| true")]
    [InlineData("eval", "| true")]
    [InlineData("eval", "--json | true")]
    [InlineData("embed", "| head -c 20")]
    [InlineData("classify train", "| true")]
    [InlineData("classify predict", "| head -c 20")]
    [InlineData("classify eval", "| true")]
    [InlineData("inspect", "--verify --all | true")]
    public async Task A_closed_pipe_ends_a_verb_without_a_message(string verb, string pipe)
    {
        if (OperatingSystem.IsWindows()) return; // no shell of this kind
        string[] words = pipe.Split('|');
        Assert.Equal("141\n", await Shell($"{{ {Command([.. Long(verb)])} {words[0]}; echo $? >&2; }} |{words[1]}"));
    }

    [Fact]
    public async Task A_closed_pipe_lets_finetune_save()
    {
        if (OperatingSystem.IsWindows()) return;
        string error = await Shell($"{{ {Command(TinyJob.Args(_folder, "--steps", "100000000"))}; echo $? >&2; }} | grep -m 1 'step '");
        Assert.Matches("^rbeml: The model after [0-9,]+ steps? is saved in .*\n141\n$", error);
        ModelFile.Load(_folder.File("out/model.rbe")).Dispose();
    }

    [Theory]
    [InlineData(">&-", "standard output is closed")]
    [InlineData("> /dev/full", "standard output: No space left on device")]
    public async Task An_output_that_takes_nothing_is_named(string to, string message)
    {
        if (!File.Exists("/dev/full")) return; // Linux
        string model = Model();
        foreach (string[] verb in new string[][] { ["inspect", model], ["generate", "--model", model, "--prompt", "the"],
            ["eval", "--model", model, "--text", _folder.File("text.txt")], TinyJob.Args(_folder), ["--help"] })
        {
            string error = await Shell($"{Command(verb)} {to}; echo $? >&2");
            Assert.StartsWith($"rbeml: reading or writing failed: {message}. Check where standard output goes", error);
            Assert.EndsWith("\n1\n", error);
            Assert.Equal(2, error.Count(c => c == '\n'));
        }
    }

    private static string Command(string[] args) =>
        string.Join(' ', new[] { "dotnet", Path.Combine(AppContext.BaseDirectory, "RbeMl.Cli.dll") }.Concat(args).Select(word => $"'{word}'"));

    private static async Task<string> Shell(string command)
    {
        using CancellationTokenSource patience = Patience.Start();
        using Process shell = Process.Start(new ProcessStartInfo("/bin/sh", ["-c", command]) { RedirectStandardError = true, RedirectStandardOutput = true })!;
        Task<string> output = shell.StandardOutput.ReadToEndAsync(patience.Token);
        string error = await shell.StandardError.ReadToEndAsync(patience.Token);
        await output;
        await shell.WaitForExitAsync(patience.Token);
        return error;
    }
}
