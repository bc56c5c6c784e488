namespace RbeMl.Files;

/// <summary>
/// Element type of a safetensors tensor. The float readers know <see cref="F32"/>, <see cref="F16"/> and <see cref="BF16"/>; the others can
/// be copied.
/// </summary>
public enum SafetensorsElement
{
    /// <summary>Truth value, a byte each.</summary>
    Bool,

    /// <summary>4-bit float.</summary>
    F4,

    /// <summary>6-bit float, 2 exponent bits.</summary>
    F6E2M3,

    /// <summary>6-bit float, 3 exponent bits.</summary>
    F6E3M2,

    /// <summary>Unsigned byte.</summary>
    U8,

    /// <summary>Signed byte.</summary>
    I8,

    /// <summary>8-bit float, 5 exponent bits.</summary>
    F8E5M2,

    /// <summary>8-bit float, 4 exponent bits.</summary>
    F8E4M3,

    /// <summary>8-bit power of two.</summary>
    F8E8M0,

    /// <summary>16-bit signed integer.</summary>
    I16,

    /// <summary>16-bit unsigned integer.</summary>
    U16,

    /// <summary>IEEE 754 half precision.</summary>
    F16,

    /// <summary>The upper 16 bits of a single precision float.</summary>
    BF16,

    /// <summary>32-bit signed integer.</summary>
    I32,

    /// <summary>32-bit unsigned integer.</summary>
    U32,

    /// <summary>IEEE 754 single precision.</summary>
    F32,

    /// <summary>Two single precision floats.</summary>
    C64,

    /// <summary>IEEE 754 double precision.</summary>
    F64,

    /// <summary>64-bit signed integer.</summary>
    I64,

    /// <summary>64-bit unsigned integer.</summary>
    U64,
}

/// <summary>Names and sizes of the element types.</summary>
internal static class SafetensorsElements
{
    private static readonly (string Name, int Bits)[] Table =
    [
        ("BOOL", 8), ("F4", 4), ("F6_E2M3", 6), ("F6_E3M2", 6), ("U8", 8), ("I8", 8), ("F8_E5M2", 8), ("F8_E4M3", 8), ("F8_E8M0", 8), ("I16", 16),
        ("U16", 16), ("F16", 16), ("BF16", 16), ("I32", 32), ("U32", 32), ("F32", 32), ("C64", 64), ("F64", 64), ("I64", 64), ("U64", 64),
    ];

    public static string Name(SafetensorsElement element) => Table[(int)element].Name;

    public static int Bits(SafetensorsElement element) => Table[(int)element].Bits;

    public static bool IsFloat(SafetensorsElement element) => element is SafetensorsElement.F32 or SafetensorsElement.F16 or SafetensorsElement.BF16;

    public static bool TryParse(string? name, out SafetensorsElement element)
    {
        int index = Array.FindIndex(Table, t => t.Name == name);
        element = (SafetensorsElement)Math.Max(index, 0);
        return index >= 0;
    }

    /// <summary>Bytes of a shape, or null when they are no whole bytes or 2^63 and more.</summary>
    public static long? ByteLength(SafetensorsElement element, ReadOnlySpan<long> shape)
    {
        // A side of 0 makes the whole tensor empty, however long the other sides are.
        Int128 bits = shape.Contains(0) ? 0 : Bits(element);
        foreach (long side in shape)
        {
            bits *= side;
            if (bits > (Int128)long.MaxValue * 8) return null;
        }

        return bits % 8 == 0 ? (long)(bits / 8) : null;
    }
}
