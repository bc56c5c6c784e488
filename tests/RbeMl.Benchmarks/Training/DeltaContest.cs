using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;
using RbeMl.Codec;
using RbeMl.Files;
using RbeMl.Layers;
using RbeMl.Models;
using RbeMl.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace RbeMl.Benchmarks.Training;

/// <summary>One base of 4 bits, fine-tuned in several ways on the same words in the same order by the same optimiser and schedule.</summary>
internal sealed class DeltaContest
{
    private const int Batch = 32;
    private readonly TransformerModel<float> _original, _base;
    private readonly TransformerWeights _weights;
    private readonly int[][] _train, _held;
    private readonly int _steps, _threads, _context;

    public DeltaContest(TransformerWeights original, int[][] words, int steps, int threads)
    {
        (_steps, _threads, _context) = (steps, threads, original.Config.MaxSequenceLength);
        int held = words.Length / 10;
        (_train, _held) = (words[..^held], words[^held..]);
        _weights = original.Recompress(new RbeOptions { Format = RbeFormat.Quantized(4) });
        (_original, _base) = (new TransformerModel<float>(original), new TransformerModel<float>(_weights));
    }

    private sealed record Outcome(long Values, long Bytes, double Loss, double Milliseconds);

    /// <summary>Prints the table.</summary>
    public void Run(double[] shares, double[] rates, double[] denseRates, int seeds)
    {
        RequireSameLogits();
        Console.WriteLine($"{_train.Length} words to learn, {_held.Length} held out; {_steps} steps of {Batch} words; {seeds} seeds; {_threads} threads");
        Console.WriteLine("| way | best rate | trained values | bytes of their file | loss, held-out words | ms a step |");
        Console.WriteLine("|---|---|---|---|---|---|");
        Row("dense, as it came", [0], 1, (_, _) => new Outcome(0, 0, LossOf(_original), 0));
        Row("base of 4 bits, as it is", [0], 1, (_, _) => new Outcome(0, 0, LossOf(_base), 0));
        foreach (double share in shares)
        {
            foreach (DeltaSupport support in (DeltaSupport[])[DeltaSupport.Runs, DeltaSupport.Gradient])
            {
                Row(Name($"delta {share:P0}, {support.ToString().ToLowerInvariant()}"), rates, seeds, (rate, seed) => Delta(share, support, rate, seed));
            }

            int rank = RankOf(share);
            Row($"LoRA of rank {rank}", rates, seeds, (rate, seed) => Lora(rank, rate, seed));
        }

        Row("all weights, dense", denseRates, seeds, Dense);

        static string Name(FormattableString name) => name.ToString(CultureInfo.InvariantCulture).Replace(" %", "%", StringComparison.Ordinal);
    }

