using System.Diagnostics;
using RbeMl.Files;
using RbeMl.Tests.Files;
using RbeMl.Tests.Support;

namespace RbeMl.Tests.Cli;

/// <summary>The command as its own process: exit code, streams, Ctrl-C.</summary>
public sealed class ProcessTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    internal static Process Start(params string[] args) => Process.Start(Info(args))!;

    internal static ProcessStartInfo Info(params string[] args)
    {
        ProcessStartInfo start =
            new(Environment.ProcessPath is { } host && Path.GetFileNameWithoutExtension(host) == "dotnet" ? host
                : "dotnet")
            { RedirectStandardOutput = true, RedirectStandardError = true };
        start.ArgumentList.Add(Path.Combine(AppContext.BaseDirectory, "RbeMl.Cli.dll"));
        foreach (string arg in args) start.ArgumentList.Add(arg);
        return start;
    }

    [Fact]
    public async Task Errors_go_to_standard_error_with_the_exit_code()
    {
        using Process process = Start("generate", "--model", _folder.File("none.rbe"), "--prompt", "x");
        string error = await process.StandardError.ReadToEndAsync(Patience.Start().Token);
        await process.WaitForExitAsync(Patience.Start().Token);
        Assert.Equal(1, process.ExitCode);
        Assert.StartsWith("rbeml: ", error);
        Assert.Equal(1, error.Count(c => c == '\n'));
        Assert.DoesNotContain("   at ", error);
    }

    [Theory]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(15)]
    public async Task A_signal_saves_the_work_so_far(int signal)
    {
        if (OperatingSystem.IsWindows()) return; // a console signal would reach the test runner too
        using Process process = Start(TinyJob.Args(_folder, "--steps", "100000000"));
        Task<string> error = process.StandardError.ReadToEndAsync(Patience.Start().Token);
        while (await process.StandardOutput.ReadLineAsync(Patience.Start().Token) is { } line)
        {
            if (line.Contains("step ", StringComparison.Ordinal)) break; // training
        }

        Assert.Equal(0, Signals.Send(process.Id, signal));
        string rest = await process.StandardOutput.ReadToEndAsync(Patience.Start().Token);
        await process.WaitForExitAsync(Patience.Start().Token);
        Assert.Equal("", await error);
        Assert.Equal(130, process.ExitCode);
        Assert.Contains("the work so far is saved", rest);
        ModelFile.Load(_folder.File("out/model.rbe")).Dispose();
        Assert.Contains("\"cancelled\": true", await File.ReadAllTextAsync(_folder.File("out/metrics.json")));
    }
}
