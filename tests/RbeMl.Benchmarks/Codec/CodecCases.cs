using System.Globalization;
using RbeMl.Compression;
using RbeMl.Files;
using RbeMl.Kernels;
using RbeMl.Layers;

namespace RbeMl.Benchmarks.Codec;

/// <summary>The blocks of the table.</summary>
internal static class CodecCases
{
    public const string ModelFile = "gpt2-124m-layer0-attention.safetensors";
    public const string WhisperFile = "whisper-tiny-en-encoder-0-1.safetensors";
    private const int Width = 768, Batch = 8, Length = 64;
    private static readonly TransformerConfig s_gpt2 = new() { Width = Width, Heads = 12 };

    /// <summary>A block as GPT-2 starts its training.</summary>
    public static CodecCase Gpt2Initialization(int sequences) =>
        Random("gpt2-init", "GPT-2 initialisation, D 768, 12 heads", s_gpt2, DenseBlockWeights.Gpt2Initialization(s_gpt2, 1), sequences)
            with
        { Targets = [new(0.91, 2e-2), new(0.85, 4e-3)] };

    /// <summary>The attention half of a trained block of GPT-2.</summary>
    public static CodecCase Gpt2Attention(string path, int sequences)
    {
        const int hidden = 64; // of a feed-forward layer that is zero
        using SafetensorsFile file = SafetensorsFile.Open(path);
        DenseBlockWeights dense = HuggingFaceBlock.Attention(file, "transformer.h.0.", Width, BlockVectors.Initial(Width, hidden))
            with
        { UpProjection = new float[hidden * Width], DownProjection = new float[Width * hidden] };
        const string what = "GPT-2 124M layer 0, attention half: its feed-forward matrices are zero, y = x + attention, sizes are of four matrices";
        return Random("gpt2-0-attention", what, s_gpt2 with { FeedForwardWidth = hidden }, dense, sequences)
            with
        { Matrices = [BlockMatrix.Query, BlockMatrix.Key, BlockMatrix.Value, BlockMatrix.Output] };
    }

    /// <summary>
    /// Two trained blocks with the activations that really enter them; the dense blocks must give the activations that are known to leave
    /// them.
    /// </summary>
    /// <exception cref="InvalidDataException">They do not.</exception>
    public static IEnumerable<CodecCase> Whisper(string path, Action<string> say)
    {
        const int width = 384, length = 256, layers = 2;
        TransformerConfig config = new() { Width = width, Heads = 6, Layers = layers, Causal = false, Gelu = GeluKind.Erf };
        using SafetensorsFile file = SafetensorsFile.Open(path);
        float[] input = file.ReadFloats("input.0");
        for (int layer = 0; layer < layers; layer++)
        {
            DenseBlockWeights dense = HuggingFaceBlock.Whole(file, $"h.{layer}.", config);
            BlockActivationData x = new(input, 1, length, width);
            input = file.ReadFloats($"output.{layer}");
            BlockExample run = BlockExample.Run(dense, config, x);
            double error = new BlockActivationData(input, 1, length, width).RelativeErrorOf(run.Expected.Values);

            // The known activations come from fp32 as well: both sides err.
            double allowed = 2 * Agreement.Tolerance(config.HiddenWidth, 5);
            say(string.Create(CultureInfo.InvariantCulture,
                $"whisper-{layer}: the dense block gives the known output to {error:E1}; allowed are {allowed:E1}"));
            if (!(error < allowed))
            {
                throw new InvalidDataException(
                    string.Create(CultureInfo.InvariantCulture,
                    $"whisper-{layer}: the dense block is {error:E2} off the known output, allowed are {allowed:E2}: nothing measured on it would mean "
                        + $"anything."));
            }

            yield return new CodecCase
            {
                Name = $"whisper-{layer}",
                Setting = $"Whisper tiny.en encoder block {layer}, one sequence of 256 real activations, dense input. The whole sequence "
                    + $"runs; linear inputs at rows 0-127 calibrate "
                    + "(0-95 and 96-127 to choose rates and check them), errors are of output rows 128-255; in brackets of all rows",
                Config = config,
                Dense = dense,
                Calibration = x with { Positions = ..128 },
                Choice = (x with { Positions = ..96 }, x with { Positions = 96..128 }),
                Measured = x with { Positions = 128.. },
                Everything = x,
                Targets = [new(0.80, 2e-2)],
            };
        }
    }

    private static CodecCase Random(string name, string what, TransformerConfig config, DenseBlockWeights dense, int sequences)
    {
        BlockActivationData calibration = Normal(sequences, 2);
        return new()
        {
            Name = name,
            Setting = $"{what}; x ~ N(0, 1) [{Batch}, {Length}, {Width}], calibrated on {sequences * Length} other tokens",
            Config = config,
            Dense = dense,
            Calibration = calibration,
            Choice = (calibration, Normal(2, 3)),
            Measured = Normal(Batch, 1),
        };
    }

    private static BlockActivationData Normal(int sequences, int seed)
    {
        Random random = new(seed);
        float[] values = new float[sequences * Length * Width];
        for (int i = 0; i < values.Length; i++)
        {
            values[i] = (float)(Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble()));
        }

        return new BlockActivationData(values, sequences, Length, Width);
    }
}
