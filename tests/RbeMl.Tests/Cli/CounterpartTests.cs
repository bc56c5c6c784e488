using System.CommandLine;
using System.Globalization;
using System.Text.RegularExpressions;
using RbeMl.Cli;
using RbeMl.Cli.Compress;
using RbeMl.Cli.Finetune;
using RbeMl.Cli.Help;
using RbeMl.Codec;
using RbeMl.Layers;
using RbeMl.Memory;
using RbeMl.Tests.Support;
using RbeMl.Training;

namespace RbeMl.Tests.Cli;

/// <summary>Options of the library have words on the command line, which arrive.</summary>
public sealed class CounterpartTests
{
    [Fact]
    public void Of_training()
    {
        Dictionary<string, object?> values = new()
        {
            ["Steps"] = 50,
            ["BatchSize"] = 3,
            ["Context"] = 5,
            ["Accumulate"] = 2,
            ["Optimizer"] = new LionOptions(),
            ["LearningRate"] = 0.02,
            ["CoefficientLearningRate"] = 0.03,
            ["WarmupSteps"] = 4,
            ["Schedule"] = RateSchedule.Linear,
            ["FinalFraction"] = 0.25,
            ["Cycles"] = 3,
            ["WeightDecay"] = 0.3,
            ["Clip"] = 0.5,
            ["AverageHorizon"] = 7,
            ["TrainBits"] = 5,
            ["PreconditionAlphas"] = false,
            ["Seed"] = 77UL,
            ["Checkpointing"] = CheckpointPolicy.Full,
            ["Offload"] = ActivationOffload.BFloat16,
            ["SpillFolder"] = "elsewhere",
            ["MemoryLimit"] = 999,
            ["Profile"] = true,
            ["ShardOptimizer"] = true,
            ["LocalSteps"] = 4,
            ["Sum"] = GradientSum.Engine,
            ["Wire"] = GradientWire.BFloat16,
            ["ValidationSequences"] = 9,
            ["ExtraBytes"] = 99L,
        };
        string[] unsaid = ["ValidateEvery", "StatePath", "StateEvery", "Groups"]; // ParameterGroupTests
        Counterparts.AllArrive(values, unsaid, (name, value) =>
        {
            Dictionary<string, string> words =
                new() { ["--steps"] = "40", ["--warmup"] = "1", ["--context"] = "8", ["--learning-rate"] = "0.01", ["--weight-decay"] = "0.2" };
            if (name is not null and not ("ValidationSequences" or "ExtraBytes"))
            {
                string option =
                    name switch
                    {
                        "SpillFolder" => "--out",
                        "BatchSize" => "--batch",
                        "WarmupSteps" => "--warmup",
                        "FinalFraction" => "--final-rate",
                        _ => "--" + Regex.Replace(name, "(?<=.)[A-Z]", m => "-" + m.Value).ToLowerInvariant()
                    };
                words[option] =
                    value switch
                    {
                        true => "",
                        false => "off",
                        OptimizerOptions optimizer => optimizer.Name,
                        ActivationOffload.BFloat16 or GradientWire.BFloat16 => "bf16",
                        _ => Convert.ToString(value, CultureInfo.InvariantCulture)!.ToLowerInvariant()
                    };
            }

            FinetuneOptions options = new();
            Verb verb = new("finetune", "");
            options.AddTo(verb);
            FinetuneSettings settings =
                options.Read(Parse(verb, [.. words.SelectMany(w => w.Value.Length > 0 ? new[] { w.Key, w.Value } : [w.Key])]), StartedAs.Command);
            return settings.ToTrainer(settings.Context!.Value, name == "ValidationSequences" ? (int)value! : 2, name == "ExtraBytes" ? (long)value! : 1);
        });
    }

    /// <summary>A classifier's options become those of its optimiser and schedule.</summary>
    [Fact]
    public void Of_a_classifiers_optimiser()
    {
        Dictionary<string, object?> values = new()
        {
            ["Steps"] = 50,
            ["Optimizer"] = new SgdOptions { Momentum = 0.7 },
            ["LearningRate"] = 0.02,
            ["CoefficientLearningRate"] = 0.03,
            ["WarmupSteps"] = 4,
            ["Schedule"] = RateSchedule.Linear,
            ["FinalFraction"] = 0.5,
            ["WeightDecay"] = 0.3,
            ["Clip"] = 0.5,
            ["AverageHorizon"] = 7,
            ["StatePath"] = "a.rbe",
            ["StateEvery"] = SaveInterval.EverySteps(3),
            ["Seed"] = 77UL,
            ["Checkpointing"] = CheckpointPolicy.Full,
            ["Offload"] = ActivationOffload.BFloat16,
            ["SpillFolder"] = "elsewhere",
            ["MemoryLimit"] = 999,
        };
        string[] without =
        [
            "Accumulate", "BatchSize", "Context", "PreconditionAlphas", "TrainBits", "ValidateEvery", "ValidationSequences", "ExtraBytes",
            "Profile", "Groups", "Cycles", "ShardOptimizer", "Sum", "Wire", "LocalSteps",
        ];
        Counterparts.AllArrive(values, without, (name, value) =>
        {
            ClassifierTrainerOptions options = new() { WarmupFraction = 0, WeightDecay = 0.2 };
            if (name == "WarmupSteps") options = options with { WarmupFraction = (int)value! / 40.0 };
            else if (name is not null and not ("Steps" or "LearningRate")) Counterparts.Set(options, name, value);
            return options.ToTrainer(name == "Steps" ? (int)value! : 40, name == "LearningRate" ? (double)value! : 0.01);
        });
    }

