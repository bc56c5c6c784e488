using System.Text.Json;
using RbeMl.Tests.Files;

namespace RbeMl.Tests.Cli;

/// <summary>metrics.json and report.html list exactly the options that have an effect on the run, with the values that it used.</summary>
public sealed class ListedSettingsTests : IDisposable
{
    private static readonly string[] s_always =
    [
        "--batch", "--context", "--accumulate", "--learning-rate", "--warmup", "--weight-decay", "--clip", "--dropout", "--precondition-alphas",
            "--seed", "--threads",
        "--checkpointing", "--offload", "--optimizer", "--out", "--save-minutes", "--average-horizon", "--state-every", "--keep-states",
        "--schedule", "--final-rate", "--cycles", "--on-divergence", "--patience",
    ];

    private static readonly string[] s_shape = ["--layers", "--heads", "--width", "--tokenizer"],
        s_sparse = ["--format", "--support", "--coefficients", "--tile", "--transform"];
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private Dictionary<string, string> Settings(params string[] args)
    {
        CommandRun.Of([.. args, "--overwrite"]).Succeeds();
        Dictionary<string, string> settings =
            JsonDocument.Parse(File.ReadAllText(_folder.File("out/metrics.json"))).RootElement.GetProperty("settings").EnumerateObject()
                .ToDictionary(p => p.Name, p => p.Value.GetString()!);
        string page = File.ReadAllText(_folder.File("out/report.html"));
        Assert.All(settings, option => Assert.Contains($"<b>{option.Key}</b> {option.Value}<", page));
        Assert.True(settings.Remove("--overwrite"));
        return settings;
    }

    private static void Same(IEnumerable<string> expected, IReadOnlyDictionary<string, string> settings) =>
        Assert.Equal(expected.Order(StringComparer.Ordinal), settings.Keys.Order(StringComparer.Ordinal));

    [Fact]
    public void Of_a_new_model()
    {
        Dictionary<string, string> settings = Settings(TinyJob.Args(_folder));
        Same([.. s_always, .. s_shape, .. s_sparse, "--text", "--encoding", "--steps"], settings);
        Assert.Equal(("6", "16", "0", "1", "none", "none", "256"),
            (settings["--steps"], settings["--context"], settings["--warmup"], settings["--threads"], settings["--checkpointing"],
            settings["--offload"], settings["--coefficients"]));
    }

    [Fact]
    public void Of_a_run_limited_by_time_and_of_frozen_codes()
    {
        Dictionary<string, string> settings =
            Settings(TinyJob.Args(_folder, "--steps", "3", "--seconds", "500", "--format", "trellis", "--tokenizer", "bpe", "--dropout", "0.25",
                "--checkpointing", "full", "--lossy"));
        Same([.. s_always, .. s_shape, .. s_sparse, "--text", "--encoding", "--lossy", "--steps", "--seconds", "--bits", "--outliers",
            "--vocabulary"], settings);
        Assert.Equal(("500", "4", "8", "0.25", "full", "on"),
            (settings["--seconds"], settings["--bits"], settings["--outliers"], settings["--dropout"], settings["--checkpointing"], settings["--lossy"]));
    }

    [Fact]
    public void Of_a_model_that_goes_on_with_ids()
    {
        CommandRun.Of(TinyJob.Args(_folder, "--steps", "1")).Succeeds();
        string model = _folder.File("first.rbe"), ids = _folder.Write("ids.txt", string.Join(' ', Enumerable.Range(0, 400).Select(i => i % 7)));
        File.Move(_folder.File("out/model.rbe"), model);
        Dictionary<string, string> settings = Settings("finetune", "--model", model, "--tokens", ids, "--out", _folder.File("out"), "--seconds", "0.01");
        Same([.. s_always, "--model", "--tokens", "--encoding", "--seconds"], settings);
        Assert.Equal(("0.01", "16", "100"), (settings["--seconds"], settings["--context"], settings["--warmup"]));
    }
}
