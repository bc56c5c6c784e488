using RbeMl.Cli;
using RbeMl.Tests.Files;

namespace RbeMl.Tests.Cli;

/// <summary>Command lines that are printed begin as this program was started.</summary>
public sealed class StartedAsTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private string Make(string file)
    {
        string path = _folder.File(file.Replace('/', Path.DirectorySeparatorChar));
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.WriteAllText(path, "");
        return path;
    }

    [Theory]
    [InlineData("Release", "", "dotnet run -c Release --project src/Cli --")]
    [InlineData("Debug", "", "dotnet run --project src/Cli --")]
    [InlineData("Release", "src/Cli", "dotnet run -c Release --")]
    [InlineData("Release", "src", "dotnet run -c Release --project Cli --")]
    [InlineData("Release", "other", "dotnet run -c Release --project {root}/src/Cli --")]
    public void By_dotnet_run(string configuration, string current, string expected)
    {
        if (OperatingSystem.IsWindows()) return; // other separators
        Make("src/Cli/RbeMl.Cli.csproj");
        string program = Make($"src/Cli/bin/{configuration}/net10.0/RbeMl.Cli");
        Assert.Equal(expected.Replace("{root}", _folder.Path, StringComparison.Ordinal),
            StartedAs.Of(program, Path.GetDirectoryName(program) + "/", _folder.File(current), []));
    }

    [Fact]
    public void As_a_program_by_name_or_path()
    {
        if (OperatingSystem.IsWindows()) return;
        Make("src/Cli/RbeMl.Cli.csproj");
        string program = Make("src/Cli/bin/Release/net10.0/rbeml"), folder = Path.GetDirectoryName(program)!,
            other = Path.GetDirectoryName(Make("other/rbeml"))!;
        Assert.Equal("src/Cli/bin/Release/net10.0/rbeml", StartedAs.Of(program, folder, _folder.Path, []));
        Assert.Equal("./rbeml", StartedAs.Of(program, folder, folder, ["/nowhere"]));
        Assert.Equal("rbeml", StartedAs.Of(program, folder, _folder.Path, ["/nowhere", folder, other]));
        Assert.Equal(program, StartedAs.Of(program, folder, other, [other, folder])); // another one is found first
        Directory.CreateDirectory(_folder.File("links"));
        File.CreateSymbolicLink(_folder.File("links/rbeml"), program);
        Assert.Equal("rbeml", StartedAs.Of(program, folder, _folder.Path, [_folder.File("links")]));
    }

    [Fact]
    public void By_the_host_of_the_runtime()
    {
        if (OperatingSystem.IsWindows()) return;
        string library = Make("a b/RbeMl.Cli.dll");
        Assert.Equal("dotnet 'a b/RbeMl.Cli.dll'", StartedAs.Of("/usr/bin/dotnet", Path.GetDirectoryName(library)!, _folder.Path, ["/usr/bin"]));
    }

    [Fact]
    public void Every_command_that_is_printed_begins_so()
    {
        const string Program = "dotnet run --project src/Cli --";
        string[] args = TinyJob.Args(_folder, "--steps", "2");
        (int code, string text, string error) = Run(args);
        Assert.Equal((0, ""), (code, error));
        string model = _folder.File("out/model.rbe");
        Assert.Contains($"\n  {Program} generate -m {model} -p ", text);
        Assert.Contains($"\n  {Program} inspect {model} --html tiles.html\n", text);
        Assert.Contains($"{Program} finetune --text", File.ReadAllText(_folder.File("out/metrics.json")));
        Assert.EndsWith($" See '{Program} finetune --help'.\n", Run("finetune", "--bits", "4").Error);
        Assert.EndsWith($" See '{Program} --help'.\n", Run("train").Error);
        Assert.Contains($"'{Program} decompress' makes a dense model", Run("compress", model, "-o", _folder.File("x.rbe")).Error);
        foreach (string verb in new[] { "finetune", "generate", "eval", "compress", "embed", "classify", "inspect", "decompress" })
        {
            Assert.Contains($"\nHere rbeml stands for: {Program}\n", Run(verb, "--help").Out);
        }

        Assert.DoesNotContain("stands for:", CommandRun.Of("--help").Out);

        static (int Code, string Out, string Error) Run(params string[] args)
        {
            StringWriter output = new(), error = new();
            return (Commands.Run(args, new CommandHost(output, error) { Program = Program }), output.ToString(), error.ToString());
        }
    }
}
