using System.CommandLine.Help;
using System.Text.Json;
using System.Text.Json.Nodes;
using RbeMl.Cli;
using RbeMl.Tests.Files;

namespace RbeMl.Tests.Cli;

/// <summary>run.json: a run can be made again from the file that it wrote.</summary>
public sealed class RunConfigTests : IDisposable
{
    // Of a single call, not of a run.
    private static readonly string[] s_perCall = ["--json", "--resume", "--config", "--dry-run", "--find-rate", "--overwrite", "--distributed"];
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private string Config => _folder.File("out/run.json");

    private JsonObject Options(string file) => JsonNode.Parse(File.ReadAllText(_folder.File(file)))!["options"]!.AsObject();

    [Fact]
    public void A_run_from_its_file_has_the_same_bits_and_words_beside_it_win()
    {
        string more = _folder.Write("more.txt", TinyJob.Text);
        TinyJob.Run(_folder, "--dropout", "0.1", "--optimizer", "sgd", "--momentum", "0.8", "--text", _folder.Write("text.txt",
            string.Concat(Enumerable.Repeat(TinyJob.Text, 40))), more, "--lossy", "--state-every", "2m", "--clip", ".5");
        CommandRun rerun = CommandRun.Of("finetune", "--config", Config, "--out", _folder.File("again"), "--threads", "2");
        rerun.Succeeds();
        Assert.DoesNotContain("note", rerun.Error, StringComparison.Ordinal);
        Assert.Equal(File.ReadAllBytes(_folder.File("out/model.rbe")), File.ReadAllBytes(_folder.File("again/model.rbe")));

        JsonObject first = Options("out/run.json"), again = Options("again/run.json");
        Assert.Equal(("../text.txt", "../more.txt", ".", "0.8", "true", "2m", ".5", null), (first["--text"]![0]!.ToString(), first["--text"]![1]!.ToString(),
            first["--out"]!.ToString(), first["--momentum"]!.ToJsonString(), first["--lossy"]!.ToJsonString(), first["--state-every"]!.ToString(),
            first["--clip"]!.ToString(), first["--learning-rate"]));
        Assert.Equal("2", again["--threads"]!.ToJsonString());
        again["--threads"] = first["--threads"]!.DeepClone();
        Assert.True(JsonNode.DeepEquals(first, again));

        CommandRun.Of("finetune", "--config", Config, "--steps", "3", "--out", _folder.File("short")).Succeeds();
        Assert.Equal(3, JsonDocument.Parse(File.ReadAllText(_folder.File("short/metrics.json"))).RootElement.GetProperty("steps").GetArrayLength());
        Assert.Equal("3", Options("short/run.json")["--steps"]!.ToJsonString());

        // In its own place the earlier run is kept, its file too.
        CommandRun.Of("finetune", "--config", Config).Succeeds();
        Assert.Equal(File.ReadAllBytes(_folder.File("out/model-1.rbe")), File.ReadAllBytes(_folder.File("out/model.rbe")));
        Assert.True(JsonNode.DeepEquals(first, Options("out/run-1.json")));
    }

    /// <summary>A model that was continued in its place is no longer what the run began with.</summary>
    [Fact]
    public void A_run_that_cannot_be_made_again_says_so()
    {
        TinyJob.Run(_folder);
        string model = _folder.File("out/model.rbe"), text = _folder.File("text.txt");
        CommandRun.Of("finetune", "--model", model, "--text", text, "--steps", "2", "--batch", "4", "--context", "16", "--threads", "1", "--out",
            _folder.File("out")).Succeeds();
        CommandRun other = CommandRun.Of("finetune", "--config", Config, "--out", _folder.File("again"));
        other.Succeeds();
        Assert.Contains("an option, or a file it names, has changed.", other.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void The_file_that_a_run_is_made_from_is_not_its_report()
    {
        TinyJob.Run(_folder, "--steps", "1");
        byte[] before = File.ReadAllBytes(Config);
        CommandRun.Of("finetune", "--config", Config, "--out", _folder.File("again"), "--json", Config).Fails(2, "would replace");
        Assert.Equal(before, File.ReadAllBytes(Config));
    }

    /// <summary>A dense model's moments of 8 bits are codes and scales, a quarter of floats and a little more.</summary>
    [Fact]
    public void A_dense_models_codes_of_moments_are_counted()
    {
        long floats = Dense("adamw"), codes = Dense("adamw8");
        Assert.InRange(codes / (double)floats, 0.25, 0.27);

        long Dense(string optimizer)
        {
            string folder = _folder.File(optimizer);
            TinyJob.Run(_folder, "--optimizer", optimizer, "--average-horizon", "0", "--steps", "1", "--out", folder);
            JsonElement told = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(folder, "metrics.json"))).RootElement;
            return told.GetProperty("denseBytes").GetProperty("optimizer").GetInt64();
        }
    }

