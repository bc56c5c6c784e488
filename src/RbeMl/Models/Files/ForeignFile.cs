using System.Buffers.Binary;

namespace RbeMl.Models.Files;

/// <summary>Says what a file that is no container looks like.</summary>
internal static class ForeignFile
{
    public static string Describe(ReadOnlySpan<byte> start)
    {
        if (start.IsEmpty) return "is empty, a .rbe file is needed.";
        if (start.StartsWith("PK"u8)) return "is no .rbe file; it looks like a zip archive (an ML.NET model, or PyTorch weights).";
        if (start.StartsWith("GGUF"u8)) return "is no .rbe file; it looks like a GGUF model.";
        if (start.Length >= 9 && start[8] == (byte)'{' && BinaryPrimitives.ReadUInt64LittleEndian(start) is > 1 and < 1UL << 32)
        {
            return "is no .rbe file; it looks like a safetensors file.";
        }

        if (start.StartsWith("RBE"u8) || (start.Length >= 4 && start[1..4].SequenceEqual("RBE"u8)))
        {
            return "has a damaged start of a .rbe file (a transfer as text does that). Copy it again as binary.";
        }

        return start.ContainsAnyExcept(Text)
            ? "is no .rbe file, or its start is damaged."
            : "is no .rbe file; it looks like text. Pass text with --text and a model with --model.";
    }

    private static readonly System.Buffers.SearchValues<byte> Text = System.Buffers.SearchValues.Create([9, 10, 13, .. Enumerable.Range(32, 95).Select(b => (byte)b)]);
}
