using System.Globalization;
using RbeMl.Codec;
using RbeMl.Files;
using RbeMl.Layers;
using RbeMl.Models;

namespace RbeMl.Benchmarks;

/// <summary>Writes an untrained GPT-2 to measure compression with: as large as a real one, and there on every machine.</summary>
internal static class RandomGpt2
{
    /// <summary>Writes a folder in Hugging Face's layout, with GPT-2's initialisation.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="shape"><c>layers,width</c>, such as <c>12,768</c>; heads of 64, GPT-2's vocabulary and positions.</param>
    /// <exception cref="InvalidDataException">The shape is not that.</exception>
    public static void Write(string folder, string shape)
    {
        string[] parts = shape.Split(',');
        if (parts.Length != 2 || !Read(parts[0], out int layers) || !Read(parts[1], out int width) || width % 64 != 0)
        {
            throw new InvalidDataException($"--random {shape}: give layers,width with a width that is a multiple of 64, such as 12,768.");
        }

        TransformerConfig config = new() { Layers = layers, Width = width, Heads = width / 64 };
        TransformerWeights start = TransformerWeights.CreateRandom(config with { Layers = 1 }, RbeOptions.Dense, 1);
        BlockWeights[] blocks =
            [.. Enumerable.Range(0, layers).Select(l => BlockWeights.Compress(DenseBlockWeights.Gpt2Initialization(config, l + 1), config, RbeOptions.Dense))];
        Gpt2Directory.Save(folder, start with { Config = config, Blocks = blocks });
    }

    private static bool Read(string text, out int value) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out value) && value is > 0 and <= 65536;
}
