using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Reflection;
using Microsoft.ML.OnnxRuntime;
using RbeMl.Codec;
using RbeMl.Files;
using RbeMl.Kernels;
using RbeMl.Layers;
using RbeMl.Models;
using RbeMl.Packing;

namespace RbeMl.Benchmarks.Encoders;

/// <summary>
/// The verb that times a pretrained sentence encoder beside ONNX Runtime, in fp32 and in int8, in one process and by turns.
/// </summary>
internal static class EncoderCommand
{
    private const double SampleSeconds = 0.06, WarmSeconds = 0.4;
    private const int Width = 384;

    /// <summary>One way to compute; it takes ids [batch, tokens].</summary>
    private sealed record Side(string Name, Action Run);

    public static Command Create()
    {
        Option<int[]> threads = new("--threads")
        { Description = "Threads of every side.", DefaultValueFactory = _ => [1, 2], AllowMultipleArgumentsPerToken = true };
        Option<int[]> batches = new("--batch")
        { Description = "Sentences of a call.", DefaultValueFactory = _ => [1, 32], AllowMultipleArgumentsPerToken = true };
        Option<int> tokens = new("--tokens") { Description = "Tokens of a sentence.", DefaultValueFactory = _ => 35 };
        Option<int> rounds = new("--rounds") { Description = "Measurements of each side, taken by turns.", DefaultValueFactory = _ => 11 };
        Option<bool> alphas = new("--alphas") { Description = "Whether tiles have the weights of their basis functions.", DefaultValueFactory = _ => true };
        Command command = new("encoder", "Times MiniLM beside ONNX Runtime: sentences a second, tokenising not counted.") { threads,
            batches, tokens, rounds, alphas };
        command.SetAction(parsed => Run(
            parsed.GetValue(threads)!, parsed.GetValue(batches)!, parsed.GetValue(tokens), parsed.GetValue(rounds), parsed.GetValue(alphas)));
        return command;
    }

    private static int Run(int[] threads, int[] batches, int tokens, int rounds, bool alphas)
    {
        string folder = Directory.CreateTempSubdirectory("rbeml-encoder-").FullName;
        try
        {
            string onnx = Path.Combine(folder, "model.onnx"), rounded = Path.Combine(folder, "int8.onnx");
            PackageResources.Extract(Library, "Resources.model.onnx", onnx);
            PackageResources.Extract(Library, "Resources.vocab.txt", Path.Combine(folder, "vocab.txt"));
            OnnxInt8.Write(onnx, rounded);
            using OnnxModelFile file = OnnxModelFile.Open(onnx);
            using TransformerModel<float> floats = new(file.ReadWeights(new RbeOptions { Format = RbeFormat.Quantized(4), Alphas = alphas }));
            using TransformerModel<float> integers = floats.ToInference(activations: ActivationPrecision.Int8);
            string[] texts = ["ONNX Runtime fp32", "ONNX Runtime int8", "RbeMl 4 bits", "RbeMl 4 bits, int8 activations"];
            string machine = $"{MachineRecord.Here.Processor}, {Environment.ProcessorCount} processors";
            Console.WriteLine($"{machine}; {tokens} tokens; sentences a second, medians of {rounds}");
            Console.WriteLine($"threads | batch | {string.Join(" | ", texts)} | floats : fp32 | int8 : int8 (medians of pairs)");
            foreach (int count in threads)
            {
                using SessionOptions options = new() { IntraOpNumThreads = count };
                using InferenceSession exact = new(onnx, options), small = new(rounded, options);
                using Workspace<float> workspace = new(count);
                foreach (int batch in batches)
                {
                    Random random = new(1);
                    int[] ids = [.. Enumerable.Range(0, batch * tokens).Select(_ => random.Next(1000, 30_000))],
                        lengths = [.. Enumerable.Repeat(tokens, batch)];
                    float[] output = new float[batch * Width];
                    using OnnxCall call = new(ids, batch, tokens);
                    Side[] sides =
                    [
                        new(texts[0], () => call.Run(exact)), new(texts[1], () => call.Run(small)),
                        new(texts[2], () => floats.Features(ids, lengths, new FeatureOptions(), workspace, output)),
                        new(texts[3], () => integers.Features(ids, lengths, new FeatureOptions(), workspace, output)),
                    ];
                    double[][] rates = Measure(sides, batch, rounds);
                    string cells = string.Join(" | ", rates.Select(rate => Medians.Of(rate).ToString("F0", CultureInfo.InvariantCulture)));
                    Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
                        $"{count} | {batch} | {cells} | {Ratio(rates[2], rates[0]):F2} | {Ratio(rates[3], rates[1]):F2}"));
                }
            }

            return 0;
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static string Library => typeof(EncoderCommand).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>()
        .Single(attribute => attribute.Key == "MiniLMLibrary").Value!;

    // Sentences a second of each side in each round; a pause lets the threads of the side before stop spinning.
    private static double[][] Measure(Side[] sides, int batch, int rounds)
    {
        double[][] rates = [.. sides.Select(_ => new double[rounds])];
        foreach (Side side in sides) Rate(side, batch, WarmSeconds);
        for (int round = 0; round < rounds; round++)
        {
            for (int s = 0; s < sides.Length; s++)
            {
                Thread.Sleep(10);
                rates[s][round] = Rate(sides[s], batch, SampleSeconds);
            }
        }

        return rates;
    }

    private static double Rate(Side side, int batch, double seconds)
    {
        side.Run();
        long started = Stopwatch.GetTimestamp();
        int sentences = 0;
        double elapsed;
        do
        {
            side.Run();
            sentences += batch;
            elapsed = Stopwatch.GetElapsedTime(started).TotalSeconds;
        }
        while (elapsed < seconds);
        return sentences / elapsed;
    }

    private static double Ratio(double[] ours, double[] theirs) => Medians.Of([.. ours.Zip(theirs, (a, b) => a / b)]);

    /// <summary>The inputs of a call of ONNX Runtime.</summary>
    private sealed class OnnxCall(int[] ids, int batch, int tokens) : IDisposable
    {
        private static readonly string[] Inputs = ["input_ids", "attention_mask", "token_type_ids"], Outputs = ["last_hidden_state"];
        private readonly RunOptions _options = new();
        private readonly OrtValue[] _values =
        [
            OrtValue.CreateTensorValueFromMemory(ids.Select(id => (long)id).ToArray(), [batch, tokens]),
            OrtValue.CreateTensorValueFromMemory(ids.Select(_ => 1L).ToArray(), [batch, tokens]),
            OrtValue.CreateTensorValueFromMemory(new long[ids.Length], [batch, tokens]),
        ];

        public void Run(InferenceSession session) => session.Run(_options, Inputs, _values, Outputs).Dispose();

        public void Dispose()
        {
            foreach (OrtValue value in _values) value.Dispose();
            _options.Dispose();
        }
    }
}