    [Fact]
    public void Of_a_compressed_matrix()
    {
        Dictionary<string, object?> values = new() { ["Tile"] = 128, ["Transform"] = TileTransform.Haar, ["Format"] = new SeedFormat(300), ["Alphas"] = false };
        Counterparts.AllArrive(values, [], (name, value) => Compress(name switch
        {
            "Tile" => ["--tile", "128"],
            "Transform" => ["--transform", "haar"],
            "Format" => ["--format", "seed"],
            "Alphas" => ["--alphas", "off"],
            _ => [],
        }));
        string[] words = ["dct", "hadamard", "haar", "cdf97", "none"];
        Assert.Equal(Enum.GetValues<TileTransform>().Order(), words.Select(word => Compress("--transform", word).Transform).Order());
    }

    [Fact]
    public void Of_formats()
    {
        string[] coefficients = ["--coefficients", "32", "--support", "runs8", "--seed", "5"];
        SparseFormat sparse = new(32, SupportRule.Runs(8, 5));
        Dictionary<string, object?> frozen = new() { ["Bits"] = 4, ["Outliers"] = 3, ["Delta"] = sparse };
        Counterparts.AllArrive(frozen, [], (name, _) => (QuantizedFormat)Compress(Words("quantized", name)).Format);
        Counterparts.AllArrive(frozen, [], (name, _) => (TrellisFormat)Compress(Words("trellis", name)).Format);
        Counterparts.AllArrive(
            new Dictionary<string, object?> { ["Coefficients"] = 32, ["Support"] = SupportRule.Runs(8, 0) }, [],
            (name, _) => (SparseFormat)Compress(
            ["--format", "sparse", "--seed", "0",
            .. name switch { null => (string[])[], "Support" => ["--support", "runs8"], _ => ["--coefficients", "32"] }]).Format);
        Counterparts.AllArrive(
            new Dictionary<string, object?> { ["Coefficients"] = 32 }, [],
            (name, _) => (SeedFormat)Compress(["--format", "seed", .. name is null ? (string[])[] : ["--coefficients", "32"]]).Format);

        // A new format has its word here too.
        Type[] formats = [.. typeof(RbeFormat).Assembly.GetTypes().Where(type => type.IsSubclassOf(typeof(RbeFormat)) && !type.IsAbstract)];
        Assert.Equal(formats.ToHashSet(),
            new[] { "sparse", "quantized", "trellis", "seed" }.Select(word => Compress("--format", word).Format.GetType()).ToHashSet());

        string[] Words(string format, string? name) =>
            ["--format", format, .. name switch { "Bits" => ["--bits", "4"], "Outliers" => ["--outliers", "3"], "Delta" => coefficients, _ => (string[])[] }];
    }

    [Fact]
    public void Of_places()
    {
        string[] words = ["topk", "random", "lowfrequency", "runs4", "runs8", "runs16"];
        SupportRule[] rules = [.. words.Select(word => ((SparseFormat)Compress("--format", "sparse", "--support", word, "--seed", "5").Format).Support)];
        Assert.Equal([SupportRule.TopK, SupportRule.Random(5), SupportRule.LowFrequency, SupportRule.Runs(4, 5), SupportRule.Runs(8, 5),
            SupportRule.Runs(16, 5)], rules);
        Assert.Equal(Enum.GetValues<SupportKind>().Order(), rules.Select(rule => rule.Kind).Distinct().Order());
    }

    private static RbeOptions Compress(params string[] words)
    {
        CompressOptions options = new();
        Verb verb = new("compress", "");
        options.AddTo(verb);
        return options.Read(Parse(verb, ["in", "-o", "out", .. words])).Request.Options;
    }

    private static ParseResult Parse(Verb verb, string[] words)
    {
        ParseResult result = verb.Parse(words);
        Assert.Empty(result.Errors);
        return result;
    }
}
