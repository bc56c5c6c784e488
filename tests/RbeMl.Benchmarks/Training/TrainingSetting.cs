using System.Globalization;
using RbeMl.Codec;
using RbeMl.Layers;
using RbeMl.Text;
using RbeMl.Training;

namespace RbeMl.Benchmarks.Training;

/// <summary>What all ways have in common: nanoGPT's small model, or a deeper one, on the tokens of a text, whose last tenth is held out.</summary>
/// <param name="Ids">The text.</param>
/// <param name="Vocabulary">Different characters, or byte pairs.</param>
/// <param name="Layers">Blocks of the model.</param>
/// <param name="Average">Steps that the average of the weights looks back on; 0 for none.</param>
/// <param name="Threads">Threads.</param>
internal sealed record TrainingSetting(int[] Ids, int Vocabulary, int Layers, int Average, int Threads)
{
    public const int Context = 64, BatchSize = 12, Warmup = 100;

    // Of tables and vectors, and of matrices where a way does not say.
    public const double Rate = 1e-2;

    // A short run warms up for a part of its steps.
    private const int WarmupShare = 20;

    /// <summary>Reads a text.</summary>
    /// <param name="file">The text.</param>
    /// <param name="bytePairs">Byte pairs to learn of what is trained on; 0 takes characters.</param>
    /// <param name="layers">Blocks of the model.</param>
    /// <param name="average">Steps that the average of the weights looks back on; 0 for none.</param>
    /// <param name="threads">Threads.</param>
    public static TrainingSetting Of(string file, int bytePairs, int layers, int average, int threads)
    {
        string text = File.ReadAllText(file);
        if (bytePairs > 0)
        {
            BytePairTokenizer tokenizer = BytePairTokenizer.Train(text[..(text.Length * 9 / 10)], bytePairs);
            return new TrainingSetting(tokenizer.Encode(text), tokenizer.Vocabulary, layers, average, threads);
        }

        char[] alphabet = [.. text.Distinct().Order()];
        return new TrainingSetting([.. text.Select(c => Array.BinarySearch(alphabet, c))], alphabet.Length, layers, average, threads);
    }

    /// <summary>Batches to train on.</summary>
    public TokenDataset Train(ulong seed) => TokenDataset.FromStream(Ids[..Split], Vocabulary, seed);

    /// <summary>The held-out tenth in order.</summary>
    public TokenDataset Held => TokenDataset.FromStream(Ids[Split..], Vocabulary, order: TokenOrder.Sequential);

    private int Split => Ids.Length * 9 / 10;

    /// <summary>A model of a width.</summary>
    public TransformerConfig Config(int width) => new() { Layers = Layers, Heads = 4, Width = width, Vocabulary = Vocabulary, MaxSequenceLength = Context };

    /// <summary>Settings of a run.</summary>
    public TrainerOptions Options(TrainingWay way, int steps, ulong seed) => new()
    {
        Steps = steps,
        BatchSize = BatchSize,
        Context = Context,
        WarmupSteps = Math.Min(Warmup, steps / WarmupShare),
        Optimizer = OptimizerOptions.All.Single(optimizer => optimizer.Name == way.Optimizer),
        LearningRate = Rate,
        CoefficientLearningRate = way.Rate,
        TrainBits = way.Bits.Length > 0 ? way.Bits[0] : null,
        Groups = way.Bits.Length > 1 ? [new ParameterGroup("*.attention.*") { TrainBits = way.Bits[1] }] : [],
        Seed = seed,
        AverageHorizon = Average,
        ValidateEvery = 0,
        ValidationSequences = int.MaxValue,
    };
}

/// <summary>One way to train the model, as it is written on the command line.</summary>
/// <param name="Text">As it was written.</param>
/// <param name="Kept">Coefficients a tile, all, or torch.</param>
/// <param name="Width">Of the model.</param>
/// <param name="Optimizer">Its name.</param>
/// <param name="Rate">Of coefficients, or of torch's matrices; null for what follows from the rate of the others.</param>
/// <param name="Bits">That are trained, and those of the attention.</param>
internal sealed record TrainingWay(string Text, string Kept, int Width, string Optimizer, double? Rate, int[] Bits)
{
    public const string Help = "Ways, with commas: coefficients a tile of 64 x 64 (all for the dense weights themselves, torch for those trained by torch; "
        + "all@64 for those of a model of width 64), a colon, optimiser (of torch: adamw or muon), and, after others, its rate for coefficients (0 for what "
        + "follows from 0.01) and the bits that are trained (2+3: 2, and 3 those of the attention).";

    private const string Dense = "all", Torch = "torch";
    private const int TileValues = 64 * 64, RunLength = 16, DefaultWidth = 128;

    /// <summary>Reads a way.</summary>
    public static TrainingWay Parse(string text)
    {
        string[] parts = text.Split(':'), shape = parts[0].Split('@');
        if (shape[0] == Torch && (parts[1] is not ("adamw" or "muon") || parts.Length > 3))
        {
            throw new InvalidDataException($"{text}: torch trains all weights, with adamw or muon. Use such as torch:adamw:0.003.");
        }

        double rate = parts.Length > 2 ? double.Parse(parts[2], CultureInfo.InvariantCulture) : 0;
        return new TrainingWay(text, shape[0], shape.Length > 1 ? int.Parse(shape[1], CultureInfo.InvariantCulture) : DefaultWidth, parts[1],
            rate > 0 ? rate : null, parts.Length > 3 ? [.. parts[3].Split('+').Select(each => int.Parse(each, CultureInfo.InvariantCulture))] : []);
    }

    /// <summary>Begins a run.</summary>
    public ITrainingRun Start(TrainingSetting setting, int steps, ulong seed) => Kept == Torch
        ? new TorchTrainingRun(setting, this, steps, seed)
        : new RbeTrainingRun(setting, this, steps, seed);

    /// <summary>How the library stores it.</summary>
    public RbeOptions Compression
    {
        get
        {
            if (Kept is Dense or Torch) return new RbeOptions { Transform = TileTransform.None, Alphas = false, Format = RbeFormat.Sparse(TileValues) };
            int kept = int.Parse(Kept, CultureInfo.InvariantCulture);
            return kept == TileValues ? new RbeOptions { Alphas = false, Format = RbeFormat.Sparse(TileValues) }
                : new RbeOptions { Format = RbeFormat.Sparse(kept, SupportRule.Runs(RunLength)) };
        }
    }
}