    private static void Row(string name, double[] rates, int seeds, Func<double, int, Outcome> way)
    {
        (double Rate, Outcome First)[] tried = [.. rates.Select(rate => (rate, way(rate, 1)))];
        (double rate, Outcome first) = tried.MinBy(each => each.First.Loss);
        Outcome[] all = [first, .. Enumerable.Range(2, seeds - 1).Select(seed => way(rate, seed))];
        string loss = Medians.Spread([.. all.Select(each => each.Loss)]);
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"| {name} | {rate} | {first.Values} | {first.Bytes} | {loss} | {all.Average(each => each.Milliseconds):F1} |"));
    }

    // The nearest to a delta of that share.
    private int RankOf(double share)
    {
        using DeltaModel delta = DeltaModel.Attach(_base, new DeltaOptions { Share = share });
        return (int)Math.Max(1, Math.Round(delta.TrainableCount / (double)LoraGpt2.ValuesOf(_weights, 1)));
    }

    private TokenDataset Train(int seed) => TokenDataset.FromSequences(_train, _weights.Config.Vocabulary, (ulong)seed, TokenOrder.Shuffled);

    private TokenDataset Held() => TokenDataset.FromSequences(_held, _weights.Config.Vocabulary, order: TokenOrder.Sequential);

    private TrainerOptions Options(double rate, int seed) => new()
    {
        Steps = _steps,
        BatchSize = Batch,
        Context = _context,
        LearningRate = rate,
        CoefficientLearningRate = rate,
        WeightDecay = 0,
        WarmupSteps = _steps / 20,
        AverageHorizon = 0,
        Seed = (ulong)seed,
        ValidateEvery = 0,
        ValidationSequences = int.MaxValue,
    };

    private double LossOf(TransformerModel<float> model)
    {
        using Trainer trainer = new(model, Train(1), Held(), Options(1e-3, 1), _threads);
        return trainer.Validate();
    }

    private Outcome Delta(double share, DeltaSupport support, double rate, int seed)
    {
        DeltaCalibration calibration = new(Train(seed), Batch, _context) { Threads = _threads };
        using DeltaModel delta = DeltaModel.Attach(_base, new DeltaOptions { Share = share, Support = support, Seed = seed }, calibration);
        (double loss, double milliseconds) = Fit(delta.Model, Options(rate, seed) with { Groups = delta.Groups }, seed);
        return new Outcome(delta.TrainableCount, BytesOf(file => DeltaFile.Save(file, delta)), loss, milliseconds);
    }

    private Outcome Dense(double rate, int seed)
    {
        TransformerWeights dense = _weights.Recompress(RbeOptions.Dense);
        using TransformerModel<float> model = new(dense);
        (double loss, double milliseconds) = Fit(model, Options(rate, seed), seed);
        return new Outcome(model.Parameters.TrainableCount, BytesOf(file => ModelFile.Save(file, model.GetWeights())), loss, milliseconds);
    }

    private (double Loss, double Milliseconds) Fit(TransformerModel<float> model, TrainerOptions options, int seed)
    {
        using Trainer trainer = new(model, Train(seed), Held(), options, _threads);
        long started = Stopwatch.GetTimestamp();
        for (int step = 0; step < _steps; step++) trainer.Step();
        double milliseconds = Stopwatch.GetElapsedTime(started).TotalMilliseconds / _steps;
        return (trainer.Validate(), milliseconds);
    }

    private Outcome Lora(int rank, double rate, int seed)
    {
        using DisposeScope tensors = NewDisposeScope();
        LoraGpt2 model = new(_weights, rank, seed);
        Parameter[] trained = [.. model.Parameters];
        TrainerOptions options = Options(rate, seed);
        AdamWOptions own = new();
        optim.Optimizer optimizer = optim.AdamW(trained, rate, own.Beta1, own.Beta2, own.Epsilon, 0);
        TokenDataset data = Train(seed);
        int[] inputs = new int[Batch * _context], targets = new int[inputs.Length];
        long started = Stopwatch.GetTimestamp();
        for (int step = 0; step < _steps; step++)
        {
            using DisposeScope scope = NewDisposeScope();
            data.Fill(step, Batch, _context, inputs, targets);
            optimizer.zero_grad();
            (Tensor sum, int count) = model.Loss(inputs, targets, Batch, _context);
            (sum / count).backward();
            nn.utils.clip_grad_norm_(trained, options.Clip);
            optimizer.ParamGroups.Single().LearningRate = rate * LearningRate.Factor(options, step, step / (double)_steps);
            optimizer.step();
        }

        double milliseconds = Stopwatch.GetElapsedTime(started).TotalMilliseconds / _steps;
        return new Outcome(trained.Sum(p => p.NumberOfElements), BytesOf(Save), Validate(model), milliseconds);

        void Save(string file) => RbeContainerWriter.Write(file, new JsonObject { ["kind"] = "lora" },
            [.. trained.Select((p, i) => RbeTensor.From($"{i / 2}.{(i % 2 == 0 ? "a" : "b")}", p.data<float>().ToArray()))]);
    }

    private double Validate(LoraGpt2 model)
    {
        TokenDataset held = Held();
        int[] inputs = new int[Batch * _context], targets = new int[inputs.Length];
        double sum = 0;
        long predicted = 0, sequences = held.EpochSequences(_context)!.Value;
        using IDisposable inference = no_grad();
        for (long first = 0; first < sequences; first += Batch)
        {
            using DisposeScope scope = NewDisposeScope();
            held.Fill(first / Batch, Batch, _context, inputs, targets);
            int some = (int)Math.Min(Batch, sequences - first) * _context; // the rest comes again from the start
            (Tensor loss, int count) = model.Loss(inputs[..some], targets[..some], some / _context, _context);
            (sum, predicted) = (sum + loss.item<float>(), predicted + count);
        }

        return sum / predicted;
    }

    // Both hold the same weights: before anything is trained they predict the same.
    private void RequireSameLogits()
    {
        using DisposeScope tensors = NewDisposeScope();
        using Workspace<float> workspace = new(_threads);
        LoraGpt2 lora = new(_weights, 1, 1);
        int[] inputs = new int[Batch * _context], targets = new int[inputs.Length];
        Train(1).Fill(0, Batch, _context, inputs, targets);
        using DeltaModel delta = DeltaModel.Attach(_base, new DeltaOptions());
        float[] ours = delta.Model.Logits(inputs, Batch, _context, workspace);
        double[] theirs = lora.Logits(LoraGpt2.Ids(inputs, Batch, _context)).ToDoubles();
        Agreement.Require("logits of the base with LoRA and with a delta", theirs, ours,
            Agreement.Tolerance(_weights.Config.HiddenWidth, 5 * _weights.Config.Layers));
    }

    private static long BytesOf(Action<string> save)
    {
        string file = Path.GetTempFileName();
        try
        {
            save(file);
            return new FileInfo(file).Length;
        }
        finally
        {
            File.Delete(file);
        }
    }
}
