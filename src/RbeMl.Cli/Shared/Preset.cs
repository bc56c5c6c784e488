using RbeMl.Codec;

namespace RbeMl.Cli;

/// <summary>A format by what it is for, with what it costs.</summary>
/// <param name="Name">Its word.</param>
/// <param name="Format">How matrices are stored.</param>
/// <param name="Tables">How the embeddings of a model are stored where the verb stores them.</param>
/// <param name="Measured">Size and error, as measured; the page of the command line says how.</param>
internal sealed record Preset(string Name, FrozenFormat Format, FrozenFormat Tables, string Measured)
{
    /// <summary>All of them, the smallest first.</summary>
    public static IReadOnlyList<Preset> All { get; } =
    [
        new("small", RbeFormat.Trellis(4), RbeFormat.Quantized(4), "4.1 bits a weight, weights err by 7 to 8 %"),
        new("balanced", RbeFormat.Trellis(6), RbeFormat.Quantized(6), "6.1 bits, 2 %"),
        new("exact", RbeFormat.Quantized(8), RbeFormat.Quantized(8), "8.3 bits, 0.6 %"),
    ];

    /// <summary>The words with what was measured.</summary>
    public static string Help => string.Join("; ", All.Select(preset => $"{preset.Name}: {preset.Format.Name} {preset.Format.Bits}, {preset.Measured}"));

    /// <summary>The preset of a word, or null for none.</summary>
    public static Preset? Of(string? word) => All.FirstOrDefault(preset => preset.Name == word);
}