    [Fact]
    public void Every_option_of_a_run_is_in_it()
    {
        TinyJob.Run(_folder, "--steps", "1");
        string[] all = [.. Commands.Parse(["finetune"], new CommandHost(TextWriter.Null, TextWriter.Null)).CommandResult.Command.Options
            .Where(option => option is not HelpOption).Select(option => option.Name)];
        Assert.Equal(all.Except(s_perCall).Order(StringComparer.Ordinal), Options("out/run.json").Select(option => option.Key).Order(StringComparer.Ordinal));
    }

    /// <summary>What has its default there was not given, and contradicts nothing that is given beside the file.</summary>
    [Fact]
    public void Defaults_in_it_are_not_taken_for_given_options()
    {
        TinyJob.Run(_folder, "--clip", "1", "--steps", "2", "--text", _folder.Write("lines.txt", string.Concat(Enumerable.Repeat(TinyJob.Text + "\n", 40))));
        JsonNode run = JsonNode.Parse(File.ReadAllText(Config))!;
        string[] usual = [.. run["usual"]!.AsArray().Select(name => name!.ToString())];
        Assert.Contains("--final-rate", usual);
        Assert.Contains("--checkpointing", usual);
        Assert.DoesNotContain("--clip", usual); // it was given, though it is the default
        Assert.DoesNotContain("--steps", usual);
        Assert.DoesNotContain("--learning-rate", usual); // it has none
        CommandRun.Of("finetune", "--config", Config, "--schedule", "constant", "--out", _folder.File("other")).Succeeds();

        // Once another value stands there, it is given.
        run["options"]!["--final-rate"] = 0.25;
        string changed = _folder.Write("out/changed.json", run.ToJsonString());
        CommandRun.Of("finetune", "--config", changed, "--schedule", "constant", "--out", _folder.File("third")).Fails(2, "--final-rate");
        run["options"]!["--final-rate"] = JsonNode.Parse(File.ReadAllText(Config))!["options"]!["--final-rate"]!.DeepClone();
        run.AsObject().Remove("usual"); // a file of an earlier version: all are given
        CommandRun.Of("finetune", "--config", _folder.Write("out/earlier.json", run.ToJsonString()), "--schedule", "constant", "--out", _folder.File("third"))
            .Fails(2, "--final-rate");

        // The same run, with the same file.
        CommandRun.Of("finetune", "--config", Config, "--out", _folder.File("again")).Succeeds();
        JsonNode again = JsonNode.Parse(File.ReadAllText(_folder.File("again/run.json")))!;
        Assert.Equal(usual.Except(["--out"]), again["usual"]!.AsArray().Select(name => name!.ToString()).Except(["--out"]));
        Assert.Equal(File.ReadAllBytes(_folder.File("out/model.rbe")), File.ReadAllBytes(_folder.File("again/model.rbe")));
    }

    [Theory]
    [InlineData("{\"usual\":[1],\"options\":{}}", 1, "gives \"usual\" \"[1]\", and a list of names of options is needed.")]
    [InlineData("{\"options\":{\"--stpes\":3}}", 1, "has the option \"--stpes\", which finetune does not take from a file.")]
    [InlineData("{\"options\":{\"--resume\":\"x\"}}", 1, "has the option \"--resume\", which finetune does not take from a file.")]
    [InlineData("{\"steps\":3,\"options\":{}}", 1, "has the key \"steps\", and \"options\" is where options stand.")]
    [InlineData("{\"runId\":\"x\"}", 1, "has no object \"options\".")]
    [InlineData("{\"options\":[]}", 1, "has no object \"options\".")]
    [InlineData("[]", 1, "holds no JSON object")]
    [InlineData("{\"options\":{\"--steps\":3,\"--steps\":4}}", 1, "is no JSON")]
    [InlineData("{\"options\":{\"--steps\":[3]}}", 1, "gives --steps \"[3]\", and a number or a text is needed.")]
    [InlineData("{\"options\":{\"--lossy\":\"yes\"}}", 1, "gives --lossy \"\"yes\"\", and true or false is needed.")]
    [InlineData("{\"options\":{\"--text\":[1]}}", 1, "gives --text \"[1]\", and a list of texts is needed.")]
    [InlineData("{\"options\":{\"--steps\":0}}", 2, "--steps 0")]
    [InlineData("{\"options\":{\"--optimizer\":\"adam\"}}", 2, "use one of adamw, sgd, lion, muon")]
    [InlineData("{\"options\":{\"--out\":\"\"}}", 2, "--out")]
    public void What_is_wrong_with_it_is_named(string json, int code, string message)
    {
        string file = _folder.Write("run.json", json);
        CommandRun run = CommandRun.Of("finetune", "--config", file).Fails(code, message);
        Assert.Contains(file, run.Error);
    }
}
