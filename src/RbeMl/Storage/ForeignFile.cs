using System.Buffers;
using System.Buffers.Binary;
using Microsoft.Win32.SafeHandles;

namespace RbeMl.Storage;

/// <summary>Says what a file that is not what is needed looks like.</summary>
internal static class ForeignFile
{
    /// <summary>Bytes before the header of a safetensors file: its length.</summary>
    public const int SafetensorsPreface = 8;

    private const int Beginning = 64;
    private static readonly SearchValues<byte> Text = SearchValues.Create([9, 10, 13, .. Enumerable.Range(32, 95).Select(b => (byte)b)]);

    /// <summary>The first bytes of a <c>.rbe</c> file.</summary>
    public static ReadOnlySpan<byte> ContainerMagic => [0x89, (byte)'R', (byte)'B', (byte)'E', 0x0D, 0x0A, 0x1A, 0x0A];

    private static ReadOnlySpan<byte> Pointer => "version https://git-lfs."u8;

    /// <summary>What is wrong with a file that should be a container.</summary>
    /// <param name="start">Its first bytes, 32 if it has them.</param>
    public static string Describe(ReadOnlySpan<byte> start)
    {
        if (start.IsEmpty) return $"is empty, a .rbe file is needed. {Written}";
        if (start.StartsWith(Pointer)) return PointerProblem;
        if (start.StartsWith("RBE"u8) || (start.Length >= 4 && start[1..4].SequenceEqual("RBE"u8)))
        {
            return "has a damaged start of a .rbe file (a transfer as text does that). Copy it again as binary.";
        }

        if (KindOf(start) is { } kind) return $"is no .rbe file; it looks like {kind}. {MendOf(kind)}";
        return start.ContainsAnyExcept(Text)
            ? $"is no .rbe file, or its start is damaged. {Written} If it is one, copy it again as binary."
            : "is no .rbe file; it looks like text. Give a model here, and the text where texts are asked for.";
    }

    /// <summary>What is wrong with a file that should be a safetensors file; null when its first bytes do not tell.</summary>
    public static string? DescribeSafetensors(SafeFileHandle handle)
    {
        Span<byte> start = stackalloc byte[Beginning];
        start = start[..Math.Max(0, RandomAccess.Read(handle, start, 0))];
        if (start.StartsWith(Pointer)) return PointerProblem;
        if (start.StartsWith(ContainerMagic)) return "is no safetensors file; it is a .rbe file, which is compressed already. Give the dense weights.";
        string? kind = KindOf(start) ?? (start.Length < SafetensorsPreface || start.ContainsAnyExcept(Text) ? null : "text");
        return kind is null or SafetensorsKind ? null : $"is no safetensors file; it looks like {kind}. Give the weights as safetensors.";
    }

    /// <summary>Refuses a pointer that Git's large-file store left in place of the file.</summary>
    /// <exception cref="RbeFileException">It is one.</exception>
    public static void RequireNoPointer(string path, ReadOnlySpan<byte> start)
    {
        if (start.StartsWith(Pointer)) throw new RbeFileException(path, PointerProblem);
    }

    /// <summary>The same of an open file that can seek.</summary>
    public static void RequireNoPointer(string path, SafeFileHandle handle)
    {
        Span<byte> start = stackalloc byte[Beginning];
        RequireNoPointer(path, start[..Math.Max(0, RandomAccess.Read(handle, start, 0))]);
    }

    private const string PointerProblem = "is a pointer that Git's large-file store left in place of the file. Fetch the file itself (git lfs pull).";
    private const string SafetensorsKind = "a safetensors file", ZipKind = "a zip archive (an ML.NET model, or PyTorch weights)",
        OnnxKind = "an ONNX model";
    private const string Written = "Give one that finetune or compress wrote.";

    private static string MendOf(string kind) => kind switch
    {
        SafetensorsKind => "Give the folder of its model, or compress it first.",
        OnnxKind => "Give it a name that ends in .onnx where dense weights are read, or compress it first.",
        ZipKind => "Give the model.rbe that finetune wrote beside an ML.NET model, or convert PyTorch weights to safetensors.",
        _ => Written,
    };

    private static string? KindOf(ReadOnlySpan<byte> start)
    {
        if (start.StartsWith("PK"u8)) return ZipKind;
        if (start.StartsWith("GGUF"u8) || start.StartsWith("ggml"u8) || start.StartsWith("lmgg"u8)) return "a GGUF model";
        if (start.Length >= 9 && start[8] == (byte)'{' && BinaryPrimitives.ReadUInt64LittleEndian(start) is > 1 and < 1UL << 32) return SafetensorsKind;
        if (start.Length >= 2 && start[0] == 0x80 && start[1] is >= 2 and <= 5) return "a Python pickle (PyTorch weights)";
        if (start.Length >= 4 && start[0] == 0x89 && start[1..4].SequenceEqual("HDF"u8)) return "an HDF5 file (TensorFlow or Keras weights)";
        if (start.Length >= 6 && start[0] == 0x93 && start[1..6].SequenceEqual("NUMPY"u8)) return "a NumPy array";
        if (start.Length >= 2 && start[0] == 0x1F && start[1] == 0x8B) return "a gzip archive";
        if (start.Length >= 4 && start[0] == 0x08 && start[1] is >= 1 and < 32 && start[2] is 0x12 or 0x1A && start[3] < 64) return OnnxKind;
        return start.StartsWith("<!DOCTYPE"u8) || start.StartsWith("<!doctype"u8) || start.StartsWith("<html"u8)
            ? "a web page, as a download that failed leaves" : null;
    }
}
